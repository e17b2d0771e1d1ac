// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Credit} from "../../src/Credit.sol";

/// @notice The token of the grid, which can be told to be a bad one: to pay an account nothing, to
/// answer `false`, or to call somebody while it pays.
contract StubbornCredit is Credit {
    mapping(address => bool) public isBlocked;
    bool public answersFalse;
    address private _called;
    bytes private _call;

    constructor(uint256 amount) Credit(amount) {}

    function setBlocked(address account, bool blocked) external {
        isBlocked[account] = blocked;
    }

    function setAnswersFalse(bool on) external {
        answersFalse = on;
    }

    /// @notice From now on each payment makes this call, and fails if it fails.
    function callWhilePaying(address called, bytes calldata call) external {
        _called = called;
        _call = call;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return !answersFalse && super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return !answersFalse && super.transferFrom(from, to, amount);
    }

    function _beforeTokenTransfer(address, address to, uint256) internal override {
        require(!isBlocked[to], "this account is blocked");
        if (_called == address(0)) return;
        (bool done, bytes memory answer) = _called.call(_call);
        if (done) return;
        assembly ("memory-safe") {
            revert(add(answer, 0x20), mload(answer))
        }
    }
}
