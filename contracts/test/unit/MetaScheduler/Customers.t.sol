// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "../../../src/Errors.sol";
import {JobDefinition, JobStatus} from "../../../src/types/Job.sol";
import {Grid} from "../../support/Grid.sol";

contract CustomersTest is Grid {
    // ---- requestNewJob --------------------------------------------------------------------------

    function test_requestNewJob_WhenNewRequestsAreOff() external {
        scheduler.setEnableRequestNewJob(false);
        JobDefinition memory definition = definitionWith(0);
        vm.prank(ALICE);
        vm.expectRevert(NewJobRequestDisabled.selector);
        scheduler.requestNewJob(definition, LOCKED, "job", false);
    }

    function test_requestNewJob_WhenTheAmountIsBelowTheMinimum(uint256 amount) external {
        amount = amount % (100 * CREDIT);
        JobDefinition memory definition = definitionWith(0);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(InsufficientFunds.selector, amount, 100 * CREDIT));
        scheduler.requestNewJob(definition, amount, "job", false);
    }

    function test_requestNewJob_WhenTheAmountDoesNotFitAJob(uint128 more) external {
        uint256 amount = uint256(type(uint88).max) + 1 + more;
        JobDefinition memory definition = definitionWith(0);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(AmountTooLarge.selector, amount, type(uint88).max));
        scheduler.requestNewJob(definition, amount, "job", false);
    }

    function test_requestNewJob_WhenTheDefinitionAsksForNothing(uint8 which) external {
        JobDefinition memory definition = definitionWith(0);
        if (which % 3 == 0) definition.ntasks = 0;
        if (which % 3 == 1) definition.cpusPerTask = 0;
        if (which % 3 == 2) definition.memPerCpu = 0;
        vm.prank(ALICE);
        vm.expectRevert(InvalidJobDefinition.selector);
        scheduler.requestNewJob(definition, LOCKED, "job", false);
    }

    function test_requestNewJob_WhenATextIsTooLong(uint16 more) external {
        uint256 size = 257 + uint256(more) % 5000;
        JobDefinition memory definition = definitionWith(0);
        definition.batchLocationHash = string(new bytes(size));
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(TextTooLong.selector, size, 256));
        scheduler.requestNewJob(definition, LOCKED, "job", false);
    }

    function test_requestNewJob_WhenTheAllowanceIsMissing() external {
        vm.prank(ALICE);
        credit.approve(address(scheduler), LOCKED - 1);
        JobDefinition memory definition = definitionWith(0);
        vm.prank(ALICE);
        vm.expectRevert("ERC20: insufficient allowance");
        scheduler.requestNewJob(definition, LOCKED, "job", false);
    }

    function test_requestNewJob_WhenAllIsWell(uint256 amount, bytes32 name, bool delegate)
        external
    {
        amount = 100 * CREDIT + amount % (RICH - 100 * CREDIT);
        JobDefinition memory definition = definitionWith(3);
        vm.prank(ALICE);
        bytes32 id = scheduler.requestNewJob(definition, amount, name, delegate);
        vm.assertEq(uint256(id), 1);
        vm.assertEq(jobs.get(id).jobName, name);
        vm.assertTrue(jobs.get(id).cost.delegateSpendingAuthority == delegate);
        vm.assertEq(
            keccak256(abi.encode(jobs.getDefinition(id))), keccak256(abi.encode(definition))
        );
        vm.assertEq(escrowOf(id), amount);
        vm.assertEq(credit.balanceOf(address(scheduler)), amount);
        vm.assertEq(credit.balanceOf(ALICE), RICH - amount);
        vm.assertEq(jobs.jobCountByCustomer(ALICE), 1);
    }

    /// @dev The published contracts took the job for paid.
    function test_requestNewJob_WhenTheTokenAnswersFalse() external {
        credit.setAnswersFalse(true);
        JobDefinition memory definition = definitionWith(0);
        vm.prank(ALICE);
        vm.expectRevert("SafeERC20: ERC20 operation did not succeed");
        scheduler.requestNewJob(definition, LOCKED, "job", false);
    }

    /// @dev In the published contracts only one inner routine was guarded.
    function test_requestNewJob_WhenTheTokenCallsBack() external {
        bytes32 id = jobAt(JobStatus.MetaScheduled);
        pass(10 minutes);
        credit.callWhilePaying(address(scheduler), abi.encodeCall(scheduler.expireJob, (id)));
        JobDefinition memory definition = definitionWith(0);
        vm.prank(ALICE);
        vm.expectRevert("ReentrancyGuard: reentrant call");
        scheduler.requestNewJob(definition, LOCKED, "job", false);
    }

    // ---- requestNewJobWithPermit ----------------------------------------------------------------

    uint256 private constant KEY = 0xC0FFEE;

    function _permit(uint256 key, uint256 value, uint256 deadline)
        private
        view
        returns (uint8, bytes32, bytes32)
    {
        bytes32 kind = keccak256(
            "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
        );
        address owner = vm.addr(KEY);
        bytes32 permit = keccak256(
            abi.encode(kind, owner, address(scheduler), value, credit.nonces(owner), deadline)
        );
        return
            vm.sign(key, keccak256(abi.encodePacked(hex"1901", credit.DOMAIN_SEPARATOR(), permit)));
    }

    function test_requestNewJobWithPermit_WhenThePermitIsGood(uint256 amount) external {
        amount = 100 * CREDIT + amount % (RICH - 100 * CREDIT);
        address owner = vm.addr(KEY);
        credit.mint(owner, amount);
        (uint8 v, bytes32 r, bytes32 s) = _permit(KEY, amount, type(uint256).max);
        JobDefinition memory definition = definitionWith(0);
        vm.prank(owner);
        bytes32 id = scheduler.requestNewJobWithPermit(
            definition, amount, "", false, type(uint256).max, v, r, s
        );
        vm.assertEq(escrowOf(id), amount);
        vm.assertEq(credit.allowance(owner, address(scheduler)), 0);
    }

    function test_requestNewJobWithPermit_WhenThePermitWasUsedAlready() external {
        address owner = vm.addr(KEY);
        credit.mint(owner, LOCKED);
        (uint8 v, bytes32 r, bytes32 s) = _permit(KEY, LOCKED, type(uint256).max);
        credit.permit(owner, address(scheduler), LOCKED, type(uint256).max, v, r, s);
        JobDefinition memory definition = definitionWith(0);
        vm.prank(owner);
        scheduler.requestNewJobWithPermit(definition, LOCKED, "", false, type(uint256).max, v, r, s);
        vm.assertEq(credit.allowance(owner, address(scheduler)), 0);
    }

    function test_requestNewJobWithPermit_WhenThePermitIsForged(uint128 key) external {
        vm.assume(key != 0 && key != KEY);
        address owner = vm.addr(KEY);
        credit.mint(owner, LOCKED);
        (uint8 v, bytes32 r, bytes32 s) = _permit(key, LOCKED, type(uint256).max);
        JobDefinition memory definition = definitionWith(0);
        vm.prank(owner);
        vm.expectRevert("ERC20: insufficient allowance");
        scheduler.requestNewJobWithPermit(definition, LOCKED, "", false, type(uint256).max, v, r, s);
    }

    // ---- cancelJob ------------------------------------------------------------------------------

    function test_cancelJob_WhenTheJobHasEnded(uint8 how) external {
        JobStatus status = JobStatus(4 + how % 5);
        bytes32 id = jobAt(status);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(JobHotStatusOnly.selector, status));
        scheduler.cancelJob(id);
    }

    function test_cancelJob_WhenTheCallerIsNotTheCustomer(address caller) external {
        vm.assume(caller != ALICE);
        bytes32 id = jobAt(JobStatus.Running);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(CustomerOnly.selector, caller, ALICE));
        scheduler.cancelJob(id);
    }

    function test_cancelJob_WhenTheJobDoesNotRunYet(uint8 how) external {
        bytes32 id = jobAt(JobStatus(how % 3));
        vm.prank(ALICE);
        scheduler.cancelJob(id);
        vm.assertEq(statusOf(id), 4);
        vm.assertEq(credit.balanceOf(ALICE), RICH);
        vm.assertEq(escrowOf(id), 0);
    }

    /// @dev The published contracts told the provider nothing: its cluster ran the job.
    function test_cancelJob_WhenTheJobIsClaimed() external {
        bytes32 id = jobAt(JobStatus.Scheduled);
        vm.prank(ALICE);
        scheduler.cancelJob(id);
        vm.assertTrue(queues.hasCancellingJob(P1));
        vm.prank(P1);
        scheduler.claimNextCancellingJob();
        vm.assertFalse(queues.hasCancellingJob(P1));
    }

    function test_cancelJob_WhenTheJobRuns() external {
        bytes32 id = jobAt(JobStatus.Running);
        vm.prank(ALICE);
        scheduler.cancelJob(id);
        vm.assertEq(statusOf(id), 3);
        vm.assertTrue(queues.hasCancellingJob(P1));
        report(id, JobStatus.Cancelled, 1);
        vm.assertEq(jobs.get(id).cost.finalCost, RATE);
    }

    /// @dev The published contracts made an entry for each call.
    function test_cancelJob_WhenItWasCancelledBefore(uint8 times) external {
        bytes32 id = jobAt(JobStatus.Running);
        for (uint256 i = 0; i <= times % 8; ++i) {
            pass(10);
            vm.prank(ALICE);
            scheduler.cancelJob(id);
        }
        vm.assertEq(queues.getCancellingJobQueueSize(P1), 1);
        vm.assertEq(jobs.get(id).time.cancelRequestTimestamp, 1_700_000_010);
    }

    // ---- Top-ups --------------------------------------------------------------------------------

    function test_topUpJob_WhenTheJobTakesNoTopUp(uint8 how) external {
        JobStatus status = JobStatus(how % 9);
        vm.assume(status != JobStatus.Scheduled && status != JobStatus.Running);
        bytes32 id = jobAt(status);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(RunningScheduledStatusOnly.selector, status));
        scheduler.topUpJob(id, CREDIT);
    }

    /// @dev The published contracts took it, and anyone could fill a provider's queue for nothing.
    function test_topUpJob_WhenTheAmountIsNothing() external {
        bytes32 id = jobAt(JobStatus.Running);
        vm.prank(BOB);
        vm.expectRevert(abi.encodeWithSelector(InsufficientFunds.selector, 0, 1));
        scheduler.topUpJob(id, 0);
    }

    function test_topUpJob_WhenAllIsWell(uint96 first, uint96 second) external {
        uint256 a = 1 + first % (1000 * CREDIT);
        uint256 b = 1 + second % (1000 * CREDIT);
        bytes32 id = jobAt(JobStatus.Running);
        vm.startPrank(BOB);
        scheduler.topUpJob(id, a);
        scheduler.topUpJob(id, b);
        vm.stopPrank();
        vm.assertEq(escrowOf(id), LOCKED + a + b);
        vm.assertEq(jobs.get(id).cost.maxCost, LOCKED + a + b);
        vm.assertEq(credit.balanceOf(BOB), RICH - a - b);
        vm.assertEq(queues.getTopUpJobQueueSize(P1), 1);
    }

    function _delegated() private returns (bytes32 id) {
        id = jobAt(JobStatus.Running);
        vm.prank(ALICE);
        scheduler.setDelegateSpendingAuthority(id, true);
    }

    function test_topUpJobDelegate_WhenTheCallerIsAStranger(address caller) external {
        vm.assume(caller != ALICE && caller != P1 && caller != SERVICE);
        bytes32 id = _delegated();
        vm.prank(caller);
        vm.expectRevert(CustomerMetaSchedulerProviderOnly.selector);
        scheduler.topUpJobDelegate(id);
    }

    function test_topUpJobDelegate_WhenTheCustomerDidNotAllowIt() external {
        bytes32 id = jobAt(JobStatus.Running);
        vm.prank(P1);
        vm.expectRevert(NoSpendingAuthority.selector);
        scheduler.topUpJobDelegate(id);
    }

    function test_topUpJobDelegate_WhenThereIsTimeLeft(uint256 minutes_) external {
        bytes32 id = _delegated();
        uint256 bought = LOCKED / RATE;
        minutes_ = minutes_ % (bought - 30);
        pass(minutes_ * 60);
        vm.prank(P1);
        vm.expectRevert(
            abi.encodeWithSelector(RemainingTimeAboveLimit.selector, bought - minutes_, 30)
        );
        scheduler.topUpJobDelegate(id);
    }

    function test_topUpJobDelegate_WhenTimeRunsOut(uint256 left) external {
        bytes32 id = _delegated();
        pass((LOCKED / RATE - left % 31) * 60);
        vm.prank(SERVICE);
        scheduler.topUpJobDelegate(id);
        vm.assertEq(credit.balanceOf(ALICE), RICH - LOCKED - 30 * RATE);
    }

    /// @dev The published contracts failed here with an underflow, just when a job was late.
    function test_topUpJobDelegate_WhenTheJobHasOverrun(uint24 late) external {
        bytes32 id = _delegated();
        pass(LOCKED / RATE * 60 + late);
        vm.prank(P1);
        scheduler.topUpJobDelegate(id);
        vm.assertEq(escrowOf(id), LOCKED + 30 * RATE);
    }

    function test_setDelegateSpendingAuthority_WhenTheCallerIsNotTheCustomer() external {
        bytes32 id = jobAt(JobStatus.Running);
        vm.prank(BOB);
        vm.expectRevert(abi.encodeWithSelector(CustomerOnly.selector, BOB, ALICE));
        scheduler.setDelegateSpendingAuthority(id, true);
    }

    function test_setDelegateSpendingAuthority_WhenAllIsWell(bool allowed) external {
        bytes32 id = jobAt(JobStatus.Pending);
        vm.prank(ALICE);
        scheduler.setDelegateSpendingAuthority(id, allowed);
        vm.assertTrue(jobs.get(id).cost.delegateSpendingAuthority == allowed);
    }
}
