// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {DataTooLarge} from "../Errors.sol";
import {CodeStorage} from "./CodeStorage.sol";

/// @title Bytes written and read one field after the other, without padding
/// @notice Strings and lists carry their length in two bytes: whoever allocates a buffer for more
/// than CodeStorage holds is refused, so that no length can be larger.
library Packed {
    /// @param data The bytes.
    /// @param position The next byte to write or read.
    struct Buffer {
        bytes data;
        uint256 position;
    }

    /// @notice A buffer to write `size` bytes to.
    function allocate(uint256 size) internal pure returns (Buffer memory buffer) {
        if (size > CodeStorage.MAX_SIZE) revert DataTooLarge(size, CodeStorage.MAX_SIZE);
        // Each write fills whole words: up to 31 bytes behind its end, which the next one
        // overwrites.
        buffer.data = new bytes(size + 32);
        bytes memory data = buffer.data;
        assembly ("memory-safe") {
            mstore(data, size)
        }
    }

    /// @notice A buffer to read `data` from.
    function open(bytes memory data) internal pure returns (Buffer memory) {
        return Buffer(data, 0);
    }

    /// @notice Bytes that `text` takes.
    function sizeOf(string memory text) internal pure returns (uint256) {
        return 2 + bytes(text).length;
    }

    /// @notice Writes the lowest `size` bytes (1 to 32) of a number.
    function put(Buffer memory buffer, uint256 value, uint256 size) internal pure {
        bytes memory data = buffer.data;
        uint256 position = buffer.position;
        assembly ("memory-safe") {
            mstore(add(add(data, 0x20), position), shl(sub(256, mul(8, size)), value))
        }
        buffer.position = position + size;
    }

    /// @notice Writes a string.
    function put(Buffer memory buffer, string memory text) internal pure {
        uint256 length = bytes(text).length;
        put(buffer, length, 2);
        bytes memory data = buffer.data;
        uint256 position = buffer.position;
        assembly ("memory-safe") {
            let to := add(add(data, 0x20), position)
            let from := add(text, 0x20)
            for { let i := 0 } lt(i, length) { i := add(i, 0x20) } {
                mstore(add(to, i), mload(add(from, i)))
            }
        }
        buffer.position = position + length;
    }

    /// @notice Reads a number of `size` bytes (1 to 32).
    function take(Buffer memory buffer, uint256 size) internal pure returns (uint256 value) {
        bytes memory data = buffer.data;
        uint256 position = buffer.position;
        assembly ("memory-safe") {
            value := shr(sub(256, mul(8, size)), mload(add(add(data, 0x20), position)))
        }
        buffer.position = position + size;
    }

    /// @notice Reads a string.
    function takeString(Buffer memory buffer) internal pure returns (string memory text) {
        uint256 length = take(buffer, 2);
        text = new string(length);
        bytes memory data = buffer.data;
        uint256 position = buffer.position;
        assembly ("memory-safe") {
            let from := add(add(data, 0x20), position)
            let to := add(text, 0x20)
            for { let i := 0 } lt(i, length) { i := add(i, 0x20) } {
                mstore(add(to, i), mload(add(from, i)))
            }
        }
        buffer.position = position + length;
    }
}
