// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "../../src/Errors.sol";
import {JobStatus, Label, PackedState} from "../../src/types/Job.sol";
import {ProviderHardware, ProviderPrices} from "../../src/types/Provider.sol";
import {Grid} from "../support/Grid.sol";

contract RegistersTest is Grid {
    function _hardware(uint64 nodes) private pure returns (ProviderHardware memory) {
        uint64[] memory each = new uint64[](nodes);
        for (uint256 i = 0; i < nodes; ++i) {
            each[i] = 8;
        }
        return ProviderHardware(nodes, each, each, each);
    }

    // ---- ProviderManager ------------------------------------------------------------------------

    function test_register_WhenTheCallerIsBanned() external {
        providers.ban(P1);
        ProviderHardware memory hardware = _hardware(1);
        vm.prank(P1);
        vm.expectRevert(Banned.selector);
        providers.register(hardware, ProviderPrices(1, 1, 1), new Label[](0));
    }

    function test_register_WhenTheArraysDisagree(uint64 nodes) external {
        vm.assume(nodes != 0 && nodes != 2);
        ProviderHardware memory hardware = _hardware(2);
        hardware.nodes = nodes;
        vm.expectRevert(ArrayLengthMismatch.selector);
        providers.register(hardware, ProviderPrices(1, 1, 1), new Label[](0));
    }

    function test_register_WhenThereAreTooManyLabels() external {
        ProviderHardware memory hardware = _hardware(1);
        vm.expectRevert(abi.encodeWithSelector(ListTooLong.selector, 129, 128));
        providers.register(hardware, ProviderPrices(1, 1, 1), new Label[](129));
    }

    function test_register_WhenAllIsWell(uint8 nodes, uint256 gpu, uint256 cpu, uint256 mem)
        external
    {
        ProviderHardware memory hardware = _hardware(1 + nodes % 32);
        ProviderPrices memory prices = ProviderPrices(gpu, cpu, mem);
        bytes32 before = keccak256(abi.encode(providers.getProvider(P1)));
        vm.prank(P1);
        providers.register(hardware, prices, new Label[](3));
        vm.assertEq(keccak256(abi.encode(providers.getProvider(P1))), before);
        providers.approve(P1);
        vm.assertEq(
            keccak256(abi.encode(providers.getProviderHardware(P1))),
            keccak256(abi.encode(hardware))
        );
        vm.assertEq(
            keccak256(abi.encode(providers.getProviderPrices(P1))), keccak256(abi.encode(prices))
        );
    }

    function test_approveProposal_WhenItIsTheProposalThatWasSeen() external {
        register(BOB);
        providers.approveProposal(BOB, providers.proposalHash(BOB));
        vm.assertTrue(providers.isValidForScheduling(BOB));
    }

    function test_approveProposal_WhenTheProposalChanged(bytes32 seen) external {
        register(BOB);
        bytes32 current = providers.proposalHash(BOB);
        vm.assume(seen != current);
        vm.expectRevert(abi.encodeWithSelector(ProposalChanged.selector, current, seen));
        providers.approveProposal(BOB, seen);
    }

    function test_remove_WhenTheProviderIsUnknown(address provider) external {
        vm.assume(provider != P1 && provider != P2);
        vm.expectRevert(NoProvider.selector);
        providers.remove(provider);
    }

    function test_remove_WhenItIsActive() external {
        providers.remove(P1);
        vm.assertEq(providers.invalidSince(P1), vm.getBlockTimestamp());
        vm.assertEq(providers.providerCount(), 1);
    }

    function test_ban_WhenItIsBannedAlready() external {
        providers.ban(P1);
        vm.expectRevert(AlreadyDone.selector);
        providers.ban(P1);
    }

    function test_ban_WhenItIsLetInAgain(uint32 time) external {
        providers.ban(P1);
        pass(time);
        providers.unban(P1);
        vm.assertEq(providers.invalidSince(P1), 0);
        vm.assertTrue(providers.isValidForScheduling(P1));
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

    function test_setters_WhenTheCallerIsNotTheOwner(address caller) external {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectRevert("Ownable: caller is not the owner");
        constants.setDeepsquareCut(1);
    }

    function test_acceptOwnership_WhenTheCallerWasNamed() external {
        constants.transferOwnership(BOB);
        vm.assertEq(constants.owner(), address(this));
        vm.prank(BOB);
        constants.acceptOwnership();
        vm.assertEq(constants.owner(), BOB);
    }

    // ---- JobRepository, ProviderJobQueues, Credit -----------------------------------------------

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

    function test_popNextClaimableJobs_WhenTheCallerIsNotTheOwner(address caller) external {
        vm.assume(caller != address(scheduler));
        vm.prank(caller);
        vm.expectRevert("Ownable: caller is not the owner");
        queues.popNextClaimableJobs(P1, 1);
    }

    function test_mint_WhenTheCallerIsNotTheOwner(address caller) external {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectRevert("Ownable: caller is not the owner");
        credit.mint(caller, 1);
    }
}
