// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/security/ReentrancyGuard.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {InsufficientFunds, NothingToClaim} from "./Errors.sol";
import {IFaucetCredit} from "./interfaces/IFaucetCredit.sol";

/// @title Credits that the operator gives away
/// @dev It is filled by a plain transfer of credits. A new owner has to accept.
contract FaucetCredit is IFaucetCredit, Ownable2Step, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @notice The token that is given away.
    IERC20 public immutable credit;

    /// @inheritdoc IFaucetCredit
    mapping(address => uint256) public addressToUserCredit;

    /// @inheritdoc IFaucetCredit
    mapping(address => uint256) public addressToAmountDistributed;

    /// @inheritdoc IFaucetCredit
    uint256 public totalDistributed;

    /// @inheritdoc IFaucetCredit
    uint256 public totalPromised;

    /// @param _credit The token that is given away.
    constructor(IERC20 _credit) {
        credit = _credit;
    }

    /// @inheritdoc IFaucetCredit
    function creditUser(address userAddr, uint256 creditAmount) external nonReentrant onlyOwner {
        _checkAvailable(creditAmount);
        totalPromised += creditAmount;
        uint256 promised = addressToUserCredit[userAddr] + creditAmount;
        addressToUserCredit[userAddr] = promised;
        emit UserCredited(userAddr, creditAmount, promised);
    }

    /// @inheritdoc IFaucetCredit
    function claim() external nonReentrant {
        uint256 amount = addressToUserCredit[msg.sender];
        if (amount == 0) revert NothingToClaim(msg.sender);
        addressToUserCredit[msg.sender] = 0;
        addressToAmountDistributed[msg.sender] += amount;
        totalPromised -= amount;
        totalDistributed += amount;
        emit CreditClaimed(msg.sender, amount);
        credit.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IFaucetCredit
    function withdraw(address to, uint256 amount) external nonReentrant onlyOwner {
        _checkAvailable(amount);
        emit FaucetWithdrawn(to, amount);
        credit.safeTransfer(to, amount);
    }

    /// @inheritdoc IFaucetCredit
    function available() public view returns (uint256) {
        uint256 held = credit.balanceOf(address(this));
        return held > totalPromised ? held - totalPromised : 0;
    }

    function _checkAvailable(uint256 amount) private view {
        uint256 free = available();
        if (amount > free) revert InsufficientFunds(free, amount);
    }
}
