"""The state, kept true to the contracts' views, and over restarts."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection

from dsq.core.chain import Chain, Head
from dsq.core.clock import Clock
from dsq.core.metascheduler.backoff import BackOff
from dsq.core.metascheduler.memory import Memory
from dsq.core.metascheduler.state import GridState
from dsq.core.model import Address, Job, JobStatus, Provider

log = logging.getLogger("dsq.core.metascheduler.picture")

CONSTANTS_SECONDS = 60.0
"""How often the grid's parameters are read; no event tells of their change."""

REMEMBER_SECONDS = 5.0
"""Least time between two snapshots."""

ENDED_KEPT = 1000
"""Jobs that ended last and are looked at again after a restart: their end may be undone."""


class Picture:
    """What is known of the grid, and how it is read.

    Args:
        chain: The grid's contracts.
        clock: The time.
        memory: Where snapshots are kept; None reads every job at the start.

    Attributes:
        state: The knowledge.
        head: The newest block that it holds.
        claim_seconds: How long a provider may let a job lie.
        is_stale: Something was missed: :meth:`rebuild` before it is used.
        is_lost: Nothing that was read counts: the rebuild reads every job.
    """

    def __init__(self, chain: Chain, clock: Clock, memory: Memory | None = None) -> None:
        self.state = GridState()
        self.head: Head | None = None
        self.claim_seconds = 600.0
        self.is_stale = self.is_lost = True
        self._chain = chain
        self._clock = clock
        self._memory = memory
        self._seen = 0
        self._ended: deque[int] = deque(maxlen=ENDED_KEPT)
        self._constants_at = 0.0
        self._remembered_at = 0.0
        self._remembered: object = None

    def ended(self, job_id: int) -> None:
        """Forgets a job that ended, but for a while its number."""
        self.state.ended(job_id)
        self._ended.append(job_id)

    # -- reading -----------------------------------------------------------------

    async def rebuild(self) -> None:
        """Reads everything from contract views: open and new jobs, or all if lost.

        Raises:
            UnreachableError: The chain does not answer; what was known stays, stale.
            NotFoundError: A job that was known is gone: the picture is lost.
        """
        head = await self._chain.head()
        await self._read_constants()
        newest = await self._chain.job_count()
        providers = await self._chain.providers()
        if self.is_lost or newest < self._seen:
            ids = await self._chain.open_job_ids(1, newest)
        else:
            new = await self._chain.open_job_ids(self._seen + 1, newest)
            ids = sorted({*self.state.hot_ids(), *self._ended, *new})
        jobs = [job for job in await self._chain.jobs(ids) if job.status.is_hot]
        since = await self._since(jobs, head)
        self.state.clear()
        for provider in providers:
            self.state.set_provider(provider)
        for job in jobs:
            self.state.observe(job, since[job.id])
        self.head, self._seen = head, newest
        self.is_stale = self.is_lost = False
        log.info(
            "read the grid block=%d jobs=%d waiting=%d placed=%d providers=%d",
            head.number,
            len(ids),
            len(self.state.pending),
            len(self.state.tracked),
            len(self.state.providers),
        )

    async def _since(self, jobs: Collection[Job], head: Head) -> dict[int, float]:
        """When jobs came to their status; exact where a claim is waited for."""
        placed = {
            job.id: job.time.block_number_state_change
            for job in jobs
            if job.status is JobStatus.META_SCHEDULED
        }
        times = await self._chain.block_timestamps(placed.values())
        return {job.id: float(times.get(placed.get(job.id, -1), head.timestamp)) for job in jobs}

    async def _read_constants(self) -> None:
        constants = await self._chain.constants()
        self.claim_seconds = constants.claim_job_timeout * 60.0
        self._constants_at = self._clock.monotonic()

    async def refresh(self, jobs: Collection[int], providers: Collection[Address]) -> None:
        """Reads some jobs and providers.

        Raises:
            UnreachableError: The chain does not answer.
            NotFoundError: A job is gone.
        """
        if self._clock.monotonic() - self._constants_at > CONSTANTS_SECONDS:
            await self._read_constants()
        for address in sorted(providers):
            provider = await self._provider(address)
            if provider is None:
                self.state.drop_provider(address)
            else:
                self.state.set_provider(provider)
        at = float(self.head.timestamp) if self.head is not None else 0.0
        for job in await self._chain.jobs(sorted(jobs)) if jobs else ():
            self.state.observe(job, at)
            self._seen = max(self._seen, job.id)

    async def _provider(self, address: Address) -> Provider | None:
        """A provider's approved record, else its proposal, else None."""
        approved = await self._chain.provider(address)
        if approved.is_approved or approved.is_banned:
            return approved
        proposal = await self._chain.proposal(address)
        return proposal if proposal.is_waiting else None

    # -- over restarts -----------------------------------------------------------

    async def recall(self) -> None:
        """Takes the snapshot up, if the chain still has its block."""
        snapshot = self._memory.load() if self._memory is not None else None
        if snapshot is None:
            return
        block = await self._chain.block(snapshot.block_number)
        if block is None or block.hash != snapshot.block_hash:
            log.info("snapshot of another chain block=%d", snapshot.block_number)
            return
        self._seen, self.is_lost = snapshot.seen, False
        self._ended = deque(snapshot.hot, maxlen=max(ENDED_KEPT, len(snapshot.hot)))
        self.state.backoff = BackOff.from_json(snapshot.backoff)

    def remember(self, *, now: bool = False) -> None:
        """Writes a snapshot if something changed and the last one is old enough, or ``now``."""
        time = self._clock.monotonic()
        due = now or time - self._remembered_at >= REMEMBER_SECONDS
        if self._memory is None or self.head is None or self.is_stale or not due:
            return
        hot = sorted({*self.state.hot_ids(), *self._ended})
        backoff = self.state.backoff.to_json()
        if (self._seen, hot, backoff) == self._remembered:
            return
        self._remembered, self._remembered_at = (self._seen, hot, backoff), time
        try:
            self._memory.save(self.head, self._seen, hot, backoff)
        except OSError as error:
            log.warning("no snapshot reason=%r", str(error))
