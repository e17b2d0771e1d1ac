// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {
    AmountTooLarge,
    CustomerMetaSchedulerProviderOnly,
    CustomerOnly,
    InsufficientFunds,
    InvalidJobDefinition,
    InvalidReportTimes,
    JobHotStatusOnly,
    JobProviderOnly,
    MetaScheduledScheduledStatusOnly,
    NewJobRequestDisabled,
    NoSpendingAuthority,
    NotExpired,
    ProviderNotJoined,
    RemainingTimeAboveLimit,
    RunningColdStatusOnly,
    RunningScheduledStatusOnly
} from "./Errors.sol";
import {TwoStepAdmin} from "./TwoStepAdmin.sol";
import {IConstants} from "./interfaces/IConstants.sol";
import {IJobRepository} from "./interfaces/IJobRepository.sol";
import {IMetaScheduler} from "./interfaces/IMetaScheduler.sol";
import {IProviderJobQueues} from "./interfaces/IProviderJobQueues.sol";
import {IProviderManager} from "./interfaces/IProviderManager.sol";
import {JobStatusLib} from "./libraries/JobStatusLib.sol";
import {Payment} from "./libraries/Payment.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {StateCodec} from "./libraries/StateCodec.sol";
import {TermsLib} from "./libraries/TermsLib.sol";
import {JobReport, Placement} from "./types/Batch.sol";
import {Job, JobClock, JobDefinition, JobState, JobStatus, PackedState} from "./types/Job.sol";
import {JobTerms, PackedTerms} from "./types/JobTerms.sol";
import {Terms} from "./types/Terms.sol";

/// @title The life cycle of jobs and their money
/// @dev Credits are accounted for in three ways that never mix: `_terms[id].escrow` for each job that
/// has not ended, `claimable` for payments that did not go through, and `accruedFees`. The escrow of a job is what its maxCost says; it is kept here
/// as well so that nothing written to the repository by others can pay a job from another one's
/// escrow.
// Every mutator is nonReentrant; between the calls to the
// grid's own contracts there is none to a stranger but the token's.
// slither-disable-start reentrancy-no-eth
contract MetaScheduler is IMetaScheduler, TwoStepAdmin {
    using SafeERC20 for IERC20;
    using Payment for IERC20;
    using JobStatusLib for JobStatus;
    using StateCodec for JobState;
    using StateCodec for PackedState;
    using TermsLib for Terms;

    /// @notice May place jobs, take them back, end them and top them up where that is delegated.
    bytes32 public constant METASCHEDULER_ROLE = keccak256("METASCHEDULER_ROLE");

    /// @notice The token that jobs are paid with.
    IERC20 public immutable credit;

    /// @notice Parameters of the grid.
    IConstants public immutable constants;

    /// @notice The register of providers.
    IProviderManager public immutable providerManager;

    /// @notice What waits for each provider.
    IProviderJobQueues public immutable providerJobQueues;

    /// @notice Where the jobs are kept.
    IJobRepository public immutable jobs;

    /// @inheritdoc IMetaScheduler
    mapping(address => uint256) public claimable;

    /// @param isEntered Whether a mutator is at work: nothing may be called again before it is done.
    /// @param takesRequests Whether new requests are taken.
    /// @param termsId Number of `terms`; the first is 1.
    /// @param terms The newest of `_parameters`, packed.
    /// @param fees Credit-wei that can be withdrawn. No job holds 2^88, so the sum always fits.
    struct Shared {
        bool isEntered;
        bool takesRequests;
        uint24 termsId;
        uint144 fees;
        uint72 terms;
    }

    /// @dev What steps of any job need, in one slot: each mutator writes it anyway, to lock the
    /// contract.
    Shared private _shared;

    mapping(bytes32 => PackedTerms) private _terms;
    mapping(uint256 => uint72) private _parameters;

    /// @dev No function with it can be called again before it is done.
    modifier nonReentrant() {
        _enter();
        _;
        _shared.isEntered = false;
    }

    /// @dev An approved provider that is not banned.
    modifier onlyJoinedProvider() {
        _checkJoined(msg.sender);
        _;
    }

    /// @dev The deployer administers the roles. The contract itself needs METASCHEDULER_ROLE on the
    /// repository, METASCHEDULER_CONTRACT_ROLE on the provider manager, and to own the queues.
    /// @param _credit The token that jobs are paid with.
    /// @param _constants Parameters of the grid.
    /// @param _providerManager The register of providers.
    /// @param _providerJobQueues What waits for each provider.
    /// @param _jobs Where the jobs are kept.
    constructor(
        IERC20 _credit,
        IConstants _constants,
        IProviderManager _providerManager,
        IProviderJobQueues _providerJobQueues,
        IJobRepository _jobs
    ) {
        credit = _credit;
        constants = _constants;
        providerManager = _providerManager;
        providerJobQueues = _providerJobQueues;
        jobs = _jobs;
        _shared.takesRequests = true;
    }

    // ---- Customers -----------------------------------------------------------------------------

    /// @inheritdoc IMetaScheduler
    function requestNewJob(
        JobDefinition calldata _definition,
        uint256 _lockedCredits,
        bytes32 _jobName,
        bool _delegateSpendingAuthority
    ) external nonReentrant returns (bytes32) {
        return _request(_definition, _lockedCredits, _jobName, _delegateSpendingAuthority);
    }

    /// @inheritdoc IMetaScheduler
    function requestNewJobWithPermit(
        JobDefinition calldata _definition,
        uint256 _lockedCredits,
        bytes32 _jobName,
        bool _delegateSpendingAuthority,
        uint256 _deadline,
        uint8 _v,
        bytes32 _r,
        bytes32 _s
    ) external nonReentrant returns (bytes32) {
        // Anyone may have used the permit before: then the allowance is there, and without it the
        // payment fails.
        try IERC20Permit(address(credit))
            .permit(msg.sender, address(this), _lockedCredits, _deadline, _v, _r, _s) {}
            catch {}
        return _request(_definition, _lockedCredits, _jobName, _delegateSpendingAuthority);
    }

    /// @inheritdoc IMetaScheduler
    function cancelJob(bytes32 _jobId) external nonReentrant {
        JobState memory job = _hotJobOfCustomer(_jobId);
        bool isRunning = job.status == JobStatus.Running;
        if (isRunning && job.hasCancelRequest) return;
        job.hasCancelRequest = true;
        job.time.cancelRequestTimestamp = block.timestamp;
        // A provider that has claimed the job must end it, or not begin it.
        if (isRunning || job.status == JobStatus.Scheduled) {
            providerJobQueues.pushCancellingJob(job.providerAddr, _jobId);
            emit JobCancelRequested(_jobId, job.customerAddr, job.providerAddr);
        }
        if (isRunning) {
            _store(_jobId, job);
        } else {
            _end(_jobId, job, JobStatus.Cancelled, 0);
        }
    }

    /// @inheritdoc IMetaScheduler
    function topUpJob(bytes32 _jobId, uint256 _amount) external nonReentrant {
        JobState memory job = _load(_jobId);
        if (!job.status.isTopable()) revert RunningScheduledStatusOnly(job.status);
        _topUp(_jobId, job, msg.sender, _amount);
    }

    /// @inheritdoc IMetaScheduler
    function topUpJobDelegate(bytes32 _jobId) external nonReentrant {
        JobState memory job = _load(_jobId);
        if (
            msg.sender != job.customerAddr && msg.sender != job.providerAddr
                && !hasRole(METASCHEDULER_ROLE, msg.sender)
        ) revert CustomerMetaSchedulerProviderOnly();
        if (!job.cost.delegateSpendingAuthority) revert NoSpendingAuthority();
        if (!job.status.isTopable()) revert RunningScheduledStatusOnly(job.status);
        uint256 rate = _terms[_jobId].rate;
        uint256 slice = _parametersOf(_terms[_jobId].termsId).topUpSlice;
        uint256 left = job.status == JobStatus.Scheduled
            ? Pricing.duration(rate, job.cost.maxCost)
            : Pricing.remaining(rate, job.cost.maxCost, job.time.start);
        if (left > slice) revert RemainingTimeAboveLimit(left, slice);
        _topUp(_jobId, job, job.customerAddr, Pricing.cost(rate, slice));
    }

    /// @inheritdoc IMetaScheduler
    function setDelegateSpendingAuthority(bytes32 _jobId, bool _delegateSpendingAuthority)
        external
        nonReentrant
    {
        JobState memory job = _hotJobOfCustomer(_jobId);
        job.cost.delegateSpendingAuthority = _delegateSpendingAuthority;
        _store(_jobId, job);
    }

    // ---- Providers -----------------------------------------------------------------------------

    /// @inheritdoc IMetaScheduler
    function claimNextJob() external nonReentrant onlyJoinedProvider {
        _claim(1);
    }

    /// @inheritdoc IMetaScheduler
    function claimNextJobs(uint256 _max) external nonReentrant onlyJoinedProvider {
        _claim(_max);
    }

    /// @inheritdoc IMetaScheduler
    function claimNextCancellingJob() external nonReentrant onlyJoinedProvider {
        bytes32 id = providerJobQueues.popNextCancellingJob(msg.sender);
        if (id == 0) return;
        JobState memory job = _jobOfCaller(id);
        _see(id, job);
        emit ClaimNextCancellingJobEvent(job.customerAddr, job.providerAddr, id);
    }

    /// @inheritdoc IMetaScheduler
    function claimNextTopUpJob() external nonReentrant onlyJoinedProvider {
        bytes32 id = providerJobQueues.popNextTopUpJob(msg.sender);
        if (id == 0) return;
        JobState memory job = _jobOfCaller(id);
        _see(id, job);
        emit ClaimNextTopUpJobEvent(
            id, msg.sender, Pricing.duration(_terms[id].rate, job.cost.pendingTopUp)
        );
        job.cost.pendingTopUp = 0;
        _store(id, job);
    }

    /// @inheritdoc IMetaScheduler
    function refuseJob(bytes32 _jobId) external nonReentrant onlyJoinedProvider {
        JobState memory job = _jobOfCaller(_jobId);
        if (job.status != JobStatus.MetaScheduled && job.status != JobStatus.Scheduled) {
            revert MetaScheduledScheduledStatusOnly(job.status);
        }
        _handBack(_jobId, job);
    }

    /// @inheritdoc IMetaScheduler
    function providerSetJobStatus(
        bytes32 _jobId,
        JobStatus _nextJobStatus,
        uint64 _jobDurationMinute,
        string calldata _lastError,
        int64 _exitCode
    ) external nonReentrant onlyJoinedProvider {
        JobState memory job = _jobOfCaller(_jobId);
        _checkReportable(_nextJobStatus);
        job.status.checkTransition(_nextJobStatus);
        _report(_jobId, job, _nextJobStatus, _jobDurationMinute, _lastError, _exitCode);
    }

    /// @inheritdoc IMetaScheduler
    function reportJobs(JobReport[] calldata _reports) external nonReentrant onlyJoinedProvider {
        for (uint256 i = 0; i < _reports.length; ++i) {
            JobReport calldata report = _reports[i];
            bytes32 id = report.jobId;
            JobState memory job = _load(id);
            _checkReportable(report.status);
            bool isRunning = job.status == JobStatus.Running;
            if (job.providerAddr != msg.sender) {
                emit ReportSkipped(id, msg.sender, job.status);
            } else if (isRunning && report.status == JobStatus.Running) {
                _see(id, job);
            } else if (!job.status.canBecome(report.status)) {
                emit ReportSkipped(id, msg.sender, job.status);
            } else {
                uint256 end = report.status == JobStatus.Running ? block.timestamp : report.end;
                if (isRunning || report.status == JobStatus.Running) {
                    _checkTimes(id, report.start, end);
                    job.time.start = report.start;
                    if (isRunning) job.time.end = end;
                }
                _report(
                    id,
                    job,
                    report.status,
                    isRunning ? (end - report.start) / 1 minutes : 0,
                    report.lastError,
                    report.exitCode
                );
            }
        }
    }

    // ---- The meta-scheduler --------------------------------------------------------------------

    /// @inheritdoc IMetaScheduler
    function metaSchedule(bytes32 _jobId, address _providerAddr)
        external
        nonReentrant
        onlyRole(METASCHEDULER_ROLE)
    {
        _checkJoined(_providerAddr);
        JobState memory job = _load(_jobId);
        job.status.checkTransition(JobStatus.MetaScheduled);
        _place(_jobId, job, _providerAddr);
    }

    /// @inheritdoc IMetaScheduler
    function metaScheduleJobs(Placement[] calldata _placements)
        external
        nonReentrant
        onlyRole(METASCHEDULER_ROLE)
    {
        for (uint256 i = 0; i < _placements.length; ++i) {
            bytes32 id = _placements[i].jobId;
            address providerAddr = _placements[i].providerAddr;
            JobState memory job = _load(id);
            if (
                job.status == JobStatus.Pending
                    && providerManager.isValidForScheduling(providerAddr)
            ) _place(id, job, providerAddr);
            else emit PlacementSkipped(id, providerAddr, job.status);
        }
    }

    /// @inheritdoc IMetaScheduler
    function timeoutJob(bytes32 _jobId) external nonReentrant onlyRole(METASCHEDULER_ROLE) {
        _handBack(_jobId, _hotJob(_jobId));
    }

    /// @inheritdoc IMetaScheduler
    function panicJob(bytes32 _jobId, string calldata _lastError)
        external
        nonReentrant
        onlyRole(METASCHEDULER_ROLE)
    {
        JobState memory job = _hotJob(_jobId);
        jobs.setLastError(_jobId, _lastError);
        job.time.panicTimestamp = block.timestamp;
        _end(_jobId, job, JobStatus.Panicked, 0);
    }

    // ---- Anyone --------------------------------------------------------------------------------

    /// @inheritdoc IMetaScheduler
    function expireJob(bytes32 _jobId) external nonReentrant {
        JobState memory job = _hotJob(_jobId);
        uint256 due = _expiryOf(_jobId, job);
        if (block.timestamp < due) revert NotExpired(block.timestamp, due);
        if (job.status != JobStatus.Running) {
            emit JobExpired(_jobId, job.customerAddr, job.providerAddr, 0);
            _handBack(_jobId, job);
            return;
        }
        uint256 seenAt = uint256(_terms[_jobId].since) + _terms[_jobId].seenAfter;
        uint256 proved = seenAt > job.time.start ? (seenAt - job.time.start) / 1 minutes : 0;
        if (proved == 0) proved = 1;
        emit JobExpired(_jobId, job.customerAddr, job.providerAddr, proved);
        jobs.setLastError(_jobId, "the provider did not answer in time");
        _end(
            _jobId,
            job,
            job.hasCancelRequest ? JobStatus.Cancelled : JobStatus.Failed,
            _costOf(_jobId, proved)
        );
    }

    /// @inheritdoc IMetaScheduler
    function withdrawClaimable(address _to) external nonReentrant {
        uint256 amount = claimable[msg.sender];
        if (amount == 0) revert InsufficientFunds(0, 1);
        claimable[msg.sender] = 0;
        emit ClaimableWithdrawn(msg.sender, _to, amount);
        credit.safeTransfer(_to, amount);
    }

    // ---- Administrators ------------------------------------------------------------------------

    /// @inheritdoc IMetaScheduler
    function setEnableRequestNewJob(bool _enable) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _shared.takesRequests = _enable;
        emit NewJobRequestsEnabled(_enable);
    }

    /// @inheritdoc IMetaScheduler
    function withdrawAdmin(uint256 _amount) external nonReentrant onlyRole(DEFAULT_ADMIN_ROLE) {
        uint256 available = _shared.fees;
        if (_amount > available) revert InsufficientFunds(available, _amount);
        _shared.fees = uint144(available - _amount);
        credit.safeTransfer(msg.sender, _amount);
    }

    // ---- Views ---------------------------------------------------------------------------------

    /// @inheritdoc IMetaScheduler
    function enableRequestNewJob() external view returns (bool) {
        return _shared.takesRequests;
    }

    /// @inheritdoc IMetaScheduler
    function accruedFees() external view returns (uint256) {
        return _shared.fees;
    }

    /// @inheritdoc IMetaScheduler
    function getJobTerms(bytes32 _jobId) external view returns (JobTerms memory) {
        PackedTerms memory terms = _terms[_jobId];
        Terms memory parameters = _parametersOf(terms.termsId);
        return JobTerms({
            escrow: terms.escrow,
            rate: terms.rate,
            claimedAt: terms.isClaimed ? terms.since : 0,
            feePercent: parameters.feePercent,
            placedAt: terms.isClaimed ? 0 : terms.since,
            seenAt: terms.isClaimed ? terms.since + terms.seenAfter : 0,
            topUpSlice: parameters.topUpSlice,
            claimTimeout: parameters.claimTimeout,
            cancelTimeout: parameters.cancelTimeout,
            providerTimeout: parameters.providerTimeout
        });
    }

    /// @inheritdoc IMetaScheduler
    function expiryOf(bytes32 _jobId) external view returns (uint256) {
        return _expiryOf(_jobId, _load(_jobId));
    }

    // ---- Internals -----------------------------------------------------------------------------

    function _enter() private {
        require(!_shared.isEntered, "ReentrancyGuard: reentrant call");
        _shared.isEntered = true;
    }

    function _load(bytes32 id) private view returns (JobState memory) {
        return jobs.getPackedState(id).unpack();
    }

    function _store(bytes32 id, JobState memory job) private {
        jobs.setPackedState(id, job.pack());
    }

    function _hotJob(bytes32 id) private view returns (JobState memory job) {
        job = _load(id);
        if (job.status.isCold()) revert JobHotStatusOnly(job.status);
    }

    function _hotJobOfCustomer(bytes32 id) private view returns (JobState memory job) {
        job = _hotJob(id);
        if (msg.sender != job.customerAddr) revert CustomerOnly(msg.sender, job.customerAddr);
    }

    function _jobOfCaller(bytes32 id) private view returns (JobState memory job) {
        job = _load(id);
        if (msg.sender != job.providerAddr) revert JobProviderOnly(msg.sender, job.providerAddr);
    }

    function _checkJoined(address providerAddr) private view {
        if (!providerManager.isValidForScheduling(providerAddr)) revert ProviderNotJoined();
    }

    function _checkReportable(JobStatus status) private pure {
        if (status != JobStatus.Running && status.isHot()) revert RunningColdStatusOnly(status);
    }

    function _checkTimes(bytes32 id, uint256 start, uint256 end) private view {
        uint256 claimedAt = _terms[id].since;
        if (start < claimedAt || end < start || end > block.timestamp) {
            revert InvalidReportTimes(id, start, end, claimedAt);
        }
    }

    function _checkAmount(uint256 amount) private pure {
        if (amount > type(uint88).max) revert AmountTooLarge(amount, type(uint88).max);
    }

    function _request(
        JobDefinition calldata definition,
        uint256 lockedCredits,
        bytes32 jobName,
        bool delegateSpendingAuthority
    ) private returns (bytes32 id) {
        if (!_shared.takesRequests) revert NewJobRequestDisabled();
        uint256 minimum = constants.minimumAmount();
        if (lockedCredits < minimum) revert InsufficientFunds(lockedCredits, minimum);
        _checkAmount(lockedCredits);
        Job memory job;
        job.definition = definition;
        if (!Pricing.isValid(job.definition)) revert InvalidJobDefinition();
        job.customerAddr = msg.sender;
        job.cost.maxCost = lockedCredits;
        job.cost.delegateSpendingAuthority = delegateSpendingAuthority;
        job.time.submit = block.timestamp;
        job.time.cancelRequestTimestamp = block.timestamp;
        job.time.blockNumberStateChange = block.number;
        job.jobName = jobName;
        id = jobs.create(job);
        _terms[id].escrow = uint88(lockedCredits);
        credit.safeTransferFrom(msg.sender, address(this), lockedCredits);
        emit NewJobRequestEvent(id, msg.sender);
    }

    /// @dev Fixes the rate and the terms of a pending job, and places it.
    function _place(bytes32 id, JobState memory job, address providerAddr) private {
        uint256 rate = Pricing.ratePerMinute(
            jobs.getDemand(id), providerManager.getProviderPrices(providerAddr)
        );
        PackedTerms storage terms = _terms[id];
        terms.rate = rate > type(uint80).max ? type(uint80).max : uint80(rate);
        terms.isClaimed = false;
        terms.since = uint32(block.timestamp);
        terms.seenAfter = 0;
        terms.termsId = _currentParameters();
        job.providerAddr = providerAddr;
        providerJobQueues.pushClaimableJob(providerAddr, id);
        _setStatus(id, job, JobStatus.MetaScheduled);
    }

    function _claim(uint256 max) private {
        bytes32[] memory ids = providerJobQueues.popNextClaimableJobs(msg.sender, max);
        for (uint256 i = 0; i < ids.length; ++i) {
            bytes32 id = ids[i];
            JobState memory job = _jobOfCaller(id);
            job.status.checkTransition(JobStatus.Scheduled);
            PackedTerms storage terms = _terms[id];
            terms.isClaimed = true;
            terms.since = uint32(block.timestamp);
            _emitClaim(id, job, Pricing.duration(terms.rate, job.cost.maxCost));
            // The claim turns all that is locked into time, top-ups of an earlier placement
            // included.
            job.cost.pendingTopUp = 0;
            _setStatus(id, job, JobStatus.Scheduled);
        }
    }

    /// @dev Emits ClaimJobEvent with the definition as the repository encodes it: to decode a long
    /// one and to encode it again would cost several times as much.
    function _emitClaim(bytes32 id, JobState memory job, uint64 minutes_) private {
        bytes memory question = abi.encodeCall(IJobRepository.getDefinition, (id));
        bytes memory head = abi.encode(job.customerAddr, job.providerAddr, id, minutes_, 5 * 32);
        address repository = address(jobs);
        bytes32 topic = ClaimJobEvent.selector;
        assembly ("memory-safe") {
            if iszero(staticcall(gas(), repository, add(question, 0x20), mload(question), 0, 0)) {
                revert(0, 0)
            }
            // The answer is 32 bytes of offset and the definition, which follows the head here.
            let size := sub(returndatasize(), 0x20)
            let data := add(head, 0x20)
            returndatacopy(add(data, mload(head)), 0x20, size)
            log1(data, add(mload(head), size), topic)
        }
    }

    /// @dev The provider has a word to say about a job: while it runs, its time up to now is proved.
    function _see(bytes32 id, JobState memory job) private {
        if (job.status == JobStatus.Running) _prove(id);
    }

    function _prove(bytes32 id) private {
        PackedTerms storage terms = _terms[id];
        uint256 past = block.timestamp - terms.since;
        terms.seenAfter = past > type(uint24).max ? type(uint24).max : uint24(past);
    }

    /// @dev The number of the grid's parameters as they are; new ones get the next number.
    function _currentParameters() private returns (uint24 termsId) {
        Terms memory current = constants.terms();
        if (current.feePercent > 100) current.feePercent = 100;
        uint72 terms = current.pack();
        termsId = _shared.termsId;
        if (terms != _shared.terms) {
            _shared.termsId = ++termsId;
            _shared.terms = terms;
            _parameters[termsId] = terms;
        }
    }

    /// @dev The parameters with a number: mostly the newest, which are at hand.
    function _parametersOf(uint24 termsId) private view returns (Terms memory) {
        return TermsLib.unpack(termsId == _shared.termsId ? _shared.terms : _parameters[termsId]);
    }

    /// @dev Puts a placed or claimed job back into the queue of the meta-scheduler.
    function _handBack(bytes32 id, JobState memory job) private {
        job.status.checkTransition(JobStatus.Pending);
        emit JobRefusedEvent(id, job.providerAddr, job.customerAddr);
        job.providerAddr = address(0);
        _setStatus(id, job, JobStatus.Pending);
    }

    /// @dev Only the first of several top-ups that the provider has not seen makes an entry.
    function _topUp(bytes32 id, JobState memory job, address payer, uint256 amount) private {
        if (amount == 0) revert InsufficientFunds(0, 1);
        _checkAmount(amount);
        PackedTerms storage terms = _terms[id];
        uint256 escrow = uint256(terms.escrow) + amount;
        _checkAmount(escrow);
        terms.escrow = uint88(escrow);
        bool isFirst = job.cost.pendingTopUp == 0;
        job.cost.maxCost += amount;
        job.cost.pendingTopUp += amount;
        _store(id, job);
        if (isFirst) providerJobQueues.pushTopUpJob(job.providerAddr, id);
        emit JobToppedUp(id, job.customerAddr, job.providerAddr, payer, amount);
        credit.safeTransferFrom(payer, address(this), amount);
    }

    /// @dev Writes what a provider reports; the transition was checked.
    function _report(
        bytes32 id,
        JobState memory job,
        JobStatus next,
        uint256 minutes_,
        string calldata lastError,
        int64 exitCode
    ) private {
        if (bytes(lastError).length != 0) jobs.setLastError(id, lastError);
        if (next == JobStatus.Panicked) job.time.panicTimestamp = block.timestamp;
        job.exitCode = exitCode;
        if (next == JobStatus.Running) {
            providerManager.incJobCount(msg.sender);
            // A start that is now proves nothing.
            if (job.time.start != 0) _prove(id);
            _setStatus(id, job, JobStatus.Running);
        } else {
            uint256 cost = 0;
            if (job.status == JobStatus.Running && next != JobStatus.Panicked) {
                cost = _bill(id, minutes_);
            }
            _end(id, job, next, cost);
        }
    }

    /// @dev Cost of a job that ran: the minutes reported, at least one and at most those begun
    /// since the claim, at the rate it was placed with. The bound counts from the claim because the
    /// report of the start may come late: a supervisor that was down while the job began still
    /// bills its true duration.
    function _bill(bytes32 id, uint256 reported) private returns (uint256) {
        uint256 billed = reported == 0 ? 1 : reported;
        uint256 bound = (block.timestamp - _terms[id].since) / 1 minutes + 1;
        if (billed > bound) {
            emit BilledTooMuchEvent(id, msg.sender, billed);
            billed = bound;
        }
        return _costOf(id, billed);
    }

    /// @dev What so many minutes of a job cost: never more than is held for it.
    function _costOf(bytes32 id, uint256 minutes_) private view returns (uint256) {
        PackedTerms storage terms = _terms[id];
        uint256 cost = Pricing.cost(terms.rate, minutes_);
        return cost < terms.escrow ? cost : terms.escrow;
    }

    /// @dev Settles a job and ends it: `cost` goes to the provider and the fees, the rest back to
    /// the customer.
    function _end(bytes32 id, JobState memory job, JobStatus next, uint256 cost) private {
        job.status.checkTransition(next);
        PackedTerms storage terms = _terms[id];
        uint256 refund = terms.escrow - cost;
        uint256 fee = cost == 0 ? 0 : cost * _parametersOf(terms.termsId).feePercent / 100;
        terms.escrow = 0;
        emit JobSettled(id, job.customerAddr, job.providerAddr, cost - fee, fee, refund);
        if (cost != 0) {
            _shared.fees += uint144(fee);
            job.cost.finalCost = cost;
            _pay(job.providerAddr, cost - fee);
        }
        _pay(job.customerAddr, refund);
        _setStatus(id, job, next);
    }

    /// @dev Pays, or puts aside what cannot be paid: a recipient that the token refuses does not
    /// keep a job from its end.
    function _pay(address to, uint256 amount) private {
        if (credit.tryTransfer(to, amount)) return;
        claimable[to] += amount;
        emit PaymentDeferred(to, amount);
    }

    function _expiryOf(bytes32 id, JobState memory job) private view returns (uint256 due) {
        due = type(uint256).max;
        JobStatus status = job.status;
        if (status == JobStatus.Pending || status.isCold()) return due;
        PackedTerms storage terms = _terms[id];
        Terms memory parameters = _parametersOf(terms.termsId);
        uint256 grace = uint256(parameters.providerTimeout) * 1 minutes;
        if (status == JobStatus.MetaScheduled) {
            due = terms.since + uint256(parameters.claimTimeout) * 1 minutes;
        } else if (status == JobStatus.Running) {
            uint256 bought = Pricing.duration(terms.rate, job.cost.maxCost);
            due = job.time.start + bought * 1 minutes + grace;
            if (job.hasCancelRequest) {
                due = _min(
                    due,
                    job.time.cancelRequestTimestamp + uint256(parameters.cancelTimeout) * 1 minutes
                );
            }
        }
        uint256 since = providerManager.invalidSince(job.providerAddr);
        if (since != 0) due = _min(due, since + grace);
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    /// @dev Writes a job with a status that was checked, and the times that go with it. A report
    /// that has its own start and end has set them.
    function _setStatus(bytes32 id, JobState memory job, JobStatus next) private {
        JobClock memory time = job.time;
        if (next == JobStatus.Pending) {
            time.start = 0;
            time.end = 0;
            time.cancelRequestTimestamp = 0;
        } else if (next == JobStatus.Running) {
            if (time.start == 0) time.start = block.timestamp;
        } else if (next.isCold()) {
            if (time.end == 0) time.end = block.timestamp;
            if (time.start == 0) time.start = block.timestamp;
        }
        time.blockNumberStateChange = block.number;
        job.status = next;
        _store(id, job);
    }
}
// slither-disable-end reentrancy-no-eth
