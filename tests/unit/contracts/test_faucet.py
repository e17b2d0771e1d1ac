"""The faucet: credits that the operator promises and accounts claim."""

from __future__ import annotations

import pytest

from tests.support.evm import CREDIT, Contract, RevertedError, World


@pytest.fixture
def faucet(world: World) -> Contract:
    """A faucet of the operator that holds 50 credits."""
    made = world.deploy("FaucetCredit", ["address"], [world.credit])
    world.credit.send("transfer", made, 50 * CREDIT)
    return made


def test_a_promise_is_claimed_once(world: World, faucet: Contract) -> None:
    """The two calls that clients of the published faucet know, with their effect."""
    faucet.send("creditUser", world.bob, 30 * CREDIT)
    assert faucet.call("addressToUserCredit", world.bob) == 30 * CREDIT
    before = world.balance(world.bob)
    (paid,) = faucet.send("claim", sender=world.bob)
    assert (paid.name, paid.values["value"]) == ("Transfer", 30 * CREDIT)
    assert world.balance(world.bob) == before + 30 * CREDIT
    assert faucet.call("addressToAmountDistributed", world.bob) == 30 * CREDIT
    with pytest.raises(RevertedError) as error:
        faucet.send("claim", sender=world.bob)
    assert (error.value.name, error.value.values) == ("NothingToClaim", (world.bob.lower,))


def test_events_name_who_and_how_much(world: World, faucet: Contract) -> None:
    """A promise, a claim and a withdrawal each say so."""
    faucet.send("creditUser", world.bob, 10)
    faucet.send("creditUser", world.bob, 5)
    (promise,) = world.added_events()
    assert promise.values == {"user": world.bob.lower, "amount": 5, "promised": 15}
    faucet.send("claim", sender=world.bob)
    (claim,) = world.added_events()
    assert claim.values == {"user": world.bob.lower, "amount": 15}
    faucet.send("withdraw", world.alice, 7)
    (withdrawal,) = world.added_events()
    assert withdrawal.values == {"to": world.alice.lower, "amount": 7}


def test_it_never_promises_more_than_it_holds(world: World, faucet: Contract) -> None:
    """What is free, and what was asked; promises to others count."""
    faucet.send("creditUser", world.alice, 20 * CREDIT)
    with pytest.raises(RevertedError) as error:
        faucet.send("creditUser", world.bob, 31 * CREDIT)
    assert error.value.values == (30 * CREDIT, 31 * CREDIT)
    with pytest.raises(RevertedError) as error:
        faucet.send("withdraw", world.admin, 31 * CREDIT)
    assert error.value.values == (30 * CREDIT, 31 * CREDIT)


def test_the_owner_changes_in_two_steps(world: World, faucet: Contract) -> None:
    """The next owner has to accept, and rules from then on."""
    faucet.send("transferOwnership", world.alice)
    assert faucet.call("owner") == world.admin.lower
    faucet.send("acceptOwnership", sender=world.alice)
    faucet.send("creditUser", world.bob, 1, sender=world.alice)
    with pytest.raises(RevertedError) as error:
        faucet.send("creditUser", world.bob, 1)
    assert error.value.values == ("Ownable: caller is not the owner",)
