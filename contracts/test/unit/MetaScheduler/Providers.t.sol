// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "../../../src/Errors.sol";
import {JobReport} from "../../../src/types/Batch.sol";
import {Job, JobStatus, Label} from "../../../src/types/Job.sol";
import {ProviderHardware, ProviderPrices} from "../../../src/types/Provider.sol";
import {Grid} from "../../support/Grid.sol";

contract ProvidersTest is Grid {
    // ---- Claims ---------------------------------------------------------------------------------

    function test_claimNextJob_WhenTheCallerIsNotJoined(address caller) external {
        vm.assume(caller != P1 && caller != P2);
        vm.prank(caller);
        vm.expectRevert(ProviderNotJoined.selector);
        scheduler.claimNextJob();
    }

    function test_claimNextJob_WhenNothingIsPlaced() external {
        vm.prank(P1);
        vm.expectRevert(NoJob.selector);
        scheduler.claimNextJob();
    }

    function _deadEntries(uint256 count) private {
        for (uint256 i = 0; i < count; ++i) {
            bytes32 id = jobAt(JobStatus.MetaScheduled);
            vm.prank(ALICE);
            scheduler.cancelJob(id);
        }
    }

    /// @dev The published contracts failed at a cancelled head of the queue, for ever.
    function test_claimNextJob_WhenDeadEntriesLieBeforeAJob(uint8 dead) external {
        _deadEntries(dead % 64);
        bytes32 id = jobAt(JobStatus.MetaScheduled);
        claim(P1);
        vm.assertEq(statusOf(id), 2);
    }

    function test_claimNextJob_WhenOnlyDeadEntriesFitACall() external {
        _deadEntries(70);
        bytes32 id = jobAt(JobStatus.MetaScheduled);
        claim(P1);
        vm.assertEq(statusOf(id), 1);
        claim(P1);
        vm.assertEq(statusOf(id), 2);
    }

    /// @dev In the published contracts the old provider could claim a job that had gone elsewhere.
    function test_claimNextJob_WhenAJobWentElsewhere() external {
        bytes32 id = jobAt(JobStatus.MetaScheduled);
        vm.prank(SERVICE);
        scheduler.timeoutJob(id);
        place(id, P2);
        vm.prank(P1);
        vm.expectRevert(NoJob.selector);
        scheduler.claimNextJob();
        claim(P2);
        vm.assertEq(jobs.get(id).providerAddr, P2);
    }

    function _prices(address provider, uint256 price) private {
        uint64[] memory each = new uint64[](1);
        each[0] = 64;
        vm.prank(provider);
        providers.register(
            ProviderHardware(1, each, each, each),
            ProviderPrices(price, price, price),
            new Label[](0)
        );
        providers.approve(provider);
    }

    /// @dev The published contracts divided by the rate: the job blocked the queue for ever.
    function test_claimNextJob_WhenTheProviderIsFree() external {
        _prices(P1, 0);
        bytes32 id = jobAt(JobStatus.Scheduled);
        vm.assertEq(statusOf(id), 2);
        vm.assertEq(scheduler.getJobTerms(id).rate, 0);
    }

    /// @dev The published contracts failed with an overflow.
    function test_claimNextJob_WhenPricesAreBoundless(uint256 price) external {
        vm.assume(price >= type(uint80).max);
        _prices(P1, price);
        bytes32 id = jobAt(JobStatus.Scheduled);
        vm.assertEq(statusOf(id), 2);
        vm.assertEq(scheduler.getJobTerms(id).rate, type(uint80).max);
    }

    function test_claimNextJob_WhenItWasToppedUpBefore(uint64 amount) external {
        bytes32 id = jobAt(JobStatus.Scheduled);
        vm.prank(BOB);
        scheduler.topUpJob(id, 1 + uint256(amount));
        vm.prank(P1);
        scheduler.refuseJob(id);
        vm.assertEq(jobs.get(id).cost.pendingTopUp, 1 + uint256(amount));
        place(id, P2);
        claim(P2);
        vm.assertEq(jobs.get(id).cost.pendingTopUp, 0);
    }

    function test_claimNextJobs_WhenSeveralArePlaced(uint8 placed, uint8 wanted) external {
        uint256 many = 1 + placed % 10;
        uint256 max = 1 + wanted % 12;
        for (uint256 i = 0; i < many; ++i) {
            jobAt(JobStatus.MetaScheduled);
        }
        vm.prank(P1);
        scheduler.claimNextJobs(max);
        for (uint256 i = 1; i <= many; ++i) {
            vm.assertEq(statusOf(bytes32(i)), i <= max ? 2 : 1);
        }
    }

    function test_claimNextCancellingJob_WhenARunningJobWasCancelled() external {
        bytes32 id = jobAt(JobStatus.Running);
        vm.prank(ALICE);
        scheduler.cancelJob(id);
        vm.startPrank(P1);
        scheduler.claimNextCancellingJob();
        vm.expectRevert(NoJob.selector);
        scheduler.claimNextCancellingJob();
    }

    function test_claimNextTopUpJob_WhenAJobWasToppedUp(uint8 times) external {
        bytes32 id = jobAt(JobStatus.Running);
        for (uint256 i = 0; i <= times % 5; ++i) {
            vm.prank(BOB);
            scheduler.topUpJob(id, RATE);
        }
        vm.startPrank(P1);
        scheduler.claimNextTopUpJob();
        vm.assertEq(jobs.get(id).cost.pendingTopUp, 0);
        vm.expectRevert(NoJob.selector);
        scheduler.claimNextTopUpJob();
    }

    /// @dev In the published contracts the old provider swallowed the notice.
    function test_claimNextTopUpJob_WhenTheJobWentElsewhere() external {
        bytes32 id = jobAt(JobStatus.Scheduled);
        vm.prank(BOB);
        scheduler.topUpJob(id, RATE);
        vm.prank(P1);
        scheduler.refuseJob(id);
        place(id, P2);
        claim(P2);
        vm.prank(BOB);
        scheduler.topUpJob(id, RATE);
        vm.prank(P1);
        vm.expectRevert(NoJob.selector);
        scheduler.claimNextTopUpJob();
        vm.prank(P2);
        scheduler.claimNextTopUpJob();
    }

    /// @dev A pop that met only dead entries is not undone.
    function test_claimNextTopUpJob_WhenOnlyDeadEntriesFitACall() external {
        bytes32 id = jobAt(JobStatus.Finished);
        vm.startPrank(address(scheduler));
        for (uint256 i = 0; i < 65; ++i) {
            queues.pushTopUpJob(P1, id);
        }
        vm.stopPrank();
        vm.prank(P1);
        scheduler.claimNextTopUpJob();
        vm.assertEq(queues.getTopUpJobQueueSize(P1), 1);
    }

    function test_claimNextCancellingJob_WhenOnlyDeadEntriesFitACall() external {
        bytes32 id = jobAt(JobStatus.Finished);
        vm.startPrank(address(scheduler));
        for (uint256 i = 0; i < 65; ++i) {
            queues.pushCancellingJob(P1, id);
        }
        vm.stopPrank();
        vm.prank(P1);
        scheduler.claimNextCancellingJob();
        vm.assertEq(queues.getCancellingJobQueueSize(P1), 1);
    }

    // ---- refuseJob ------------------------------------------------------------------------------

    function test_refuseJob_WhenTheCallerIsNotItsProvider() external {
        bytes32 id = jobAt(JobStatus.Scheduled);
        vm.prank(P2);
        vm.expectRevert(abi.encodeWithSelector(JobProviderOnly.selector, P2, P1));
        scheduler.refuseJob(id);
    }

    function test_refuseJob_WhenTheJobRuns() external {
        bytes32 id = jobAt(JobStatus.Running);
        vm.prank(P1);
        vm.expectRevert(
            abi.encodeWithSelector(MetaScheduledScheduledStatusOnly.selector, JobStatus.Running)
        );
        scheduler.refuseJob(id);
    }

    function test_refuseJob_WhenItDoesNotRunYet(bool claimed) external {
        bytes32 id = jobAt(claimed ? JobStatus.Scheduled : JobStatus.MetaScheduled);
        vm.prank(P1);
        scheduler.refuseJob(id);
        vm.assertEq(statusOf(id), 0);
        vm.assertEq(jobs.get(id).providerAddr, address(0));
        vm.assertEq(escrowOf(id), LOCKED);
    }

    // ---- providerSetJobStatus -------------------------------------------------------------------

    function test_providerSetJobStatus_WhenTheProviderIsBanned() external {
        bytes32 id = jobAt(JobStatus.Running);
        providers.ban(P1);
        vm.prank(P1);
        vm.expectRevert(ProviderNotJoined.selector);
        scheduler.providerSetJobStatus(id, JobStatus.Finished, 1, "", 0);
    }

    function test_providerSetJobStatus_WhenTheStatusCannotBeReported(uint8 how) external {
        JobStatus status = JobStatus(how % 3);
        bytes32 id = jobAt(JobStatus.Scheduled);
        vm.prank(P1);
        vm.expectRevert(abi.encodeWithSelector(RunningColdStatusOnly.selector, status));
        scheduler.providerSetJobStatus(id, status, 1, "", 0);
    }

    function test_providerSetJobStatus_WhenTheStepIsNotAllowed() external {
        bytes32 id = jobAt(JobStatus.Scheduled);
        vm.prank(P1);
        vm.expectRevert(
            abi.encodeWithSelector(
                InvalidTransition.selector, JobStatus.Scheduled, JobStatus.Finished
            )
        );
        scheduler.providerSetJobStatus(id, JobStatus.Finished, 1, "", 0);
    }

    function test_providerSetJobStatus_WhenTheJobFinishes(uint64 minutes_, uint24 time, uint8 cut)
        external
    {
        uint256 percent = cut % 101;
        constants.setDeepsquareCut(percent);
        bytes32 id = jobAt(JobStatus.Running);
        pass(time);
        report(id, JobStatus.Finished, minutes_);
        uint256 billed = minutes_ == 0 ? 1 : minutes_;
        if (billed > uint256(time) / 60 + 1) billed = uint256(time) / 60 + 1;
        uint256 cost = billed * RATE > LOCKED ? LOCKED : billed * RATE;
        uint256 fee = cost * percent / 100;
        vm.assertEq(jobs.get(id).cost.finalCost, cost);
        vm.assertEq(credit.balanceOf(P1), cost - fee);
        vm.assertEq(credit.balanceOf(ALICE), RICH - cost);
        vm.assertEq(scheduler.accruedFees(), fee);
        vm.assertEq(credit.balanceOf(address(scheduler)), fee);
    }

    /// @dev The published contracts let 15 minutes too many pass.
    function test_providerSetJobStatus_WhenTooMuchIsReported(uint16 time, uint32 more) external {
        bytes32 id = jobAt(JobStatus.Running);
        uint256 elapsed = time % 6000;
        pass(elapsed);
        report(id, JobStatus.Finished, uint64(elapsed / 60 + 2 + more));
        vm.assertEq(jobs.get(id).cost.finalCost, (elapsed / 60 + 1) * RATE);
    }

    /// @dev The published contracts billed a minute and more.
    function test_providerSetJobStatus_WhenTheProviderPanics(uint64 minutes_) external {
        bytes32 id = jobAt(JobStatus.Running);
        pass(6000);
        report(id, JobStatus.Panicked, minutes_);
        vm.assertEq(credit.balanceOf(ALICE), RICH);
        vm.assertEq(credit.balanceOf(P1), 0);
    }

    /// @dev In the published contracts the job could not end.
    function test_providerSetJobStatus_WhenTheRecipientCannotBePaid(bool customer) external {
        bytes32 id = jobAt(JobStatus.Running);
        address blocked = customer ? ALICE : P1;
        credit.setBlocked(blocked, true);
        report(id, JobStatus.Finished, 1);
        vm.assertEq(statusOf(id), 5);
        uint256 due = customer ? LOCKED - RATE : RATE - RATE * 20 / 100;
        vm.assertEq(scheduler.claimable(blocked), due);
        vm.assertEq(scheduler.claimable(customer ? P1 : ALICE), 0);
    }

    /// @dev The published contracts billed the prices of the moment.
    function test_providerSetJobStatus_WhenPricesChangedMeanwhile(uint128 price) external {
        bytes32 id = jobAt(JobStatus.Running);
        uint64[] memory each = new uint64[](1);
        each[0] = 64;
        vm.prank(P1);
        providers.register(
            ProviderHardware(1, each, each, each),
            ProviderPrices(price, price, price),
            new Label[](0)
        );
        providers.approve(P1);
        constants.setDeepsquareCut(100);
        report(id, JobStatus.Finished, 1);
        vm.assertEq(jobs.get(id).cost.finalCost, RATE);
        vm.assertEq(credit.balanceOf(P1), RATE - RATE * 20 / 100);
    }

    // ---- reportJobs -----------------------------------------------------------------------------

    function test_reportJobs_WhenTimesAreInOrder(uint32 from, uint32 to) external {
        bytes32 id = jobAt(JobStatus.Running);
        uint256 claimed = vm.getBlockTimestamp();
        pass(100_000);
        uint256 start = claimed + from % 100_001;
        uint256 stop = start + to % (100_001 - from % 100_001);
        JobReport[] memory reports = reportOf(id, JobStatus.Finished, start, stop);
        vm.prank(P1);
        scheduler.reportJobs(reports);
        uint256 billed = (stop - start) / 60;
        if (billed == 0) billed = 1;
        uint256 cost = billed * RATE > LOCKED ? LOCKED : billed * RATE;
        Job memory job = jobs.get(id);
        vm.assertEq(job.cost.finalCost, cost);
        vm.assertEq(job.time.start, start);
        vm.assertEq(job.time.end, stop);
    }

    function test_reportJobs_WhenTimesAreNotInOrder(uint64 start, uint64 stop) external {
        bytes32 id = jobAt(JobStatus.Running);
        uint256 claimed = vm.getBlockTimestamp();
        pass(1000);
        vm.assume(start < claimed || stop < start || stop > claimed + 1000);
        JobReport[] memory reports = reportOf(id, JobStatus.Finished, start, stop);
        vm.prank(P1);
        vm.expectRevert(
            abi.encodeWithSelector(InvalidReportTimes.selector, id, start, stop, claimed)
        );
        scheduler.reportJobs(reports);
    }

    function test_reportJobs_WhenAJobHasEndedAlready() external {
        bytes32 ended = jobAt(JobStatus.Finished);
        bytes32 running = jobAt(JobStatus.Running);
        uint64 now_ = uint64(vm.getBlockTimestamp());
        JobReport[] memory reports = new JobReport[](2);
        reports[0] = JobReport(ended, JobStatus.Failed, now_, now_, "", 0);
        reports[1] = JobReport(running, JobStatus.Failed, now_, now_, "", 0);
        vm.prank(P1);
        scheduler.reportJobs(reports);
        vm.assertEq(statusOf(ended), 5);
        vm.assertEq(statusOf(running), 6);
    }

    function test_reportJobs_WhenARunningJobIsReportedRunning(uint16 time) external {
        bytes32 id = jobAt(JobStatus.Running);
        pass(time);
        JobReport[] memory reports = reportOf(id, JobStatus.Running, 0, 0);
        vm.prank(P1);
        scheduler.reportJobs(reports);
        vm.assertEq(scheduler.getJobTerms(id).seenAt, vm.getBlockTimestamp());
        vm.assertEq(statusOf(id), 3);
    }
}
