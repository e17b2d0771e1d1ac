// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title A list that is read in pages and from which anything can be taken out
/// @notice Ids count up from 1 and are never used again; zero means none.
abstract contract DoubleLinkedList {
    /// @param id Its own id.
    /// @param next Id of the one behind it; zero if it is the last.
    /// @param prev Id of the one before it; zero if it is the first.
    /// @param data What it holds.
    struct Object {
        uint256 id;
        uint256 next;
        uint256 prev;
        bytes32 data;
    }

    /// @notice An object was made.
    event ObjectCreated(uint256 id, bytes32 data);

    /// @notice An object was taken out.
    event ObjectRemoved(uint256 id);

    /// @notice Two objects became neighbours.
    event ObjectsLinked(uint256 prev, uint256 next);

    /// @notice The first object changed.
    event NewHead(uint256 id);

    /// @notice The last object changed.
    event NewTail(uint256 id);

    /// @notice Id of the first object.
    uint256 public head;

    /// @notice Id of the last object.
    uint256 public tail;

    /// @notice Id that the next object gets.
    uint256 public idCounter = 1;

    /// @notice How many objects there are.
    uint256 public elementCount;

    /// @notice The objects by id.
    mapping(uint256 => Object) public objects;

    /// @notice An object: its id, the next one's, the one's before, and its data.
    function get(uint256 _id) public view returns (uint256, uint256, uint256, bytes32) {
        Object storage object = objects[_id];
        return (object.id, object.next, object.prev, object.data);
    }

    /// @notice Id of the first object with this data.
    /// @param _hash The data.
    /// @param _from Id of the object to begin with; zero for the first.
    /// @return The id; zero if there is none.
    function findIdForDataFrom(bytes32 _hash, uint256 _from) public view returns (uint256) {
        uint256 id = _from == 0 ? head : _from;
        while (id != 0 && objects[id].data != _hash) id = objects[id].next;
        return id;
    }

    /// @notice A page of the list.
    /// @param cursor Id of the object to begin with; zero for the first.
    /// @param howMany Most objects to return.
    /// @return data What the objects hold.
    /// @return actualLength How many there are.
    /// @return newCursor Where the next page begins; zero at the end.
    function fetchPage(uint256 cursor, uint256 howMany)
        public
        view
        returns (bytes32[] memory data, uint256 actualLength, uint256 newCursor)
    {
        newCursor = cursor == 0 ? head : cursor;
        data = new bytes32[](howMany < elementCount ? howMany : elementCount);
        while (newCursor != 0 && actualLength < data.length) {
            Object storage object = objects[newCursor];
            if (object.id == 0) return (_cut(data, actualLength), actualLength, 0);
            data[actualLength++] = object.data;
            newCursor = object.next;
        }
        data = _cut(data, actualLength);
    }

    /// @dev Adds an object at the end.
    function _append(bytes32 data) internal returns (uint256 id) {
        id = idCounter++;
        uint256 last = tail;
        objects[id] = Object({id: id, next: 0, prev: last, data: data});
        ++elementCount;
        emit ObjectCreated(id, data);
        if (last == 0) {
            _setHead(id);
        } else {
            objects[last].next = id;
            emit ObjectsLinked(last, id);
        }
        _setTail(id);
    }

    /// @dev Takes an object out that is in the list.
    function _unlink(uint256 id) internal {
        Object memory object = objects[id];
        delete objects[id];
        --elementCount;
        if (object.prev != 0) objects[object.prev].next = object.next;
        if (object.next != 0) objects[object.next].prev = object.prev;
        if (object.prev != 0 && object.next != 0) emit ObjectsLinked(object.prev, object.next);
        if (object.prev == 0) _setHead(object.next);
        if (object.next == 0) _setTail(object.prev);
        emit ObjectRemoved(id);
    }

    function _setHead(uint256 id) private {
        head = id;
        emit NewHead(id);
    }

    function _setTail(uint256 id) private {
        tail = id;
        emit NewTail(id);
    }

    /// @dev Shortens an array of the caller's own in place.
    function _cut(bytes32[] memory data, uint256 length) private pure returns (bytes32[] memory) {
        assembly ("memory-safe") {
            mstore(data, length)
        }
        return data;
    }
}
