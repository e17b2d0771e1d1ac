// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Credit} from "../../src/Credit.sol";

/// @notice The token of the grid, which can be told to pay an account nothing.
contract StubbornCredit is Credit {
    mapping(address => bool) public isBlocked;

    constructor(uint256 amount) Credit(amount) {}

    function setBlocked(address account, bool blocked) external {
        isBlocked[account] = blocked;
    }

    function _beforeTokenTransfer(address, address to, uint256) internal view override {
        require(!isBlocked[to], "this account is blocked");
    }
}
