// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {DoubleEndedQueue} from "@openzeppelin/contracts/utils/structs/DoubleEndedQueue.sol";

import {NoJob} from "./Errors.sol";
import {IJobRepository} from "./interfaces/IJobRepository.sol";
import {IProviderJobQueues} from "./interfaces/IProviderJobQueues.sol";
import {JobStatusLib} from "./libraries/JobStatusLib.sol";
import {JobState, JobStatus} from "./types/Job.sol";

/// @title What waits for each provider
contract ProviderJobQueues is IProviderJobQueues, Ownable {
    using DoubleEndedQueue for DoubleEndedQueue.Bytes32Deque;
    using JobStatusLib for JobStatus;

    /// @notice Most entries that one call looks at: a pop of that many dead ones stays under a
    /// million gas.
    uint256 public constant SCAN_LIMIT = 64;

    /// @notice Where the jobs are kept.
    IJobRepository public immutable jobs;

    /// @notice Ends of a provider's queue of placed jobs.
    mapping(address => DoubleEndedQueue.Bytes32Deque) public providerClaimableJobsQueues;

    /// @notice Ends of a provider's queue of cancel requests.
    mapping(address => DoubleEndedQueue.Bytes32Deque) public providerCancellingJobsQueues;

    /// @notice Ends of a provider's queue of top-ups.
    mapping(address => DoubleEndedQueue.Bytes32Deque) public providerTopUpJobsQueues;

    /// @param _jobs Where the jobs are kept.
    constructor(IJobRepository _jobs) {
        jobs = _jobs;
    }

    /// @inheritdoc IProviderJobQueues
    function pushClaimableJob(address _providerAddr, bytes32 _jobId) external onlyOwner {
        providerClaimableJobsQueues[_providerAddr].pushBack(_jobId);
    }

    /// @inheritdoc IProviderJobQueues
    function pushCancellingJob(address _providerAddr, bytes32 _jobId) external onlyOwner {
        providerCancellingJobsQueues[_providerAddr].pushBack(_jobId);
    }

    /// @inheritdoc IProviderJobQueues
    function pushTopUpJob(address _providerAddr, bytes32 _jobId) external onlyOwner {
        providerTopUpJobsQueues[_providerAddr].pushBack(_jobId);
    }

    /// @inheritdoc IProviderJobQueues
    function popNextClaimableJob(address _providerAddr) external onlyOwner returns (bytes32 jobId) {
        return _pop(providerClaimableJobsQueues[_providerAddr], _providerAddr, _isClaimable);
    }

    /// @inheritdoc IProviderJobQueues
    function popNextClaimableJobs(address _providerAddr, uint256 _max)
        external
        onlyOwner
        returns (bytes32[] memory jobIds)
    {
        DoubleEndedQueue.Bytes32Deque storage queue = providerClaimableJobsQueues[_providerAddr];
        jobIds = new bytes32[](_max < SCAN_LIMIT ? _max : SCAN_LIMIT);
        uint256 found = 0;
        for (uint256 i = 0; i < SCAN_LIMIT && found < jobIds.length && !queue.empty(); ++i) {
            bytes32 id = queue.popFront();
            if (_isLive(id, _providerAddr, _isClaimable)) jobIds[found++] = id;
        }
        if (found == 0 && queue.empty()) revert NoJob();
        assembly ("memory-safe") {
            mstore(jobIds, found)
        }
    }

    /// @inheritdoc IProviderJobQueues
    function popNextCancellingJob(address _providerAddr)
        external
        onlyOwner
        returns (bytes32 jobId)
    {
        return _pop(providerCancellingJobsQueues[_providerAddr], _providerAddr, _isCancelling);
    }

    /// @inheritdoc IProviderJobQueues
    function popNextTopUpJob(address _providerAddr) external onlyOwner returns (bytes32 jobId) {
        return _pop(providerTopUpJobsQueues[_providerAddr], _providerAddr, _isToppedUp);
    }

    /// @inheritdoc IProviderJobQueues
    function hasNextClaimableJob(address _providerAddr) external view returns (bool) {
        return _has(providerClaimableJobsQueues[_providerAddr], _providerAddr, _isClaimable);
    }

    /// @inheritdoc IProviderJobQueues
    function hasCancellingJob(address _providerAddr) external view returns (bool) {
        return _has(providerCancellingJobsQueues[_providerAddr], _providerAddr, _isCancelling);
    }

    /// @inheritdoc IProviderJobQueues
    function hasTopUpJob(address _providerAddr) external view returns (bool) {
        return _has(providerTopUpJobsQueues[_providerAddr], _providerAddr, _isToppedUp);
    }

    /// @inheritdoc IProviderJobQueues
    function getClaimableJobQueueSize(address _providerAddr)
        external
        view
        returns (uint256 length)
    {
        return providerClaimableJobsQueues[_providerAddr].length();
    }

    /// @inheritdoc IProviderJobQueues
    function getCancellingJobQueueSize(address _providerAddr)
        external
        view
        returns (uint256 length)
    {
        return providerCancellingJobsQueues[_providerAddr].length();
    }

    /// @inheritdoc IProviderJobQueues
    function getTopUpJobQueueSize(address _providerAddr) external view returns (uint256 length) {
        return providerTopUpJobsQueues[_providerAddr].length();
    }

    /// @dev Takes the first live entry and the dead ones before it. A revert would put those back,
    /// so zero is returned where more than SCAN_LIMIT of them lie in front of others.
    function _pop(
        DoubleEndedQueue.Bytes32Deque storage queue,
        address providerAddr,
        function(JobState memory) pure returns (bool) fits
    ) private returns (bytes32) {
        for (uint256 i = 0; i < SCAN_LIMIT && !queue.empty(); ++i) {
            bytes32 id = queue.popFront();
            if (_isLive(id, providerAddr, fits)) return id;
        }
        if (queue.empty()) revert NoJob();
        return bytes32(0);
    }

    function _has(
        DoubleEndedQueue.Bytes32Deque storage queue,
        address providerAddr,
        function(JobState memory) pure returns (bool) fits
    ) private view returns (bool) {
        uint256 length = queue.length();
        for (uint256 i = 0; i < SCAN_LIMIT && i < length; ++i) {
            if (_isLive(queue.at(i), providerAddr, fits)) return true;
        }
        return length > SCAN_LIMIT;
    }

    function _isLive(
        bytes32 id,
        address providerAddr,
        function(JobState memory) pure returns (bool) fits
    ) private view returns (bool) {
        JobState memory job = jobs.getState(id);
        return job.providerAddr == providerAddr && fits(job);
    }

    function _isClaimable(JobState memory job) private pure returns (bool) {
        return job.status == JobStatus.MetaScheduled;
    }

    /// @dev A job that was cancelled before it ran has start == end; one that its provider reported
    /// as cancelled ran and needs no notice.
    function _isCancelling(JobState memory job) private pure returns (bool) {
        return job.status == JobStatus.Running
            || (job.status == JobStatus.Cancelled && job.time.start == job.time.end);
    }

    function _isToppedUp(JobState memory job) private pure returns (bool) {
        return job.status.isTopable() && job.cost.pendingTopUp > 0;
    }
}
