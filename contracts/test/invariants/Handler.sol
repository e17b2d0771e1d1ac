// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Constants} from "../../src/Constants.sol";
import {JobRepository} from "../../src/JobRepository.sol";
import {MetaScheduler} from "../../src/MetaScheduler.sol";
import {ProviderJobQueues} from "../../src/ProviderJobQueues.sol";
import {ProviderManager} from "../../src/ProviderManager.sol";
import {IMetaScheduler} from "../../src/interfaces/IMetaScheduler.sol";
import {JobStatusLib} from "../../src/libraries/JobStatusLib.sol";
import {JobReport, Placement} from "../../src/types/Batch.sol";
import {Affinity, JobDefinition, JobState, JobStatus, Label} from "../../src/types/Job.sol";
import {ProviderHardware, ProviderPrices} from "../../src/types/Provider.sol";
import {Deploy} from "../support/Deploy.sol";
import {StubbornCredit} from "../support/StubbornCredit.sol";
import {Vm} from "../support/Vm.sol";

/// @notice Every actor of a grid, doing what it may and what it may not in any order. What each call
/// did is compared with what was there before; `violations` tells what must never happen.
contract Handler {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 private constant MAX_JOBS = 10;

    address public constant SERVICE = address(0x5E0001);

    StubbornCredit public immutable credit;
    Constants public immutable constants;
    JobRepository public immutable jobs;
    ProviderManager public immutable providers;
    ProviderJobQueues public immutable queues;
    MetaScheduler public immutable scheduler;

    address[3] public customers = [address(0xA11CE0), address(0xB0B000), address(0xCA0000)];
    address[3] public providersOf = [address(0x900001), address(0x900002), address(0x900003)];

    // ---- What must hold between calls -----------------------------------------------------------
    mapping(string => uint256) public violations;
    uint256 public gifts;
    uint256 public minted;
    uint256 public requested;
    uint256 public withdrawnFees;
    uint256 public settledFees;
    uint256 public deferred;
    uint256 public withdrawn;
    uint256 public topUps;
    mapping(bytes32 => uint256) public locked;
    mapping(bytes32 => uint256) public settled;
    mapping(bytes32 => bool) public ran;
    mapping(bytes32 => bool) public noticed;
    mapping(bytes32 => bytes32) public atItsEnd;
    mapping(bytes32 => uint256) public rateAtPlacement;
    mapping(bytes32 => uint256) public feeAtPlacement;
    mapping(string => uint256) public succeeded;

    // ---- What was there before a call -----------------------------------------------------------
    JobStatus[MAX_JOBS + 1] private _status;
    address[MAX_JOBS + 1] private _provider;
    uint256[9] private _balance;

    constructor() {
        vm.warp(1_700_000_000);
        credit = new StubbornCredit(0);
        constants = Constants(Deploy.artifact("Constants", ""));
        jobs = JobRepository(Deploy.artifact("JobRepository", ""));
        providers = ProviderManager(Deploy.artifact("ProviderManager", ""));
        queues = ProviderJobQueues(Deploy.artifact("ProviderJobQueues", abi.encode(jobs)));
        scheduler = MetaScheduler(
            Deploy.artifact("MetaScheduler", abi.encode(credit, constants, providers, queues, jobs))
        );
        jobs.grantRole(jobs.METASCHEDULER_ROLE(), address(scheduler));
        providers.grantRole(providers.METASCHEDULER_CONTRACT_ROLE(), address(scheduler));
        queues.transferOwnership(address(scheduler));
        scheduler.grantRole(scheduler.METASCHEDULER_ROLE(), SERVICE);
    }

    function begin() external {
        for (uint256 i = 0; i < 3; ++i) {
            credit.mint(customers[i], 100_000e18);
            minted += 100_000e18;
            vm.prank(customers[i]);
            credit.approve(address(scheduler), type(uint256).max);
            _register(providersOf[i], 1e18);
            providers.approve(providersOf[i]);
        }
    }

    /// @notice The usual course of a job, as far as `steps`: chance alone seldom goes all the way.
    function course(uint256 who, uint256 steps, uint256 time, uint64 minutes_) external {
        this.request(who, steps, who % 2 == 0);
        uint256 seed = jobs.jobCount() - 1 + (steps % 2 == 0 ? 0 : who % 3);
        this.place(seed, who);
        if (steps % 5 > 0) this.claim(who, 3);
        if (steps % 5 > 1) this.run(seed);
        if (steps % 5 > 2) this.pass(time);
        if (steps % 5 > 3) this.end(seed, steps >> 8, minutes_);
    }

    // ---- Customers ------------------------------------------------------------------------------

    function request(uint256 who, uint256 amount, bool delegate) external {
        if (jobs.jobCount() == MAX_JOBS) return;
        address customer = customers[who % 3];
        amount = 100e18 + amount % 1000e18;
        _before();
        vm.prank(customer);
        try scheduler.requestNewJob(_definition(), amount, "job", delegate) returns (bytes32 id) {
            ++requested;
            locked[id] = amount;
            succeeded["request"]++;
        } catch {}
        _after(customer, address(0));
    }

    function cancel(uint256 seed, uint256 who) external {
        (bytes32 id, address customer) = _ofCustomer(seed, who);
        _before();
        // Some ask again and again.
        for (uint256 i = 0; i <= who % 3; ++i) {
            vm.prank(customer);
            try scheduler.cancelJob(id) {
                succeeded["cancel"]++;
            } catch {}
        }
        _after(address(0), address(0));
    }

    function topUp(uint256 seed, uint256 who, uint256 amount) external {
        bytes32 id = _job(seed);
        address payer = customers[who % 3];
        amount = amount % 500e18;
        _before();
        vm.prank(payer);
        try scheduler.topUpJob(id, amount) {
            locked[id] += amount;
            ++topUps;
        } catch {}
        _after(payer, address(0));
    }

    function topUpDelegate(uint256 seed, uint256 who) external {
        bytes32 id = _job(seed);
        if (id == 0) return;
        JobState memory job = jobs.getState(id);
        address caller = who % 3 == 0 ? job.customerAddr : who % 3 == 1 ? job.providerAddr : SERVICE;
        _before();
        vm.prank(caller);
        try scheduler.topUpJobDelegate(id) {
            locked[id] = jobs.getState(id).cost.maxCost;
            if (!job.cost.delegateSpendingAuthority) ++violations["delegate"];
            ++topUps;
        } catch {}
        _after(job.customerAddr, address(0));
    }

    function setDelegate(uint256 seed, uint256 who, bool delegate) external {
        (bytes32 id, address customer) = _ofCustomer(seed, who);
        _before();
        vm.prank(customer);
        try scheduler.setDelegateSpendingAuthority(id, delegate) {} catch {}
        _after(address(0), address(0));
    }

    // ---- The meta-scheduler ---------------------------------------------------------------------

    function place(uint256 seed, uint256 who) external {
        bytes32 id = _job(seed);
        _before();
        vm.prank(SERVICE);
        try scheduler.metaSchedule(id, providersOf[who % 3]) {
            _placed(id);
        } catch {}
        _after(address(0), address(0));
    }

    function placeAll(uint256 who) external {
        uint256 count = jobs.jobCount();
        Placement[] memory placements = new Placement[](count);
        for (uint256 i = 0; i < count; ++i) {
            placements[i] = Placement(bytes32(i + 1), providersOf[(who >> i) % 3]);
        }
        _before();
        vm.prank(SERVICE);
        scheduler.metaScheduleJobs(placements);
        for (uint256 i = 1; i <= count; ++i) {
            if (
                _status[i] == JobStatus.Pending
                    && jobs.getState(bytes32(i)).status == JobStatus.MetaScheduled
            ) _placed(bytes32(i));
        }
        _after(address(0), address(0));
    }

    function timeOut(uint256 seed) external {
        _before();
        vm.prank(SERVICE);
        try scheduler.timeoutJob(_job(seed)) {} catch {}
        _after(address(0), address(0));
    }

    function panic(uint256 seed) external {
        _before();
        vm.prank(SERVICE);
        try scheduler.panicJob(_job(seed), "lost") {} catch {}
        _after(address(0), address(0));
    }

    // ---- Providers ------------------------------------------------------------------------------

    function claim(uint256 who, uint256 many) external {
        address provider = providersOf[who % 3];
        _before();
        vm.prank(provider);
        try scheduler.claimNextJobs(many % 4) {
            if (!providers.isValidForScheduling(provider)) ++violations["claim"];
            succeeded["claim"]++;
        } catch {}
        _after(address(0), address(0));
    }

    function claimCancelling(uint256 who) external {
        _before();
        for (uint256 i = 0; i <= who % 5; ++i) {
            vm.prank(providersOf[who % 3]);
            try scheduler.claimNextCancellingJob() {}
            catch {
                break;
            }
        }
        _after(address(0), address(0));
    }

    function claimTopUp(uint256 who) external {
        _before();
        vm.prank(providersOf[who % 3]);
        try scheduler.claimNextTopUpJob() {} catch {}
        _after(address(0), address(0));
    }

    function refuse(uint256 seed) external {
        (bytes32 id, address provider) = _ofProvider(seed);
        _before();
        vm.prank(provider);
        try scheduler.refuseJob(id) {} catch {}
        _after(address(0), address(0));
    }

    function run(uint256 seed) external {
        (bytes32 id, address provider) = _ofProvider(seed);
        _before();
        vm.prank(provider);
        try scheduler.providerSetJobStatus(id, JobStatus.Running, 0, "", 0) {
            ran[id] = true;
            succeeded["run"]++;
        } catch {}
        _after(address(0), address(0));
    }

    function end(uint256 seed, uint256 how, uint64 minutes_) external {
        (bytes32 id, address provider) = _ofProvider(seed);
        JobStatus status = JobStatus(4 + how % 5);
        _before();
        vm.prank(provider);
        try scheduler.providerSetJobStatus(id, status, minutes_, "words", 768) {
            succeeded["end"]++;
        } catch {}
        _after(address(0), address(0));
    }

    function reportBatch(uint256 seed, uint256 how, uint256 from, uint256 to) external {
        (bytes32 id, address provider) = _ofProvider(seed);
        uint256 now_ = vm.getBlockTimestamp();
        uint256 claimed = scheduler.getJobTerms(id).claimedAt;
        if (claimed == 0) return;
        uint256 start = claimed + from % (now_ - claimed + 2);
        uint256 stop = start + to % (now_ - claimed + 2);
        JobReport[] memory reports = new JobReport[](1);
        JobStatus status = JobStatus(3 + how % 6);
        reports[0] = JobReport(id, status, uint64(start), uint64(stop), "", 0);
        _before();
        vm.prank(provider);
        try scheduler.reportJobs(reports) {
            if (jobs.getState(id).status == JobStatus.Running) ran[id] = true;
            bool settledNow = _status[uint256(id)] == JobStatus.Running
                && JobStatusLib.isCold(jobs.getState(id).status);
            if (settledNow && (start < claimed || stop < start || stop > now_)) {
                ++violations["times"];
            }
            succeeded["batch"]++;
        } catch {}
        _after(address(0), address(0));
    }

    function register(uint256 who, uint256 price) external {
        _before();
        _register(providersOf[who % 3], price % 1e19);
        _after(address(0), address(0));
    }

    // ---- Anyone ---------------------------------------------------------------------------------

    function pass(uint256 time) external {
        vm.warp(vm.getBlockTimestamp() + time % 3 hours);
        vm.roll(block.number + 1);
    }

    function expire(uint256 seed) external {
        bytes32 id = _job(seed);
        if (id == 0) return;
        uint256 due = scheduler.expiryOf(id);
        _before();
        vm.prank(address(0xBAD));
        try scheduler.expireJob(id) {
            if (vm.getBlockTimestamp() < due) ++violations["expiry"];
            succeeded["expire"]++;
        } catch {}
        _after(address(0), address(0));
    }

    function give(uint256 who, uint256 amount) external {
        address giver = customers[who % 3];
        amount = amount % 1e18;
        _before();
        vm.prank(giver);
        try credit.transfer(address(scheduler), amount) {
            gifts += amount;
        } catch {}
        _after(giver, address(0));
    }

    function withdrawClaimable(uint256 who) external {
        address owner = _party(who % 6);
        uint256 amount = scheduler.claimable(owner);
        _before();
        vm.prank(owner);
        try scheduler.withdrawClaimable(address(0xCAFE)) {
            withdrawn += amount;
        } catch {}
        _after(address(0), address(0));
    }

    /// @notice A stranger tries whatever others may.
    function trespass(uint256 seed, uint256 how) external {
        bytes32 id = _job(seed);
        address stranger = address(0xBAD);
        bytes[9] memory calls = [
            abi.encodeCall(scheduler.cancelJob, (id)),
            abi.encodeCall(scheduler.setDelegateSpendingAuthority, (id, true)),
            abi.encodeCall(scheduler.panicJob, (id, "")),
            abi.encodeCall(scheduler.timeoutJob, (id)),
            abi.encodeCall(scheduler.refuseJob, (id)),
            abi.encodeCall(scheduler.metaSchedule, (id, stranger)),
            abi.encodeCall(scheduler.withdrawAdmin, (0)),
            abi.encodeCall(
                scheduler.providerSetJobStatus, (id, JobStatus.Finished, 1, "", int64(0))
            ),
            abi.encodeCall(scheduler.setEnableRequestNewJob, (false))
        ];
        _before();
        vm.prank(stranger);
        (bool done,) = address(scheduler).call(calls[how % 9]);
        if (done) ++violations["trespass"];
        _after(address(0), address(0));
    }

    // ---- Operators ------------------------------------------------------------------------------

    function approve(uint256 who) external {
        try providers.approve(providersOf[who % 3]) {} catch {}
    }

    function ban(uint256 who, bool on) external {
        _before();
        if (on) {
            try providers.ban(providersOf[who % 3]) {} catch {}
        } else {
            try providers.unban(providersOf[who % 3]) {} catch {}
        }
        _after(address(0), address(0));
    }

    function remove(uint256 who) external {
        _before();
        try providers.remove(providersOf[who % 3]) {} catch {}
        _after(address(0), address(0));
    }

    function setConstants(uint256 cut, uint64 slice, uint64 limit) external {
        _before();
        constants.setDeepsquareCut(cut % 101);
        constants.setTopUpSliceDurationMin(1 + slice % 100);
        constants.setClaimJobTimeout(1 + limit % 100);
        constants.setCancelTimeout(5 + limit % 100);
        constants.setProviderTimeout(60 + limit % 100);
        _after(address(0), address(0));
    }

    function withdrawFees(uint256 amount) external {
        // Mostly about what there is, now and then all that the contract holds.
        uint256 fees = scheduler.accruedFees();
        uint256 most = amount % 4 == 0 ? credit.balanceOf(address(scheduler)) : fees;
        amount = amount % (most + 2);
        _before();
        try scheduler.withdrawAdmin(amount) {
            withdrawnFees += amount < fees ? amount : fees;
        } catch {}
        _after(address(0), address(0));
    }

    /// @notice The token refuses to pay an account, or pays it again.
    function block_(uint256 who, bool blocked) external {
        credit.setBlocked(_party(who % 6), blocked);
    }

    // ---- Book-keeping ---------------------------------------------------------------------------

    function _before() private {
        uint256 count = jobs.jobCount();
        for (uint256 i = 1; i <= count; ++i) {
            JobState memory job = jobs.getState(bytes32(i));
            _status[i] = job.status;
            _provider[i] = job.providerAddr;
        }
        for (uint256 i = 0; i < 6; ++i) {
            _balance[i] = credit.balanceOf(_party(i)) + scheduler.claimable(_party(i));
        }
        vm.recordLogs();
    }

    /// @param payer Whose balance may fall by the call.
    function _after(address payer, address other) private {
        _readLogs(vm.getRecordedLogs());
        uint256 count = jobs.jobCount();
        for (uint256 i = 1; i <= count; ++i) {
            bytes32 id = bytes32(i);
            JobState memory job = jobs.getState(id);
            if (job.status != _status[i] && !JobStatusLib.canBecome(_status[i], job.status)) {
                ++violations["edge"];
            }
            bool moved = job.providerAddr != _provider[i];
            if (moved && _provider[i] != address(0) && job.providerAddr != address(0)) {
                ++violations["provider"];
            }
            bytes32 whole = keccak256(abi.encode(jobs.get(id)));
            if (JobStatusLib.isCold(_status[i]) && whole != atItsEnd[id]) ++violations["ended"];
            if (JobStatusLib.isCold(job.status)) atItsEnd[id] = whole;
        }
        for (uint256 i = 0; i < 6; ++i) {
            address party = _party(i);
            if (party == payer || party == other) continue;
            uint256 now_ = credit.balanceOf(party) + scheduler.claimable(party);
            // A withdrawal to another account is the owner's own doing.
            if (now_ < _balance[i] && scheduler.claimable(party) != 0) ++violations["balance"];
            if (now_ < _balance[i] && credit.balanceOf(party) + withdrawn < _balance[i]) {
                ++violations["balance"];
            }
        }
    }

    function _readLogs(Vm.Log[] memory logs) private {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == IMetaScheduler.JobSettled.selector) {
                (uint256 paid, uint256 fee, uint256 refund) =
                    abi.decode(logs[i].data, (uint256, uint256, uint256));
                bytes32 id = logs[i].topics[1];
                if (paid + fee + refund != locked[id]) ++violations["shares"];
                if (settled[id] != 0) ++violations["settledTwice"];
                settled[id] = 1;
                settledFees += fee;
            } else if (logs[i].topics[0] == IMetaScheduler.ClaimNextCancellingJobEvent.selector) {
                (,, bytes32 id) = abi.decode(logs[i].data, (address, address, bytes32));
                if (noticed[id]) ++violations["notice"];
                noticed[id] = true;
            } else if (logs[i].topics[0] == IMetaScheduler.PaymentDeferred.selector) {
                deferred += abi.decode(logs[i].data, (uint256));
            }
        }
    }

    function _placed(bytes32 id) private {
        rateAtPlacement[id] = scheduler.getJobTerms(id).rate;
        feeAtPlacement[id] = scheduler.getJobTerms(id).feePercent;
    }

    function _register(address provider, uint256 price) private {
        uint64[] memory each = new uint64[](1);
        each[0] = 64;
        vm.prank(provider);
        try providers.register(
            ProviderHardware(1, each, each, each),
            ProviderPrices(price, price / 10, 0),
            new Label[](0)
        ) {}
            catch {}
    }

    function _definition() private pure returns (JobDefinition memory job) {
        job.gpus = 1;
        job.memPerCpu = 100;
        job.cpusPerTask = 3;
        job.ntasks = 2;
        job.uses = new Label[](0);
        job.affinity = new Affinity[](0);
    }

    function _job(uint256 seed) private view returns (bytes32) {
        uint256 count = jobs.jobCount();
        return count == 0 ? bytes32(0) : bytes32(1 + seed % count);
    }

    /// @dev A job and its customer, or now and then another one.
    function _ofCustomer(uint256 seed, uint256 who) private view returns (bytes32 id, address) {
        id = _job(seed);
        if (id == 0 || who % 8 == 0) return (id, customers[who % 3]);
        return (id, jobs.getState(id).customerAddr);
    }

    /// @dev A job and its provider, or now and then another one.
    function _ofProvider(uint256 seed) private view returns (bytes32 id, address provider) {
        id = _job(seed);
        if (id != 0) provider = jobs.getState(id).providerAddr;
        if (provider == address(0) || (seed >> 128) % 8 == 0) provider = providersOf[seed % 3];
    }

    function _party(uint256 i) private view returns (address) {
        return i < 3 ? customers[i] : providersOf[i - 3];
    }
}
