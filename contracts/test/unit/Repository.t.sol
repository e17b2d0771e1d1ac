// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "../../src/Errors.sol";
import {IJobRepository} from "../../src/interfaces/IJobRepository.sol";
import {
    Affinity,
    Demand,
    Job,
    JobCost,
    JobDefinition,
    JobState,
    JobStatus,
    JobTime,
    Label,
    PackedState
} from "../../src/types/Job.sol";
import {Grid} from "../support/Grid.sol";
import {Vm} from "../support/Vm.sol";

/// @notice The store: what is written is read, and nothing else changes.
contract RepositoryTest is Grid {
    /// @dev A job, and the MetaScheduler as the caller.
    function _job() private returns (bytes32 id, Job memory job) {
        id = jobAt(JobStatus.Running);
        vm.prank(BOB);
        scheduler.topUpJob(id, 5);
        job = jobs.get(id);
        vm.startPrank(address(scheduler));
    }

    function _check(bytes32 id, Job memory wanted) private view {
        vm.assertEq(keccak256(abi.encode(jobs.get(id))), keccak256(abi.encode(wanted)));
    }

    /// @dev A job with something in each field.
    function _full(int64 exitCode, uint32 time, bytes32 name) private pure returns (Job memory) {
        JobDefinition memory definition = definitionWith(2);
        definition.affinity = new Affinity[](1);
        definition.affinity[0] = Affinity(Label("mem", "2"), ">=");
        return Job({
            jobId: 0,
            status: JobStatus.Failed,
            customerAddr: BOB,
            providerAddr: P2,
            definition: definition,
            cost: JobCost(4, 3, 2, true),
            time: JobTime(1 + uint256(time), time, time, time, time, time),
            jobName: name,
            hasCancelRequest: true,
            lastError: "words",
            exitCode: exitCode
        });
    }

    /// @dev Each setter is for METASCHEDULER_ROLE alone, and for jobs that there are.
    function _refuses(bytes memory call) private {
        vm.stopPrank();
        vm.prank(ALICE);
        (bool done,) = address(jobs).call(call);
        vm.assertFalse(done);
        bytes memory unknown = bytes.concat(bytes4(call), bytes32(uint256(999)));
        for (uint256 i = 36; i < call.length; ++i) {
            unknown = bytes.concat(unknown, call[i]);
        }
        vm.prank(address(scheduler));
        bytes memory answer;
        (done, answer) = address(jobs).call(unknown);
        vm.assertTrue(!done && bytes4(answer) == InvalidJob.selector);
    }

    // ---- Writing --------------------------------------------------------------------------------

    function test_create_WhenTheCallerHasNoRole(address caller) external {
        vm.assume(caller != address(scheduler));
        vm.prank(caller);
        vm.expectRevert();
        jobs.create(_full(0, 0, ""));
    }

    function test_create_WhenTheJobIsNew(uint32 time) external {
        request(ALICE);
        Job memory job;
        job.status = JobStatus.Pending;
        job.customerAddr = ALICE;
        job.definition = definitionWith(0);
        job.time.submit = time;
        vm.prank(address(scheduler));
        job.jobId = jobs.create(job);
        vm.assertEq(uint256(job.jobId), 2);
        _check(job.jobId, job);
        vm.assertEq(jobs.jobIdByCustomer(ALICE, 1), job.jobId);
    }

    function test_create_WhenTheJobIsAnImportedOne(int64 exitCode, uint32 time, bytes32 name)
        external
    {
        Job memory job = _full(exitCode, time, name);
        vm.prank(address(scheduler));
        job.jobId = jobs.create(job);
        _check(job.jobId, job);
    }

    function test_create_WhenThereAreManyJobs(uint8 count) external {
        vm.startPrank(address(scheduler));
        Job memory job = _full(0, 0, "");
        // Numbers of codes above 127 are encoded in another way.
        for (uint256 i = 1; i <= 120 + uint256(count); ++i) {
            job.time.submit = i;
            job.jobId = jobs.create(job);
        }
        _check(job.jobId, job);
    }

    function test_update_WhenAllIsOtherThanBefore(int64 exitCode, uint32 time, bytes32 name)
        external
    {
        (bytes32 id,) = _job();
        Job memory job = _full(exitCode, time, name);
        job.jobId = id;
        jobs.update(job);
        _check(id, job);
        vm.assertEq(jobs.getByCustomer(BOB)[0], id);
    }

    function test_update_WhenTheStatusIsTheSame() external {
        (, Job memory job) = _job();
        vm.recordLogs();
        jobs.update(job);
        vm.assertEq(vm.getRecordedLogs().length, 0);
        _check(job.jobId, job);
        vm.assertEq(jobs.jobCountByCustomer(ALICE), 1);
    }

    function test_setPackedState_WhenTheCallerHasNoRole(address caller) external {
        vm.assume(caller != address(scheduler));
        bytes32 id = jobAt(JobStatus.Pending);
        PackedState memory state = jobs.getPackedState(id);
        vm.prank(caller);
        vm.expectRevert();
        jobs.setPackedState(id, state);
    }

    function test_setPackedState_WhenTheJobIsUnknown(uint256 id) external {
        vm.assume(id != 1);
        PackedState memory state = jobs.getPackedState(jobAt(JobStatus.Pending));
        vm.prank(address(scheduler));
        vm.expectRevert(InvalidJob.selector);
        jobs.setPackedState(bytes32(id), state);
    }

    /// @dev Followers look for one customer or provider by the indexed event.
    function test_setPackedState_WhenTheStatusChanges() external {
        bytes32 id = jobAt(JobStatus.Pending);
        vm.recordLogs();
        place(id, P1);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs[0].topics[0], IJobRepository.JobTransitionEvent.selector);
        vm.assertEq(logs[1].topics[0], IJobRepository.JobUpdated.selector);
        vm.assertEq(logs[1].topics[1], id);
        vm.assertEq(logs[1].topics[2], bytes32(uint256(uint160(ALICE))));
        vm.assertEq(logs[1].topics[3], bytes32(uint256(uint160(P1))));
    }

    function test_setPackedState_WhenTheCustomerDiffers(address customer) external {
        (bytes32 id, Job memory job) = _job();
        PackedState memory state = jobs.getPackedState(id);
        state.owner = (state.owner >> 160 << 160) | uint160(customer);
        jobs.setPackedState(id, state);
        _check(id, job);
    }

    function test_setJobStatus_WhenTheJobIsThere(uint8 how) external {
        (bytes32 id, Job memory job) = _job();
        job.status = JobStatus(how % 9);
        jobs.setJobStatus(id, job.status);
        _check(id, job);
        _refuses(abi.encodeCall(jobs.setJobStatus, (id, job.status)));
    }

    function test_setCost_WhenTheJobIsThere(uint88 a, uint88 b, uint88 c, bool d) external {
        (bytes32 id, Job memory job) = _job();
        job.cost = JobCost(a, b, c, d);
        jobs.setCost(id, job.cost);
        _check(id, job);
        _refuses(abi.encodeCall(jobs.setCost, (id, job.cost)));
    }

    function test_setCost_WhenANumberDoesNotFit(uint256 amount) external {
        vm.assume(amount > type(uint88).max);
        (bytes32 id,) = _job();
        vm.expectRevert("StateCodec: a number does not fit");
        jobs.setCost(id, JobCost(0, amount, 0, false));
    }

    function test_setTime_WhenTheJobIsThere(uint32 a, uint32 b, uint32 c, uint40 d) external {
        (bytes32 id, Job memory job) = _job();
        job.time = JobTime(job.time.submit, a, b, c, d, a);
        jobs.setTime(id, job.time);
        _check(id, job);
        _refuses(abi.encodeCall(jobs.setTime, (id, job.time)));
    }

    function test_setTime_WhenTheSubmissionDiffers(uint40 submit) external {
        (bytes32 id, Job memory job) = _job();
        job.time.submit = submit;
        jobs.setTime(id, job.time);
        _check(id, job);
    }

    function test_setProviderAddr_WhenTheJobIsThere(address provider) external {
        (bytes32 id, Job memory job) = _job();
        job.providerAddr = provider;
        jobs.setProviderAddr(id, provider);
        _check(id, job);
        _refuses(abi.encodeCall(jobs.setProviderAddr, (id, provider)));
    }

    function test_setCustomerAddr_WhenTheJobIsThere(address customer) external {
        vm.assume(customer != ALICE);
        (bytes32 id, Job memory job) = _job();
        job.customerAddr = customer;
        jobs.setCustomerAddr(id, customer);
        _check(id, job);
        vm.assertEq(jobs.getByCustomer(customer)[0], id);
        _refuses(abi.encodeCall(jobs.setCustomerAddr, (id, customer)));
    }

    function test_setDefinition_WhenTheJobIsThere(uint64 a, uint64 b, uint64 c, uint64 d) external {
        (bytes32 id, Job memory job) = _job();
        job.definition = _full(0, 0, "").definition;
        job.definition.gpus = a;
        job.definition.memPerCpu = b;
        job.definition.cpusPerTask = c;
        job.definition.ntasks = d;
        jobs.setDefinition(id, job.definition);
        _check(id, job);
        vm.stopPrank();
        vm.expectRevert();
        jobs.setDefinition(id, job.definition);
    }

    function test_setJobName_WhenTheJobIsThere(bytes32 name) external {
        (bytes32 id, Job memory job) = _job();
        job.jobName = name;
        jobs.setJobName(id, name);
        _check(id, job);
        _refuses(abi.encodeCall(jobs.setJobName, (id, name)));
    }

    function test_setHasCancelRequest_WhenTheJobIsThere(bool on) external {
        (bytes32 id, Job memory job) = _job();
        job.hasCancelRequest = on;
        jobs.setHasCancelRequest(id, on);
        _check(id, job);
        _refuses(abi.encodeCall(jobs.setHasCancelRequest, (id, on)));
    }

    function test_setLastError_WhenTheJobIsThere(uint16 size) external {
        (bytes32 id, Job memory job) = _job();
        job.lastError = string(new bytes(size % 1025));
        jobs.setLastError(id, job.lastError);
        _check(id, job);
    }

    function test_setLastError_WhenTheTextIsTooLong(uint16 more) external {
        (bytes32 id,) = _job();
        uint256 size = 1025 + uint256(more);
        vm.expectRevert(abi.encodeWithSelector(TextTooLong.selector, size, 1024));
        jobs.setLastError(id, string(new bytes(size)));
    }

    function test_setExitCode_WhenTheJobIsThere(int64 exitCode) external {
        (bytes32 id, Job memory job) = _job();
        job.exitCode = exitCode;
        jobs.setExitCode(id, exitCode);
        _check(id, job);
        _refuses(abi.encodeCall(jobs.setExitCode, (id, exitCode)));
    }

    // ---- Reading --------------------------------------------------------------------------------

    function test_get_WhenTheJobIsUnknown(bytes32 id) external {
        vm.expectRevert(InvalidJob.selector);
        jobs.get(id);
    }

    function test_jobs_WhenTheJobIsUnknown(bytes32 id) external view {
        (bytes32 none, JobStatus status, address customer,,,,,,,,) = jobs.jobs(id);
        vm.assertEq(none, 0);
        vm.assertEq(uint256(status), 0);
        vm.assertEq(customer, address(0));
    }

    function test_jobs_WhenTheJobIsThere() external {
        bytes32 id = jobAt(JobStatus.Running);
        (bytes32 same,, address customer, address provider,,,, bytes32 name,,,) = jobs.jobs(id);
        vm.assertEq(same, id);
        vm.assertEq(customer, ALICE);
        vm.assertEq(provider, P1);
        vm.assertEq(name, "job");
    }

    function test_getState_WhenTheJobIsThere(uint8 how) external {
        bytes32 id = jobAt(JobStatus(how % 9));
        Job memory job = jobs.get(id);
        JobState memory state = jobs.getState(id);
        vm.assertEq(uint256(state.status), how % 9);
        vm.assertEq(state.customerAddr, job.customerAddr);
        vm.assertEq(state.providerAddr, job.providerAddr);
        vm.assertEq(keccak256(abi.encode(state.cost)), keccak256(abi.encode(job.cost)));
        vm.assertEq(state.time.start, job.time.start);
        vm.assertEq(state.time.end, job.time.end);
        vm.assertEq(state.time.blockNumberStateChange, job.time.blockNumberStateChange);
    }

    function test_getPackedState_WhenTheJobIsUnknown(bytes32 id) external {
        vm.expectRevert(InvalidJob.selector);
        jobs.getPackedState(id);
    }

    function test_getDefinition_WhenTheJobIsUnknown(bytes32 id) external {
        vm.expectRevert(InvalidJob.selector);
        jobs.getDefinition(id);
    }

    function test_getDemand_WhenTheNumbersAreOfAnySize(uint64 a, uint64 b, uint64 c, uint64 d)
        external
    {
        JobDefinition memory definition = definitionWith(0);
        definition.gpus = a;
        definition.memPerCpu = b == 0 ? 1 : b;
        definition.cpusPerTask = c == 0 ? 1 : c;
        definition.ntasks = d == 0 ? 1 : d;
        vm.prank(ALICE);
        bytes32 id = scheduler.requestNewJob(definition, LOCKED, "", false);
        Demand memory demand = jobs.getDemand(id);
        vm.assertEq(demand.gpus, a);
        vm.assertEq(demand.memPerCpu, definition.memPerCpu);
        vm.assertEq(demand.cpusPerTask, definition.cpusPerTask);
        vm.assertEq(demand.ntasks, definition.ntasks);
    }

    function _of(address customer, uint256 count) private {
        for (uint256 i = 0; i < count; ++i) {
            request(customer);
        }
    }

    function test_getByCustomer_WhenTheyTakeTurns(uint8 turns) external {
        uint256 rounds = turns % 10;
        for (uint256 i = 0; i < rounds; ++i) {
            request(ALICE);
            request(BOB);
        }
        bytes32[] memory ids = jobs.getByCustomer(BOB);
        vm.assertEq(ids.length, rounds);
        for (uint256 i = 0; i < rounds; ++i) {
            vm.assertEq(uint256(ids[i]), 2 * i + 2);
        }
    }

    function test_getByCustomerPaged_WhenAPageIsAskedFor(uint8 count, uint8 offset, uint8 limit)
        external
    {
        uint256 all = count % 20;
        _of(ALICE, all);
        bytes32[] memory ids = jobs.getByCustomerPaged(ALICE, offset, limit);
        uint256 left = offset < all ? all - offset : 0;
        vm.assertEq(ids.length, limit < left ? limit : left);
        for (uint256 i = 0; i < ids.length; ++i) {
            vm.assertEq(uint256(ids[i]), offset + i + 1);
        }
    }

    function test_jobIdByCustomer_WhenThereIsNone() external {
        request(ALICE);
        vm.assertEq(uint256(jobs.jobIdByCustomer(ALICE, 0)), 1);
        vm.expectRevert();
        jobs.jobIdByCustomer(ALICE, 1);
    }

    function test_getByStatusPaged_WhenAPageIsAskedFor(uint8 from, uint8 scan) external {
        jobAt(JobStatus.Finished);
        jobAt(JobStatus.Pending);
        jobAt(JobStatus.Finished);
        (bytes32[] memory ids, uint256 next) = jobs.getByStatusPaged(JobStatus.Finished, from, scan);
        uint256 first = from == 0 ? 1 : from;
        uint256 end = first + scan;
        uint256 found = 0;
        for (uint256 i = first; i < end && i < 4; ++i) {
            if (i != 2) vm.assertEq(uint256(ids[found++]), i);
        }
        vm.assertEq(ids.length, found);
        vm.assertEq(next, end < 4 ? end : 0);
    }

    function test_countByStatus_WhenAPageIsAskedFor(uint8 scan) external {
        _of(ALICE, 3);
        (uint256[9] memory counts, uint256 next) = jobs.countByStatus(0, scan);
        vm.assertEq(counts[0], scan < 3 ? scan : 3);
        vm.assertEq(next, scan < 3 ? uint256(scan) + 1 : 0);
    }

    function test_jobCount_WhenJobsAreRequested(uint8 count) external {
        _of(BOB, count % 10);
        vm.assertEq(jobs.jobCount(), count % 10);
        vm.assertEq(jobs.jobIdCounter(), jobs.jobCount() + 1);
    }
}
