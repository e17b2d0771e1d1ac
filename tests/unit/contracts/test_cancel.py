"""A customer ends a job, in each of its states."""

from __future__ import annotations

import pytest

from dsq.core.model import JobStatus
from tests.support.evm import CREDIT, RevertedError, World, names, raw_id

EARLY = [JobStatus.PENDING, JobStatus.META_SCHEDULED, JobStatus.SCHEDULED]


@pytest.mark.parametrize("status", EARLY)
def test_before_it_runs(world: World, status: JobStatus) -> None:
    """The job ends at once and everything locked comes back, top-ups included."""
    job_id = world.job_at(status)
    if status == JobStatus.SCHEDULED:
        world.top_up(job_id, 7 * CREDIT)
    assert names(world.cancel(job_id)) == ["Transfer", "JobTransitionEvent"]
    job = world.job(job_id)
    assert (job.status, job.has_cancel_request) == (JobStatus.CANCELLED, True)
    assert job.cancel_request == job.start == job.end == world.time
    assert (job.final_cost, world.terms(job_id)[0]) == (0, 0)
    assert world.balance(world.alice) == 10_000 * CREDIT
    assert world.balance(world.scheduler) == 0


@pytest.mark.parametrize("status", EARLY)
def test_who_hears_of_it(world: World, status: JobStatus) -> None:
    """A provider that has claimed the job finds it among its cancels, once; one that has not, not."""
    job_id = world.job_at(status)
    world.cancel(job_id)
    claimed = status == JobStatus.SCHEDULED
    assert world.queues.call("hasCancellingJob", world.p1) is claimed
    if claimed:
        (event,) = world.claim_cancelling()
        assert event.name == "ClaimNextCancellingJobEvent"
        assert event.values == {
            "customerAddr": world.alice.lower,
            "providerAddr": world.p1.lower,
            "jobId": raw_id(job_id),
        }
    with pytest.raises(RevertedError) as error:
        world.claim_cancelling()
    assert error.value.name == "NoJob"


def test_while_it_runs(world: World) -> None:
    """The job goes on until its provider ends it and bills what it ran; no event, a queue entry."""
    job_id = world.job_at(JobStatus.RUNNING)
    assert world.cancel(job_id) == []
    job = world.job(job_id)
    assert (job.status, job.has_cancel_request) == (JobStatus.RUNNING, True)
    assert job.cancel_request == world.time
    assert names(world.claim_cancelling()) == ["ClaimNextCancellingJobEvent"]
    assert world.job(job_id).status == JobStatus.RUNNING
    world.report(job_id, JobStatus.CANCELLED, 1)
    assert world.job(job_id).final_cost > 0


def test_twice_while_it_runs(world: World) -> None:
    """A second request changes nothing: one entry, and the time of the first, also after the claim."""
    job_id = world.job_at(JobStatus.RUNNING)
    world.cancel(job_id)
    first = world.job(job_id)
    world.cancel(job_id)
    assert world.queues.call("getCancellingJobQueueSize", world.p1) == 1
    world.claim_cancelling()
    world.cancel(job_id)
    assert world.queues.call("getCancellingJobQueueSize", world.p1) == 0
    assert world.job(job_id) == first


def test_provider_ended_it_before_hearing(world: World) -> None:
    """A cancel of a job that its provider has ended meanwhile is not announced any more."""
    job_id = world.job_at(JobStatus.RUNNING)
    world.cancel(job_id)
    world.report(job_id, JobStatus.CANCELLED, 1)
    assert world.queues.call("hasCancellingJob", world.p1) is False
    with pytest.raises(RevertedError) as error:
        world.claim_cancelling()
    assert error.value.name == "NoJob"


def test_ended_job(world: World) -> None:
    """An ended job says how it ended, also to strangers: the status is checked first."""
    job_id = world.job_at(JobStatus.FINISHED)
    for caller in (world.alice, world.bob):
        with pytest.raises(RevertedError) as error:
            world.cancel(job_id, caller)
        assert (error.value.name, error.value.values) == ("JobHotStatusOnly", (5,))


def test_only_its_customer(world: World) -> None:
    """Nobody else cancels a job, not even its provider or the meta-scheduler."""
    job_id = world.job_at(JobStatus.RUNNING)
    for caller in (world.bob, world.p1, world.service, world.admin):
        with pytest.raises(RevertedError) as error:
            world.cancel(job_id, caller)
        assert (error.value.name, error.value.values) == (
            "CustomerOnly",
            (caller.lower, world.alice.lower),
        )


def test_unknown_job(world: World) -> None:
    """A job that is not there is InvalidJob."""
    with pytest.raises(RevertedError) as error:
        world.cancel(5)
    assert error.value.name == "InvalidJob"
