// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "../../src/Errors.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {Grid} from "../support/Grid.sol";

/// @notice The queues, with the MetaScheduler as their owner.
contract QueuesTest is Grid {
    function _refuses(bytes memory call) private {
        vm.prank(ALICE);
        (bool done,) = address(queues).call(call);
        vm.assertFalse(done);
    }

    function test_pushClaimableJob_WhenTheCallerIsNotTheOwner(bytes32 id) external {
        _refuses(abi.encodeCall(queues.pushClaimableJob, (P1, id)));
    }

    function test_pushCancellingJob_WhenTheCallerIsNotTheOwner(bytes32 id) external {
        _refuses(abi.encodeCall(queues.pushCancellingJob, (P1, id)));
    }

    function test_pushTopUpJob_WhenTheCallerIsNotTheOwner(bytes32 id) external {
        _refuses(abi.encodeCall(queues.pushTopUpJob, (P1, id)));
    }

    function test_popNextClaimableJob_WhenTheCallerIsNotTheOwner() external {
        jobAt(JobStatus.MetaScheduled);
        _refuses(abi.encodeCall(queues.popNextClaimableJob, (P1)));
    }

    function test_popNextClaimableJob_WhenOneIsPlaced() external {
        bytes32 id = jobAt(JobStatus.MetaScheduled);
        vm.prank(address(scheduler));
        vm.assertEq(queues.popNextClaimableJob(P1), id);
    }

    function test_popNextClaimableJob_WhenOnlyDeadEntriesFitACall() external {
        bytes32 id = jobAt(JobStatus.Running);
        vm.startPrank(address(scheduler));
        for (uint256 i = 0; i < 65; ++i) {
            queues.pushClaimableJob(P1, id);
        }
        vm.assertEq(queues.popNextClaimableJob(P1), 0);
        vm.assertEq(queues.getClaimableJobQueueSize(P1), 1);
        vm.expectRevert(NoJob.selector);
        queues.popNextClaimableJob(P1);
    }

    function test_popNextClaimableJobs_WhenTheCallerIsNotTheOwner(address caller) external {
        vm.assume(caller != address(scheduler));
        vm.prank(caller);
        vm.expectRevert("Ownable: caller is not the owner");
        queues.popNextClaimableJobs(P1, 1);
    }

    function test_popNextClaimableJobs_WhenSeveralArePlaced(uint8 placed, uint8 wanted) external {
        uint256 many = 1 + placed % 20;
        for (uint256 i = 0; i < many; ++i) {
            jobAt(JobStatus.MetaScheduled);
        }
        vm.prank(address(scheduler));
        bytes32[] memory ids = queues.popNextClaimableJobs(P1, 1 + uint256(wanted));
        vm.assertEq(ids.length, wanted < many ? 1 + uint256(wanted) : many);
        for (uint256 i = 0; i < ids.length; ++i) {
            vm.assertEq(uint256(ids[i]), i + 1);
        }
        vm.assertEq(queues.getClaimableJobQueueSize(P1), many - ids.length);
    }

    function test_popNextCancellingJob_WhenTheJobDoesNotFit(uint8 how) external {
        JobStatus status = JobStatus(how % 9);
        vm.assume(status != JobStatus.Running && status != JobStatus.Cancelled);
        bytes32 id = jobAt(status);
        vm.startPrank(address(scheduler));
        queues.pushCancellingJob(P1, id);
        vm.assertFalse(queues.hasCancellingJob(P1));
        vm.expectRevert(NoJob.selector);
        queues.popNextCancellingJob(P1);
    }

    function test_popNextTopUpJob_WhenTheJobDoesNotFit(uint8 how) external {
        bytes32 id = jobAt(JobStatus(how % 9));
        vm.startPrank(address(scheduler));
        queues.pushTopUpJob(P1, id);
        vm.assertFalse(queues.hasTopUpJob(P1));
        vm.expectRevert(NoJob.selector);
        queues.popNextTopUpJob(P1);
    }

    function test_hasNextClaimableJob_WhenItWentElsewhere() external {
        bytes32 id = jobAt(JobStatus.MetaScheduled);
        vm.assertTrue(queues.hasNextClaimableJob(P1));
        vm.prank(SERVICE);
        scheduler.timeoutJob(id);
        vm.assertFalse(queues.hasNextClaimableJob(P1));
        place(id, P2);
        vm.assertFalse(queues.hasNextClaimableJob(P1));
        vm.assertTrue(queues.hasNextClaimableJob(P2));
    }

    function test_hasNextClaimableJob_WhenManyDeadEntriesLieThere() external {
        bytes32 id = jobAt(JobStatus.Running);
        vm.startPrank(address(scheduler));
        for (uint256 i = 0; i < 65; ++i) {
            queues.pushClaimableJob(P1, id);
        }
        vm.assertTrue(queues.hasNextClaimableJob(P1));
    }

    function test_hasCancellingJob_WhenARunningJobWasCancelled() external {
        bytes32 id = jobAt(JobStatus.Running);
        vm.assertFalse(queues.hasCancellingJob(P1));
        vm.prank(ALICE);
        scheduler.cancelJob(id);
        vm.assertTrue(queues.hasCancellingJob(P1));
        vm.assertEq(queues.getCancellingJobQueueSize(P1), 1);
        (int128 begin, int128 end) = queues.providerCancellingJobsQueues(P1);
        vm.assertTrue(begin == 0 && end == 1);
    }

    function test_hasTopUpJob_WhenAJobWasToppedUp() external {
        bytes32 id = jobAt(JobStatus.Scheduled);
        vm.assertFalse(queues.hasTopUpJob(P1));
        vm.prank(BOB);
        scheduler.topUpJob(id, 1);
        vm.assertTrue(queues.hasTopUpJob(P1));
        vm.assertEq(queues.getTopUpJobQueueSize(P1), 1);
        (int128 begin, int128 end) = queues.providerTopUpJobsQueues(P1);
        vm.assertTrue(begin == 0 && end == 1);
    }

    function test_getByProviderPaged_WhenJobsWerePlaced(uint8 count, uint8 offset, uint8 limit)
        external
    {
        uint256 all = count % 20;
        for (uint256 i = 0; i < all; ++i) {
            jobAt(JobStatus.Scheduled);
        }
        bytes32[] memory ids = queues.getByProviderPaged(P1, offset, limit);
        uint256 left = offset < all ? all - offset : 0;
        vm.assertEq(ids.length, limit < left ? limit : left);
        for (uint256 i = 0; i < ids.length; ++i) {
            vm.assertEq(uint256(ids[i]), offset + i + 1);
        }
        vm.assertEq(queues.jobCountByProvider(P1), all);
        vm.assertEq(queues.getClaimableJobQueueSize(P1), 0);
        (int128 begin, int128 end) = queues.providerClaimableJobsQueues(P1);
        vm.assertTrue(begin == end && end == int128(uint128(all)));
    }
}
