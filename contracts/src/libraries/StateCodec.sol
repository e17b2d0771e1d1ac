// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {JobClock, JobCost, JobState, JobStatus, PackedState} from "../types/Job.sol";

/// @title What changes of a job, in three words or four
/// @dev Fields from the lowest bits on:
/// owner: customer (160), maxCost (88), whether others may top up (1);
/// step: status (8), block of the last change (40), start (32), end (32), cancel request (32),
/// whether there is one (8), exit code (64), and 40 bits that are the repository's own;
/// outcome: provider (160), finalCost (88), whether there is a rest (1);
/// rest: pendingTopUp (88), panic (32).
/// Seconds last until 2106, amounts are less than 2^88 wei.
library StateCodec {
    /// @notice The place of the repository's own bits in `step`.
    uint256 internal constant OWN_BITS = 216;

    /// @notice The place of whether there is a rest in `outcome`.
    uint256 internal constant REST_BIT = 248;

    /// @notice The words of a state; reverts if a number does not fit.
    function pack(JobState memory state) internal pure returns (PackedState memory packed) {
        JobCost memory cost = state.cost;
        JobClock memory time = state.time;
        require(
            (cost.maxCost | cost.finalCost | cost.pendingTopUp) >> 88 == 0
                && (time.start | time.end | time.cancelRequestTimestamp | time.panicTimestamp) >> 32
                    == 0 && time.blockNumberStateChange >> 40 == 0,
            "StateCodec: a number does not fit"
        );
        packed.owner = uint160(state.customerAddr) | cost.maxCost << 160
            | _bit(cost.delegateSpendingAuthority) << 248;
        packed.step = uint256(state.status) | time.blockNumberStateChange << 8 | time.start << 48
            | time.end << 80 | time.cancelRequestTimestamp << 112 | _bit(state.hasCancelRequest)
            << 144 | uint256(uint64(state.exitCode)) << 152;
        packed.rest = cost.pendingTopUp | time.panicTimestamp << 88;
        packed.outcome = uint160(state.providerAddr) | cost.finalCost << 160
            | _bit(packed.rest != 0) << REST_BIT;
    }

    /// @notice The state that `pack` made these words of.
    function unpack(PackedState memory packed) internal pure returns (JobState memory) {
        uint256 step = packed.step;
        return JobState({
            status: statusOf(step),
            customerAddr: address(uint160(packed.owner)),
            providerAddr: address(uint160(packed.outcome)),
            cost: JobCost({
                maxCost: uint88(packed.owner >> 160),
                finalCost: uint88(packed.outcome >> 160),
                pendingTopUp: uint88(packed.rest),
                delegateSpendingAuthority: packed.owner >> 248 != 0
            }),
            time: JobClock({
                start: uint32(step >> 48),
                end: uint32(step >> 80),
                cancelRequestTimestamp: uint32(step >> 112),
                blockNumberStateChange: uint40(step >> 8),
                panicTimestamp: uint32(packed.rest >> 88)
            }),
            hasCancelRequest: uint8(step >> 144) != 0,
            exitCode: int64(uint64(step >> 152))
        });
    }

    /// @notice The status in a `step`.
    function statusOf(uint256 step) internal pure returns (JobStatus) {
        return JobStatus(uint8(step));
    }

    function _bit(bool flag) private pure returns (uint256 bit) {
        assembly ("memory-safe") {
            bit := flag
        }
    }
}
