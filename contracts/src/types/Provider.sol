// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Label} from "./Job.sol";

/// @notice Hardware of a provider; each array has one entry a node.
/// @param nodes Number of nodes.
/// @param gpusPerNode GPUs of each node.
/// @param cpusPerNode Hardware threads of each node.
/// @param memPerNode MB of each node.
struct ProviderHardware {
    uint64 nodes;
    uint64[] gpusPerNode;
    uint64[] cpusPerNode;
    uint64[] memPerNode;
}

/// @notice Prices of a provider in credit-wei a minute.
/// @param gpuPricePerMin For a GPU.
/// @param cpuPricePerMin For a hardware thread.
/// @param memPricePerMin For a MB of memory.
struct ProviderPrices {
    uint256 gpuPricePerMin;
    uint256 cpuPricePerMin;
    uint256 memPricePerMin;
}

/// @notice A provider, approved or proposed.
/// @param addr Its account; zero in an empty record.
/// @param providerHardware What it has.
/// @param providerPrices What it costs.
/// @param labels Facts that jobs can ask for.
/// @param isBanned Whether it is shut out.
struct Provider {
    address addr;
    ProviderHardware providerHardware;
    ProviderPrices providerPrices;
    Label[] labels;
    bool isBanned;
}
