// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Constants} from "../../src/Constants.sol";
import {JobRepository} from "../../src/JobRepository.sol";
import {MetaScheduler} from "../../src/MetaScheduler.sol";
import {ProviderJobQueues} from "../../src/ProviderJobQueues.sol";
import {ProviderManager} from "../../src/ProviderManager.sol";
import {JobReport} from "../../src/types/Batch.sol";
import {Affinity, Job, JobDefinition, JobStatus, Label} from "../../src/types/Job.sol";
import {ProviderHardware, ProviderPrices} from "../../src/types/Provider.sol";
import {Deploy} from "./Deploy.sol";
import {StubbornCredit} from "./StubbornCredit.sol";
import {Vm} from "./Vm.sol";

/// @notice A wired grid with two customers and two approved providers, and one function for each
/// step of a job's life.
contract Grid {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant CREDIT = 1e18;
    uint256 internal constant LOCKED = 200 * CREDIT;
    uint256 internal constant RICH = 1_000_000 * CREDIT;

    /// @notice Wei a minute of `definition` at `prices`: 1.66 credits.
    uint256 internal constant RATE = 166e16;

    address internal constant SERVICE = address(0x5E0001);
    address internal constant ALICE = address(0xA11CE0);
    address internal constant BOB = address(0xB0B000);
    address internal constant P1 = address(0x900001);
    address internal constant P2 = address(0x900002);

    StubbornCredit internal credit;
    Constants internal constants;
    JobRepository internal jobs;
    ProviderManager internal providers;
    ProviderJobQueues internal queues;
    MetaScheduler internal scheduler;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        credit = _token();
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
        address[2] memory customers = [ALICE, BOB];
        for (uint256 i = 0; i < 2; ++i) {
            credit.mint(customers[i], RICH);
            vm.prank(customers[i]);
            credit.approve(address(scheduler), type(uint256).max);
        }
        join(P1);
        join(P2);
    }

    /// @dev The token; tests of payments that fail want a stubborn one.
    function _token() internal virtual returns (StubbornCredit) {
        return new StubbornCredit(0);
    }

    function definitionWith(uint256 labels) internal pure returns (JobDefinition memory job) {
        job.gpus = 1;
        job.memPerCpu = 100;
        job.cpusPerTask = 3;
        job.ntasks = 2;
        job.batchLocationHash = "0123456789abcdef0123456789abcdef";
        job.uses = new Label[](labels);
        for (uint256 i = 0; i < labels; ++i) {
            job.uses[i] = Label("a-key-of-20-letters.", "a-value-of-20-letter");
        }
        job.affinity = new Affinity[](0);
    }

    function join(address provider) internal {
        register(provider);
        providers.approve(provider);
    }

    function register(address provider) internal {
        uint64[] memory each = new uint64[](1);
        each[0] = 64;
        vm.prank(provider);
        providers.register(
            ProviderHardware(1, each, each, each), ProviderPrices(1e18, 1e17, 1e14), new Label[](0)
        );
    }

    function request(address customer) internal returns (bytes32) {
        vm.prank(customer);
        return scheduler.requestNewJob(definitionWith(0), LOCKED, "job", false);
    }

    function place(bytes32 id, address provider) internal {
        vm.prank(SERVICE);
        scheduler.metaSchedule(id, provider);
    }

    function claim(address provider) internal {
        vm.prank(provider);
        scheduler.claimNextJob();
    }

    function report(bytes32 id, JobStatus status, uint64 minutes_) internal {
        vm.prank(P1);
        scheduler.providerSetJobStatus(id, status, minutes_, "", 0);
    }

    /// @notice A job of Alice's with that status; from MetaScheduled on it is with P1.
    function jobAt(JobStatus status) internal returns (bytes32 id) {
        id = request(ALICE);
        if (status == JobStatus.Pending) return id;
        place(id, P1);
        if (status == JobStatus.MetaScheduled) return id;
        claim(P1);
        if (status == JobStatus.Scheduled) return id;
        report(id, JobStatus.Running, 0);
        if (status == JobStatus.Running) return id;
        report(id, status, 1);
    }

    function statusOf(bytes32 id) internal view returns (uint256) {
        return uint256(jobs.getState(id).status);
    }

    function pass(uint256 time) internal {
        vm.warp(vm.getBlockTimestamp() + time);
    }

    function reportOf(bytes32 id, JobStatus status, uint256 start, uint256 end)
        internal
        pure
        returns (JobReport[] memory reports)
    {
        reports = new JobReport[](1);
        reports[0] = JobReport(id, status, uint64(start), uint64(end), "", 0);
    }

    function escrowOf(bytes32 id) internal view returns (uint256) {
        return scheduler.getJobTerms(id).escrow;
    }
}
