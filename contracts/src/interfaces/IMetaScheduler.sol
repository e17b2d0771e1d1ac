// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {JobReport, Placement} from "../types/Batch.sol";
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

    /// @notice A customer asked for the end of a job that its provider has claimed.
    event JobCancelRequested(
        bytes32 indexed jobId, address indexed customerAddr, address indexed providerAddr
    );

    /// @notice A job was topped up by `amount` credit-wei of `payer`.
    event JobToppedUp(
        bytes32 indexed jobId,
        address indexed customerAddr,
        address indexed providerAddr,
        address payer,
        uint256 amount
    );

    /// @notice A job's credits were shared out: `paid` to its provider, `fee` to the operator,
    /// `refund` to its customer.
    event JobSettled(
        bytes32 indexed jobId,
        address indexed customerAddr,
        address indexed providerAddr,
        uint256 paid,
        uint256 fee,
        uint256 refund
    );

    /// @notice A job was taken from a provider that let its time pass; `provedMinutes` are paid.
    event JobExpired(
        bytes32 indexed jobId,
        address indexed customerAddr,
        address indexed providerAddr,
        uint256 provedMinutes
    );

    /// @notice A report of a batch did not fit the job any more and was left out.
    event ReportSkipped(bytes32 indexed jobId, address indexed providerAddr, JobStatus status);

    /// @notice A placement of a batch was not possible any more and was left out.
    event PlacementSkipped(bytes32 indexed jobId, address indexed providerAddr, JobStatus status);

    /// @notice A payment did not go through; it waits for its recipient.
    event PaymentDeferred(address indexed recipient, uint256 amount);

    /// @notice A payment that waited was paid out.
    event ClaimableWithdrawn(address indexed owner, address indexed recipient, uint256 amount);

    /// @notice New requests were switched on or off.
    event NewJobRequestsEnabled(bool enabled);

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

    /// @notice Requests a job with a permit of the caller (EIP-2612) over exactly the credits that
    /// are locked: one transaction, and no allowance is left. A permit that was used already does
    /// not matter if the allowance is there.
    function requestNewJobWithPermit(
        JobDefinition calldata _definition,
        uint256 _lockedCredits,
        bytes32 _jobName,
        bool _delegateSpendingAuthority,
        uint256 _deadline,
        uint8 _v,
        bytes32 _r,
        bytes32 _s
    ) external returns (bytes32);

    /// @notice Places a job with a provider and fixes its rate and terms. Meta-scheduler only.
    function metaSchedule(bytes32 _jobId, address _providerAddr) external;

    /// @notice Places several jobs; those that cannot be placed any more are left out, with
    /// PlacementSkipped. Meta-scheduler only.
    function metaScheduleJobs(Placement[] calldata _placements) external;

    /// @notice Claims the oldest job placed with the caller. Emits nothing if only dead entries of
    /// the queue could be removed; there may be a job behind them then.
    function claimNextJob() external;

    /// @notice Claims up to `_max` jobs placed with the caller, oldest first.
    function claimNextJobs(uint256 _max) external;

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

    /// @notice Reports on several jobs of the caller. A report that does not fit its job any more
    /// (it ended, or went elsewhere) is left out, with ReportSkipped. What ran is billed by its
    /// start and end, which must stand as claim <= start <= end <= now.
    function reportJobs(JobReport[] calldata _reports) external;

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

    /// @notice Takes a job from a provider that let its time pass; anyone may. One that was not
    /// claimed goes back to the queue, a running one ends: its provider is paid for the minutes up
    /// to its last word about the job, at least one, the rest goes to the customer. `NotExpired`
    /// before `expiryOf`.
    function expireJob(bytes32 _jobId) external;

    /// @notice Pays what waits for the caller, because a payment to it did not go through.
    /// @param _to Who gets it.
    function withdrawClaimable(address _to) external;

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

    /// @notice Unix seconds from which anyone may take the job from its provider; the largest number
    /// if nobody may. For a job that is placed: `claimTimeout` after the placement. For a running
    /// one: `cancelTimeout` after its cancel request, or `providerTimeout` after the end of the time
    /// that was bought. For both and for a claimed one: `providerTimeout` after the provider was
    /// removed or banned.
    function expiryOf(bytes32 _jobId) external view returns (uint256);

    /// @notice Credit-wei that wait for an account.
    function claimable(address _account) external view returns (uint256);
}
