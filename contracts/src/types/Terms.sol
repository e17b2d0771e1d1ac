// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @notice The parameters that a job keeps from its placement on. Minutes are at most 43,200.
/// @param feePercent The operator's share of the cost in percent.
/// @param topUpSlice Minutes of a delegated top-up.
/// @param claimTimeout Minutes until an unclaimed job goes back to the queue.
/// @param cancelTimeout Minutes that a provider has to answer a cancel request.
/// @param providerTimeout Minutes that a provider may be silent behind the time that was bought, or
/// shut out, before its jobs are released.
struct Terms {
    uint8 feePercent;
    uint16 topUpSlice;
    uint16 claimTimeout;
    uint16 cancelTimeout;
    uint16 providerTimeout;
}
