// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "../../../src/Errors.sol";
import {FaucetCredit} from "../../../src/FaucetCredit.sol";
import {Deploy} from "../../support/Deploy.sol";
import {Grid} from "../../support/Grid.sol";

contract FaucetCreditTest is Grid {
    uint256 private constant HELD = 1000 * CREDIT;

    FaucetCredit private faucet;

    function setUp() public override {
        super.setUp();
        faucet = FaucetCredit(Deploy.artifact("FaucetCredit", abi.encode(credit)));
        credit.mint(address(faucet), HELD);
    }

    function test_creditUser_WhenTheCallerIsNotTheOwner(address caller) external {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectRevert("Ownable: caller is not the owner");
        faucet.creditUser(ALICE, 1);
    }

    function test_creditUser_WhenTheFaucetHoldsTooLittle(uint256 before, uint256 amount) external {
        before = before % (HELD + 1);
        faucet.creditUser(BOB, before);
        vm.assume(amount > HELD - before);
        vm.expectRevert(abi.encodeWithSelector(InsufficientFunds.selector, HELD - before, amount));
        faucet.creditUser(ALICE, amount);
    }

    function test_creditUser_WhenTheFaucetHoldsEnough(uint256 first, uint256 second) external {
        first = first % (HELD + 1);
        second = second % (HELD - first + 1);
        faucet.creditUser(ALICE, first);
        faucet.creditUser(ALICE, second);
        vm.assertEq(faucet.addressToUserCredit(ALICE), first + second);
        vm.assertEq(faucet.totalPromised(), first + second);
        vm.assertEq(faucet.available(), HELD - first - second);
    }

    function test_claim_WhenNothingIsPromised(address user) external {
        vm.assume(user != ALICE);
        faucet.creditUser(ALICE, CREDIT);
        vm.prank(user);
        vm.expectRevert(abi.encodeWithSelector(NothingToClaim.selector, user));
        faucet.claim();
    }

    function test_claim_WhenTheTokenRefusesThePayment() external {
        faucet.creditUser(ALICE, CREDIT);
        credit.setBlocked(ALICE, true);
        vm.prank(ALICE);
        vm.expectRevert("this account is blocked");
        faucet.claim();
        vm.assertEq(faucet.addressToUserCredit(ALICE), CREDIT);
        credit.setBlocked(ALICE, false);
        vm.prank(ALICE);
        faucet.claim();
        vm.assertEq(credit.balanceOf(ALICE), RICH + CREDIT);
    }

    function test_claim_WhenSomethingIsPromised(uint256 amount, uint256 other) external {
        amount = 1 + amount % HELD;
        other = other % (HELD - amount + 1);
        faucet.creditUser(ALICE, amount);
        faucet.creditUser(BOB, other);
        vm.prank(ALICE);
        faucet.claim();
        vm.assertEq(credit.balanceOf(ALICE), RICH + amount);
        vm.assertEq(credit.balanceOf(address(faucet)), HELD - amount);
        vm.assertEq(faucet.addressToAmountDistributed(ALICE), amount);
        vm.assertEq(faucet.totalDistributed(), amount);
        vm.assertEq(faucet.addressToUserCredit(BOB), other);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(NothingToClaim.selector, ALICE));
        faucet.claim();
    }

    function test_withdraw_WhenTheCallerIsNotTheOwner(address caller) external {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectRevert("Ownable: caller is not the owner");
        faucet.withdraw(caller, 1);
    }

    function test_withdraw_WhenMoreThanWhatIsFreeIsAskedFor(uint256 promised) external {
        promised = promised % (HELD + 1);
        faucet.creditUser(ALICE, promised);
        vm.expectRevert(
            abi.encodeWithSelector(InsufficientFunds.selector, HELD - promised, HELD - promised + 1)
        );
        faucet.withdraw(BOB, HELD - promised + 1);
    }

    function test_withdraw_WhenItIsFree(uint256 promised, uint256 amount) external {
        promised = promised % (HELD + 1);
        amount = amount % (HELD - promised + 1);
        faucet.creditUser(ALICE, promised);
        faucet.withdraw(BOB, amount);
        vm.assertEq(credit.balanceOf(BOB), RICH + amount);
        vm.assertGe(credit.balanceOf(address(faucet)), faucet.addressToUserCredit(ALICE));
    }
}
