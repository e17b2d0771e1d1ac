// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {JobReport, Placement} from "../../src/types/Batch.sol";
import {JobDefinition, JobStatus} from "../../src/types/Job.sol";
import {Deploy} from "../support/Deploy.sol";
import {Grid} from "../support/Grid.sol";
import {StubbornCredit} from "../support/StubbornCredit.sol";

/// @notice What each step of a job costs, as transactions of their own: run with `--isolate`. The
/// second job of a customer at a provider is measured, so that lists and queues are there already.
contract GasTest is Grid {
    /// @dev The token that dsq ships: a stubborn one costs more.
    function _token() internal override returns (StubbornCredit) {
        return StubbornCredit(Deploy.artifact("Credit", abi.encode(uint256(0))));
    }

    function test_gasOfAJob() external {
        _measure(0, "0_labels");
        _measure(10, "10_labels");
        _measure(50, "50_labels");
    }

    function _measure(uint256 labels, string memory group) private {
        uint256 whole = 0;
        JobDefinition memory definition = definitionWith(labels);
        for (uint256 i = 0; i < 2; ++i) {
            pass(12);
            vm.prank(ALICE);
            bytes32 id = scheduler.requestNewJob(definition, LOCKED, "job", false);
            whole = vm.snapshotGasLastCall(group, "1_request");
            vm.prank(SERVICE);
            scheduler.metaSchedule(id, P1);
            whole += vm.snapshotGasLastCall(group, "2_place");
            vm.prank(P1);
            scheduler.claimNextJob();
            whole += vm.snapshotGasLastCall(group, "3_claim");
            vm.prank(P1);
            scheduler.providerSetJobStatus(id, JobStatus.Running, 0, "", 0);
            whole += vm.snapshotGasLastCall(group, "4_running");
            pass(600);
            vm.prank(P1);
            scheduler.providerSetJobStatus(id, JobStatus.Finished, 9, "", 0);
            whole += vm.snapshotGasLastCall(group, "5_finished");
        }
        vm.snapshotValue(group, "6_whole_job", whole);
    }

    /// @notice What a job costs where ten are placed, claimed and reported on at once.
    function test_gasOfABatch() external {
        uint256 count = 10;
        JobDefinition memory definition = definitionWith(0);
        Placement[] memory placements = new Placement[](count);
        JobReport[] memory starts = new JobReport[](count);
        JobReport[] memory ends = new JobReport[](count);
        uint64 now_ = uint64(vm.getBlockTimestamp());
        uint256 whole = 0;
        for (uint256 i = 0; i < count; ++i) {
            vm.prank(ALICE);
            bytes32 id = scheduler.requestNewJob(definition, LOCKED, "job", false);
            if (i > 0) whole = vm.snapshotGasLastCall("batch_of_10", "1_request_of_one");
            placements[i] = Placement(id, P1);
            starts[i] = JobReport(id, JobStatus.Running, now_, 0, "", 0);
            ends[i] = JobReport(id, JobStatus.Finished, now_, now_ + 540, "", 0);
        }
        vm.prank(SERVICE);
        scheduler.metaScheduleJobs(placements);
        whole += vm.snapshotGasLastCall("batch_of_10", "2_place_ten") / count;
        vm.prank(P1);
        scheduler.claimNextJobs(count);
        whole += vm.snapshotGasLastCall("batch_of_10", "3_claim_ten") / count;
        vm.prank(P1);
        scheduler.reportJobs(starts);
        whole += vm.snapshotGasLastCall("batch_of_10", "4_running_ten") / count;
        pass(600);
        vm.prank(P1);
        scheduler.reportJobs(ends);
        whole += vm.snapshotGasLastCall("batch_of_10", "5_finished_ten") / count;
        vm.snapshotValue("batch_of_10", "6_whole_job", whole);
    }
}
