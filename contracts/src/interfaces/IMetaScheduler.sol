// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {JobDefinition, JobStatus} from "../types/Job.sol";
import {JobTerms} from "../types/JobTerms.sol";

/// @title The life cycle of jobs and their money
/// @notice A customer requests a job and locks credits; the meta-scheduler places it with a
/// provider; the provider claims it, runs it and reports its end; the credits are settled.
interface IMetaScheduler {
    /// @notice A customer requested a job.
    event NewJobRequestEvent(bytes32 _jobId, address _customerAddr);

    /// @notice A provider claimed a job; `maxDurationMinute` is what its credits buy.
    event ClaimJobEvent(
        address customerAddr,
        address providerAddr,
        bytes32 jobId,
        uint64 maxDurationMinute,
        JobDefinition jobDefinition
    );

    /// @notice A provider took notice of a cancel request.
    event ClaimNextCancellingJobEvent(address customerAddr, address providerAddr, bytes32 jobId);

    /// @notice A provider took notice of a top-up that buys `maxDurationMinute` more minutes.
    event ClaimNextTopUpJobEvent(bytes32 _jobId, address _providerAddr, uint64 maxDurationMinute);

    /// @notice A provider handed a job back, or let its time to claim it pass.
    event JobRefusedEvent(bytes32 _jobId, address _providerAddr, address _customerAddr);

    /// @notice A provider reported more minutes (`_billingAmount`) than have passed since its
    /// claim.
    event BilledTooMuchEvent(bytes32 _jobId, address _providerAddr, uint256 _billingAmount);

    /// @notice Requests a job and locks credits of the caller for it.
    /// @param _definition What the job needs.
    /// @param _lockedCredits Credit-wei to lock, at least the grid's minimum.
    /// @param _jobName A name for people.
    /// @param _delegateSpendingAuthority Whether others may top the job up from the caller's
    /// account.
    /// @return The job's id.
    function requestNewJob(
        JobDefinition calldata _definition,
        uint256 _lockedCredits,
        bytes32 _jobName,
        bool _delegateSpendingAuthority
    ) external returns (bytes32);

    /// @notice Places a job with a provider and fixes its rate and fee. Meta-scheduler only.
    function metaSchedule(bytes32 _jobId, address _providerAddr) external;

    /// @notice Claims the oldest job placed with the caller. Emits nothing if only dead entries of
    /// the queue could be removed; there may be a job behind them then.
    function claimNextJob() external;

    /// @notice Takes notice of the oldest cancel request for the caller.
    function claimNextCancellingJob() external;

    /// @notice Takes notice of the oldest top-up for the caller.
    function claimNextTopUpJob() external;

    /// @notice Hands a job back that has not begun to run. Its provider only.
    function refuseJob(bytes32 _jobId) external;

    /// @notice Takes back a job that its provider has not begun to run. Meta-scheduler only.
    function timeoutJob(bytes32 _jobId) external;

    /// @notice Reports that a job runs or has ended, and settles it at its end. Its provider only.
    /// @param _jobId The job.
    /// @param _nextJobStatus Running, or an end.
    /// @param _jobDurationMinute Minutes to bill. Billed are at least one and at most those begun
    /// since the claim; nothing if the job never ran or `_nextJobStatus` is Panicked.
    /// @param _lastError Words for the customer; empty leaves what is there.
    /// @param _exitCode The wait status.
    function providerSetJobStatus(
        bytes32 _jobId,
        JobStatus _nextJobStatus,
        uint64 _jobDurationMinute,
        string calldata _lastError,
        int64 _exitCode
    ) external;

    /// @notice Asks for the end of a job. One that does not run yet ends at once and costs nothing;
    /// a running one is ended by its provider. Its customer only; a second request changes nothing.
    function cancelJob(bytes32 _jobId) external;

    /// @notice Locks more credits of the caller for a claimed or running job. What is not used goes
    /// to the customer.
    function topUpJob(bytes32 _jobId, uint256 _amount) external;

    /// @notice Locks credits of the customer for one more slice of time, if the customer allows it
    /// and the job has no more than a slice left. For the customer, the provider, the
    /// meta-scheduler.
    function topUpJobDelegate(bytes32 _jobId) external;

    /// @notice Sets whether others may top a job up from its customer's account. Its customer only.
    function setDelegateSpendingAuthority(bytes32 _jobId, bool _delegateSpendingAuthority) external;

    /// @notice Ends a job that cannot go on, and refunds it fully. Meta-scheduler only.
    function panicJob(bytes32 _jobId, string calldata _lastError) external;

    /// @notice Switches new requests on or off. Administrators only.
    function setEnableRequestNewJob(bool _enable) external;

    /// @notice Pays accrued fees to the caller; `InsufficientFunds` if they are less.
    /// Administrators only.
    function withdrawAdmin(uint256 _amount) external;

    /// @notice Whether new requests are taken.
    function enableRequestNewJob() external view returns (bool);

    /// @notice Fees in credit-wei that can be withdrawn.
    function accruedFees() external view returns (uint256);

    /// @notice What is held for a job and the terms it was placed under.
    function getJobTerms(bytes32 _jobId) external view returns (JobTerms memory);
}
