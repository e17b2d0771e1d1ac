"""More credits for a job that is claimed or runs."""

from __future__ import annotations

import pytest

from dsq.core.model import JobStatus, ProviderPrices
from tests.support.evm import CREDIT, RATE, RevertedError, World, names, raw_id

TOPABLE = [JobStatus.SCHEDULED, JobStatus.RUNNING]
WEI = 200 * CREDIT


@pytest.mark.parametrize("status", TOPABLE)
def test_locks_and_tells_the_provider(world: World, status: JobStatus) -> None:
    """The amount is locked at once; the provider learns the additional minutes when it claims it."""
    job_id = world.job_at(status)
    assert names(world.top_up(job_id, 10 * RATE)) == ["Transfer"]
    job = world.job(job_id)
    assert (job.max_cost, job.pending_top_up) == (WEI + 10 * RATE, 10 * RATE)
    assert world.terms(job_id)[0] == WEI + 10 * RATE
    (event,) = world.claim_top_up()
    assert (event.name, event.values) == (
        "ClaimNextTopUpJobEvent",
        {"_jobId": raw_id(job_id), "_providerAddr": world.p1.lower, "maxDurationMinute": 10},
    )
    assert world.job(job_id).pending_top_up == 0
    assert world.job(job_id).status == status


def test_several_make_one_entry(world: World) -> None:
    """Top-ups that the provider has not seen are one entry, and one claim takes them all."""
    job_id = world.job_at(JobStatus.RUNNING)
    for _ in range(3):
        world.top_up(job_id, RATE)
    assert world.queues.call("getTopUpJobQueueSize", world.p1) == 1
    (event,) = world.claim_top_up()
    assert event.values["maxDurationMinute"] == 3
    assert world.queues.call("hasTopUpJob", world.p1) is False
    world.top_up(job_id, RATE)
    assert world.claim_top_up()[0].values["maxDurationMinute"] == 1


def test_anyone_pays(world: World) -> None:
    """A friend may top up; what is not used goes to the customer."""
    job_id = world.job_at(JobStatus.RUNNING)
    world.top_up(job_id, 5 * CREDIT, payer=world.bob)
    assert world.balance(world.bob) == 9_995 * CREDIT
    world.panic(job_id)
    assert world.balance(world.alice) == 10_005 * CREDIT


@pytest.mark.parametrize("status", [status for status in JobStatus if status not in TOPABLE])
def test_not_in_other_states(world: World, status: JobStatus) -> None:
    """Jobs that are not claimed yet, and ended ones, take nothing."""
    job_id = world.job_at(status)
    with pytest.raises(RevertedError) as error:
        world.top_up(job_id, CREDIT)
    assert (error.value.name, error.value.values) == ("RunningScheduledStatusOnly", (int(status),))


def test_nothing_is_refused(world: World) -> None:
    """A top-up of nothing is InsufficientFunds(0, 1): it would only fill the queue."""
    job_id = world.job_at(JobStatus.RUNNING)
    with pytest.raises(RevertedError) as error:
        world.top_up(job_id, 0)
    assert (error.value.name, error.value.values) == ("InsufficientFunds", (0, 1))


def test_too_much_is_refused(world: World) -> None:
    """A job holds less than 2**88 wei, what it has already included."""
    job_id = world.job_at(JobStatus.RUNNING)
    for amount, told in ((2**256 - 1, 2**256 - 1), (2**88 - WEI, 2**88)):
        with pytest.raises(RevertedError) as error:
            world.top_up(job_id, amount)
        assert (error.value.name, error.value.values) == ("AmountTooLarge", (told, 2**88 - 1))


def test_a_new_claim_takes_it_in(world: World) -> None:
    """Handed back with a top-up unseen: the next claim's minutes contain it, and no entry is left."""
    job_id = world.job_at(JobStatus.SCHEDULED)
    world.top_up(job_id, WEI)
    world.refuse(job_id)
    assert world.job(job_id).pending_top_up == WEI
    for provider in (world.p2, world.p1):
        world.place(job_id, provider)
        claim = world.claim(provider)[0]
        assert claim.values["maxDurationMinute"] == 2 * WEI // RATE
        assert world.job(job_id).pending_top_up == 0
        assert world.queues.call("hasTopUpJob", provider) is False
        world.refuse(job_id, provider)


def test_old_provider_does_not_swallow_it(world: World) -> None:
    """The entry of a provider that handed the job back is dead: the new provider's top-up is safe."""
    job_id = world.job_at(JobStatus.SCHEDULED)
    world.top_up(job_id, RATE)
    world.refuse(job_id)
    world.place(job_id, world.p2)
    world.claim(world.p2)
    world.top_up(job_id, RATE)
    with pytest.raises(RevertedError) as error:
        world.claim_top_up(world.p1)
    assert error.value.name == "NoJob"
    assert world.claim_top_up(world.p2)[0].values["maxDurationMinute"] == 1


def test_unseen_top_up_is_refunded(world: World) -> None:
    """A top-up that the provider never saw is part of what the customer gets back."""
    job_id = world.job_at(JobStatus.RUNNING)
    world.top_up(job_id, 30 * CREDIT)
    world.report(job_id, JobStatus.FINISHED, 1)
    assert world.balance(world.alice) == 10_000 * CREDIT - RATE
    assert world.queues.call("hasTopUpJob", world.p1) is False


class TestDelegated:
    SLICE = 30

    def low(self, world: World, left: int) -> int:
        """A running job of Alice's, open to delegated top-ups, with ``left`` minutes left."""
        job_id = world.job_at(JobStatus.RUNNING, delegate=True)
        world.warp((WEI // RATE - left) * 60)
        return job_id

    @pytest.mark.parametrize("caller", ["alice", "p1", "service"])
    def test_who(self, world: World, caller: str) -> None:
        """Customer, provider and meta-scheduler add one slice, paid by the customer."""
        job_id = self.low(world, self.SLICE)
        world.top_up_delegated(job_id, getattr(world, caller))
        job = world.job(job_id)
        assert job.pending_top_up == self.SLICE * RATE
        assert world.balance(world.alice) == 10_000 * CREDIT - WEI - self.SLICE * RATE
        assert world.claim_top_up()[0].values["maxDurationMinute"] == self.SLICE

    def test_checks_in_order(self, world: World) -> None:
        """Caller, permission, status, then the time that is left."""
        job_id = world.job_at(JobStatus.META_SCHEDULED)

        def refused(caller: str) -> tuple[str, tuple[object, ...]]:
            with pytest.raises(RevertedError) as error:
                world.top_up_delegated(job_id, getattr(world, caller))
            return error.value.name, error.value.values

        assert refused("bob")[0] == "CustomerMetaSchedulerProviderOnly"
        assert refused("p1")[0] == "NoSpendingAuthority"
        world.scheduler.send(
            "setDelegateSpendingAuthority", raw_id(job_id), True, sender=world.alice
        )
        assert refused("p1") == ("RunningScheduledStatusOnly", (1,))
        world.claim()
        assert refused("p1") == ("RemainingTimeAboveLimit", (WEI // RATE, self.SLICE))
        world.report(job_id, JobStatus.RUNNING)
        world.warp(60 * 60)
        assert refused("p1") == ("RemainingTimeAboveLimit", (WEI // RATE - 60, self.SLICE))

    def test_again_when_it_runs_low_again(self, world: World) -> None:
        """After one slice the next is due only when that is used up."""
        job_id = self.low(world, 10)
        world.top_up_delegated(job_id)
        with pytest.raises(RevertedError) as error:
            world.top_up_delegated(job_id)
        assert error.value.values == (10 + self.SLICE, self.SLICE)
        world.warp(10 * 60)
        world.top_up_delegated(job_id)

    def test_overrun_job(self, world: World) -> None:
        """A job past its time has no minutes left and can still be topped up."""
        job_id = self.low(world, -90)
        world.top_up_delegated(job_id)
        assert world.job(job_id).pending_top_up == self.SLICE * RATE

    def test_claimed_job_counts_all_it_has(self, world: World) -> None:
        """Before the start, the minutes left are all that is bought."""
        world.constants.send("setMinimumAmount", 1)
        job_id = world.job_at(JobStatus.SCHEDULED, wei=RATE * 30 + RATE - 1, delegate=True)
        world.warp(86_400)
        world.top_up_delegated(job_id)
        assert world.job(job_id).max_cost == RATE * 61 - 1

    def test_slice_of_the_placement(self, world: World) -> None:
        """A new slice counts for jobs that are placed after it was set."""
        job_id = self.low(world, 0)
        world.constants.send("setTopUpSliceDurationMin", 5)
        world.top_up_delegated(job_id)
        assert world.job(job_id).pending_top_up == self.SLICE * RATE

    def test_free_provider(self, world: World) -> None:
        """At a rate of 0 a job always has time left."""
        world.join(world.p1, ProviderPrices(0, 0, 0))
        job_id = world.job_at(JobStatus.RUNNING, delegate=True)
        with pytest.raises(RevertedError) as error:
            world.top_up_delegated(job_id)
        assert error.value.values == (2**64 - 1, self.SLICE)

    def test_banned_provider_may_still_ask(self, world: World) -> None:
        """The job's provider tops up even while it is shut out, as published."""
        job_id = self.low(world, 0)
        world.providers.send("ban", world.p1)
        world.top_up_delegated(job_id)
