// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title What waits for each provider
/// @notice Three first-in-first-out queues a provider. An entry whose job no longer fits is dead:
/// it is skipped, at most `SCAN_LIMIT` a call. A pop that met only dead entries and left others
/// behind returns zero and keeps its progress; `has…` is true then too, so that the next pop goes
/// on. Pushes and pops are for the owner (the MetaScheduler) only.
interface IProviderJobQueues {
    /// @notice Adds a job that is placed with the provider.
    function pushClaimableJob(address _providerAddr, bytes32 _jobId) external;

    /// @notice Adds a job whose customer asked for the end.
    function pushCancellingJob(address _providerAddr, bytes32 _jobId) external;

    /// @notice Adds a job that was topped up.
    function pushTopUpJob(address _providerAddr, bytes32 _jobId) external;

    /// @notice Takes the oldest job that is placed with the provider and not claimed; reverts with
    /// `NoJob` if there is none.
    /// @return jobId The job, or zero if only dead entries were removed.
    function popNextClaimableJob(address _providerAddr) external returns (bytes32 jobId);

    /// @notice Takes up to `_max` jobs that are placed with the provider, oldest first, and the dead
    /// entries between them; reverts with `NoJob` if there is none.
    /// @return jobIds The jobs; none if only dead entries were removed.
    function popNextClaimableJobs(address _providerAddr, uint256 _max)
        external
        returns (bytes32[] memory jobIds);

    /// @notice Takes the oldest job that the provider has to end: running, or cancelled after it
    /// was claimed. Reverts with `NoJob` if there is none.
    /// @return jobId The job, or zero if only dead entries were removed.
    function popNextCancellingJob(address _providerAddr) external returns (bytes32 jobId);

    /// @notice Takes the oldest job with a top-up that the provider has not seen; reverts with
    /// `NoJob` if there is none.
    /// @return jobId The job, or zero if only dead entries were removed.
    function popNextTopUpJob(address _providerAddr) external returns (bytes32 jobId);

    /// @notice Whether a pop of the claimable queue would succeed.
    function hasNextClaimableJob(address _providerAddr) external view returns (bool);

    /// @notice Whether a pop of the cancelling queue would succeed.
    function hasCancellingJob(address _providerAddr) external view returns (bool);

    /// @notice Whether a pop of the top-up queue would succeed.
    function hasTopUpJob(address _providerAddr) external view returns (bool);

    /// @notice Entries of the claimable queue, dead ones included.
    function getClaimableJobQueueSize(address _providerAddr) external view returns (uint256 length);

    /// @notice Entries of the cancelling queue, dead ones included.
    function getCancellingJobQueueSize(address _providerAddr) external view returns (uint256 length);

    /// @notice Entries of the top-up queue, dead ones included.
    function getTopUpJobQueueSize(address _providerAddr) external view returns (uint256 length);

    /// @notice How many placements a provider had. A job that comes back to a provider after it was
    /// with another one counts again.
    function jobCountByProvider(address _providerAddr) external view returns (uint256);

    /// @notice A page of the jobs that were placed with a provider, oldest placement first.
    function getByProviderPaged(address _providerAddr, uint256 _offset, uint256 _limit)
        external
        view
        returns (bytes32[] memory);
}
