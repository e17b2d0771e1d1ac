// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {JobStatus} from "./Job.sol";

/// @notice Which job goes to which provider.
/// @param jobId The job.
/// @param providerAddr The provider.
struct Placement {
    bytes32 jobId;
    address providerAddr;
}

/// @notice What a provider says about one of its jobs.
/// @param jobId The job.
/// @param status Running, or an end. Running again is a sign of life: the job's time up to now is
/// proved.
/// @param start Unix seconds at which it began to run, not before the claim.
/// @param end Unix seconds at which it ended; not read while it runs.
/// @param lastError Words for the customer; empty leaves what is there.
/// @param exitCode The wait status.
struct JobReport {
    bytes32 jobId;
    JobStatus status;
    uint64 start;
    uint64 end;
    string lastError;
    int64 exitCode;
}
