// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Tools} from "../../src/Tools.sol";
import {
    Affinity,
    Job,
    JobCost,
    JobDefinition,
    JobStatus,
    JobTime,
    Label
} from "../../src/types/Job.sol";
import {Provider, ProviderHardware, ProviderPrices} from "../../src/types/Provider.sol";
import {Deploy} from "../support/Deploy.sol";
import {Grid} from "../support/Grid.sol";

/// @notice Setters and views one by one: each gives back what was put in.
contract PartsTest is Grid {
    function test_constants(uint16 a) external {
        uint64 value = 60 + a % 1000;
        constants.setMinimumAmount(value);
        constants.setDeepsquareCut(value % 101);
        constants.setBillDurationDeltaMinute(value);
        constants.setTopUpSliceDurationMin(value);
        constants.setCancellationFeeMinute(value);
        constants.setClaimJobTimeout(value);
        constants.setCancelTimeout(value);
        constants.setProviderTimeout(value);
        vm.assertEq(constants.minimumAmount(), value);
        vm.assertEq(constants.deepsquareCut(), value % 101);
        vm.assertEq(constants.billDurationDeltaMinute(), value);
        vm.assertEq(constants.topUpSliceDurationMin(), value);
        vm.assertEq(constants.cancellationFeeMinute(), value);
        vm.assertEq(constants.claimJobTimeout(), value);
        vm.assertEq(constants.cancelTimeout(), value);
        vm.assertEq(constants.providerTimeout(), value);
    }

    function test_repository(bytes32 name, int64 exitCode, uint32 time) external {
        bytes32 id = jobAt(JobStatus.Pending);
        JobDefinition memory definition = definitionWith(2);
        definition.affinity = new Affinity[](1);
        definition.affinity[0] = Affinity(Label("mem", "2"), ">=");
        JobTime memory times = JobTime(1 + uint256(time), time, time, time, time, time);
        vm.startPrank(address(scheduler));
        jobs.setJobStatus(id, JobStatus.Failed);
        jobs.setCost(id, JobCost(4, 3, 2, true));
        jobs.setTime(id, times);
        jobs.setProviderAddr(id, P2);
        jobs.setCustomerAddr(id, BOB);
        jobs.setDefinition(id, definition);
        jobs.setJobName(id, name);
        jobs.setHasCancelRequest(id, true);
        jobs.setLastError(id, "words");
        jobs.setExitCode(id, exitCode);
        Job memory job = jobs.get(id);
        Job memory wanted = Job(
            id,
            JobStatus.Failed,
            BOB,
            P2,
            definition,
            JobCost(4, 3, 2, true),
            times,
            name,
            true,
            "words",
            exitCode
        );
        vm.assertEq(keccak256(abi.encode(job)), keccak256(abi.encode(wanted)));
        wanted.customerAddr = ALICE;
        wanted.status = JobStatus.Finished;
        jobs.update(wanted);
        vm.stopPrank();
        vm.assertEq(keccak256(abi.encode(jobs.get(id))), keccak256(abi.encode(wanted)));
        (bytes32 same,,,,,,, bytes32 sameName,,,) = jobs.jobs(id);
        vm.assertEq(same, id);
        vm.assertEq(sameName, name);
        vm.assertEq(jobs.getByCustomer(BOB)[0], id);
        vm.assertEq(jobs.jobIdByCustomer(BOB, 0), id);
        vm.assertEq(jobs.getByCustomerPaged(ALICE, 0, 1)[0], id);
        (bytes32[] memory found, uint256 next) = jobs.getByStatusPaged(JobStatus.Finished, 1, 1);
        vm.assertEq(found[0], id);
        vm.assertEq(next, 0);
        (uint256[9] memory counts,) = jobs.countByStatus(0, 10);
        vm.assertEq(counts[5], 1);
    }

    function test_providers() external {
        register(ALICE);
        vm.assertTrue(providers.isWaitingForApproval(ALICE));
        (address addr,,,) = providers.waitingApprovalProviders(ALICE);
        vm.assertEq(addr, ALICE);
        vm.assertEq(providers.getWaitingForApprovalProvider(ALICE).addr, ALICE);
        providers.approve(ALICE);
        (addr,,,) = providers.providers(ALICE);
        vm.assertEq(addr, ALICE);
        vm.assertEq(providers.getLabels(ALICE).length, 0);
        vm.assertEq(providers.getJobCount(ALICE), 0);
        vm.assertFalse(providers.isBanned(ALICE));
        (Provider[] memory page, uint256 next) = providers.getProvidersPaged(0, 2);
        vm.assertEq(page[0].addr, P1);
        (page, next) = providers.getProvidersPaged(next, 2);
        vm.assertEq(page[0].addr, ALICE);
        bytes32 data = bytes32(uint256(uint160(P2)));
        uint256 id = providers.findIdForDataFrom(data, 0);
        (, uint256 after_, uint256 before,) = providers.get(id);
        vm.assertEq(before, providers.head());
        vm.assertEq(after_, providers.tail());
        providers.remove(P2);
        providers.remove(P1);
        (,, next) = providers.fetchPage(id, 9);
        vm.assertEq(next, 0);
        register(BOB);
        providers.remove(BOB);
        register(BOB);
        providers.ban(BOB);
        vm.assertTrue(providers.isBanned(BOB));
        vm.assertEq(providers.providerCount(), 1);
    }

    function test_queues() external {
        bytes32 id = jobAt(JobStatus.Running);
        vm.assertEq(queues.getClaimableJobQueueSize(P1), 0);
        vm.assertEq(queues.jobCountByProvider(P1), 1);
        vm.assertEq(queues.getByProviderPaged(P1, 0, 9)[0], id);
        vm.startPrank(address(scheduler));
        queues.pushClaimableJob(P1, id);
        vm.expectRevert();
        queues.popNextClaimableJob(P1);
        // What was refused is still in the queue.
        jobs.setJobStatus(id, JobStatus.MetaScheduled);
        vm.assertEq(queues.popNextClaimableJob(P1), id);
    }

    function test_tools(uint64 minutes_) external {
        Tools tools = Tools(Deploy.artifact("Tools", ""));
        JobDefinition memory definition = definitionWith(0);
        ProviderPrices memory prices = providers.getProviderPrices(P1);
        uint256 cost = tools.convertDurationToCredit(definition, prices, minutes_);
        vm.assertEq(cost, uint256(minutes_) * RATE);
        vm.assertEq(tools.convertCreditToDuration(definition, prices, cost), minutes_);
        vm.assertTrue(tools.isJobDefinitionValid(definition));
        tools.checkNewJobStatus(JobStatus.Running, JobStatus.Finished);
        vm.assertTrue(tools.isJobHot(JobStatus.Running) && tools.isJobCold(JobStatus.Failed));
        vm.assertTrue(tools.isDelegateTopable(JobStatus.Scheduled));
        Job memory job = jobs.get(jobAt(JobStatus.Running));
        vm.assertEq(tools.getRemainingTime(job, prices), LOCKED / RATE);
    }

    function test_getRemainingTimeOfAFreeJob() external {
        Tools tools = Tools(Deploy.artifact("Tools", ""));
        uint64 bought = tools.convertCreditToDuration(definitionWith(0), ProviderPrices(0, 0, 0), 1);
        vm.assertEq(bought, type(uint64).max);
    }
}
