// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {InvalidJob} from "./Errors.sol";
import {TwoStepAdmin} from "./TwoStepAdmin.sol";
import {IJobRepository} from "./interfaces/IJobRepository.sol";
import {CodeStorage} from "./libraries/CodeStorage.sol";
import {JobCodec} from "./libraries/JobCodec.sol";
import {Limits} from "./libraries/Limits.sol";
import {Job, JobClock, JobCost, JobDefinition, JobState, JobStatus, JobTime} from "./types/Job.sol";

/// @title The store of jobs
/// @dev What never changes of a job is written once and lives in code (see CodeStorage and
/// JobCodec); the rest takes four slots, packed by when they are first written: two at the request,
/// one at the placement, one at the start. Outlives upgrades of the MetaScheduler.
contract JobRepository is IJobRepository, TwoStepAdmin {
    using SafeCast for uint256;

    /// @notice May write.
    bytes32 public constant METASCHEDULER_ROLE = keccak256("METASCHEDULER_ROLE");

    /// @inheritdoc IJobRepository
    uint256 public jobIdCounter = 1;

    /// @dev Ids count from 1, so that six of them share a slot.
    mapping(address => uint40[]) private _byCustomer;

    struct Record {
        address customerAddr;
        JobStatus status;
        uint88 maxCost;
        // ---- slot 1: `fixedPart` is where JobCodec's bytes are; zero if there is no job
        address fixedPart;
        uint40 cancelRequestTimestamp;
        uint40 blockNumberStateChange;
        bool hasCancelRequest;
        bool delegateSpendingAuthority;
        // ---- slot 2: from the placement on
        address providerAddr;
        uint88 finalCost;
        // ---- slot 3: from the start on; the seconds last until 2106
        uint88 pendingTopUp;
        uint32 start;
        uint32 end;
        uint32 panicTimestamp;
        int64 exitCode;
        // ---- slot 4
        string lastError;
    }

    mapping(bytes32 => Record) private _records;

    /// @inheritdoc IJobRepository
    function create(Job memory _job) external onlyRole(METASCHEDULER_ROLE) returns (bytes32) {
        bytes32 id = bytes32(jobIdCounter++);
        Record storage record = _records[id];
        record.status = _job.status;
        _write(record, _job);
        _byCustomer[_job.customerAddr].push(uint40(uint256(id)));
        emit JobCreated(id);
        emit JobUpdated(id, _job.customerAddr, _job.providerAddr, _job.status, _job.status);
        return id;
    }

    /// @inheritdoc IJobRepository
    function update(Job memory _job) external onlyRole(METASCHEDULER_ROLE) {
        Record storage record = _record(_job.jobId);
        if (record.customerAddr != _job.customerAddr) {
            _byCustomer[_job.customerAddr].push(uint40(uint256(_job.jobId)));
        }
        _write(record, _job);
        if (record.status != _job.status) {
            _setStatus(record, _job.jobId, _job.status, _job.providerAddr);
        }
    }

    /// @inheritdoc IJobRepository
    function setJobStatus(bytes32 _jobId, JobStatus _newStatus)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        Record storage record = _record(_jobId);
        _setStatus(record, _jobId, _newStatus, record.providerAddr);
    }

    /// @inheritdoc IJobRepository
    function setState(bytes32 _jobId, JobState memory _state)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        Record storage record = _record(_jobId);
        record.hasCancelRequest = _state.hasCancelRequest;
        record.exitCode = _state.exitCode;
        _writeCost(record, _state.cost);
        _writeClock(record, _state.time);
        address provider = record.providerAddr;
        if (provider != _state.providerAddr) {
            record.providerAddr = _state.providerAddr;
            if (_state.providerAddr != address(0)) provider = _state.providerAddr;
        }
        if (record.status != _state.status) {
            _setStatus(record, _jobId, _state.status, provider);
        }
    }

    /// @inheritdoc IJobRepository
    function setCost(bytes32 _jobId, JobCost memory _cost) external onlyRole(METASCHEDULER_ROLE) {
        _writeCost(_record(_jobId), _cost);
    }

    /// @inheritdoc IJobRepository
    function setTime(bytes32 _jobId, JobTime memory _time) external onlyRole(METASCHEDULER_ROLE) {
        Record storage record = _record(_jobId);
        _writeClock(record, _clockOf(_time));
        (bytes32 name, uint256 submit, JobDefinition memory definition) = _readFixed(record);
        if (submit != _time.submit) _writeFixed(record, name, _time.submit, definition);
    }

    /// @inheritdoc IJobRepository
    function setProviderAddr(bytes32 _jobId, address _providerAddr)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        _record(_jobId).providerAddr = _providerAddr;
    }

    /// @inheritdoc IJobRepository
    function setCustomerAddr(bytes32 _jobId, address _customerAddr)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        _record(_jobId).customerAddr = _customerAddr;
        _byCustomer[_customerAddr].push(uint40(uint256(_jobId)));
    }

    /// @inheritdoc IJobRepository
    function setDefinition(bytes32 _jobId, JobDefinition memory _definition)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        Record storage record = _record(_jobId);
        (bytes32 name, uint256 submit,) = _readFixed(record);
        _writeFixed(record, name, submit, _definition);
    }

    /// @inheritdoc IJobRepository
    function setJobName(bytes32 _jobId, bytes32 _jobName) external onlyRole(METASCHEDULER_ROLE) {
        Record storage record = _record(_jobId);
        (, uint256 submit, JobDefinition memory definition) = _readFixed(record);
        _writeFixed(record, _jobName, submit, definition);
    }

    /// @inheritdoc IJobRepository
    function setHasCancelRequest(bytes32 _jobId, bool _hasCancelRequest)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        _record(_jobId).hasCancelRequest = _hasCancelRequest;
    }

    /// @inheritdoc IJobRepository
    function setLastError(bytes32 _jobId, string memory _error)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        Limits.checkText(_error, Limits.LAST_ERROR);
        _record(_jobId).lastError = _error;
    }

    /// @inheritdoc IJobRepository
    function setExitCode(bytes32 _jobId, int64 _exitCode) external onlyRole(METASCHEDULER_ROLE) {
        _record(_jobId).exitCode = _exitCode;
    }

    /// @inheritdoc IJobRepository
    function get(bytes32 _jobId) external view returns (Job memory) {
        _record(_jobId);
        return _read(_jobId);
    }

    /// @inheritdoc IJobRepository
    function getState(bytes32 _jobId) external view returns (JobState memory) {
        Record storage record = _record(_jobId);
        return JobState({
            status: record.status,
            customerAddr: record.customerAddr,
            providerAddr: record.providerAddr,
            cost: _readCost(record),
            time: _readClock(record),
            hasCancelRequest: record.hasCancelRequest,
            exitCode: record.exitCode
        });
    }

    /// @inheritdoc IJobRepository
    function getDefinition(bytes32 _jobId) external view returns (JobDefinition memory) {
        (,, JobDefinition memory definition) = _readFixed(_record(_jobId));
        return definition;
    }

    /// @inheritdoc IJobRepository
    function getByCustomer(address customerAddr) external view returns (bytes32[] memory) {
        return _page(_byCustomer[customerAddr], 0, type(uint256).max);
    }

    /// @notice The id of a customer's n-th job, from zero.
    function jobIdByCustomer(address _customerAddr, uint256 _index)
        external
        view
        returns (bytes32)
    {
        return bytes32(uint256(_byCustomer[_customerAddr][_index]));
    }

    /// @inheritdoc IJobRepository
    function jobCount() external view returns (uint256) {
        return jobIdCounter - 1;
    }

    /// @inheritdoc IJobRepository
    function jobCountByCustomer(address _customerAddr) external view returns (uint256) {
        return _byCustomer[_customerAddr].length;
    }

    /// @inheritdoc IJobRepository
    function getByCustomerPaged(address _customerAddr, uint256 _offset, uint256 _limit)
        external
        view
        returns (bytes32[] memory)
    {
        return _page(_byCustomer[_customerAddr], _offset, _limit);
    }

    /// @inheritdoc IJobRepository
    function getByStatusPaged(JobStatus _status, uint256 _from, uint256 _scan)
        external
        view
        returns (bytes32[] memory ids, uint256 next)
    {
        uint256 first;
        (first, next) = _range(_from, _scan);
        ids = new bytes32[](next - first);
        uint256 found = 0;
        for (uint256 id = first; id < next; ++id) {
            if (_records[bytes32(id)].status == _status) ids[found++] = bytes32(id);
        }
        assembly ("memory-safe") {
            mstore(ids, found)
        }
        if (next == jobIdCounter) next = 0;
    }

    /// @inheritdoc IJobRepository
    function countByStatus(uint256 _from, uint256 _scan)
        external
        view
        returns (uint256[9] memory counts, uint256 next)
    {
        uint256 first;
        (first, next) = _range(_from, _scan);
        for (uint256 id = first; id < next; ++id) {
            ++counts[uint256(_records[bytes32(id)].status)];
        }
        if (next == jobIdCounter) next = 0;
    }

    /// @notice The fields of a job one by one; empty ones if there is none.
    function jobs(bytes32 _jobId)
        external
        view
        returns (
            bytes32 jobId,
            JobStatus status,
            address customerAddr,
            address providerAddr,
            JobDefinition memory definition,
            JobCost memory cost,
            JobTime memory time,
            bytes32 jobName,
            bool hasCancelRequest,
            string memory lastError,
            int64 exitCode
        )
    {
        Job memory job = _read(_jobId);
        return (
            job.jobId,
            job.status,
            job.customerAddr,
            job.providerAddr,
            job.definition,
            job.cost,
            job.time,
            job.jobName,
            job.hasCancelRequest,
            job.lastError,
            job.exitCode
        );
    }

    /// @dev The ids from `from` on, at most `scan`, that there are: first and behind the last.
    function _range(uint256 from, uint256 scan) private view returns (uint256 first, uint256 end) {
        end = jobIdCounter;
        first = from == 0 ? 1 : from;
        if (first > end) first = end;
        if (scan < end - first) end = first + scan;
    }

    function _page(uint40[] storage list, uint256 offset, uint256 limit)
        private
        view
        returns (bytes32[] memory ids)
    {
        uint256 length = list.length;
        uint256 left = offset < length ? length - offset : 0;
        ids = new bytes32[](limit < left ? limit : left);
        for (uint256 i = 0; i < ids.length; ++i) {
            ids[i] = bytes32(uint256(list[offset + i]));
        }
    }

    function _record(bytes32 id) private view returns (Record storage record) {
        record = _records[id];
        if (record.fixedPart == address(0)) revert InvalidJob();
    }

    function _read(bytes32 id) private view returns (Job memory job) {
        Record storage record = _records[id];
        if (record.fixedPart != address(0)) job.jobId = id;
        job.status = record.status;
        job.customerAddr = record.customerAddr;
        job.providerAddr = record.providerAddr;
        job.cost = _readCost(record);
        JobClock memory clock = _readClock(record);
        (job.jobName, job.time.submit, job.definition) = _readFixed(record);
        job.time.start = clock.start;
        job.time.end = clock.end;
        job.time.cancelRequestTimestamp = clock.cancelRequestTimestamp;
        job.time.blockNumberStateChange = clock.blockNumberStateChange;
        job.time.panicTimestamp = clock.panicTimestamp;
        job.hasCancelRequest = record.hasCancelRequest;
        job.lastError = record.lastError;
        job.exitCode = record.exitCode;
    }

    function _readFixed(Record storage record)
        private
        view
        returns (bytes32 name, uint256 submit, JobDefinition memory definition)
    {
        address pointer = record.fixedPart;
        if (pointer != address(0)) return JobCodec.decode(CodeStorage.read(pointer));
    }

    function _readCost(Record storage record) private view returns (JobCost memory) {
        return JobCost({
            maxCost: record.maxCost,
            finalCost: record.finalCost,
            pendingTopUp: record.pendingTopUp,
            delegateSpendingAuthority: record.delegateSpendingAuthority
        });
    }

    function _readClock(Record storage record) private view returns (JobClock memory) {
        return JobClock({
            start: record.start,
            end: record.end,
            cancelRequestTimestamp: record.cancelRequestTimestamp,
            blockNumberStateChange: record.blockNumberStateChange,
            panicTimestamp: record.panicTimestamp
        });
    }

    /// @dev Writes everything but the status.
    function _write(Record storage record, Job memory job) private {
        record.customerAddr = job.customerAddr;
        record.providerAddr = job.providerAddr;
        _writeFixed(record, job.jobName, job.time.submit, job.definition);
        _writeCost(record, job.cost);
        _writeClock(record, _clockOf(job.time));
        record.hasCancelRequest = job.hasCancelRequest;
        Limits.checkText(job.lastError, Limits.LAST_ERROR);
        record.lastError = job.lastError;
        record.exitCode = job.exitCode;
    }

    function _writeFixed(
        Record storage record,
        bytes32 name,
        uint256 submit,
        JobDefinition memory definition
    ) private {
        record.fixedPart = CodeStorage.write(JobCodec.encode(name, submit.toUint48(), definition));
    }

    function _writeCost(Record storage record, JobCost memory cost) private {
        record.maxCost = cost.maxCost.toUint88();
        record.finalCost = cost.finalCost.toUint88();
        record.pendingTopUp = cost.pendingTopUp.toUint88();
        record.delegateSpendingAuthority = cost.delegateSpendingAuthority;
    }

    function _writeClock(Record storage record, JobClock memory clock) private {
        record.start = clock.start.toUint32();
        record.end = clock.end.toUint32();
        record.cancelRequestTimestamp = clock.cancelRequestTimestamp.toUint40();
        record.blockNumberStateChange = clock.blockNumberStateChange.toUint40();
        record.panicTimestamp = clock.panicTimestamp.toUint32();
    }

    function _clockOf(JobTime memory time) private pure returns (JobClock memory) {
        return JobClock({
            start: time.start,
            end: time.end,
            cancelRequestTimestamp: time.cancelRequestTimestamp,
            blockNumberStateChange: time.blockNumberStateChange,
            panicTimestamp: time.panicTimestamp
        });
    }

    /// @param provider Whom the change concerns.
    function _setStatus(Record storage record, bytes32 id, JobStatus status, address provider)
        private
    {
        JobStatus previous = record.status;
        record.status = status;
        emit JobTransitionEvent(id, previous, status);
        emit JobUpdated(id, record.customerAddr, provider, previous, status);
    }
}
