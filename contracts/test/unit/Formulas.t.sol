// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "../../src/Errors.sol";
import {Tools} from "../../src/Tools.sol";
import {Job, JobDefinition, JobStatus} from "../../src/types/Job.sol";
import {ProviderPrices} from "../../src/types/Provider.sol";
import {Terms} from "../../src/types/Terms.sol";
import {Deploy} from "../support/Deploy.sol";
import {Grid} from "../support/Grid.sol";

/// @notice The rules and formulas of Tools, and the parameters.
contract FormulasTest is Grid {
    Tools private tools;
    ProviderPrices private prices;

    function setUp() public override {
        super.setUp();
        tools = Tools(Deploy.artifact("Tools", ""));
        prices = providers.getProviderPrices(P1);
    }

    // ---- Tools ----------------------------------------------------------------------------------

    function test_convertCreditToDuration_WhenItFits(uint64 minutes_) external view {
        uint256 cost = tools.convertDurationToCredit(definitionWith(0), prices, minutes_);
        vm.assertEq(tools.convertCreditToDuration(definitionWith(0), prices, cost), minutes_);
    }

    /// @dev The published contracts cut the number to its lowest 64 bits.
    function test_convertCreditToDuration_WhenItDoesNotFit(uint128 more) external view {
        JobDefinition memory one = definitionWith(0);
        one.gpus = 1;
        one.ntasks = 0;
        uint256 amount = uint256(type(uint64).max) + more;
        vm.assertEq(
            tools.convertCreditToDuration(one, ProviderPrices(1, 0, 0), amount), type(uint64).max
        );
    }

    /// @dev The published contracts divided by zero.
    function test_convertCreditToDuration_WhenTheRateIsZero(uint256 amount) external view {
        uint64 bought =
            tools.convertCreditToDuration(definitionWith(0), ProviderPrices(0, 0, 0), amount);
        vm.assertEq(bought, type(uint64).max);
    }

    function test_convertDurationToCredit_WhenItFits(uint64 minutes_) external view {
        vm.assertEq(
            tools.convertDurationToCredit(definitionWith(0), prices, minutes_), minutes_ * RATE
        );
    }

    function test_convertDurationToCredit_WhenItDoesNotFit(uint64 minutes_) external view {
        vm.assume(minutes_ > 1);
        ProviderPrices memory most =
            ProviderPrices(type(uint256).max, type(uint256).max, type(uint256).max);
        vm.assertEq(
            tools.convertDurationToCredit(definitionWith(0), most, minutes_), type(uint256).max
        );
    }

    function test_getRemainingTime_WhenTheJobRuns(uint16 time) external {
        bytes32 id = jobAt(JobStatus.Running);
        pass(time);
        uint256 bought = LOCKED / RATE;
        uint256 past = uint256(time) / 60;
        vm.assertEq(tools.getRemainingTime(jobs.get(id), prices), past < bought ? bought - past : 0);
    }

    /// @dev The published contracts failed with an underflow.
    function test_getRemainingTime_WhenTheStartIsToCome(uint32 later) external {
        Job memory job = jobs.get(jobAt(JobStatus.Running));
        job.time.start = vm.getBlockTimestamp() + later;
        vm.assertEq(tools.getRemainingTime(job, prices), LOCKED / RATE);
    }

    function test_checkNewJobStatus_WhenTheStepIsAllowed() external view {
        tools.checkNewJobStatus(JobStatus.Pending, JobStatus.MetaScheduled);
        tools.checkNewJobStatus(JobStatus.Running, JobStatus.OutOfCredits);
    }

    function test_checkNewJobStatus_WhenItIsNotAllowed() external {
        vm.expectRevert(
            abi.encodeWithSelector(InvalidTransition.selector, JobStatus.Running, JobStatus.Pending)
        );
        tools.checkNewJobStatus(JobStatus.Running, JobStatus.Pending);
    }

    function test_checkNewJobStatus_WhenTheStatusIsTheSame(uint8 how) external {
        vm.expectRevert(SameStatusError.selector);
        tools.checkNewJobStatus(JobStatus(how % 9), JobStatus(how % 9));
    }

    function test_checkNewJobStatus_WhenTheJobHasEnded(uint8 how) external {
        JobStatus from = JobStatus(4 + how % 5);
        vm.expectRevert(abi.encodeWithSelector(JobHotStatusOnly.selector, from));
        tools.checkNewJobStatus(from, JobStatus.Pending);
    }

    function test_isJobHot_WhenItIsAnyStatus(uint8 how) external view {
        vm.assertTrue(tools.isJobHot(JobStatus(how % 9)) == (how % 9 < 4));
    }

    function test_isJobCold_WhenItIsAnyStatus(uint8 how) external view {
        vm.assertTrue(tools.isJobCold(JobStatus(how % 9)) == (how % 9 > 3));
    }

    function test_isDelegateTopable_WhenItIsAnyStatus(uint8 how) external view {
        bool topable = how % 9 == 2 || how % 9 == 3;
        vm.assertTrue(tools.isDelegateTopable(JobStatus(how % 9)) == topable);
    }

    function test_isJobDefinitionValid_WhenItAsksForSomething(uint64 a, uint64 b, uint64 c)
        external
        view
    {
        JobDefinition memory definition = definitionWith(0);
        definition.ntasks = a % 2;
        definition.cpusPerTask = b % 2;
        definition.memPerCpu = c % 2;
        vm.assertTrue(tools.isJobDefinitionValid(definition) == (a % 2 + b % 2 + c % 2 == 3));
    }

    // ---- Constants ------------------------------------------------------------------------------

    /// @dev The published contracts took any value: a fee of 101 percent stopped every settlement.
    function test_setters_WhenAValueIsOutOfBounds(uint64 more) external {
        uint256 cut = 101 + uint256(more);
        vm.expectRevert(abi.encodeWithSelector(ConstantOutOfBounds.selector, cut, 100));
        constants.setDeepsquareCut(cut);
        vm.expectRevert(abi.encodeWithSelector(ConstantBelowBound.selector, 0, 1));
        constants.setMinimumAmount(0);
        vm.expectRevert(abi.encodeWithSelector(ConstantBelowBound.selector, 59, 60));
        constants.setProviderTimeout(59);
    }

    function test_setters_WhenTheCallerIsNotTheOwner(address caller, uint8 which) external {
        vm.assume(caller != address(this));
        bytes4[8] memory setters = [
            constants.setMinimumAmount.selector,
            constants.setDeepsquareCut.selector,
            constants.setBillDurationDeltaMinute.selector,
            constants.setTopUpSliceDurationMin.selector,
            constants.setCancellationFeeMinute.selector,
            constants.setClaimJobTimeout.selector,
            constants.setCancelTimeout.selector,
            constants.setProviderTimeout.selector
        ];
        vm.prank(caller);
        (bool done,) = address(constants).call(abi.encodeWithSelector(setters[which % 8], 60));
        vm.assertFalse(done);
    }

    function test_setMinimumAmount_WhenTheValueIsInBounds(uint80 value) external {
        uint256 amount = 1 + value % 1e24;
        constants.setMinimumAmount(amount);
        vm.assertEq(constants.minimumAmount(), amount);
    }

    function test_setDeepsquareCut_WhenTheValueIsInBounds(uint8 value) external {
        constants.setDeepsquareCut(value % 101);
        vm.assertEq(constants.deepsquareCut(), value % 101);
    }

    function test_setBillDurationDeltaMinute_WhenTheValueIsInBounds(uint16 value) external {
        constants.setBillDurationDeltaMinute(value % 43_201);
        vm.assertEq(constants.billDurationDeltaMinute(), value % 43_201);
    }

    function test_setTopUpSliceDurationMin_WhenTheValueIsInBounds(uint16 value) external {
        constants.setTopUpSliceDurationMin(1 + value % 43_200);
        vm.assertEq(constants.topUpSliceDurationMin(), 1 + value % 43_200);
    }

    function test_setCancellationFeeMinute_WhenTheValueIsInBounds(uint16 value) external {
        constants.setCancellationFeeMinute(value % 43_201);
        vm.assertEq(constants.cancellationFeeMinute(), value % 43_201);
    }

    function test_setClaimJobTimeout_WhenTheValueIsInBounds(uint16 value) external {
        constants.setClaimJobTimeout(1 + value % 43_200);
        vm.assertEq(constants.claimJobTimeout(), 1 + value % 43_200);
    }

    function test_setCancelTimeout_WhenTheValueIsInBounds(uint16 value) external {
        constants.setCancelTimeout(5 + value % 43_196);
        vm.assertEq(constants.cancelTimeout(), 5 + value % 43_196);
    }

    function test_setProviderTimeout_WhenTheValueIsInBounds(uint16 value) external {
        constants.setProviderTimeout(60 + value % 43_141);
        vm.assertEq(constants.providerTimeout(), 60 + value % 43_141);
    }

    function test_terms_WhenParametersAreSet(uint16 value) external {
        uint16 minutes_ = 60 + value % 43_141;
        constants.setDeepsquareCut(value % 101);
        constants.setTopUpSliceDurationMin(minutes_);
        constants.setClaimJobTimeout(minutes_);
        constants.setCancelTimeout(minutes_);
        constants.setProviderTimeout(minutes_);
        Terms memory wanted = Terms(uint8(value % 101), minutes_, minutes_, minutes_, minutes_);
        vm.assertEq(keccak256(abi.encode(constants.terms())), keccak256(abi.encode(wanted)));
    }

    function test_acceptOwnership_WhenTheCallerWasNamed() external {
        constants.transferOwnership(BOB);
        vm.assertEq(constants.owner(), address(this));
        vm.prank(BOB);
        constants.acceptOwnership();
        vm.assertEq(constants.owner(), BOB);
    }
}
