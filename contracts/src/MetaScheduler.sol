// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/security/ReentrancyGuard.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {
    AmountTooLarge,
    CustomerMetaSchedulerProviderOnly,
    CustomerOnly,
    InsufficientFunds,
    InvalidJobDefinition,
    JobHotStatusOnly,
    JobProviderOnly,
    MetaScheduledScheduledStatusOnly,
    NewJobRequestDisabled,
    NoSpendingAuthority,
    ProviderNotJoined,
    RemainingTimeAboveLimit,
    RunningColdStatusOnly,
    RunningScheduledStatusOnly
} from "./Errors.sol";
import {IConstants} from "./interfaces/IConstants.sol";
import {IJobRepository} from "./interfaces/IJobRepository.sol";
import {IMetaScheduler} from "./interfaces/IMetaScheduler.sol";
import {IProviderJobQueues} from "./interfaces/IProviderJobQueues.sol";
import {IProviderManager} from "./interfaces/IProviderManager.sol";
import {JobStatusLib} from "./libraries/JobStatusLib.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Job, JobCost, JobDefinition, JobState, JobStatus, JobTime} from "./types/Job.sol";
import {JobTerms} from "./types/JobTerms.sol";

/// @title The life cycle of jobs and their money
/// @dev Credits are accounted for in two ways that never mix: `_terms[id].escrow` for each job that
/// has not ended, and `accruedFees`. The escrow of a job is what its maxCost says; it is kept here
/// as well so that nothing written to the repository by others can pay a job from another one's
/// escrow.
contract MetaScheduler is IMetaScheduler, AccessControl, ReentrancyGuard {
    using SafeERC20 for IERC20;
    using JobStatusLib for JobStatus;

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
    bool public enableRequestNewJob = true;

    /// @inheritdoc IMetaScheduler
    uint256 public accruedFees;

    mapping(bytes32 => JobTerms) private _terms;

    /// @dev An approved provider that is not banned.
    modifier onlyJoinedProvider() {
        if (!providerManager.isValidForScheduling(msg.sender)) revert ProviderNotJoined();
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
        _grantRole(DEFAULT_ADMIN_ROLE, msg.sender);
    }

    // ---- Customers -----------------------------------------------------------------------------

    /// @inheritdoc IMetaScheduler
    function requestNewJob(
        JobDefinition calldata _definition,
        uint256 _lockedCredits,
        bytes32 _jobName,
        bool _delegateSpendingAuthority
    ) external nonReentrant returns (bytes32) {
        if (!enableRequestNewJob) revert NewJobRequestDisabled();
        uint256 minimum = constants.minimumAmount();
        if (_lockedCredits < minimum) revert InsufficientFunds(_lockedCredits, minimum);
        _checkAmount(_lockedCredits);
        Job memory job;
        job.definition = _definition;
        if (!Pricing.isValid(job.definition)) revert InvalidJobDefinition();
        job.customerAddr = msg.sender;
        job.cost.maxCost = _lockedCredits;
        job.cost.delegateSpendingAuthority = _delegateSpendingAuthority;
        job.time.submit = block.timestamp;
        job.time.cancelRequestTimestamp = block.timestamp;
        job.time.blockNumberStateChange = block.number;
        job.jobName = _jobName;
        bytes32 id = jobs.create(job);
        _terms[id].escrow = uint128(_lockedCredits);
        credit.safeTransferFrom(msg.sender, address(this), _lockedCredits);
        emit NewJobRequestEvent(id, msg.sender);
        return id;
    }

    /// @inheritdoc IMetaScheduler
    function cancelJob(bytes32 _jobId) external nonReentrant {
        JobState memory job = _hotJobOfCustomer(_jobId);
        bool isRunning = job.status == JobStatus.Running;
        if (isRunning && job.hasCancelRequest) return;
        jobs.setHasCancelRequest(_jobId, true);
        job.time.cancelRequestTimestamp = block.timestamp;
        // A provider that has claimed the job must end it, or not begin it.
        if (isRunning || job.status == JobStatus.Scheduled) {
            providerJobQueues.pushCancellingJob(job.providerAddr, _jobId);
        }
        if (isRunning) {
            jobs.setTime(_jobId, job.time);
        } else {
            _end(_jobId, job, JobStatus.Cancelled, 0);
        }
    }

    /// @inheritdoc IMetaScheduler
    function topUpJob(bytes32 _jobId, uint256 _amount) external nonReentrant {
        JobState memory job = jobs.getState(_jobId);
        if (!job.status.isTopable()) revert RunningScheduledStatusOnly(job.status);
        _topUp(_jobId, job, msg.sender, _amount);
    }

    /// @inheritdoc IMetaScheduler
    function topUpJobDelegate(bytes32 _jobId) external nonReentrant {
        JobState memory job = jobs.getState(_jobId);
        if (
            msg.sender != job.customerAddr && msg.sender != job.providerAddr
                && !hasRole(METASCHEDULER_ROLE, msg.sender)
        ) revert CustomerMetaSchedulerProviderOnly();
        if (!job.cost.delegateSpendingAuthority) revert NoSpendingAuthority();
        if (!job.status.isTopable()) revert RunningScheduledStatusOnly(job.status);
        uint256 rate = _terms[_jobId].rate;
        uint256 slice = constants.topUpSliceDurationMin();
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
        JobCost memory cost = _hotJobOfCustomer(_jobId).cost;
        cost.delegateSpendingAuthority = _delegateSpendingAuthority;
        jobs.setCost(_jobId, cost);
    }

    // ---- Providers -----------------------------------------------------------------------------

    /// @inheritdoc IMetaScheduler
    function claimNextJob() external nonReentrant onlyJoinedProvider {
        bytes32 id = providerJobQueues.popNextClaimableJob(msg.sender);
        if (id == 0) return;
        JobState memory job = _jobOfCaller(id);
        job.status.checkTransition(JobStatus.Scheduled);
        JobTerms storage terms = _terms[id];
        terms.claimedAt = uint48(block.timestamp);
        emit ClaimJobEvent(
            job.customerAddr,
            job.providerAddr,
            id,
            Pricing.duration(terms.rate, job.cost.maxCost),
            jobs.getDefinition(id)
        );
        // The claim turns all that is locked into time, top-ups of an earlier placement included.
        if (job.cost.pendingTopUp != 0) {
            job.cost.pendingTopUp = 0;
            jobs.setCost(id, job.cost);
        }
        _setStatus(id, job, JobStatus.Scheduled);
    }

    /// @inheritdoc IMetaScheduler
    function claimNextCancellingJob() external nonReentrant onlyJoinedProvider {
        bytes32 id = providerJobQueues.popNextCancellingJob(msg.sender);
        if (id == 0) return;
        JobState memory job = _jobOfCaller(id);
        emit ClaimNextCancellingJobEvent(job.customerAddr, job.providerAddr, id);
    }

    /// @inheritdoc IMetaScheduler
    function claimNextTopUpJob() external nonReentrant onlyJoinedProvider {
        bytes32 id = providerJobQueues.popNextTopUpJob(msg.sender);
        if (id == 0) return;
        JobState memory job = _jobOfCaller(id);
        emit ClaimNextTopUpJobEvent(
            id, msg.sender, Pricing.duration(_terms[id].rate, job.cost.pendingTopUp)
        );
        job.cost.pendingTopUp = 0;
        jobs.setCost(id, job.cost);
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
        if (_nextJobStatus != JobStatus.Running && _nextJobStatus.isHot()) {
            revert RunningColdStatusOnly(_nextJobStatus);
        }
        job.status.checkTransition(_nextJobStatus);
        if (bytes(_lastError).length != 0) jobs.setLastError(_jobId, _lastError);
        if (_nextJobStatus == JobStatus.Panicked) job.time.panicTimestamp = block.timestamp;
        jobs.setExitCode(_jobId, _exitCode);
        if (_nextJobStatus == JobStatus.Running) {
            providerManager.incJobCount(msg.sender);
            _setStatus(_jobId, job, JobStatus.Running);
        } else {
            uint256 cost = 0;
            if (job.status == JobStatus.Running && _nextJobStatus != JobStatus.Panicked) {
                cost = _bill(_jobId, _jobDurationMinute);
            }
            _end(_jobId, job, _nextJobStatus, cost);
        }
    }

    // ---- The meta-scheduler --------------------------------------------------------------------

    /// @inheritdoc IMetaScheduler
    function metaSchedule(bytes32 _jobId, address _providerAddr)
        external
        nonReentrant
        onlyRole(METASCHEDULER_ROLE)
    {
        if (!providerManager.isValidForScheduling(_providerAddr)) {
            revert ProviderNotJoined();
        }
        JobState memory job = jobs.getState(_jobId);
        job.status.checkTransition(JobStatus.MetaScheduled);
        uint256 rate = Pricing.ratePerMinute(
            jobs.getDefinition(_jobId), providerManager.getProviderPrices(_providerAddr)
        );
        uint256 feePercent = constants.deepsquareCut();
        JobTerms storage terms = _terms[_jobId];
        terms.rate = rate > type(uint128).max ? type(uint128).max : uint128(rate);
        terms.feePercent = feePercent > 100 ? 100 : uint8(feePercent);
        jobs.setProviderAddr(_jobId, _providerAddr);
        providerJobQueues.pushClaimableJob(_providerAddr, _jobId);
        _setStatus(_jobId, job, JobStatus.MetaScheduled);
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

    // ---- Administrators ------------------------------------------------------------------------

    /// @inheritdoc IMetaScheduler
    function setEnableRequestNewJob(bool _enable) external onlyRole(DEFAULT_ADMIN_ROLE) {
        enableRequestNewJob = _enable;
    }

    /// @inheritdoc IMetaScheduler
    function withdrawAdmin(uint256 _amount) external nonReentrant onlyRole(DEFAULT_ADMIN_ROLE) {
        uint256 available = accruedFees;
        if (_amount > available) revert InsufficientFunds(available, _amount);
        accruedFees = available - _amount;
        credit.safeTransfer(msg.sender, _amount);
    }

    // ---- Views ---------------------------------------------------------------------------------

    /// @inheritdoc IMetaScheduler
    function getJobTerms(bytes32 _jobId) external view returns (JobTerms memory) {
        return _terms[_jobId];
    }

    // ---- Internals -----------------------------------------------------------------------------

    function _hotJob(bytes32 id) private view returns (JobState memory job) {
        job = jobs.getState(id);
        if (job.status.isCold()) revert JobHotStatusOnly(job.status);
    }

    function _hotJobOfCustomer(bytes32 id) private view returns (JobState memory job) {
        job = _hotJob(id);
        if (msg.sender != job.customerAddr) revert CustomerOnly(msg.sender, job.customerAddr);
    }

    function _jobOfCaller(bytes32 id) private view returns (JobState memory job) {
        job = jobs.getState(id);
        if (msg.sender != job.providerAddr) revert JobProviderOnly(msg.sender, job.providerAddr);
    }

    function _checkAmount(uint256 amount) private pure {
        if (amount > type(uint128).max) revert AmountTooLarge(amount, type(uint128).max);
    }

    /// @dev Puts a placed or claimed job back into the queue of the meta-scheduler.
    function _handBack(bytes32 id, JobState memory job) private {
        job.status.checkTransition(JobStatus.Pending);
        emit JobRefusedEvent(id, job.providerAddr, job.customerAddr);
        jobs.setProviderAddr(id, address(0));
        _setStatus(id, job, JobStatus.Pending);
    }

    /// @dev Only the first of several top-ups that the provider has not seen makes an entry.
    function _topUp(bytes32 id, JobState memory job, address payer, uint256 amount) private {
        if (amount == 0) revert InsufficientFunds(0, 1);
        _checkAmount(amount);
        JobTerms storage terms = _terms[id];
        uint256 escrow = uint256(terms.escrow) + amount;
        _checkAmount(escrow);
        terms.escrow = uint128(escrow);
        bool isFirst = job.cost.pendingTopUp == 0;
        job.cost.maxCost += amount;
        job.cost.pendingTopUp += amount;
        jobs.setCost(id, job.cost);
        if (isFirst) providerJobQueues.pushTopUpJob(job.providerAddr, id);
        credit.safeTransferFrom(payer, address(this), amount);
    }

    /// @dev Cost of a job that ran: the minutes reported, at least one and at most those begun
    /// since the claim, at the rate it was placed with. The bound counts from the claim because the
    /// report of the start may come late: a supervisor that was down while the job began still
    /// bills its true duration.
    function _bill(bytes32 id, uint256 reported) private returns (uint256) {
        JobTerms storage terms = _terms[id];
        uint256 billed = reported == 0 ? 1 : reported;
        uint256 bound = (block.timestamp - terms.claimedAt) / 1 minutes + 1;
        if (billed > bound) {
            emit BilledTooMuchEvent(id, msg.sender, billed);
            billed = bound;
        }
        uint256 cost = Pricing.cost(terms.rate, billed);
        return cost < terms.escrow ? cost : terms.escrow;
    }

    /// @dev Settles a job and ends it: `cost` goes to the provider and the fees, the rest back to
    /// the customer.
    function _end(bytes32 id, JobState memory job, JobStatus next, uint256 cost) private {
        job.status.checkTransition(next);
        JobTerms storage terms = _terms[id];
        uint256 refund = terms.escrow - cost;
        uint256 fee = cost * terms.feePercent / 100;
        terms.escrow = 0;
        if (cost != 0) {
            accruedFees += fee;
            job.cost.finalCost = cost;
            jobs.setCost(id, job.cost);
            credit.safeTransfer(job.providerAddr, cost - fee);
        }
        credit.safeTransfer(job.customerAddr, refund);
        _setStatus(id, job, next);
    }

    /// @dev Writes a status that was checked, and the times that go with it.
    function _setStatus(bytes32 id, JobState memory job, JobStatus next) private {
        JobTime memory time = job.time;
        if (next == JobStatus.Pending) {
            time.start = 0;
            time.end = 0;
            time.cancelRequestTimestamp = 0;
        } else if (next == JobStatus.Running) {
            time.start = block.timestamp;
        } else if (next.isCold()) {
            time.end = block.timestamp;
            if (time.start == 0) time.start = block.timestamp;
        }
        time.blockNumberStateChange = block.number;
        jobs.setJobStatus(id, next);
        jobs.setTime(id, time);
    }
}
