// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title A queue of job ids that forgets nothing
/// @notice Six ids share a slot. An entry that was taken stays where it is, before the queue's
/// begin: who reads from zero on sees all that ever was in it.
library JobQueue {
    uint256 private constant PER_SLOT = 6;
    uint256 private constant BITS = 40;

    /// @dev The names of the ends are those of the published interface.
    struct Queue {
        int128 _begin;
        int128 _end;
        mapping(uint256 => uint256) _slots;
    }

    /// @notice Adds an id at the end.
    function push(Queue storage queue, bytes32 id) internal {
        uint256 place = uint256(uint128(queue._end));
        // Ids count from 1 and never come near 2^40.
        queue._slots[place / PER_SLOT] |= uint256(id) << (BITS * (place % PER_SLOT));
        queue._end = int128(uint128(place + 1));
    }

    /// @notice The id at a place, counted from the first that ever was in the queue.
    function idAt(Queue storage queue, uint256 place) internal view returns (bytes32) {
        uint256 slot = queue._slots[place / PER_SLOT];
        return bytes32((slot >> (BITS * (place % PER_SLOT))) & ((1 << BITS) - 1));
    }

    /// @notice The places of what is left: the first, and the one behind the last.
    function ends(Queue storage queue) internal view returns (uint256 begin, uint256 end) {
        return (uint256(uint128(queue._begin)), uint256(uint128(queue._end)));
    }

    /// @notice Takes away all before a place.
    function skipTo(Queue storage queue, uint256 place) internal {
        queue._begin = int128(uint128(place));
    }
}
