// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title A list of job ids that forgets nothing, and a queue of what it has not given away
/// @notice The newest ids, up to five, lie in one slot with the ends of the queue: a push mostly
/// writes one slot. Each sixth push writes six ids to a slot of their own. An entry that was taken
/// stays where it is, before the queue's begin: who reads from zero on sees all that ever was in it.
library JobQueue {
    uint256 private constant PER_SLOT = 6;
    uint256 private constant BITS = 35;

    /// @param _begin The place of the oldest entry that is left.
    /// @param _end The place behind the newest.
    /// @param _newest The entries from `_end - _end % 6` on. Ids count from 1 and never come near
    /// 2^35: that is one a second for a thousand years.
    /// @param _older The entries before, six each.
    struct Queue {
        uint40 _begin;
        uint40 _end;
        uint176 _newest;
        mapping(uint256 => uint256) _older;
    }

    /// @notice Adds an id at the end.
    function push(Queue storage queue, bytes32 id) internal {
        uint256 end = queue._end;
        uint256 ids = queue._newest | (uint256(id) << (BITS * (end % PER_SLOT)));
        queue._end = uint40(end + 1);
        if (end % PER_SLOT == PER_SLOT - 1) {
            queue._older[end / PER_SLOT] = ids;
            ids = 0;
        }
        queue._newest = uint176(ids);
    }

    /// @notice The id at a place, counted from the first that ever was in the queue.
    function idAt(Queue storage queue, uint256 place) internal view returns (bytes32) {
        uint256 chunk = place / PER_SLOT;
        uint256 ids = chunk == queue._end / PER_SLOT ? queue._newest : queue._older[chunk];
        return bytes32((ids >> (BITS * (place % PER_SLOT))) & ((1 << BITS) - 1));
    }

    /// @notice The ids of the places from `offset` on, at most `limit`.
    function page(Queue storage queue, uint256 offset, uint256 limit)
        internal
        view
        returns (bytes32[] memory ids)
    {
        uint256 end = queue._end;
        uint256 left = offset < end ? end - offset : 0;
        ids = new bytes32[](limit < left ? limit : left);
        for (uint256 i = 0; i < ids.length; ++i) {
            ids[i] = idAt(queue, offset + i);
        }
    }

    /// @notice The places of what is left: the first, and the one behind the last.
    function ends(Queue storage queue) internal view returns (uint256 begin, uint256 end) {
        return (queue._begin, queue._end);
    }

    /// @notice Takes away all before a place.
    function skipTo(Queue storage queue, uint256 place) internal {
        queue._begin = uint40(place);
    }
}
