// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {DataTooLarge} from "../Errors.sol";

/// @title Data kept as the code of a contract that does nothing
/// @notice For data that is written once and read whole: a byte of code costs 200 gas, a byte of
/// storage about 690. The first byte of the code is STOP, so that it can never run.
library CodeStorage {
    /// @dev Code may have 24,576 bytes (EIP-170), one of them is the STOP.
    uint256 internal constant MAX_SIZE = 24_575;

    /// @notice Stores `data` and returns where.
    function write(bytes memory data) internal returns (address pointer) {
        if (data.length > MAX_SIZE) revert DataTooLarge(data.length, MAX_SIZE);
        // PUSH2 size, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN: returns all
        // that follows these ten bytes. RETURNDATASIZE is a cheap zero.
        bytes memory creation =
            abi.encodePacked(hex"61", uint16(data.length + 1), hex"80600a3d393df3", hex"00", data);
        assembly ("memory-safe") {
            pointer := create(0, add(creation, 0x20), mload(creation))
        }
        // An empty contract of legal size can only fail to be made for want of gas.
        require(pointer != address(0), "CodeStorage: out of gas");
    }

    /// @notice Where the n-th contract that this one makes lies (n counts from 1): the last 20 bytes
    /// of the hash of RLP([this, n]). Whoever keeps n need not keep the address.
    function addressOf(uint256 n) internal view returns (address pointer) {
        // A number below 0x80 is its own encoding; others have a byte with their length before.
        uint256 length = 0;
        if (n > 0x7f) while (n >> (8 * length) != 0) ++length;
        uint256 rlp = (((0xd6 + length) << 8) | 0x94) << 160 | uint160(address(this));
        if (length == 0) rlp = (rlp << 8) | n;
        else rlp = (((rlp << 8) | (0x80 + length)) << (8 * length)) | n;
        assembly ("memory-safe") {
            mstore(0, rlp)
            pointer := and(keccak256(sub(9, length), add(23, length)), sub(shl(160, 1), 1))
        }
    }

    /// @notice Reads all that was stored at `pointer`; nothing if there is nothing.
    function read(address pointer) internal view returns (bytes memory data) {
        uint256 size = pointer.code.length;
        return size < 2 ? data : readFirst(pointer, size - 1);
    }

    /// @notice Reads the first `size` bytes stored at `pointer`; zeros where there are none.
    function readFirst(address pointer, uint256 size) internal view returns (bytes memory data) {
        data = new bytes(size);
        assembly ("memory-safe") {
            extcodecopy(pointer, add(data, 0x20), 1, size)
        }
    }
}
