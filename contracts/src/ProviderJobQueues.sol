// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {NoJob} from "./Errors.sol";
import {IJobRepository} from "./interfaces/IJobRepository.sol";
import {IProviderJobQueues} from "./interfaces/IProviderJobQueues.sol";
import {JobQueue} from "./libraries/JobQueue.sol";
import {JobStatusLib} from "./libraries/JobStatusLib.sol";
import {StateCodec} from "./libraries/StateCodec.sol";
import {JobState, JobStatus, PackedState} from "./types/Job.sol";

/// @title What waits for each provider
contract ProviderJobQueues is IProviderJobQueues, Ownable {
    using JobQueue for JobQueue.Queue;
    using JobStatusLib for JobStatus;
    using StateCodec for PackedState;

    /// @notice Most entries that one call looks at: a pop of that many dead ones stays under a
    /// million gas.
    uint256 public constant SCAN_LIMIT = 64;

    /// @notice Where the jobs are kept.
    IJobRepository public immutable jobs;

    mapping(address => JobQueue.Queue) private _claimable;
    mapping(address => JobQueue.Queue) private _cancelling;
    mapping(address => JobQueue.Queue) private _toppedUp;

    /// @dev Kept for old clients; no call raises it.
    error Empty();

    /// @dev Kept for old clients; no call raises it.
    error OutOfBounds();

    /// @param _jobs Where the jobs are kept.
    constructor(IJobRepository _jobs) {
        jobs = _jobs;
    }

    /// @inheritdoc IProviderJobQueues
    function pushClaimableJob(address _providerAddr, bytes32 _jobId) external onlyOwner {
        _claimable[_providerAddr].push(_jobId);
    }

    /// @inheritdoc IProviderJobQueues
    function pushCancellingJob(address _providerAddr, bytes32 _jobId) external onlyOwner {
        _cancelling[_providerAddr].push(_jobId);
    }

    /// @inheritdoc IProviderJobQueues
    function pushTopUpJob(address _providerAddr, bytes32 _jobId) external onlyOwner {
        _toppedUp[_providerAddr].push(_jobId);
    }

    /// @inheritdoc IProviderJobQueues
    function popNextClaimableJob(address _providerAddr) external onlyOwner returns (bytes32 jobId) {
        return _popOne(_claimable[_providerAddr], _providerAddr, _isClaimable);
    }

    /// @inheritdoc IProviderJobQueues
    function popNextClaimableJobs(address _providerAddr, uint256 _max)
        external
        onlyOwner
        returns (bytes32[] memory jobIds)
    {
        return _pop(_claimable[_providerAddr], _providerAddr, _isClaimable, _max);
    }

    /// @inheritdoc IProviderJobQueues
    function popNextCancellingJob(address _providerAddr)
        external
        onlyOwner
        returns (bytes32 jobId)
    {
        return _popOne(_cancelling[_providerAddr], _providerAddr, _isCancelling);
    }

    /// @inheritdoc IProviderJobQueues
    function popNextTopUpJob(address _providerAddr) external onlyOwner returns (bytes32 jobId) {
        return _popOne(_toppedUp[_providerAddr], _providerAddr, _isToppedUp);
    }

    /// @inheritdoc IProviderJobQueues
    function hasNextClaimableJob(address _providerAddr) external view returns (bool) {
        return _has(_claimable[_providerAddr], _providerAddr, _isClaimable);
    }

    /// @inheritdoc IProviderJobQueues
    function hasCancellingJob(address _providerAddr) external view returns (bool) {
        return _has(_cancelling[_providerAddr], _providerAddr, _isCancelling);
    }

    /// @inheritdoc IProviderJobQueues
    function hasTopUpJob(address _providerAddr) external view returns (bool) {
        return _has(_toppedUp[_providerAddr], _providerAddr, _isToppedUp);
    }

    /// @inheritdoc IProviderJobQueues
    function getClaimableJobQueueSize(address _providerAddr)
        external
        view
        returns (uint256 length)
    {
        return _length(_claimable[_providerAddr]);
    }

    /// @inheritdoc IProviderJobQueues
    function getCancellingJobQueueSize(address _providerAddr)
        external
        view
        returns (uint256 length)
    {
        return _length(_cancelling[_providerAddr]);
    }

    /// @inheritdoc IProviderJobQueues
    function getTopUpJobQueueSize(address _providerAddr) external view returns (uint256 length) {
        return _length(_toppedUp[_providerAddr]);
    }

    /// @inheritdoc IProviderJobQueues
    function jobCountByProvider(address _providerAddr) external view returns (uint256) {
        (, uint256 end) = _claimable[_providerAddr].ends();
        return end;
    }

    /// @inheritdoc IProviderJobQueues
    function getByProviderPaged(address _providerAddr, uint256 _offset, uint256 _limit)
        external
        view
        returns (bytes32[] memory)
    {
        return _claimable[_providerAddr].page(_offset, _limit);
    }

    /// @notice Ends of a provider's queue of placed jobs.
    function providerClaimableJobsQueues(address _providerAddr)
        external
        view
        returns (int128 _begin, int128 _end)
    {
        return _ends(_claimable[_providerAddr]);
    }

    /// @notice Ends of a provider's queue of cancel requests.
    function providerCancellingJobsQueues(address _providerAddr)
        external
        view
        returns (int128 _begin, int128 _end)
    {
        return _ends(_cancelling[_providerAddr]);
    }

    /// @notice Ends of a provider's queue of top-ups.
    function providerTopUpJobsQueues(address _providerAddr)
        external
        view
        returns (int128 _begin, int128 _end)
    {
        return _ends(_toppedUp[_providerAddr]);
    }

    function _ends(JobQueue.Queue storage queue) private view returns (int128, int128) {
        (uint256 begin, uint256 end) = queue.ends();
        return (int128(uint128(begin)), int128(uint128(end)));
    }

    function _length(JobQueue.Queue storage queue) private view returns (uint256) {
        (uint256 begin, uint256 end) = queue.ends();
        return end - begin;
    }

    function _popOne(
        JobQueue.Queue storage queue,
        address providerAddr,
        function(JobState memory) pure returns (bool) fits
    ) private returns (bytes32) {
        bytes32[] memory ids = _pop(queue, providerAddr, fits, 1);
        return ids.length == 0 ? bytes32(0) : ids[0];
    }

    /// @dev Takes the first live entries, at most `max`, and the dead ones before them. A revert
    /// would put those back, so nothing is returned where SCAN_LIMIT of them lie in front of
    /// others.
    function _pop(
        JobQueue.Queue storage queue,
        address providerAddr,
        function(JobState memory) pure returns (bool) fits,
        uint256 max
    ) private returns (bytes32[] memory ids) {
        (uint256 place, uint256 end) = queue.ends();
        uint256 limit = _min(end, place + SCAN_LIMIT);
        ids = new bytes32[](_min(max, SCAN_LIMIT));
        uint256 found = 0;
        for (; place < limit && found < ids.length; ++place) {
            bytes32 id = queue.idAt(place);
            if (_isLive(id, providerAddr, fits)) ids[found++] = id;
        }
        if (found == 0 && place == end) revert NoJob();
        queue.skipTo(place);
        assembly ("memory-safe") {
            mstore(ids, found)
        }
    }

    function _has(
        JobQueue.Queue storage queue,
        address providerAddr,
        function(JobState memory) pure returns (bool) fits
    ) private view returns (bool) {
        (uint256 begin, uint256 end) = queue.ends();
        uint256 limit = _min(end, begin + SCAN_LIMIT);
        for (uint256 place = begin; place < limit; ++place) {
            if (_isLive(queue.idAt(place), providerAddr, fits)) return true;
        }
        return limit < end;
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    function _isLive(
        bytes32 id,
        address providerAddr,
        function(JobState memory) pure returns (bool) fits
    ) private view returns (bool) {
        JobState memory job = jobs.getPackedState(id).unpack();
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
