"""The meta-scheduler's loop: hears the chain, decides, sends.

One task owns the state. The follower's batches and the outcomes of transactions come to
it through one inbox, so nothing is locked and no view overtakes a newer one.
Whatever goes wrong with the chain makes the picture stale; it is then read anew from
contract views, never guessed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter as Tally
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import asdict, dataclass

from dsq.core.chain import Batch, Chain, Event, Follower, Head, MemoryCursor, Sender
from dsq.core.chain.follower import MAX_REORG
from dsq.core.clock import Clock, SystemClock
from dsq.core.errors import DsqError, NotFoundError, TryAgainError, UnreachableError
from dsq.core.metascheduler.counted import Counted, MetaSchedulerSnapshot
from dsq.core.metascheduler.memory import Memory
from dsq.core.metascheduler.patience import Patience
from dsq.core.metascheduler.picture import Picture
from dsq.core.metascheduler.placing import Placer, Sent, batches
from dsq.core.metascheduler.policy import Placement, decide
from dsq.core.metascheduler.state import GridState, Tracked
from dsq.core.model import Address, JobStatus

log = logging.getLogger("dsq.core.metascheduler.loop")

EVENTS = (
    "NewJobRequestEvent",
    "JobRefusedEvent",
    "JobTransitionEvent",
    "ClaimNextTopUpJobEvent",
    "BilledTooMuchEvent",
    "ProviderWaitingForApproval",
    "ProviderApproved",
    "ProviderRemoved",
    "ProviderBanChanged",
)

MAX_IN_FLIGHT = 1_024
"""Placements on their way at once."""

POLL_SECONDS = 0.2
"""Pause between looks at the head: what a job waits for its placement, on average twice."""


@dataclass(frozen=True, slots=True)
class _TimedOut:
    """Outcome of a ``timeoutJob``."""

    job_id: int
    error: DsqError | None


_Item = Batch | Sent | _TimedOut | BaseException | None


class MetaScheduler:
    """Places waiting jobs of one grid.

    Args:
        chain: The grid's contracts.
        sender: Sends with a key that has ``METASCHEDULER_ROLE``.
        memory: Where snapshots are kept; None starts from the chain alone each time.
        clock: The time.
        max_reorg: Blocks that the chain may go back; beyond that :meth:`run` ends with
            :class:`~dsq.core.errors.ReorgError`.

    Attributes:
        is_standby: Another process with the key is at work: :meth:`run` has not begun.
    """

    def __init__(
        self,
        chain: Chain,
        sender: Sender,
        *,
        memory: Memory | None = None,
        clock: Clock | None = None,
        max_reorg: int = MAX_REORG,
    ) -> None:
        self.is_standby = False
        self.counted = Counted()
        self._sender = sender
        self._max_reorg = max_reorg
        self._follower: Follower | None = None
        self._patience = Patience()
        self._chain = chain
        self._placer = Placer(chain, sender)
        self._clock = clock or SystemClock()
        self._picture = Picture(chain, self._clock, memory)
        self._inbox: asyncio.Queue[_Item] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timing_out: set[int] = set()
        self._dirty = True
        self._wake: float | None = None

    @property
    def state(self) -> GridState:
        """What is known of the grid."""
        return self._picture.state

    @property
    def head(self) -> Head | None:
        """The newest block that was heard of."""
        return self._picture.head

    def now(self) -> float:
        """Unix seconds: this machine's, or the chain's where that is ahead."""
        chain_time = self.head.timestamp if self.head is not None else 0
        return max(self._clock.now(), chain_time)

    @property
    def is_hearing(self) -> bool:
        """Whether the chain was heard of lately."""
        return self._patience.is_hearing(self._clock.now())

    @property
    def heard_at(self) -> float | None:
        """When the chain was last heard of, in Unix seconds; None before the first picture."""
        return self._patience.heard_at

    def snapshot(self) -> MetaSchedulerSnapshot:
        """How it stands."""
        state = self.state
        statuses = Tally(tracked.status for tracked in state.tracked.values())
        fit = sum(provider.is_valid for provider in state.providers.values())
        return MetaSchedulerSnapshot(
            is_standby=self.is_standby,
            is_hearing=self.is_hearing,
            waiting=len(state.pending) + len(state.placing),
            placing=len(state.placing),
            placed=statuses[JobStatus.META_SCHEDULED],
            claimed=statuses[JobStatus.SCHEDULED],
            running=statuses[JobStatus.RUNNING],
            providers=fit,
            unfit_providers=len(state.providers) - fit,
            counted=asdict(self.counted),
            follower=self._follower.snapshot() if self._follower is not None else None,
            sender=self._sender.snapshot(),
            endpoints=self._chain.rpc.endpoints(),
        )

    # -- the loop ----------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set."""
        head = await self._first_view(stop)
        if head is None:
            return
        helpers = [
            asyncio.create_task(self._feed(head.number)),
            asyncio.create_task(self._stop_later(stop)),
        ]
        try:
            await self._act()
            while not stop.is_set():
                items = [await self._inbox.get()]
                while not self._inbox.empty():
                    items.append(self._inbox.get_nowait())
                await self._turn(items)
        finally:
            for task in (*helpers, *self._tasks):
                task.cancel()
            await asyncio.gather(*helpers, *self._tasks, return_exceptions=True)
            self._picture.remember(now=True)

    async def _first_view(self, stop: asyncio.Event) -> Head | None:
        """The first picture, however long the chain takes to answer."""
        wait, recalled = 0.5, False
        while not stop.is_set():
            try:
                if not recalled:
                    await self._picture.recall()
                    recalled = True
                await self._rebuild()
                return self.head
            except NotFoundError:
                # The snapshot knows jobs that the chain does not.
                self._picture.is_lost = True
            except (UnreachableError, TryAgainError) as error:
                log.warning("cannot read the chain reason=%r retry_seconds=%.1f", str(error), wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
            wait = min(wait * 2, 15.0)
        return None

    async def _feed(self, block: int) -> None:
        try:
            self._follower = follower = Follower(
                self._chain,
                MemoryCursor(),
                names=EVENTS,
                # From the block of the first view on: a chain that goes back is noticed.
                start_block=block,
                poll_seconds=POLL_SECONDS,
                max_reorg=self._max_reorg,
            )
            async for batch in follower:
                self._inbox.put_nowait(batch)
                await follower.commit(batch)
        except Exception as error:
            self._inbox.put_nowait(error)

    async def _stop_later(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._inbox.put_nowait(None)

    async def _turn(self, items: Iterable[_Item]) -> None:
        """Takes everything in that has come, then acts once."""
        jobs: set[int] = set()
        providers: set[Address] = set()
        for item in items:
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, Batch):
                self._heard(item)
                for event in item.events:
                    self._take(event, item.head.timestamp, jobs, providers)
            elif isinstance(item, Sent):
                self._settle(item, jobs, providers)
            elif isinstance(item, _TimedOut):
                self._after_time_out(item, jobs)
        jobs |= self._lost()
        try:
            if self._picture.is_stale:
                await self._rebuild()
            else:
                await self._picture.refresh(jobs, providers)
        except (UnreachableError, TryAgainError, NotFoundError) as error:
            # What was to be read is not noted: the rebuild finds it.
            if not self._picture.is_stale:
                log.warning("lost the chain reason=%r", str(error))
            self._picture.is_stale = True
            # A job that an event named and no view knows: the chain went back.
            self._picture.is_lost |= isinstance(error, NotFoundError)
            return
        await self._act()
        self._picture.remember()

    async def _rebuild(self) -> None:
        await self._picture.rebuild()
        self.counted.rebuilds += 1
        self._patience.restarted(self._clock.now())
        self._dirty = True

    # -- hearing -----------------------------------------------------------------

    def _heard(self, batch: Batch) -> None:
        self._patience.heard(self._clock.now())
        self._picture.head = batch.head
        if batch.reset:
            log.warning("the chain went back block=%d", batch.head.number)
            self._picture.is_stale = self._picture.is_lost = True
            self._timing_out.clear()

    def _take(self, event: Event, at: float, jobs: set[int], providers: set[Address]) -> None:
        """Notes what an event changes, or what must be read because of it."""
        self._dirty = True
        if "job_id" not in event.args:
            providers.add(event.args["provider"])
            return
        job_id = int(event.args["job_id"])
        match event.name:
            case "JobRefusedEvent":
                self._refused(job_id, event.args["provider"])
            case "JobTransitionEvent":
                if self._moved(job_id, event.args["to_status"], at):
                    jobs.discard(job_id)
                else:
                    jobs.add(job_id)
            case "BilledTooMuchEvent":
                log.warning("billed too much job=%d provider=%s", job_id, event.args["provider"])
            case _:
                jobs.add(job_id)

    def _refused(self, job_id: int, provider: Address) -> None:
        if job_id in self._timing_out:
            self._timing_out.discard(job_id)
            self.counted.taken_back += 1
            self.state.backoff.unclaimed(job_id, provider, self.now())
        else:
            self.counted.refused += 1
            self.state.backoff.refused(job_id, provider, self.now())
        log.info("handed back job=%d provider=%s", job_id, provider)

    def _moved(self, job_id: int, status: JobStatus, at: float) -> bool:
        """Follows a transition; False when the job's view must be read."""
        if status.is_final:
            self._picture.ended(job_id)
            return True
        if status is JobStatus.PENDING:
            self.state.handed_back(job_id)
            return False
        known = self.state.advance(job_id, status, at)
        if known and status is JobStatus.SCHEDULED:
            self.state.backoff.claimed(self.state.tracked[job_id].provider)
        return known

    def _settle(self, sent: Sent, jobs: set[int], providers: set[Address]) -> None:
        job_id = sent.placement.job_id
        placing = self.state.placing.get(job_id)
        if sent.error is None:
            self.counted.placed += 1
            if placing is not None:
                placing.mined_at = self._clock.now()
            return
        self.counted.failed += 1
        self._dirty = True
        jobs.add(job_id)
        if placing is not None:
            self.state.abandon(job_id)
            self.state.backoff.failed(job_id, self.now())
        if sent.provider_at_fault:
            providers.add(sent.placement.provider)

    def _after_time_out(self, outcome: _TimedOut, jobs: set[int]) -> None:
        """A success is told again by its event, which may come before or after this."""
        if outcome.error is not None:
            self._timing_out.discard(outcome.job_id)
            self.state.backoff.failed(outcome.job_id, self.now())
            jobs.add(outcome.job_id)

    def _lost(self) -> set[int]:
        """Placements that were mined and then undone."""
        lost = Patience.undone(self.state, self._clock.now())
        for job_id in lost:
            self.state.abandon(job_id)
            self._dirty = True
        return lost

    # -- acting ------------------------------------------------------------------

    async def _act(self) -> None:
        now = self.now()
        for tracked in self._patience.overdue(
            self.state, now, claim_seconds=self._picture.claim_seconds, but=self._timing_out
        ):
            self._timing_out.add(tracked.job.id)
            self._spawn(self._time_out(tracked))
        if not self._dirty and (self._wake is None or now < self._wake):
            return
        room = MAX_IN_FLIGHT - len(self.state.placing)
        placements = decide(self.state, now, limit=max(room, 0))
        for batch in batches(placements, self.state.pending):
            self.counted.batches += 1
            for placement in batch:
                self.state.begin(placement)
            self._spawn(self._place(batch))
        # With the limit reached, the next outcome looks again.
        self._dirty = len(placements) == room
        self._wake = self.state.backoff.next_end(now)

    async def _place(self, batch: Sequence[Placement]) -> None:
        for sent in await self._placer.place(batch):
            if sent.error is None:
                job_id, provider = sent.placement.job_id, sent.placement.provider
                log.info("placed job=%d provider=%s", job_id, provider)
            self._inbox.put_nowait(sent)

    async def _time_out(self, tracked: Tracked) -> None:
        job_id = tracked.job.id
        log.warning("not claimed in time job=%d provider=%s", job_id, tracked.provider)
        _, error = await self._placer.send(self._chain.calls.timeout_job(job_id))
        self._inbox.put_nowait(_TimedOut(job_id, error))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._inbox.put_nowait(error)
