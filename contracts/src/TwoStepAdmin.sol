// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";

import {PendingAdminOnly} from "./Errors.sol";

/// @title Roles whose administrator is handed over in two steps
/// @notice The next administrator has to accept: a mistyped account never gets the contract.
abstract contract TwoStepAdmin is AccessControl {
    /// @notice An administrator named the next one; zero takes that back.
    event DefaultAdminTransferStarted(address indexed current, address indexed next);

    /// @notice Who may accept to be the administrator; zero for nobody.
    address public pendingDefaultAdmin;

    address private _handingOver;

    /// @dev The deployer administers the roles.
    constructor() {
        _grantRole(DEFAULT_ADMIN_ROLE, msg.sender);
    }

    /// @notice Names the account that may take the caller's place. Administrators only.
    /// @param _next The account; zero takes an earlier one back.
    function beginDefaultAdminTransfer(address _next) external onlyRole(DEFAULT_ADMIN_ROLE) {
        // Zero takes a hand-over back.
        // slither-disable-next-line missing-zero-check
        pendingDefaultAdmin = _next;
        _handingOver = msg.sender;
        emit DefaultAdminTransferStarted(msg.sender, _next);
    }

    /// @notice Makes the caller the administrator in the place of who named it.
    function acceptDefaultAdminTransfer() external {
        address next = pendingDefaultAdmin;
        if (msg.sender != next) revert PendingAdminOnly(msg.sender, next);
        address previous = _handingOver;
        // Whoever lost the role meanwhile has nothing left to hand over.
        _checkRole(DEFAULT_ADMIN_ROLE, previous);
        delete pendingDefaultAdmin;
        delete _handingOver;
        _revokeRole(DEFAULT_ADMIN_ROLE, previous);
        _grantRole(DEFAULT_ADMIN_ROLE, next);
    }
}
