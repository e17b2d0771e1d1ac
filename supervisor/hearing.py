"""Hearing the chain: what its events mean for the jobs here.

The first thing is to make sure of what is open (:mod:`.reconcile`); then batch after batch is
taken in, and only then its place is kept: what a process heard in its last moment comes again.
An event decides nothing: of a job that changed it says *read it again*, and has it judged.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from dsq.core.errors import DiskError, DsqError, ReorgError
from dsq.core.model import JobStatus
from dsq.supervisor.claims import Claims
from dsq.supervisor.lock import RivalError
from dsq.supervisor.ports import Feed
from dsq.supervisor.reconcile import Reconciler
from dsq.supervisor.services import Services
from dsq.supervisor.waiting import bounded

if TYPE_CHECKING:
    from dsq.core.chain import Batch, Event

log = logging.getLogger("dsq.supervisor.hearing")

EVENTS = (
    "ClaimJobEvent",
    "ClaimNextCancellingJobEvent",
    "ClaimNextTopUpJobEvent",
    "JobCancelRequested",
    "JobTransitionEvent",
    "ProviderApproved",
    "ProviderRemoved",
    "ProviderBanChanged",
)
"""What the follower reads."""

FIRST_RETRY, LAST_RETRY = 0.5, 30.0

COMMIT_SECONDS = 30.0
"""Blocks without events are committed so often: each commit is a write to disk."""

LAG_BLOCKS = 8
"""What was read after a block was the newest one shows what happened so many blocks before it,
also where several nodes answer of which one is a little behind."""


class Hearing:
    """Follows the chain's events.

    Args:
        services: Views, journal, health.
        claims: Takes in what the queues gave.
        reconciler: Reads what events cannot tell.
        wake: Has a job judged.
        provider_changed: Called when a provider was approved, removed or banned.
        feed: Makes the follower, once the first block to read is known.

    Attributes:
        feed: The follower, None before the head was read.
        placed: Set once the follower has found its place on the chain.
        head_number, head_timestamp: The newest block that was heard.
        fee_percent: The grid's part of what a job costs, as of the start.
    """

    def __init__(
        self,
        services: Services,
        claims: Claims,
        reconciler: Reconciler,
        wake: Callable[[int], None],
        *,
        provider_changed: Callable[[], None],
        feed: Callable[[int], Feed],
    ) -> None:
        self._s = services
        self._claims = claims
        self._reconciler = reconciler
        self._wake = wake
        self._provider_changed = provider_changed
        self._feed = feed
        self._rival: RivalError | None = None
        self._read_after = -1
        self.feed: Feed | None = None
        self.placed = asyncio.Event()
        self.head_number = 0
        self.head_timestamp = 0
        self.fee_percent = 0

    async def run(self) -> None:
        """Reads the chain's events; the first thing is to make sure of what is open.

        Raises:
            ReorgError: The chain went back further than the settings allow.
            RivalError: Another supervisor uses the key, and was there first.
        """
        s = self._s
        await self._when_reachable(self._read_head)
        self.feed = feed = self._feed(self.head_number)
        committed_at = float("-inf")
        try:
            async for batch in feed:
                if not self.placed.is_set():
                    s.views.is_trusted = True
                    self.placed.set()
                    await self._when_reachable(self._reconcile_at_start)
                # A batch is committed when all of it was taken in; taking in twice is harmless.
                await self._when_reachable(functools.partial(self.hear, batch))
                if self._claims.intake.foreign:
                    await self._when_reachable(self._meet_rivals)
                    if self._rival is not None:
                        raise self._rival
                now = s.clock.monotonic()
                if batch.events or batch.reset or now - committed_at >= COMMIT_SECONDS:
                    await feed.commit(batch)
                    committed_at = now
        except ReorgError:
            await feed.keep_halt()  # another start ends here, too
            raise

    async def _read_head(self) -> None:
        head = await bounded(self._s.chain.head(), "The chain")
        self.head_number, self.head_timestamp = head.number, head.timestamp

    async def _meet_rivals(self) -> None:
        self._rival = await self._claims.intake.meet_rivals()

    async def hear(self, batch: Batch) -> None:
        """Takes in a batch; twice changes nothing."""
        s = self._s
        self.head_number, self.head_timestamp = batch.head.number, batch.head.timestamp
        s.health.good("chain")
        if batch.reset:
            self._read_after = -1
            await self._reconciler.after_reset()
        moved: dict[int, Event] = {}
        for event in batch.events:
            if event.name == "JobTransitionEvent":
                moved[event.args["job_id"]] = event
                if event.args["to_status"] is not JobStatus.META_SCHEDULED:
                    self._claims.not_offered(event.args["job_id"])
            elif event.name == "JobCancelRequested":
                self._heard_cancel(event)
            elif event.name.startswith("Provider"):
                self._provider_changed()
            else:
                is_newest = event.block_hash == batch.head.hash
                claim_time = batch.head.timestamp if is_newest else 0
                self._claims.intake.take_any(event, claim_time=claim_time)
        # Of a job that has moved several times its last state counts.
        for event in moved.values():
            self._heard_transition(event)
        self._reconciler.heard(batch.head.number)

    def _is_known(self, event: Event) -> bool:
        """What was read of its job since the start shows what it tells; it comes once more."""
        is_old = event.block_number <= self._read_after
        return is_old and self._s.views.peek(event.args["job_id"]) is not None

    def _heard_transition(self, event: Event) -> None:
        s, job_id, to = self._s, event.args["job_id"], event.args["to_status"]
        if self._is_known(event):
            if s.views.shows(job_id, JobStatus.META_SCHEDULED):
                self._claims.hint(job_id)
            return
        if to is JobStatus.META_SCHEDULED:
            self._claims.hint(job_id)
        if to in (JobStatus.SCHEDULED, JobStatus.RUNNING) and s.views.shows(job_id, to):
            return  # our own doing, and read after it
        self._read_again(job_id)

    def _heard_cancel(self, event: Event) -> None:
        """The request is on the job already; its place in the queue comes later."""
        if not self._is_known(event):
            self._read_again(event.args["job_id"])

    def _read_again(self, job_id: int) -> None:
        self._s.views.forget(job_id)
        if self._s.journal.is_open(job_id):
            self._wake(job_id)

    async def _when_reachable(self, work: Callable[[], Awaitable[None]]) -> None:
        delay = FIRST_RETRY
        while True:
            try:
                await work()
            except DsqError as error:
                if isinstance(error, DiskError):
                    log.error("journal=not_written reason=%r", str(error))
                else:
                    self._s.health.bad("chain", error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST_RETRY)
            else:
                return

    async def _reconcile_at_start(self) -> None:
        head = await self._reconciler.at_start()
        self._claims.intake.first_block = head.number
        self._read_after = head.number - LAG_BLOCKS
        self.head_number, self.head_timestamp = head.number, head.timestamp
        self.fee_percent = await self._s.fee_percent()
