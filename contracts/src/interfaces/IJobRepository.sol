// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {
    Demand,
    Job,
    JobCost,
    JobDefinition,
    JobState,
    JobStatus,
    JobTime,
    PackedState
} from "../types/Job.sol";

/// @title The store of jobs
/// @notice Holds no rule: what may change when is the MetaScheduler's business. Every mutator is
/// for METASCHEDULER_ROLE only, and reverts with `InvalidJob` for a job that does not exist.
interface IJobRepository {
    /// @notice A job was stored.
    event JobCreated(bytes32 _jobId);

    /// @notice A job's status changed.
    event JobTransitionEvent(bytes32 _jobId, JobStatus _from, JobStatus _to);

    /// @notice The same as JobCreated (both statuses are equal then) and JobTransitionEvent, for
    /// followers that look for one job, one customer or one provider. `providerAddr` is the
    /// provider that the job had before, if the change takes it away.
    event JobUpdated(
        bytes32 indexed jobId,
        address indexed customerAddr,
        address indexed providerAddr,
        JobStatus fromStatus,
        JobStatus toStatus
    );

    /// @notice Stores a job under the next id and adds it to its customer's list.
    /// @param _job The job; its `jobId` is ignored, its status, cost and time are taken as they
    /// are.
    /// @return The job's id.
    function create(Job memory _job) external returns (bytes32);

    /// @notice Overwrites a job; emits JobTransitionEvent if its status differs.
    function update(Job memory _job) external;

    /// @notice Sets all that the life cycle of a job changes, as StateCodec packs it; emits
    /// JobTransitionEvent if the status differs. The customer is left as it is.
    function setPackedState(bytes32 _jobId, PackedState memory _state) external;

    /// @notice Sets the status and emits JobTransitionEvent.
    function setJobStatus(bytes32 _jobId, JobStatus _newStatus) external;

    /// @notice Sets the money of a job.
    function setCost(bytes32 _jobId, JobCost memory _cost) external;

    /// @notice Sets the times of a job.
    function setTime(bytes32 _jobId, JobTime memory _time) external;

    /// @notice Sets the provider of a job; zero for none.
    function setProviderAddr(bytes32 _jobId, address _providerAddr) external;

    /// @notice Sets the customer of a job and adds the job to that customer's list.
    function setCustomerAddr(bytes32 _jobId, address _customerAddr) external;

    /// @notice Sets what a job needs.
    function setDefinition(bytes32 _jobId, JobDefinition memory _definition) external;

    /// @notice Sets the name of a job.
    function setJobName(bytes32 _jobId, bytes32 _jobName) external;

    /// @notice Notes whether the customer asked for the end of a job.
    function setHasCancelRequest(bytes32 _jobId, bool _hasCancelRequest) external;

    /// @notice Sets the words a job ended with.
    function setLastError(bytes32 _jobId, string memory _error) external;

    /// @notice Sets the wait status of a job.
    function setExitCode(bytes32 _jobId, int64 _exitCode) external;

    /// @notice The job; reverts with `InvalidJob` if there is none.
    function get(bytes32 _jobId) external view returns (Job memory);

    /// @notice The part of a job that changes; reverts with `InvalidJob` if there
    /// is none. Costs the same for every job, however long its labels are.
    function getState(bytes32 _jobId) external view returns (JobState memory);

    /// @notice The same as StateCodec packs it, for contracts; reverts with `InvalidJob` if there is
    /// none.
    function getPackedState(bytes32 _jobId) external view returns (PackedState memory);

    /// @notice What a job needs; reverts with `InvalidJob` if there is none.
    function getDefinition(bytes32 _jobId) external view returns (JobDefinition memory);

    /// @notice The numbers of what a job needs; reverts with `InvalidJob` if there is none. Costs the
    /// same for every job.
    function getDemand(bytes32 _jobId) external view returns (Demand memory);

    /// @notice Ids of a customer's jobs, oldest first.
    function getByCustomer(address customerAddr) external view returns (bytes32[] memory);

    /// @notice How many jobs there are.
    function jobCount() external view returns (uint256);

    /// @notice How many jobs a customer has.
    function jobCountByCustomer(address _customerAddr) external view returns (uint256);

    /// @notice A page of a customer's jobs, oldest first; shorter than `_limit` at the end.
    function getByCustomerPaged(address _customerAddr, uint256 _offset, uint256 _limit)
        external
        view
        returns (bytes32[] memory);

    /// @notice Jobs with a status among `_scan` jobs, the first of which is number `_from`.
    /// @return ids The jobs.
    /// @return next Where the next page begins; zero behind the last job.
    function getByStatusPaged(JobStatus _status, uint256 _from, uint256 _scan)
        external
        view
        returns (bytes32[] memory ids, uint256 next);

    /// @notice How many jobs have each status among `_scan` jobs, the first of which is number
    /// `_from`.
    /// @return counts By status.
    /// @return next Where to go on; zero behind the last job.
    function countByStatus(uint256 _from, uint256 _scan)
        external
        view
        returns (uint256[9] memory counts, uint256 next);

    /// @notice The id that the next job gets; the first is 1.
    function jobIdCounter() external view returns (uint256);
}
