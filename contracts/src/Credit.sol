// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title The credits that jobs are paid with
/// @notice An ERC-20 with 18 decimals; its owner mints.
contract Credit is ERC20, Ownable {
    /// @param _amountWei Credit-wei minted to the deployer.
    constructor(uint256 _amountWei) ERC20("Credit", "Credit") {
        _mint(msg.sender, _amountWei);
    }

    /// @notice Mints credits. Owner only.
    /// @param account Who gets them.
    /// @param _amountWei How many credit-wei.
    function mint(address account, uint256 _amountWei) external onlyOwner {
        _mint(account, _amountWei);
    }
}
