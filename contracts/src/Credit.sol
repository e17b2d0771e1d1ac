// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The credits that jobs are paid with
/// @notice An ERC-20 with 18 decimals and permits (EIP-2612); its owner mints. A new owner has to
/// accept.
contract Credit is ERC20Permit, Ownable2Step {
    /// @param _amountWei Credit-wei minted to the deployer.
    constructor(uint256 _amountWei) ERC20("Credit", "Credit") ERC20Permit("Credit") {
        _mint(msg.sender, _amountWei);
    }

    /// @notice Mints credits. Owner only.
    /// @param account Who gets them.
    /// @param _amountWei How many credit-wei.
    function mint(address account, uint256 _amountWei) external onlyOwner {
        _mint(account, _amountWei);
    }
}
