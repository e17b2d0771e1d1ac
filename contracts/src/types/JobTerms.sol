// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @notice What the MetaScheduler holds for a job and the terms it was placed under. Later changes
/// of the provider's prices or of the grid's parameters do not touch a job that is placed.
/// @param escrow Credit-wei that the MetaScheduler holds for the job; zero after its end.
/// @param rate Credit-wei a minute at the provider.
/// @param claimedAt Unix seconds of the provider's claim; zero before.
/// @param feePercent The operator's share of the cost in percent.
/// @param placedAt Unix seconds of the placement; zero from the claim on.
/// @param seenAt Unix seconds of the provider's claim, then of its last word about the running job:
/// its time up to here is proved. Word of a start that is now proves nothing and is not kept.
/// @param topUpSlice Minutes of a delegated top-up.
/// @param claimTimeout Minutes until an unclaimed job goes back to the queue.
/// @param cancelTimeout Minutes that the provider has to answer a cancel request.
/// @param providerTimeout Minutes that the provider may be silent behind the time that was bought,
/// or shut out, before the job is released.
struct JobTerms {
    uint128 escrow;
    uint128 rate;
    uint48 claimedAt;
    uint8 feePercent;
    uint48 placedAt;
    uint48 seenAt;
    uint24 topUpSlice;
    uint24 claimTimeout;
    uint24 cancelTimeout;
    uint24 providerTimeout;
}

/// @notice JobTerms as they are stored, in one slot.
/// @param escrow As in JobTerms.
/// @param rate A rate of more than a million credits a minute is stored as 2^80 - 1 wei.
/// @param isClaimed Whether `since` is `claimedAt`; it is `placedAt` before the claim.
/// @param since Unix seconds of the placement, then of the claim.
/// @param seenAfter `seenAt` in seconds after the claim, at most 194 days.
/// @param termsId Which parameters: all that ever were are kept, with a number.
struct PackedTerms {
    uint88 escrow;
    uint80 rate;
    bool isClaimed;
    uint32 since;
    uint24 seenAfter;
    uint24 termsId;
}
