// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Affinity, JobDefinition, Label, StorageType} from "../types/Job.sol";
import {LabelCodec} from "./LabelCodec.sol";
import {Limits} from "./Limits.sol";
import {Packed} from "./Packed.sol";

/// @title What never changes of a job, as bytes
/// @dev The job's name (32), the time of its submission (6), then the definition: gpus, memPerCpu, cpusPerTask, ntasks (8 each), storageType (1), batchLocationHash, uses,
/// and affinity as labels each followed by its operator (2).
library JobCodec {
    using LabelCodec for Packed.Buffer;
    using Packed for Packed.Buffer;

    /// @dev Bytes before the definition.
    uint256 private constant HEAD = 38;

    /// @notice The bytes; reverts if a text or a list is too long.
    function encode(bytes32 name, uint256 submit, JobDefinition memory definition)
        internal
        pure
        returns (bytes memory)
    {
        Limits.checkText(definition.batchLocationHash, Limits.LOCATION);
        Limits.checkList(definition.affinity.length, Limits.LABELS);
        uint256 size = HEAD + 35 + Packed.sizeOf(definition.batchLocationHash)
            + LabelCodec.sizeOf(definition.uses);
        for (uint256 i = 0; i < definition.affinity.length; ++i) {
            size += 2 + LabelCodec.sizeOf(definition.affinity[i].label);
        }
        Packed.Buffer memory buffer = Packed.allocate(size);
        buffer.put(uint256(name), 32);
        buffer.put(submit, 6);
        buffer.put(definition.gpus, 8);
        buffer.put(definition.memPerCpu, 8);
        buffer.put(definition.cpusPerTask, 8);
        buffer.put(definition.ntasks, 8);
        buffer.put(uint256(definition.storageType), 1);
        buffer.put(definition.batchLocationHash);
        buffer.putLabels(definition.uses);
        buffer.put(definition.affinity.length, 2);
        for (uint256 i = 0; i < definition.affinity.length; ++i) {
            buffer.putLabel(definition.affinity[i].label);
            buffer.put(uint16(definition.affinity[i].op), 2);
        }
        return buffer.data;
    }

    /// @notice What `encode` made these bytes of.
    function decode(bytes memory data)
        internal
        pure
        returns (bytes32 name, uint256 submit, JobDefinition memory definition)
    {
        Packed.Buffer memory buffer = Packed.open(data);
        name = bytes32(buffer.take(32));
        submit = buffer.take(6);
        definition.gpus = uint64(buffer.take(8));
        definition.memPerCpu = uint64(buffer.take(8));
        definition.cpusPerTask = uint64(buffer.take(8));
        definition.ntasks = uint64(buffer.take(8));
        definition.storageType = StorageType(buffer.take(1));
        definition.batchLocationHash = buffer.takeString();
        definition.uses = buffer.takeLabels();
        definition.affinity = new Affinity[](buffer.take(2));
        for (uint256 i = 0; i < definition.affinity.length; ++i) {
            definition.affinity[i].label = buffer.takeLabel();
            definition.affinity[i].op = bytes2(uint16(buffer.take(2)));
        }
    }
}
