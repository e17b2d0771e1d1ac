"""Credit, Constants, and tokens that misbehave."""

from __future__ import annotations

import pytest
from eth_utils.crypto import keccak

from dsq.core.model import JobStatus
from tests.support.evm import (
    CREDIT,
    METASCHEDULER_CONTRACT_ROLE,
    METASCHEDULER_ROLE,
    Contract,
    RevertedError,
    World,
    raw_id,
)

DEFAULTS = {
    "minimumAmount": 100 * CREDIT,
    "deepsquareCut": 20,
    "billDurationDeltaMinute": 15,
    "topUpSliceDurationMin": 30,
    "cancellationFeeMinute": 5,
    "claimJobTimeout": 10,
}


class TestConstants:
    @pytest.mark.parametrize("name", DEFAULTS)
    def test_defaults_and_setters(self, world: World, name: str) -> None:
        """Each parameter has its published default; the owner, and nobody else, sets it."""
        setter = f"set{name[0].upper()}{name[1:]}"
        assert world.constants.call(name) == DEFAULTS[name]
        world.constants.send(setter, 7)
        assert world.constants.call(name) == 7
        with pytest.raises(RevertedError) as error:
            world.constants.send(setter, 8, sender=world.alice)
        assert error.value.values == ("Ownable: caller is not the owner",)

    def test_fee_has_a_bound(self, world: World) -> None:
        """The fee is a share: 100 percent at most."""
        limit = world.constants.call("MAX_DEEPSQUARE_CUT")
        world.constants.send("setDeepsquareCut", limit)
        with pytest.raises(RevertedError) as error:
            world.constants.send("setDeepsquareCut", limit + 1)
        assert (error.value.name, error.value.values) == ("ConstantOutOfBounds", (101, 100))


class TestCredit:
    def test_supply_goes_to_the_deployer(self, world: World) -> None:
        """An ERC-20 with 18 decimals, minted to who deploys it."""
        token = world.deploy("Credit", ["uint256"], [123])
        assert token.call("balanceOf", world.admin) == token.call("totalSupply") == 123
        assert (token.call("symbol"), token.call("decimals")) == ("Credit", 18)

    def test_only_the_owner_mints(self, world: World) -> None:
        """The owner mints to whom it likes."""
        world.credit.send("mint", world.bob, 5)
        assert world.balance(world.bob) == 10_000 * CREDIT + 5
        with pytest.raises(RevertedError) as error:
            world.credit.send("mint", world.bob, 5, sender=world.bob)
        assert error.value.values == ("Ownable: caller is not the owner",)

    def test_allowance_steps(self, world: World) -> None:
        """Old wallets change allowances by steps."""
        world.approve(world.alice, 10)
        world.credit.send("increaseAllowance", world.scheduler, 5, sender=world.alice)
        world.credit.send("decreaseAllowance", world.scheduler, 7, sender=world.alice)
        assert world.credit.call("allowance", world.alice, world.scheduler) == 8


def with_token(world: World, code: bytes) -> None:
    """Puts a MetaScheduler into the world whose token runs ``code``, and its parts."""
    token = world.deploy_code(code)
    world.jobs = world.deploy("JobRepository")
    world.queues = world.deploy("ProviderJobQueues", ["address"], [world.jobs])
    parts = [Contract(world, "Credit", token), world.constants, world.providers]
    world.scheduler = world.deploy(
        "MetaScheduler", ["address"] * 5, [*parts, world.queues, world.jobs]
    )
    world.jobs.send("grantRole", METASCHEDULER_ROLE, world.scheduler)
    world.providers.send("grantRole", METASCHEDULER_CONTRACT_ROLE, world.scheduler)
    world.queues.send("transferOwnership", world.scheduler)
    world.scheduler.send("grantRole", METASCHEDULER_ROLE, world.service)
    world.evm.insert_account_storage(token, 0, int(world.scheduler.address, 16))


RETURN_FALSE = bytes.fromhex("60206000f3")
"""Returns 32 zero bytes: ``false``."""


def call_back(payload: bytes) -> bytes:
    """A token that calls the MetaScheduler (slot 0) with the payload and then says ``true``.

    What the MetaScheduler refuses is passed on.
    """
    size = len(payload).to_bytes(2)
    head = (
        b"\x61" + size + b"\x60\x32\x60\x00\x39"  # CODECOPY(0, 50, size)
        b"\x60\x00\x60\x00\x61" + size + b"\x60\x00\x60\x00"  # out, in, value
        b"\x60\x00\x54\x5a\xf1"  # CALL(gas, sload(0), ...)
        b"\x60\x25\x57"  # JUMPI to 37
        b"\x3d\x60\x00\x60\x00\x3e\x3d\x60\x00\xfd"  # pass the refusal on
    )
    assert len(head) == 0x25
    head += b"\x5b\x60\x01\x60\x00\x52\x60\x20\x60\x00\xf3"  # return true
    return head.ljust(50, b"\0") + payload


def test_token_that_returns_false(world: World) -> None:
    """A payment that did not happen makes no job."""
    with_token(world, RETURN_FALSE)
    with pytest.raises(RevertedError) as error:
        world.request()
    assert error.value.values == ("SafeERC20: ERC20 operation did not succeed",)
    assert world.jobs.call("jobIdCounter") == 1


REENTRIES: dict[str, tuple[object, ...]] = {
    "requestNewJob": (((1, 1, 1, 1, "", 0, [], []), 0, bytes(32), False)),
    "metaSchedule": (raw_id(1), "0x" + "00" * 20),
    "claimNextJob": (),
    "claimNextCancellingJob": (),
    "claimNextTopUpJob": (),
    "refuseJob": (raw_id(1),),
    "timeoutJob": (raw_id(1),),
    "providerSetJobStatus": (raw_id(1), 5, 1, "", 0),
    "cancelJob": (raw_id(1),),
    "topUpJob": (raw_id(1), 1),
    "topUpJobDelegate": (raw_id(1),),
    "setDelegateSpendingAuthority": (raw_id(1), True),
    "panicJob": (raw_id(1), ""),
    "withdrawAdmin": (0,),
}


@pytest.mark.parametrize("function", REENTRIES)
def test_token_that_calls_back(world: World, function: str) -> None:
    """While a payment is under way, no function that changes a job can be entered."""
    with_token(world, call_back(world.scheduler.data(function, *REENTRIES[function])))
    with pytest.raises(RevertedError) as error:
        world.request()
    assert error.value.values == ("ReentrancyGuard: reentrant call",)


def test_views_while_a_payment_is_under_way(world: World) -> None:
    """Views are not closed to tokens; the test token works when it calls nothing forbidden."""
    with_token(world, call_back(keccak(text="enableRequestNewJob()")[:4]))
    job_id = world.request()
    assert world.job(job_id).status == JobStatus.PENDING
