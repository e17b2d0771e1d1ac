// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {InvalidJob} from "./Errors.sol";
import {TwoStepAdmin} from "./TwoStepAdmin.sol";
import {IJobRepository} from "./interfaces/IJobRepository.sol";
import {CodeStorage} from "./libraries/CodeStorage.sol";
import {JobCodec} from "./libraries/JobCodec.sol";
import {JobQueue} from "./libraries/JobQueue.sol";
import {Limits} from "./libraries/Limits.sol";
import {StateCodec} from "./libraries/StateCodec.sol";
import {
    Demand,
    Job,
    JobClock,
    JobCost,
    JobDefinition,
    JobState,
    JobStatus,
    JobTime,
    PackedState
} from "./types/Job.sol";

/// @title The store of jobs
/// @dev What never changes of a job is written once and lives in code (see CodeStorage and
/// JobCodec). The rest is packed into words by when it is written (see StateCodec): two at the
/// request, a third at the placement, a fourth only where a job has what few jobs have. Outlives
/// upgrades of the MetaScheduler.
contract JobRepository is IJobRepository, TwoStepAdmin {
    using JobQueue for JobQueue.Queue;
    using SafeCast for uint256;
    using StateCodec for JobState;
    using StateCodec for PackedState;

    /// @notice May write.
    bytes32 public constant METASCHEDULER_ROLE = keccak256("METASCHEDULER_ROLE");

    /// @dev The lowest 216 bits of a `step`; the ones above are the number of the code with
    /// JobCodec's bytes (CodeStorage.addressOf), zero if there is no job.
    uint256 private constant STEP_MASK = (1 << StateCodec.OWN_BITS) - 1;

    /// @param state See StateCodec; `rest` is only read if `outcome` says so.
    /// @param lastError The words that the job ended with.
    struct Record {
        PackedState state;
        string lastError;
    }

    /// @dev The newest job and the newest code that holds a fixed part.
    uint40 private _newestJob;
    uint40 private _newestCode;

    mapping(bytes32 => Record) private _records;
    mapping(address => JobQueue.Queue) private _byCustomer;

    /// @inheritdoc IJobRepository
    function create(Job memory _job) external onlyRole(METASCHEDULER_ROLE) returns (bytes32) {
        bytes32 id = bytes32(uint256(++_newestJob));
        Record storage record = _records[id];
        PackedState memory state = _stateOf(_job).pack();
        record.state.owner = state.owner;
        record.state.step =
            state.step | _writeFixed(_job.jobName, _job.time.submit, _job.definition);
        // What is zero need not be written into a new record.
        if (state.outcome != 0) record.state.outcome = state.outcome;
        if (state.rest != 0) record.state.rest = state.rest;
        if (bytes(_job.lastError).length != 0) _writeError(record, _job.lastError);
        _byCustomer[_job.customerAddr].push(id);
        emit JobCreated(id);
        emit JobUpdated(id, _job.customerAddr, _job.providerAddr, _job.status, _job.status);
        return id;
    }

    /// @inheritdoc IJobRepository
    function update(Job memory _job) external onlyRole(METASCHEDULER_ROLE) {
        Record storage record = _record(_job.jobId);
        if (_customerOf(record) != _job.customerAddr) {
            _byCustomer[_job.customerAddr].push(_job.jobId);
        }
        _writeError(record, _job.lastError);
        _setFixed(record, _writeFixed(_job.jobName, _job.time.submit, _job.definition));
        _change(record, _job.jobId, _stateOf(_job).pack());
    }

    /// @inheritdoc IJobRepository
    function setPackedState(bytes32 _jobId, PackedState memory _state)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        Record storage record = _record(_jobId);
        _state.owner = (_state.owner >> 160 << 160) | uint160(_customerOf(record));
        _change(record, _jobId, _state);
    }

    /// @inheritdoc IJobRepository
    function setJobStatus(bytes32 _jobId, JobStatus _newStatus)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        Record storage record = _record(_jobId);
        PackedState memory state = _load(record);
        JobStatus previous = StateCodec.statusOf(state.step);
        record.state.step = (state.step >> 8 << 8) | uint256(_newStatus);
        _tell(_jobId, _customerOf(record), address(uint160(state.outcome)), previous, _newStatus);
    }

    /// @inheritdoc IJobRepository
    function setCost(bytes32 _jobId, JobCost memory _cost) external onlyRole(METASCHEDULER_ROLE) {
        (Record storage record, JobState memory state) = _open(_jobId);
        state.cost = _cost;
        _store(record, state.pack());
    }

    /// @inheritdoc IJobRepository
    function setTime(bytes32 _jobId, JobTime memory _time) external onlyRole(METASCHEDULER_ROLE) {
        (Record storage record, JobState memory state) = _open(_jobId);
        state.time = _clockOf(_time);
        _store(record, state.pack());
        (bytes32 name, uint256 submit, JobDefinition memory definition) = _readFixed(record);
        if (submit != _time.submit) _setFixed(record, _writeFixed(name, _time.submit, definition));
    }

    /// @inheritdoc IJobRepository
    function setProviderAddr(bytes32 _jobId, address _providerAddr)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        (Record storage record, JobState memory state) = _open(_jobId);
        state.providerAddr = _providerAddr;
        _store(record, state.pack());
    }

    /// @inheritdoc IJobRepository
    function setCustomerAddr(bytes32 _jobId, address _customerAddr)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        (Record storage record, JobState memory state) = _open(_jobId);
        state.customerAddr = _customerAddr;
        _store(record, state.pack());
        _byCustomer[_customerAddr].push(_jobId);
    }

    /// @inheritdoc IJobRepository
    function setDefinition(bytes32 _jobId, JobDefinition memory _definition)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        Record storage record = _record(_jobId);
        (bytes32 name, uint256 submit,) = _readFixed(record);
        _setFixed(record, _writeFixed(name, submit, _definition));
    }

    /// @inheritdoc IJobRepository
    function setJobName(bytes32 _jobId, bytes32 _jobName) external onlyRole(METASCHEDULER_ROLE) {
        Record storage record = _record(_jobId);
        (, uint256 submit, JobDefinition memory definition) = _readFixed(record);
        _setFixed(record, _writeFixed(_jobName, submit, definition));
    }

    /// @inheritdoc IJobRepository
    function setHasCancelRequest(bytes32 _jobId, bool _hasCancelRequest)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        (Record storage record, JobState memory state) = _open(_jobId);
        state.hasCancelRequest = _hasCancelRequest;
        _store(record, state.pack());
    }

    /// @inheritdoc IJobRepository
    function setLastError(bytes32 _jobId, string memory _error)
        external
        onlyRole(METASCHEDULER_ROLE)
    {
        _writeError(_record(_jobId), _error);
    }

    /// @inheritdoc IJobRepository
    function setExitCode(bytes32 _jobId, int64 _exitCode) external onlyRole(METASCHEDULER_ROLE) {
        (Record storage record, JobState memory state) = _open(_jobId);
        state.exitCode = _exitCode;
        _store(record, state.pack());
    }

    /// @inheritdoc IJobRepository
    function get(bytes32 _jobId) external view returns (Job memory) {
        _record(_jobId);
        return _read(_jobId);
    }

    /// @inheritdoc IJobRepository
    function getState(bytes32 _jobId) external view returns (JobState memory) {
        return _load(_record(_jobId)).unpack();
    }

    /// @inheritdoc IJobRepository
    function getPackedState(bytes32 _jobId) external view returns (PackedState memory) {
        return _load(_record(_jobId));
    }

    /// @inheritdoc IJobRepository
    function getDefinition(bytes32 _jobId) external view returns (JobDefinition memory) {
        (,, JobDefinition memory definition) = _readFixed(_record(_jobId));
        return definition;
    }

    /// @inheritdoc IJobRepository
    function getDemand(bytes32 _jobId) external view returns (Demand memory) {
        address pointer = CodeStorage.addressOf(_codeOf(_record(_jobId)));
        return JobCodec.decodeDemand(CodeStorage.readFirst(pointer, JobCodec.DEMAND_SIZE));
    }

    /// @inheritdoc IJobRepository
    function getByCustomer(address customerAddr) external view returns (bytes32[] memory) {
        return _byCustomer[customerAddr].page(0, type(uint256).max);
    }

    /// @notice The id of a customer's n-th job, from zero.
    function jobIdByCustomer(address _customerAddr, uint256 _index)
        external
        view
        returns (bytes32)
    {
        bytes32[] memory ids = _byCustomer[_customerAddr].page(_index, 1);
        return ids[0];
    }

    /// @inheritdoc IJobRepository
    function jobCount() external view returns (uint256) {
        return _newestJob;
    }

    /// @inheritdoc IJobRepository
    function jobIdCounter() external view returns (uint256) {
        return _end();
    }

    /// @inheritdoc IJobRepository
    function jobCountByCustomer(address _customerAddr) external view returns (uint256) {
        (, uint256 count) = _byCustomer[_customerAddr].ends();
        return count;
    }

    /// @inheritdoc IJobRepository
    function getByCustomerPaged(address _customerAddr, uint256 _offset, uint256 _limit)
        external
        view
        returns (bytes32[] memory)
    {
        return _byCustomer[_customerAddr].page(_offset, _limit);
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
            if (_statusOf(id) == _status) ids[found++] = bytes32(id);
        }
        assembly ("memory-safe") {
            mstore(ids, found)
        }
        if (next == _end()) next = 0;
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
            ++counts[uint256(_statusOf(id))];
        }
        if (next == _end()) next = 0;
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
        end = _end();
        first = from == 0 ? 1 : from;
        if (first > end) first = end;
        if (scan < end - first) end = first + scan;
    }

    /// @dev The id behind that of the newest job.
    function _end() private view returns (uint256) {
        return uint256(_newestJob) + 1;
    }

    function _record(bytes32 id) private view returns (Record storage record) {
        record = _records[id];
        if (_codeOf(record) == 0) revert InvalidJob();
    }

    function _open(bytes32 id) private view returns (Record storage record, JobState memory state) {
        record = _record(id);
        state = _load(record).unpack();
    }

    function _codeOf(Record storage record) private view returns (uint256) {
        return record.state.step >> StateCodec.OWN_BITS;
    }

    function _customerOf(Record storage record) private view returns (address) {
        return address(uint160(record.state.owner));
    }

    function _statusOf(uint256 id) private view returns (JobStatus) {
        return StateCodec.statusOf(_records[bytes32(id)].state.step);
    }

    function _load(Record storage record) private view returns (PackedState memory state) {
        state.owner = record.state.owner;
        state.step = record.state.step;
        state.outcome = record.state.outcome;
        if (state.outcome >> StateCodec.REST_BIT != 0) state.rest = record.state.rest;
    }

    function _read(bytes32 id) private view returns (Job memory job) {
        Record storage record = _records[id];
        if (_codeOf(record) != 0) job.jobId = id;
        JobState memory state = _load(record).unpack();
        job.status = state.status;
        job.customerAddr = state.customerAddr;
        job.providerAddr = state.providerAddr;
        job.cost = state.cost;
        (job.jobName, job.time.submit, job.definition) = _readFixed(record);
        job.time.start = state.time.start;
        job.time.end = state.time.end;
        job.time.cancelRequestTimestamp = state.time.cancelRequestTimestamp;
        job.time.blockNumberStateChange = state.time.blockNumberStateChange;
        job.time.panicTimestamp = state.time.panicTimestamp;
        job.hasCancelRequest = state.hasCancelRequest;
        job.lastError = record.lastError;
        job.exitCode = state.exitCode;
    }

    function _readFixed(Record storage record)
        private
        view
        returns (bytes32 name, uint256 submit, JobDefinition memory definition)
    {
        uint256 code = _codeOf(record);
        if (code != 0) return JobCodec.decode(CodeStorage.read(CodeStorage.addressOf(code)));
    }

    /// @dev Writes a job's state, and tells of its new status if that is another one.
    function _change(Record storage record, bytes32 id, PackedState memory state) private {
        JobStatus previous = StateCodec.statusOf(record.state.step);
        JobStatus status = StateCodec.statusOf(state.step);
        address providerAddr = address(uint160(state.outcome));
        if (providerAddr == address(0)) providerAddr = address(uint160(record.state.outcome));
        _store(record, state);
        if (status != previous) {
            _tell(id, address(uint160(state.owner)), providerAddr, previous, status);
        }
    }

    function _store(Record storage record, PackedState memory state) private {
        uint256 step = record.state.step;
        record.state.step = (state.step & STEP_MASK) | (step & ~STEP_MASK);
        if (record.state.owner != state.owner) record.state.owner = state.owner;
        if (record.state.outcome != state.outcome) record.state.outcome = state.outcome;
        if (state.rest != 0) record.state.rest = state.rest;
    }

    function _setFixed(Record storage record, uint256 fixedPart) private {
        record.state.step = (record.state.step & STEP_MASK) | fixedPart;
    }

    function _writeError(Record storage record, string memory words) private {
        Limits.checkText(words, Limits.LAST_ERROR);
        record.lastError = words;
    }

    /// @dev Stores what never changes of a job.
    /// @return The number of the code it lies in, as the highest bits of a step.
    function _writeFixed(bytes32 name, uint256 submit, JobDefinition memory definition)
        private
        returns (uint256)
    {
        uint256 code = ++_newestCode;
        address pointer = CodeStorage.write(JobCodec.encode(name, submit.toUint40(), definition));
        // The repository makes no other contracts: the numbers are those of its creations.
        assert(pointer == CodeStorage.addressOf(code));
        return code << StateCodec.OWN_BITS;
    }

    function _stateOf(Job memory job) private pure returns (JobState memory) {
        return JobState({
            status: job.status,
            customerAddr: job.customerAddr,
            providerAddr: job.providerAddr,
            cost: job.cost,
            time: _clockOf(job.time),
            hasCancelRequest: job.hasCancelRequest,
            exitCode: job.exitCode
        });
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

    /// @param providerAddr Whom the change concerns.
    function _tell(
        bytes32 id,
        address customerAddr,
        address providerAddr,
        JobStatus previous,
        JobStatus status
    ) private {
        emit JobTransitionEvent(id, previous, status);
        emit JobUpdated(id, customerAddr, providerAddr, previous, status);
    }
}
