// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @notice What the MetaScheduler holds for a job and the terms it was placed under. Later changes
/// of the provider's prices or of the fee do not touch a job that is placed.
/// @param escrow Credit-wei that the MetaScheduler holds for the job; zero after its end.
/// @param rate Credit-wei a minute at the provider, fixed when the job is placed.
/// @param claimedAt Unix seconds of the provider's claim; zero before.
/// @param feePercent The operator's share of the cost in percent, fixed when the job is placed.
struct JobTerms {
    uint128 escrow;
    uint128 rate;
    uint48 claimedAt;
    uint8 feePercent;
}
