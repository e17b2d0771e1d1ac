// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "../../../src/Errors.sol";
import {JobReport, Placement} from "../../../src/types/Batch.sol";
import {JobStatus} from "../../../src/types/Job.sol";
import {JobTerms} from "../../../src/types/JobTerms.sol";
import {Grid} from "../../support/Grid.sol";

contract OperatorsTest is Grid {
    // ---- Placements -----------------------------------------------------------------------------

    function test_metaSchedule_WhenTheCallerHasNoRole(address caller) external {
        vm.assume(caller != SERVICE);
        bytes32 id = jobAt(JobStatus.Pending);
        vm.prank(caller);
        vm.expectRevert();
        scheduler.metaSchedule(id, P1);
    }

    function test_metaSchedule_WhenTheProviderIsNotJoined(address provider) external {
        vm.assume(provider != P1 && provider != P2);
        bytes32 id = jobAt(JobStatus.Pending);
        vm.prank(SERVICE);
        vm.expectRevert(ProviderNotJoined.selector);
        scheduler.metaSchedule(id, provider);
    }

    function test_metaSchedule_WhenTheJobIsPlacedAlready() external {
        bytes32 id = jobAt(JobStatus.MetaScheduled);
        vm.prank(SERVICE);
        vm.expectRevert(SameStatusError.selector);
        scheduler.metaSchedule(id, P2);
    }

    function test_metaSchedule_WhenAllIsWell() external {
        bytes32 id = jobAt(JobStatus.MetaScheduled);
        JobTerms memory terms = scheduler.getJobTerms(id);
        vm.assertEq(terms.rate, RATE);
        vm.assertEq(terms.feePercent, 20);
        vm.assertEq(terms.placedAt, vm.getBlockTimestamp());
        vm.assertEq(jobs.get(id).providerAddr, P1);
        vm.assertTrue(queues.hasNextClaimableJob(P1));
    }

    function test_metaScheduleJobs_WhenOneCannotBePlaced() external {
        bytes32 gone = jobAt(JobStatus.Cancelled);
        bytes32 open = jobAt(JobStatus.Pending);
        Placement[] memory placements = new Placement[](3);
        placements[0] = Placement(gone, P1);
        placements[1] = Placement(open, address(0xDEAD));
        placements[2] = Placement(open, P2);
        vm.prank(SERVICE);
        scheduler.metaScheduleJobs(placements);
        vm.assertEq(jobs.get(open).providerAddr, P2);
        vm.assertEq(statusOf(gone), 4);
    }

    function test_timeoutJob_WhenTheJobRuns() external {
        bytes32 id = jobAt(JobStatus.Running);
        vm.prank(SERVICE);
        vm.expectRevert(
            abi.encodeWithSelector(InvalidTransition.selector, JobStatus.Running, JobStatus.Pending)
        );
        scheduler.timeoutJob(id);
    }

    function test_timeoutJob_WhenItDoesNotRunYet(bool claimed) external {
        bytes32 id = jobAt(claimed ? JobStatus.Scheduled : JobStatus.MetaScheduled);
        vm.prank(SERVICE);
        scheduler.timeoutJob(id);
        vm.assertEq(statusOf(id), 0);
    }

    function test_panicJob_WhenTheJobIsOpen(uint8 how) external {
        bytes32 id = jobAt(JobStatus(how % 4));
        vm.prank(SERVICE);
        scheduler.panicJob(id, "lost");
        vm.assertEq(statusOf(id), 8);
        vm.assertEq(jobs.get(id).lastError, "lost");
        vm.assertEq(credit.balanceOf(ALICE), RICH);
    }

    function test_panicJob_WhenTheJobHasEnded(uint8 how) external {
        JobStatus status = JobStatus(4 + how % 5);
        bytes32 id = jobAt(status);
        vm.prank(SERVICE);
        vm.expectRevert(abi.encodeWithSelector(JobHotStatusOnly.selector, status));
        scheduler.panicJob(id, "");
    }

    // ---- Exits: the published contracts have none ------------------------------------------------

    function test_expireJob_WhenItIsTooEarly(uint8 how, uint32 early) external {
        bytes32 id = jobAt(how % 2 == 0 ? JobStatus.MetaScheduled : JobStatus.Running);
        uint256 due = scheduler.expiryOf(id);
        uint256 time = due - 1 - early % (due - 1 - vm.getBlockTimestamp());
        vm.warp(time);
        vm.expectRevert(abi.encodeWithSelector(NotExpired.selector, time, due));
        scheduler.expireJob(id);
    }

    function test_expireJob_WhenNobodyClaimedIt(address caller, uint24 late) external {
        bytes32 id = jobAt(JobStatus.MetaScheduled);
        pass(10 minutes + uint256(late));
        vm.prank(caller);
        scheduler.expireJob(id);
        vm.assertEq(statusOf(id), 0);
        vm.assertEq(escrowOf(id), LOCKED);
    }

    function _expired(bytes32 id, uint256 proved, uint256 status) private view {
        uint256 cost = proved * RATE > LOCKED ? LOCKED : proved * RATE;
        vm.assertEq(statusOf(id), status);
        vm.assertEq(jobs.get(id).cost.finalCost, cost);
        vm.assertEq(credit.balanceOf(P1), cost - cost * 20 / 100);
        vm.assertEq(credit.balanceOf(ALICE), RICH - cost);
    }

    /// @dev A running job whose provider said after `time` seconds that it runs.
    function _provedFor(uint256 time) private returns (bytes32 id, uint256 minutes_) {
        id = jobAt(JobStatus.Running);
        pass(time);
        JobReport[] memory reports = reportOf(id, JobStatus.Running, 0, 0);
        vm.prank(P1);
        scheduler.reportJobs(reports);
        minutes_ = time < 60 ? 1 : time / 60;
    }

    function test_expireJob_WhenACancelIsNotAnswered(uint16 time, uint24 late) external {
        (bytes32 id, uint256 proved) = _provedFor(time);
        vm.prank(ALICE);
        scheduler.cancelJob(id);
        pass(60 minutes + uint256(late));
        scheduler.expireJob(id);
        _expired(id, proved, 4);
    }

    function test_expireJob_WhenTheProviderIsSilent(uint16 time, uint24 late) external {
        (bytes32 id, uint256 proved) = _provedFor(time);
        vm.warp(scheduler.expiryOf(id) + late);
        scheduler.expireJob(id);
        _expired(id, proved, 6);
    }

    function test_expireJob_WhenTheProviderWasRemoved(uint16 time, bool banned) external {
        (bytes32 id, uint256 proved) = _provedFor(time % 3600);
        if (banned) providers.ban(P1);
        else providers.remove(P1);
        pass(1440 minutes);
        scheduler.expireJob(id);
        _expired(id, proved, 6);
    }

    function test_expireJob_WhenTheProviderOfAClaimedJobIsBanned() external {
        bytes32 id = jobAt(JobStatus.Scheduled);
        vm.assertEq(scheduler.expiryOf(id), type(uint256).max);
        providers.ban(P1);
        pass(1440 minutes);
        scheduler.expireJob(id);
        vm.assertEq(statusOf(id), 0);
    }

    function test_withdrawClaimable_WhenNothingWaits() external {
        vm.expectRevert(abi.encodeWithSelector(InsufficientFunds.selector, 0, 1));
        scheduler.withdrawClaimable(BOB);
    }

    function test_withdrawClaimable_WhenSomethingWaits() external {
        bytes32 id = jobAt(JobStatus.Pending);
        credit.setBlocked(ALICE, true);
        vm.startPrank(ALICE);
        scheduler.cancelJob(id);
        scheduler.withdrawClaimable(address(0xCAFE));
        vm.assertEq(credit.balanceOf(address(0xCAFE)), LOCKED);
        vm.assertEq(scheduler.claimable(ALICE), 0);
    }

    // ---- Administrators -------------------------------------------------------------------------

    /// @dev In the published contracts this took the credits of open jobs.
    function test_withdrawAdmin_WhenMoreThanTheFeesIsAskedFor(uint256 more) external {
        jobAt(JobStatus.Finished);
        jobAt(JobStatus.Running);
        uint256 fees = RATE * 20 / 100;
        uint256 amount = fees + 1 + more % LOCKED;
        vm.expectRevert(abi.encodeWithSelector(InsufficientFunds.selector, fees, amount));
        scheduler.withdrawAdmin(amount);
    }

    function test_withdrawAdmin_WhenFeesAreThere(uint256 amount) external {
        jobAt(JobStatus.Finished);
        amount = amount % (RATE * 20 / 100 + 1);
        scheduler.withdrawAdmin(amount);
        vm.assertEq(credit.balanceOf(address(this)), amount);
        vm.assertEq(scheduler.accruedFees(), RATE * 20 / 100 - amount);
    }

    function test_setEnableRequestNewJob_WhenTheCallerHasNoRole(address caller) external {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectRevert();
        scheduler.setEnableRequestNewJob(false);
    }

    function test_acceptDefaultAdminTransfer_WhenTheCallerWasNotNamed(address caller) external {
        vm.assume(caller != BOB);
        scheduler.beginDefaultAdminTransfer(BOB);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(PendingAdminOnly.selector, caller, BOB));
        scheduler.acceptDefaultAdminTransfer();
    }

    function test_acceptDefaultAdminTransfer_WhenTheCallerWasNamed() external {
        scheduler.beginDefaultAdminTransfer(BOB);
        vm.prank(BOB);
        scheduler.acceptDefaultAdminTransfer();
        vm.assertTrue(scheduler.hasRole(bytes32(0), BOB));
        vm.assertFalse(scheduler.hasRole(bytes32(0), address(this)));
    }

    function test_beginDefaultAdminTransfer_WhenTheCallerHasNoRole(address caller) external {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectRevert();
        scheduler.beginDefaultAdminTransfer(caller);
    }

    function test_beginDefaultAdminTransfer_WhenItIsTakenBack() external {
        scheduler.beginDefaultAdminTransfer(BOB);
        vm.assertEq(scheduler.pendingDefaultAdmin(), BOB);
        scheduler.beginDefaultAdminTransfer(address(0));
        vm.prank(BOB);
        vm.expectRevert(abi.encodeWithSelector(PendingAdminOnly.selector, BOB, address(0)));
        scheduler.acceptDefaultAdminTransfer();
    }

    function test_getJobTerms_WhenParametersChangedSinceThePlacement(uint8 cut) external {
        bytes32 id = jobAt(JobStatus.Running);
        constants.setDeepsquareCut(cut % 101);
        jobAt(JobStatus.MetaScheduled);
        vm.assertEq(scheduler.getJobTerms(id).feePercent, 20);
        vm.assertEq(scheduler.getJobTerms(bytes32(uint256(2))).feePercent, cut % 101);
    }

    function test_expiryOf_WhenNobodyMayTakeIt(uint8 how) external {
        JobStatus status = JobStatus(how % 9);
        vm.assume(status != JobStatus.MetaScheduled && status != JobStatus.Running);
        vm.assertEq(scheduler.expiryOf(jobAt(status)), type(uint256).max);
    }
}
