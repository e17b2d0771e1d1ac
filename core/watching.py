"""Watching a job: its states one by one, and the blocks that made them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from dsq.core.chain import Chain, Event, Follower, Head, MemoryCursor
from dsq.core.model import Job, JobStatus

JOB_EVENTS = (
    "NewJobRequestEvent",
    "JobTransitionEvent",
    "ClaimNextTopUpJobEvent",
    "JobRefusedEvent",
)


@dataclass(frozen=True, slots=True)
class Transition:
    """One step in a job's life: its new status, and the block that made it so.

    Attributes:
        at: Unix seconds of the block.
    """

    status: JobStatus
    at: int
    block_number: int
    tx_hash: bytes


async def follow_from_now(chain: Chain, names: Sequence[str] | None) -> Follower:
    """A follower of the events after the newest block; ``names`` None means all of them."""
    head = await chain.head()
    return Follower(chain, MemoryCursor(), names=names, start_block=head.number + 1)


async def watch(chain: Chain, job_id: int) -> AsyncIterator[Job]:
    """Yields a job now and after each change, every status once; ends with the final one."""
    # First the follower, then the job: what happens in between is seen twice, not never.
    follower = await follow_from_now(chain, JOB_EVENTS)
    job = await chain.job(job_id)
    yield job
    if job.status.is_final:
        return
    async for batch in follower:
        mine = [event for event in batch.events if event.args.get("job_id") == job_id]
        if not mine and not batch.reset:
            continue
        latest = await chain.job(job_id)
        for state in steps(job, latest, mine):
            yield state
            job = state
        if job.status.is_final:
            return


def steps(before: Job, latest: Job, events: Iterable[Event]) -> list[Job]:
    """The states between two views of a job, by its events: none is skipped, none is doubled."""
    states: list[Job] = []
    status = before.status
    for event in events:
        if event.name == "JobTransitionEvent" and event.args["to_status"] != status:
            status = event.args["to_status"]
            states.append(dataclasses.replace(latest, status=status))
    if states and states[-1].status == latest.status:
        states[-1] = latest
    elif not states and latest == before:
        return []
    elif not states or latest.status.is_final:
        states.append(latest)
    return states


async def history(chain: Chain, job: Job) -> list[Transition]:
    """Each status change of a job with its time and transaction, oldest first."""
    head = await chain.head()
    first = await _block_at(chain, job.time.submit, head)
    names = ("NewJobRequestEvent", "JobTransitionEvent")
    found = []
    for event in await chain.events(first, head.number, names=names):
        if event.args.get("job_id") != job.id:
            continue
        status = event.args.get("to_status", JobStatus.PENDING)
        at = await chain.block_timestamp(event.block_number)
        found.append(Transition(status, at, event.block_number, event.tx_hash))
    return found


async def _block_at(chain: Chain, seconds: int, head: Head) -> int:
    """The first block that is not older than ``seconds``, by bisection."""
    low, high = 0, head.number
    while low < high:
        middle = (low + high) // 2
        if await chain.block_timestamp(middle) < seconds:
            low = middle + 1
        else:
            high = middle
    return low
