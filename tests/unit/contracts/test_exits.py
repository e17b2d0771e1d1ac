"""Time-bounded exits that anyone may take: nobody's silence keeps a customer's credits."""

from __future__ import annotations

import pytest

from dsq.core.model import ZERO_ADDRESS, JobStatus, ProviderPrices
from tests.support.evm import CREDIT, RATE, Event, RevertedError, World, names, raw_id

WEI = 200 * CREDIT
BOUGHT = WEI // RATE
NEVER = 2**256 - 1
CLAIM, CANCEL, PROVIDER = 10 * 60, 60 * 60, 24 * 3600
"""The grid's defaults in seconds."""


def expiry(world: World, job_id: int) -> int:
    return int(world.scheduler.call("expiryOf", raw_id(job_id)))


def expire_at_the_last_second(world: World, job_id: int) -> list[Event]:
    """Fails a second before the time, and succeeds at it."""
    due = expiry(world, job_id)
    world.warp(due - 1 - world.time)
    with pytest.raises(RevertedError) as error:
        world.expire(job_id)
    assert (error.value.name, error.value.values) == ("NotExpired", (due - 1, due))
    return world.expire(job_id)


class TestUnclaimed:
    def test_goes_back_to_the_queue(self, world: World) -> None:
        """After claimJobTimeout anyone puts an unclaimed job back; its provider finds nothing."""
        job_id = world.job_at(JobStatus.META_SCHEDULED)
        assert expiry(world, job_id) == world.time + CLAIM
        events = expire_at_the_last_second(world, job_id)
        assert names(events) == ["JobRefusedEvent", "JobTransitionEvent"]
        assert names(world.added_events()) == ["JobExpired", "JobUpdated"]
        job = world.job(job_id)
        assert (job.status, job.provider) == (JobStatus.PENDING, ZERO_ADDRESS)
        assert world.terms(job_id)[0] == WEI
        with pytest.raises(RevertedError) as error:
            world.claim()
        assert error.value.name == "NoJob"

    def test_time_of_the_placement_counts(self, world: World) -> None:
        """A parameter that was set later does not touch a placed job, and each placement begins anew."""
        job_id = world.job_at(JobStatus.META_SCHEDULED)
        world.constants.send("setClaimJobTimeout", 1)
        world.warp(CLAIM)
        world.expire(job_id)
        world.place(job_id)
        assert expiry(world, job_id) == world.time + 60

    def test_claimed_in_time(self, world: World) -> None:
        """A claimed job may wait in the cluster's queue as long as it takes."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        assert expiry(world, job_id) == NEVER

    @pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.FINISHED])
    def test_nobody_to_take_it_from(self, world: World, status: JobStatus) -> None:
        """A pending job and an ended one have no such time; the words differ."""
        job_id = world.job_at(status)
        assert expiry(world, job_id) == NEVER
        with pytest.raises(RevertedError) as error:
            world.expire(job_id)
        assert error.value.name == ("NotExpired" if status.value == 0 else "JobHotStatusOnly")


class TestUnansweredCancel:
    def test_credits_come_back(self, world: World) -> None:
        """The provider gets the minutes it proved, the customer the rest."""
        job_id = world.job_at(JobStatus.RUNNING)
        world.warp(5 * 60)
        world.scheduler.send("reportJobs", [alive(job_id)], sender=world.p1)
        world.cancel(job_id)
        assert expiry(world, job_id) == world.time + CANCEL
        events = expire_at_the_last_second(world, job_id)
        assert names(events) == ["Transfer", "Transfer", "JobTransitionEvent"]
        job = world.job(job_id)
        assert (job.status, job.final_cost) == (JobStatus.CANCELLED, 5 * RATE)
        assert job.last_error == "the provider did not answer in time"
        assert world.balance(world.p1) == 5 * RATE - 5 * RATE * 20 // 100
        assert world.balance(world.alice) == 10_000 * CREDIT - 5 * RATE
        assert world.balance(world.bob) == 10_000 * CREDIT

    def test_taking_notice_proves_the_time(self, world: World) -> None:
        """A provider that takes notice of the cancel says that the job runs until then."""
        job_id = world.job_at(JobStatus.RUNNING)
        world.warp(7 * 60)
        world.cancel(job_id)
        world.claim_cancelling()
        world.warp(CANCEL)
        world.expire(job_id)
        assert world.job(job_id).final_cost == 7 * RATE

    def test_at_least_a_minute(self, world: World) -> None:
        """The report of the start alone proves one minute."""
        job_id = world.job_at(JobStatus.RUNNING)
        world.cancel(job_id)
        world.warp(CANCEL)
        world.expire(job_id)
        assert world.job(job_id).final_cost == RATE

    def test_answer_at_the_last_moment(self, world: World) -> None:
        """Until somebody takes the exit, the provider ends the job as ever."""
        job_id = world.job_at(JobStatus.RUNNING)
        world.cancel(job_id)
        world.warp(2 * CANCEL)
        world.report(job_id, JobStatus.CANCELLED, 3)
        assert world.job(job_id).final_cost == 3 * RATE
        with pytest.raises(RevertedError) as error:
            world.expire(job_id)
        assert (error.value.name, error.value.values) == ("JobHotStatusOnly", (4,))


class TestSilentProvider:
    def test_running_job(self, world: World) -> None:
        """A day after the bought time is over, a job that nobody reports on is released."""
        job_id = world.job_at(JobStatus.RUNNING)
        assert expiry(world, job_id) == world.time + BOUGHT * 60 + PROVIDER
        expire_at_the_last_second(world, job_id)
        job = world.job(job_id)
        assert (job.status, job.final_cost) == (JobStatus.FAILED, RATE)
        assert world.balance(world.alice) == 10_000 * CREDIT - RATE

    def test_top_up_moves_it(self, world: World) -> None:
        """More credits buy more time before that."""
        job_id = world.job_at(JobStatus.RUNNING)
        before = expiry(world, job_id)
        world.top_up(job_id, 10 * RATE)
        assert expiry(world, job_id) == before + (WEI + 10 * RATE) // RATE * 60 - BOUGHT * 60

    def test_free_provider(self, world: World) -> None:
        """A job that costs nothing has no end of its time; a cancel gives it one."""
        world.join(world.p1, ProviderPrices(0, 0, 0))
        job_id = world.job_at(JobStatus.RUNNING)
        assert expiry(world, job_id) > world.time + 10**18
        world.cancel(job_id)
        assert expiry(world, job_id) == world.time + CANCEL


class TestShutOutProvider:
    @pytest.mark.parametrize("how", ["ban", "remove"])
    @pytest.mark.parametrize("status", [JobStatus.SCHEDULED, JobStatus.RUNNING])
    def test_jobs_are_released(self, world: World, how: str, status: JobStatus) -> None:
        """A day after its provider was shut out, a claimed job is free and a running one settled."""
        job_id = world.job_at(status)
        world.warp(125)
        if status == JobStatus.RUNNING:
            world.scheduler.send("reportJobs", [alive(job_id)], sender=world.p1)
        world.providers.send(how, world.p1)
        since = world.providers.call("invalidSince", world.p1)
        assert since == world.time
        assert expiry(world, job_id) == since + PROVIDER
        expire_at_the_last_second(world, job_id)
        job = world.job(job_id)
        if status == JobStatus.RUNNING:
            assert (job.status, job.final_cost) == (JobStatus.FAILED, 2 * RATE)
        else:
            assert (job.status, job.provider) == (JobStatus.PENDING, ZERO_ADDRESS)

    def test_let_in_again(self, world: World) -> None:
        """A provider that is let in again keeps its jobs."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        world.providers.send("ban", world.p1)
        world.providers.send("unban", world.p1)
        assert expiry(world, job_id) == NEVER
        world.providers.send("remove", world.p1)
        world.join(world.p1)
        assert world.providers.call("invalidSince", world.p1) == 0

    def test_banned_and_removed(self, world: World) -> None:
        """The first of both counts, and only an approval ends it."""
        world.providers.send("ban", world.p1)
        since = world.time
        world.providers.send("remove", world.p1)
        world.register(world.p1)
        world.providers.send("ban", world.p1)
        world.providers.send("unban", world.p1)
        assert world.providers.call("invalidSince", world.p1) == since


def alive(job_id: int) -> tuple[object, ...]:
    """A report that the job runs."""
    return (raw_id(job_id), int(JobStatus.RUNNING), 0, 0, "", 0)
