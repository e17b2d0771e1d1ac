// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "../../src/Errors.sol";
import {Label} from "../../src/types/Job.sol";
import {Provider, ProviderHardware, ProviderPrices} from "../../src/types/Provider.sol";
import {Grid} from "../support/Grid.sol";

contract RegistersTest is Grid {
    function _hardware(uint64 nodes) private pure returns (ProviderHardware memory) {
        return ProviderHardware(nodes, _eights(nodes), _eights(nodes), _eights(nodes));
    }

    function _eights(uint64 nodes) private pure returns (uint64[] memory each) {
        each = new uint64[](nodes);
        for (uint256 i = 0; i < nodes; ++i) {
            each[i] = 8;
        }
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

    function test_register_WhenThereIsNoNode() external {
        vm.expectRevert(InvalidNodesCount.selector);
        providers.register(_hardware(0), ProviderPrices(1, 1, 1), new Label[](0));
    }

    function test_register_WhenThereIsNoThread() external {
        ProviderHardware memory hardware = _hardware(2);
        hardware.cpusPerNode = new uint64[](2);
        vm.expectRevert(InvalidTotalCpus.selector);
        providers.register(hardware, ProviderPrices(1, 1, 1), new Label[](0));
    }

    function test_register_WhenThereIsNoMemory() external {
        ProviderHardware memory hardware = _hardware(2);
        hardware.memPerNode = new uint64[](2);
        vm.expectRevert(InvalidTotalMem.selector);
        providers.register(hardware, ProviderPrices(1, 1, 1), new Label[](0));
    }

    function test_register_WhenNodesDiffer(uint64 gpus, uint64 cpus, uint64 mem) external {
        ProviderHardware memory hardware = _hardware(3);
        hardware.gpusPerNode[0] = gpus;
        hardware.cpusPerNode[1] = cpus;
        hardware.memPerNode[2] = mem;
        vm.prank(P1);
        providers.register(hardware, ProviderPrices(1, 1, 1), new Label[](0));
        Provider memory proposal = providers.getWaitingForApprovalProvider(P1);
        vm.assertEq(
            keccak256(abi.encode(proposal.providerHardware)), keccak256(abi.encode(hardware))
        );
    }

    function test_register_WhenTheOfferDoesNotFit() external {
        Label[] memory labels = new Label[](100);
        for (uint256 i = 0; i < 100; ++i) {
            labels[i].value = string(new bytes(300));
        }
        ProviderHardware memory hardware = _hardware(1);
        // A length of 300 takes two bytes.
        uint256 size = 96 + 2 + 28 + 1 + 100 * (1 + 302);
        vm.expectRevert(abi.encodeWithSelector(DataTooLarge.selector, size, 24_575));
        providers.register(hardware, ProviderPrices(1, 1, 1), labels);
    }

    function test_approve_WhenThereIsNoProposal(address provider) external {
        vm.expectRevert(WaitingApprovalOnly.selector);
        providers.approve(provider);
    }

    function test_approve_WhenTheCallerIsNoOperator(address caller) external {
        vm.assume(caller != address(this));
        register(BOB);
        vm.prank(caller);
        vm.expectRevert();
        providers.approve(BOB);
    }

    function test_approve_WhenTheCallerHasTheRole(address caller) external {
        register(BOB);
        providers.grantRole(providers.METASCHEDULER_ROLE(), caller);
        vm.prank(caller);
        providers.approve(BOB);
        vm.assertTrue(providers.isValidForScheduling(BOB));
    }

    function test_approve_WhenTheProviderIsActiveAlready() external {
        register(P1);
        providers.approve(P1);
        vm.assertEq(providers.providerCount(), 2);
    }

    function test_approve_WhenTheProviderIsBanned() external {
        register(P1);
        providers.ban(P1);
        vm.expectRevert(Banned.selector);
        providers.approve(P1);
    }

    function test_unban_WhenItIsNotBanned() external {
        vm.expectRevert(AlreadyDone.selector);
        providers.unban(P1);
        register(BOB);
        vm.expectRevert(AlreadyDone.selector);
        providers.unban(BOB);
    }

    function test_unban_WhenItIsUnknown(address provider) external {
        vm.assume(provider != P1 && provider != P2);
        vm.expectRevert(NoProvider.selector);
        providers.unban(provider);
    }

    function test_unban_WhenItWasOnlyProposed() external {
        register(BOB);
        providers.ban(BOB);
        vm.assertFalse(providers.isWaitingForApproval(BOB));
        vm.assertTrue(providers.isBanned(BOB));
        providers.unban(BOB);
        join(BOB);
        vm.assertTrue(providers.isValidForScheduling(BOB));
    }

    function test_ban_WhenItIsUnknown(address provider) external {
        vm.assume(provider != P1 && provider != P2);
        vm.expectRevert(NoProvider.selector);
        providers.ban(provider);
    }

    function test_remove_WhenItIsOnlyProposed() external {
        register(BOB);
        providers.remove(BOB);
        vm.assertFalse(providers.isWaitingForApproval(BOB));
        vm.assertEq(providers.invalidSince(BOB), 0);
    }

    function test_incJobCount_WhenTheCallerHasNoRole(address caller) external {
        vm.assume(caller != address(scheduler));
        vm.prank(caller);
        vm.expectRevert();
        providers.incJobCount(P1);
    }

    /// @dev The count stays when the provider is removed.
    function test_incJobCount_WhenJobsStart(uint8 count) external {
        for (uint256 i = 0; i < count; ++i) {
            vm.prank(address(scheduler));
            providers.incJobCount(P1);
        }
        providers.remove(P1);
        vm.assertEq(providers.getJobCount(P1), count);
        vm.assertEq(providers.jobCountByProvider(P1), count);
    }

    function test_getProvider_WhenItIsUnknown(address provider) external view {
        vm.assume(provider != P1 && provider != P2);
        Provider memory none;
        none.providerHardware =
            ProviderHardware(0, new uint64[](0), new uint64[](0), new uint64[](0));
        none.labels = new Label[](0);
        bytes32 wanted = keccak256(abi.encode(none));
        vm.assertEq(keccak256(abi.encode(providers.getProvider(provider))), wanted);
        vm.assertEq(
            keccak256(abi.encode(providers.getWaitingForApprovalProvider(provider))), wanted
        );
        vm.assertEq(providers.getProviderPrices(provider).gpuPricePerMin, 0);
    }

    function test_providers_WhenItIsActive() external view {
        (address addr, ProviderHardware memory hardware,, bool banned) = providers.providers(P1);
        vm.assertEq(addr, P1);
        vm.assertEq(hardware.nodes, 1);
        vm.assertFalse(banned);
        (addr,,,) = providers.providers(BOB);
        vm.assertEq(addr, address(0));
    }

    function test_waitingApprovalProviders_WhenItIsProposed() external {
        register(BOB);
        (address addr,,,) = providers.waitingApprovalProviders(BOB);
        vm.assertEq(addr, BOB);
        (addr,,,) = providers.waitingApprovalProviders(P1);
        vm.assertEq(addr, address(0));
    }

    function test_getLabels_WhenItHasSome(uint8 count) external {
        Label[] memory labels = new Label[](count % 129);
        for (uint256 i = 0; i < labels.length; ++i) {
            labels[i] = Label("key", string(new bytes(i)));
        }
        vm.prank(P1);
        providers.register(_hardware(1), ProviderPrices(1, 1, 1), labels);
        providers.approve(P1);
        vm.assertEq(keccak256(abi.encode(providers.getLabels(P1))), keccak256(abi.encode(labels)));
    }

    function test_proposalHash_WhenThereIsNone(address provider) external view {
        vm.assertEq(providers.proposalHash(provider), 0);
    }

    // ---- The list of providers ------------------------------------------------------------------

    function _of(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }

    function test_getProvidersPaged_WhenPagesAreRead() external {
        join(BOB);
        (Provider[] memory page, uint256 next) = providers.getProvidersPaged(0, 2);
        vm.assertEq(page[0].addr, P1);
        vm.assertEq(page[1].addr, P2);
        (page, next) = providers.getProvidersPaged(next, 2);
        vm.assertEq(page.length, 1);
        vm.assertEq(page[0].addr, BOB);
        vm.assertEq(next, 0);
    }

    function test_fetchPage_WhenTheCursorIsGone() external {
        uint256 id = providers.findIdForDataFrom(_of(P2), 0);
        providers.remove(P2);
        (bytes32[] memory data, uint256 length, uint256 next) = providers.fetchPage(id, 9);
        vm.assertTrue(data.length == 0 && length == 0 && next == 0);
    }

    function test_fetchPage_WhenAPageIsAskedFor(uint8 howMany) external {
        join(BOB);
        (bytes32[] memory data, uint256 length, uint256 next) = providers.fetchPage(0, howMany);
        vm.assertEq(length, howMany < 3 ? howMany : 3);
        vm.assertEq(data.length, length);
        vm.assertTrue((next == 0) == (howMany > 2));
    }

    function test_findIdForDataFrom_WhenItIsThere() external view {
        uint256 id = providers.findIdForDataFrom(_of(P2), 0);
        vm.assertEq(id, providers.tail());
        vm.assertEq(providers.findIdForDataFrom(_of(P2), id), id);
        vm.assertEq(providers.findIdForDataFrom(_of(P1), id), 0);
    }

    function test_get_WhenOneIsTakenOut(uint8 which) external {
        join(BOB);
        address[3] memory all = [P1, P2, BOB];
        providers.remove(all[which % 3]);
        address first = all[which % 3 == 0 ? 1 : 0];
        address last = all[which % 3 == 2 ? 1 : 2];
        (uint256 id, uint256 next, uint256 before, bytes32 data) = providers.get(providers.head());
        vm.assertEq(data, _of(first));
        vm.assertTrue(before == 0 && next == providers.tail());
        (id, next, before, data) = providers.get(providers.tail());
        vm.assertEq(data, _of(last));
        vm.assertTrue(next == 0 && before == providers.head());
        providers.remove(first);
        providers.remove(last);
        vm.assertTrue(providers.head() == 0 && providers.tail() == 0);
        vm.assertEq(providers.elementCount(), 0);
    }

    // ---- Credit ------------------------------------------------------------------------------------

    function test_mint_WhenTheCallerIsNotTheOwner(address caller) external {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectRevert("Ownable: caller is not the owner");
        credit.mint(caller, 1);
    }

    function test_mint_WhenTheCallerIsTheOwner(address account, uint128 amount) external {
        vm.assume(account != address(0) && account != ALICE && account != BOB);
        credit.mint(account, amount);
        vm.assertEq(credit.balanceOf(account), amount);
    }
}
