// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {DataTooLarge} from "../Errors.sol";
import {CodeStorage} from "./CodeStorage.sol";

/// @title Bytes written and read one field after the other, without padding
/// @notice A number that is mostly small, such as the length of a string or a list, takes seven bits
/// a byte, the lowest first; all its bytes but the last have the highest bit set (LEB128).
library Packed {
    /// @param data The bytes.
    /// @param cursor Where in memory the next byte is written or read.
    struct Buffer {
        bytes data;
        uint256 cursor;
    }

    /// @notice A buffer to write `size` bytes to.
    function allocate(uint256 size) internal pure returns (Buffer memory buffer) {
        if (size > CodeStorage.MAX_SIZE) revert DataTooLarge(size, CodeStorage.MAX_SIZE);
        // Each write fills whole words: up to 31 bytes behind its end, which the next one
        // overwrites.
        bytes memory data = new bytes(size + 32);
        assembly ("memory-safe") {
            mstore(data, size)
        }
        return open(data);
    }

    /// @notice A buffer to read `data` from.
    function open(bytes memory data) internal pure returns (Buffer memory buffer) {
        buffer.data = data;
        seek(buffer, 0);
    }

    /// @notice Goes on at a byte, counted from the first.
    function seek(Buffer memory buffer, uint256 position) internal pure {
        bytes memory data = buffer.data;
        assembly ("memory-safe") {
            mstore(add(buffer, 0x20), add(add(data, 0x20), position))
        }
    }

    /// @notice Bytes that `text` takes.
    function sizeOf(string memory text) internal pure returns (uint256) {
        return sizeOf(bytes(text).length) + bytes(text).length;
    }

    /// @notice Bytes that a number of any size takes.
    function sizeOf(uint256 number) internal pure returns (uint256 size) {
        for (size = 1; number > 0x7f; ++size) {
            number >>= 7;
        }
    }

    /// @notice Writes the lowest `size` bytes (1 to 32) of a number.
    function put(Buffer memory buffer, uint256 value, uint256 size) internal pure {
        uint256 cursor = buffer.cursor;
        assembly ("memory-safe") {
            mstore(cursor, shl(sub(256, mul(8, size)), value))
        }
        buffer.cursor = cursor + size;
    }

    /// @notice Writes a number of any size.
    function putNumber(Buffer memory buffer, uint256 value) internal pure {
        uint256 cursor = buffer.cursor;
        assembly ("memory-safe") {
            for {} gt(value, 0x7f) { value := shr(7, value) } {
                mstore8(cursor, or(0x80, value))
                cursor := add(cursor, 1)
            }
            mstore8(cursor, value)
        }
        buffer.cursor = cursor + 1;
    }

    /// @notice Writes a string.
    function put(Buffer memory buffer, string memory text) internal pure {
        uint256 length = bytes(text).length;
        putNumber(buffer, length);
        uint256 cursor = buffer.cursor;
        assembly ("memory-safe") {
            let from := add(text, 0x20)
            for { let i := 0 } lt(i, length) { i := add(i, 0x20) } {
                mstore(add(cursor, i), mload(add(from, i)))
            }
        }
        buffer.cursor = cursor + length;
    }

    /// @notice Reads a number of `size` bytes (1 to 32).
    function take(Buffer memory buffer, uint256 size) internal pure returns (uint256 value) {
        uint256 cursor = buffer.cursor;
        assembly ("memory-safe") {
            value := shr(sub(256, mul(8, size)), mload(cursor))
        }
        buffer.cursor = cursor + size;
    }

    /// @notice Reads a number that `putNumber` wrote.
    function takeNumber(Buffer memory buffer) internal pure returns (uint256 value) {
        uint256 cursor = buffer.cursor;
        assembly ("memory-safe") {
            let part := byte(0, mload(cursor))
            value := and(part, 0x7f)
            for { let shift := 7 } gt(part, 0x7f) { shift := add(shift, 7) } {
                cursor := add(cursor, 1)
                part := byte(0, mload(cursor))
                value := or(value, shl(shift, and(part, 0x7f)))
            }
        }
        buffer.cursor = cursor + 1;
    }

    /// @notice Reads a string.
    function takeString(Buffer memory buffer) internal pure returns (string memory text) {
        uint256 length = takeNumber(buffer);
        text = new string(length);
        uint256 cursor = buffer.cursor;
        assembly ("memory-safe") {
            let to := add(text, 0x20)
            for { let i := 0 } lt(i, length) { i := add(i, 0x20) } {
                mstore(add(to, i), mload(add(cursor, i)))
            }
        }
        buffer.cursor = cursor + length;
    }
}
