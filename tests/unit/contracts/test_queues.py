"""What waits for a provider: dead entries are skipped and block nothing."""

from __future__ import annotations

import pytest

from dsq.core.model import JobStatus
from tests.support.evm import CREDIT, Contract, RevertedError, World, names, raw_id

LIMIT = 64


def dead_claims(world: World, count: int) -> None:
    """Fills ``p1``'s claimable queue with jobs that were cancelled."""
    for _ in range(count):
        job_id = world.request(100 * CREDIT)
        world.place(job_id)
        world.cancel(job_id)


def size(world: World, queue: str = "Claimable") -> int:
    return int(world.queues.call(f"get{queue}JobQueueSize", world.p1))


def test_scan_limit(world: World) -> None:
    """The number of entries that a call looks at is published."""
    assert world.queues.call("SCAN_LIMIT") == LIMIT


@pytest.mark.parametrize("dead", [1, LIMIT - 1])
def test_dead_entries_before_a_job(world: World, dead: int) -> None:
    """One claim goes past cancelled jobs to the first that is still there."""
    dead_claims(world, dead)
    assert world.queues.call("hasNextClaimableJob", world.p1) is False
    job_id = world.job_at(JobStatus.META_SCHEDULED)
    assert world.queues.call("hasNextClaimableJob", world.p1) is True
    assert world.claim()[0].values["jobId"] == raw_id(job_id)
    assert size(world) == 0


def test_more_dead_entries_than_one_call_looks_at(world: World) -> None:
    """A claim that meets dead entries only takes them away and succeeds; the next goes on."""
    dead_claims(world, 2 * LIMIT + 1)
    job_id = world.job_at(JobStatus.META_SCHEDULED)
    for left in (LIMIT + 2, 2):
        assert world.queues.call("hasNextClaimableJob", world.p1) is True
        assert world.claim() == []
        assert size(world) == left
        assert world.gas_used < 1_000_000
    assert world.claim()[0].values["jobId"] == raw_id(job_id)


@pytest.mark.parametrize(
    ("dead", "has"), [(1, False), (LIMIT, False), (LIMIT + 1, True), (2 * LIMIT, True)]
)
def test_dead_entries_alone(world: World, dead: int, has: bool) -> None:
    """Few dead entries are nothing to claim; more than one call looks at are worth a claim."""
    dead_claims(world, dead)
    assert world.queues.call("hasNextClaimableJob", world.p1) is has
    if has:
        assert world.claim() == []
        assert size(world) == dead - LIMIT
    else:
        with pytest.raises(RevertedError) as error:
            world.claim()
        assert error.value.name == "NoJob"


def test_job_placed_elsewhere(world: World) -> None:
    """The entry of a job that was taken back is dead, also when the job is placed with another."""
    job_id = world.job_at(JobStatus.META_SCHEDULED)
    world.time_out(job_id)
    assert world.queues.call("hasNextClaimableJob", world.p1) is False
    world.place(job_id, world.p2)
    assert world.queues.call("hasNextClaimableJob", world.p1) is False
    with pytest.raises(RevertedError) as error:
        world.claim(world.p1)
    assert error.value.name == "NoJob"
    assert names(world.claim(world.p2)) == ["ClaimJobEvent", "JobTransitionEvent"]


def test_job_placed_twice_with_the_same(world: World) -> None:
    """Two entries of one job give one claim."""
    job_id = world.job_at(JobStatus.META_SCHEDULED)
    world.refuse(job_id)
    world.place(job_id)
    assert size(world) == 2
    world.claim()
    with pytest.raises(RevertedError) as error:
        world.claim()
    assert error.value.name == "NoJob"


def test_cancels_of_others(world: World) -> None:
    """Each provider hears of its own jobs only, in the order of the requests."""
    first, second = (world.job_at(JobStatus.RUNNING) for _ in range(2))
    other = world.request(customer=world.bob)
    world.place(other, world.p2)
    world.claim(world.p2)
    world.cancel(second)
    world.cancel(other, world.bob)
    world.cancel(first)
    heard = [world.claim_cancelling()[0].values["jobId"] for _ in range(2)]
    assert heard == [raw_id(second), raw_id(first)]
    assert world.claim_cancelling(world.p2)[0].values["jobId"] == raw_id(other)


def test_many_dead_cancels_and_top_ups(world: World) -> None:
    """The other two queues are cleaned in the same way."""
    for _ in range(LIMIT + 1):
        job_id = world.request(100 * CREDIT)
        world.place(job_id)
        world.claim()
        world.report(job_id, JobStatus.RUNNING)
        world.top_up(job_id, 1)
        world.cancel(job_id)
        world.panic(job_id)
    assert world.queues.call("hasCancellingJob", world.p1) is True
    assert world.queues.call("hasTopUpJob", world.p1) is True
    assert world.claim_cancelling() == world.claim_top_up() == []
    assert size(world, "Cancelling") == size(world, "TopUp") == 1
    assert world.queues.call("hasCancellingJob", world.p1) is False
    assert world.queues.call("hasTopUpJob", world.p1) is False


def test_ends_of_a_queue(world: World) -> None:
    """The published getters show where a queue begins and ends."""
    for _ in range(3):
        world.job_at(JobStatus.META_SCHEDULED)
    assert world.queues.call("providerClaimableJobsQueues", world.p1) == (0, 3)
    world.claim()
    assert world.queues.call("providerClaimableJobsQueues", world.p1) == (1, 3)
    assert world.queues.call("providerCancellingJobsQueues", world.p1) == (0, 0)
    assert world.queues.call("providerTopUpJobsQueues", world.p1) == (0, 0)


@pytest.mark.parametrize("queue", ["Claimable", "Cancelling", "TopUp"])
def test_only_the_owner(world: World, queue: str) -> None:
    """Pushes and pops are for the MetaScheduler; the operator has handed the queues over."""
    assert world.queues.call("owner") == world.scheduler.address
    for function, values in (
        (f"push{queue}Job", (world.p1, raw_id(1))),
        (f"popNext{queue}Job", (world.p1,)),
    ):
        with pytest.raises(RevertedError) as error:
            world.queues.send(function, *values)
        assert error.value.values == ("Ownable: caller is not the owner",)


def test_where_the_jobs_are(world: World) -> None:
    """The queues know the repository, the MetaScheduler knows all the others."""
    parts: dict[str, Contract] = {
        "credit": world.credit,
        "constants": world.constants,
        "providerManager": world.providers,
        "providerJobQueues": world.queues,
        "jobs": world.jobs,
    }
    assert world.queues.call("jobs") == world.jobs.address
    assert {name: world.scheduler.call(name) for name in parts} == {
        name: contract.address for name, contract in parts.items()
    }
