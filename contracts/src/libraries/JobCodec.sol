// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Affinity, Demand, JobDefinition, StorageType} from "../types/Job.sol";
import {LabelCodec} from "./LabelCodec.sol";
import {Limits} from "./Limits.sol";
import {Packed} from "./Packed.sol";

/// @title What never changes of a job, as bytes
/// @dev The numbers gpus, memPerCpu, cpusPerTask and ntasks; the time of the submission; the job's
/// name without the NULs at its end, after its length (1); storageType (1), batchLocationHash, uses,
/// and affinity as labels each followed by its operator (2). What has no size here is a number or a
/// text of Packed.
library JobCodec {
    using LabelCodec for Packed.Buffer;
    using Packed for Packed.Buffer;

    /// @notice Most bytes that the four numbers at the beginning take: ten each.
    uint256 internal constant DEMAND_SIZE = 40;

    /// @notice The bytes; reverts if a text or a list is too long.
    function encode(bytes32 name, uint256 submit, JobDefinition memory definition)
        internal
        pure
        returns (bytes memory)
    {
        Limits.checkText(definition.batchLocationHash, Limits.LOCATION);
        Limits.checkList(definition.affinity.length, Limits.LABELS);
        uint256 nameLength = _lengthOf(name);
        uint256 size = Packed.sizeOf(definition.gpus) + Packed.sizeOf(definition.memPerCpu)
            + Packed.sizeOf(definition.cpusPerTask) + Packed.sizeOf(definition.ntasks)
            + Packed.sizeOf(submit) + 2 + nameLength + Packed.sizeOf(definition.batchLocationHash)
            + LabelCodec.sizeOf(definition.uses) + Packed.sizeOf(definition.affinity.length);
        for (uint256 i = 0; i < definition.affinity.length; ++i) {
            size += 2 + LabelCodec.sizeOf(definition.affinity[i].label);
        }
        Packed.Buffer memory buffer = Packed.allocate(size);
        buffer.putNumber(definition.gpus);
        buffer.putNumber(definition.memPerCpu);
        buffer.putNumber(definition.cpusPerTask);
        buffer.putNumber(definition.ntasks);
        buffer.putNumber(submit);
        buffer.put(nameLength, 1);
        if (nameLength != 0) buffer.put(uint256(name) >> (8 * (32 - nameLength)), nameLength);
        buffer.put(uint256(definition.storageType), 1);
        buffer.put(definition.batchLocationHash);
        buffer.putLabels(definition.uses);
        buffer.putNumber(definition.affinity.length);
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
        Demand memory demand = _takeDemand(buffer);
        definition.gpus = demand.gpus;
        definition.memPerCpu = demand.memPerCpu;
        definition.cpusPerTask = demand.cpusPerTask;
        definition.ntasks = demand.ntasks;
        submit = buffer.takeNumber();
        uint256 nameLength = buffer.take(1);
        if (nameLength != 0) name = bytes32(buffer.take(nameLength) << (8 * (32 - nameLength)));
        definition.storageType = StorageType(buffer.take(1));
        definition.batchLocationHash = buffer.takeString();
        definition.uses = buffer.takeLabels();
        definition.affinity = new Affinity[](buffer.takeNumber());
        for (uint256 i = 0; i < definition.affinity.length; ++i) {
            definition.affinity[i].label = buffer.takeLabel();
            definition.affinity[i].op = bytes2(uint16(buffer.take(2)));
        }
    }

    /// @notice What the job needs alone, of the first DEMAND_SIZE bytes.
    function decodeDemand(bytes memory data) internal pure returns (Demand memory) {
        return _takeDemand(Packed.open(data));
    }

    function _takeDemand(Packed.Buffer memory buffer) private pure returns (Demand memory demand) {
        demand.gpus = uint64(buffer.takeNumber());
        demand.memPerCpu = uint64(buffer.takeNumber());
        demand.cpusPerTask = uint64(buffer.takeNumber());
        demand.ntasks = uint64(buffer.takeNumber());
    }

    /// @dev Bytes of a name up to the last that is not NUL.
    function _lengthOf(bytes32 name) private pure returns (uint256 length) {
        while (length < 32 && name << (8 * length) != 0) ++length;
    }
}
