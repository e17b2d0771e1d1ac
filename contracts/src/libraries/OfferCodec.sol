// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Label} from "../types/Job.sol";
import {ProviderHardware, ProviderPrices} from "../types/Provider.sol";
import {LabelCodec} from "./LabelCodec.sol";
import {Packed} from "./Packed.sol";

/// @title What a provider offers, as bytes
/// @dev The three prices (32 each), the number of runs (2), the runs, the labels. A run is how many
/// equal nodes follow each other (4), then GPUs, threads and MB of one (8 each): a cluster of equal
/// nodes takes 28 bytes, however large it is.
library OfferCodec {
    using LabelCodec for Packed.Buffer;
    using Packed for Packed.Buffer;

    /// @notice Bytes before the hardware.
    uint256 internal constant PRICES_SIZE = 96;

    uint256 private constant RUN_SIZE = 28;

    /// @notice The bytes of an offer. The arrays of the hardware must have one entry a node.
    function encode(
        ProviderHardware memory hardware,
        ProviderPrices memory prices,
        Label[] memory labels
    ) internal pure returns (bytes memory) {
        uint256 runs = 0;
        for (uint256 i = 0; i < hardware.nodes; i = _endOfRun(hardware, i)) {
            ++runs;
        }
        Packed.Buffer memory buffer =
            Packed.allocate(PRICES_SIZE + 2 + RUN_SIZE * runs + LabelCodec.sizeOf(labels));
        buffer.put(prices.gpuPricePerMin, 32);
        buffer.put(prices.cpuPricePerMin, 32);
        buffer.put(prices.memPricePerMin, 32);
        buffer.put(runs, 2);
        for (uint256 i = 0; i < hardware.nodes;) {
            uint256 end = _endOfRun(hardware, i);
            buffer.put(end - i, 4);
            buffer.put(hardware.gpusPerNode[i], 8);
            buffer.put(hardware.cpusPerNode[i], 8);
            buffer.put(hardware.memPerNode[i], 8);
            i = end;
        }
        buffer.putLabels(labels);
        return buffer.data;
    }

    /// @notice The offer that `encode` made these bytes of.
    function decode(bytes memory data)
        internal
        pure
        returns (
            ProviderHardware memory hardware,
            ProviderPrices memory prices,
            Label[] memory labels
        )
    {
        prices = decodePrices(data);
        Packed.Buffer memory buffer = Packed.open(data);
        buffer.seek(PRICES_SIZE);
        uint256 runs = buffer.take(2);
        uint256 nodes = 0;
        for (uint256 i = 0; i < runs; ++i) {
            nodes += buffer.take(4);
            buffer.cursor += RUN_SIZE - 4;
        }
        hardware.nodes = uint64(nodes);
        hardware.gpusPerNode = new uint64[](nodes);
        hardware.cpusPerNode = new uint64[](nodes);
        hardware.memPerNode = new uint64[](nodes);
        buffer.seek(PRICES_SIZE + 2);
        for (uint256 node = 0; node < nodes;) {
            uint256 end = node + buffer.take(4);
            uint64 gpus = uint64(buffer.take(8));
            uint64 cpus = uint64(buffer.take(8));
            uint64 mem = uint64(buffer.take(8));
            for (; node < end; ++node) {
                hardware.gpusPerNode[node] = gpus;
                hardware.cpusPerNode[node] = cpus;
                hardware.memPerNode[node] = mem;
            }
        }
        labels = buffer.takeLabels();
    }

    /// @notice The prices alone, of the first PRICES_SIZE bytes of an offer.
    function decodePrices(bytes memory data) internal pure returns (ProviderPrices memory prices) {
        Packed.Buffer memory buffer = Packed.open(data);
        prices.gpuPricePerMin = buffer.take(32);
        prices.cpuPricePerMin = buffer.take(32);
        prices.memPricePerMin = buffer.take(32);
    }

    /// @dev The first node after `from` that differs from it.
    function _endOfRun(ProviderHardware memory hardware, uint256 from)
        private
        pure
        returns (uint256 end)
    {
        uint64 gpus = hardware.gpusPerNode[from];
        uint64 cpus = hardware.cpusPerNode[from];
        uint64 mem = hardware.memPerNode[from];
        end = from + 1;
        while (
            end < hardware.nodes && hardware.gpusPerNode[end] == gpus
                && hardware.cpusPerNode[end] == cpus && hardware.memPerNode[end] == mem
        ) ++end;
    }
}
