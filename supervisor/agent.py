"""The agent: what was heard from chain and cluster becomes steps, one job at a time.

Several loops run side by side and wait for nobody: the follower of the chain's events,
the three queues (:mod:`.claims`), the poll (:mod:`.poller`), the output (:mod:`.logship`),
chores (:mod:`.chores`) and a clock tick for what only time decides. Each only says *this job
is to be judged*; what then happens is one step of that job (:mod:`.stepper`).
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from dsq.core.clock import Clock
from dsq.core.errors import DiskError, DsqError, ReorgError
from dsq.core.model import JobStatus
from dsq.supervisor.chores import Chores
from dsq.supervisor.claims import Claims
from dsq.supervisor.clockwatch import ClockWatch
from dsq.supervisor.effects import Effects
from dsq.supervisor.journal import Journal
from dsq.supervisor.lock import RivalError
from dsq.supervisor.logcontext import job_context
from dsq.supervisor.logship import LogShipper
from dsq.supervisor.poller import Poller
from dsq.supervisor.ports import ChainPort, Feed, LogSink, ScriptSource, SenderPort
from dsq.supervisor.proofs import Proofs
from dsq.supervisor.reconcile import Reconciler
from dsq.supervisor.records import Phase
from dsq.supervisor.registration import Registrar
from dsq.supervisor.reports import Reporter
from dsq.supervisor.scheduler.port import Scheduler
from dsq.supervisor.services import Services
from dsq.supervisor.settings import ProviderSettings
from dsq.supervisor.snapshot import Mode
from dsq.supervisor.states import Policy
from dsq.supervisor.stepper import Stepper
from dsq.supervisor.strays import Strays
from dsq.supervisor.waiting import Waker, bounded

if TYPE_CHECKING:
    from dsq.core.chain import Batch, Event
    from dsq.core.model import Address

log = logging.getLogger("dsq.supervisor.agent")

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

TICK_SECONDS = 1.0
FIRST_RETRY, LAST_RETRY = 0.5, 30.0

STOP_SECONDS = 3.0
"""What is in flight gets so long after a stop; the journal covers the rest."""

COMMIT_SECONDS = 30.0
"""Blocks without events are committed so often: each commit is a write to disk."""

LAG_BLOCKS = 8
"""What was read after a block was the newest one shows what happened so many blocks before it,
also where several nodes answer of which one is a little behind."""

EVICTED = "the provider closed its cluster"
"""``last_error`` of jobs that :meth:`Agent.evict` ended."""


class Agent:
    """One provider's supervisor.

    Args:
        settings: The provider's settings.
        me: Its address.
        chain, sender, scheduler, sbatch, logs: The ports; ``logs`` None without a log service.
        journal: Its journal; this agent is its only writer.
        clock: Time.
        feed: Makes the follower, once the first block to read is known.
        token_seed: Secret of the attempts' tokens (:mod:`dsq.supervisor.tokens`).
    """

    def __init__(
        self,
        settings: ProviderSettings,
        me: Address,
        chain: ChainPort,
        sender: SenderPort,
        scheduler: Scheduler,
        sbatch: ScriptSource,
        logs: LogSink | None,
        journal: Journal,
        clock: Clock,
        *,
        feed: Callable[[int], Feed],
        token_seed: bytes = b"",
    ) -> None:
        self.settings = settings
        self.mode = Mode.CLAIMING
        self.services = s = Services(
            me=me,
            chain=chain,
            sender=sender,
            scheduler=scheduler,
            sbatch=sbatch,
            logs=logs,
            journal=journal,
            clock=clock,
            env=settings.job_environment,
            job_path=settings.cluster.job_path or None,
            token_seed=token_seed,
        )
        timing = settings.timing
        s.policy = self._policy(None)
        self.poller = Poller(
            s,
            self.wake,
            fast=timing.poll_fast,
            slow=timing.poll_slow,
            discovered=self._on_discovery,
        )
        self.shipper = LogShipper(s)
        self.claims = Claims(
            s,
            self.poller,
            self.wake,
            stray=lambda job_id: self.strays.add(job_id),
            rivals_job=lambda job_id: self.strays.add_rivals(job_id),
            may_claim=lambda: self.mode is Mode.CLAIMING and not self.strays.waiting,
            claim_ahead=settings.cluster.claim_ahead,
            idle=timing.poll_slow,
            is_paused=lambda: self.mode in (Mode.PAUSED, Mode.DRAINING),
            patience=timing.hand_on_after,
        )
        self.strays = Strays(s, self.wake, lambda: self.poller.is_dark, self.claims.rivals)
        self.registrar = Registrar(s, settings, self.poller, on_record=self._on_record)
        self.reporter = Reporter(s, wake=self.wake, failed=self._report_failed)
        proofs = Proofs(s, self.reporter, lambda: self.poller.is_dark, timing.prove_every)
        self._effects = Effects(
            s,
            self.reporter,
            poll_soon=self.poller.soon,
            ship=self.shipper.poke,
            deliver_note=self.shipper.deliver_note,
        )
        self._feed = feed
        self.feed: Feed | None = None
        self._rival: RivalError | None = None
        self._reconciler = Reconciler(s, self.claims, self.strays, self.wake)
        self._stepper = Stepper(
            s, self.poller, self._effects, self._is_stopping, self._reconciler.closed
        )
        self._chores = Chores(s, proofs, self._reconciler, self.strays, settings.keep_days)
        self._tick = Waker()
        self._placed = asyncio.Event()
        s.views.is_trusted = False
        self._clock_watch = ClockWatch(s)
        self.head_number = 0
        self.head_timestamp = 0
        self._read_after = -1
        self.fee_percent = 0
        self._evicting = False

    # --- what the operator may ask -------------------------------------------------------

    def pause(self) -> None:
        """Claims nothing new; what is claimed goes on."""
        self._set_mode(Mode.PAUSED)

    def resume(self) -> None:
        """Claims again."""
        self._set_mode(Mode.CLAIMING)
        self.claims.soon()

    def drain(self) -> None:
        """Claims nothing new, so that the provider runs empty (:attr:`is_drained`)."""
        self._set_mode(Mode.DRAINING)

    def evict(self) -> None:
        """Claims nothing new, and takes every job out of the cluster; their ends are reported."""
        self._set_mode(Mode.DRAINING)
        self._evicting = True
        self._tick.set()

    def _set_mode(self, mode: Mode) -> None:
        if self.mode is not Mode.STOPPING:
            log.info("mode=%s", mode)
            self.mode = mode
            self._evicting = False

    @property
    def is_drained(self) -> bool:
        """Draining, and no job is left."""
        return self.mode is Mode.DRAINING and not self.services.journal.open_records()

    def cancel_job(self, job_id: int, reason: str = "the provider cancelled the job") -> None:
        """Takes a job out of Slurm for the operator; its end is reported as any other.

        The intent is in the journal; while the cluster is silent it waits there.

        Raises:
            NotFoundError: The journal has no such job.
        """
        record = self.services.journal.update(
            job_id, f"the operator cancels it: {reason}", cancel_cause=reason
        )
        if record.phase is Phase.CLAIMED:
            self.services.journal.update(job_id, refuse_reason=reason)
        self.wake(job_id)

    def wake(self, job_id: int) -> None:
        """Has a job judged soon."""
        self._stepper.wake(job_id)

    # --- life ----------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set, then ends within five seconds; jobs go on in Slurm."""
        log.info("provider=%s started", self.services.me)
        try:
            async with asyncio.TaskGroup() as group:
                loops = self._begin(group)
                await self._until(stop, loops)
                self.mode = Mode.STOPPING
                self._end_pauses()
                await self._let_go(loops)
        finally:
            # When an error ends it, nothing goes on that was begun.
            for task in self._under_way([]):
                task.cancel()
        self.services.journal.flush()
        log.info("provider=%s stopped", self.services.me)

    def _begin(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Starts the loops; the follower of the chain is the first of them."""
        loops = (
            ("follow", self._follow()),
            ("poll", self.poller.run(self._is_stopping)),
            ("queues", self._once_placed(self.claims.run)),
            ("logs", self.shipper.run(self._is_stopping)),
            ("registration", self._once_placed(self.registrar.run)),
            ("reports", self._once_placed(self.reporter.run)),
            ("tick", self._tick_loop()),
            ("chores", self._once_placed(self._chores.run)),
        )
        return [group.create_task(loop, name=f"dsq-{name}") for name, loop in loops]

    async def _once_placed(self, run: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        """Runs a loop once the follower has found its place: until then nothing is sent, and to
        the steps of jobs the chain is silent. It may be another one than was read."""
        await self._placed.wait()
        await run(self._is_stopping)

    def _end_pauses(self) -> None:
        self._placed.set()
        for waker in (self._tick, self._chores.waker, self.shipper.waker, self.registrar.waker):
            waker.set()
        self.reporter.stop()
        self.claims.soon()
        self.poller.soon()

    def _is_stopping(self) -> bool:
        return self.mode is Mode.STOPPING

    @staticmethod
    async def _until(stop: asyncio.Event, loops: list[asyncio.Task[None]]) -> None:
        """Waits for the stop; a loop that ends by itself is an error and ends the agent."""
        waiting = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([waiting, *loops], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _let_go(self, loops: list[asyncio.Task[None]]) -> None:
        loops[0].cancel()
        clock = self.services.clock
        until = clock.monotonic() + STOP_SECONDS
        # The last reports are begun by a loop that ends.
        while (pending := self._under_way(loops)) and (left := until - clock.monotonic()) > 0:
            await asyncio.wait(pending, timeout=left)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=1.0)

    def _under_way(self, loops: list[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        tasks = {*loops, *self._stepper.tasks, *self.claims.in_flight, *self.reporter.in_flight}
        return {task for task in tasks if not task.done()}

    # --- hearing -------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Reads the chain's events; the first thing is to make sure of what is open.

        Raises:
            ReorgError: The chain went back further than the settings allow.
            RivalError: Another supervisor uses the key, and was there first.
        """
        s = self.services
        await self._when_reachable(self._read_head)
        self.feed = feed = self._feed(self.head_number)
        committed_at = float("-inf")
        try:
            async for batch in feed:
                if not self._placed.is_set():
                    s.views.is_trusted = True
                    self._placed.set()
                    await self._when_reachable(self._reconcile_at_start)
                # A batch is committed when all of it was taken in; taking in twice is harmless.
                await self._when_reachable(functools.partial(self._hear, batch))
                if self.claims.intake.foreign:
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
        head = await bounded(self.services.chain.head(), "The chain")
        self.head_number, self.head_timestamp = head.number, head.timestamp

    async def _meet_rivals(self) -> None:
        self._rival = await self.claims.intake.meet_rivals()

    async def _hear(self, batch: Batch) -> None:
        s = self.services
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
                    self.claims.not_offered(event.args["job_id"])
            elif event.name == "JobCancelRequested":
                self._heard_cancel(event)
            elif event.name.startswith("Provider"):
                self.registrar.waker.set()
            else:
                is_newest = event.block_hash == batch.head.hash
                claim_time = batch.head.timestamp if is_newest else 0
                self.claims.intake.take_any(event, claim_time=claim_time)
        # Of a job that has moved several times its last state counts.
        for event in moved.values():
            self._heard_transition(event)
        self._reconciler.heard(batch.head.number)

    def _is_known(self, event: Event) -> bool:
        """What was read of its job since the start shows what it tells; it comes once more."""
        is_old = event.block_number <= self._read_after
        return is_old and self.services.views.peek(event.args["job_id"]) is not None

    def _heard_transition(self, event: Event) -> None:
        s, job_id, to = self.services, event.args["job_id"], event.args["to_status"]
        if self._is_known(event):
            if s.views.shows(job_id, JobStatus.META_SCHEDULED):
                self.claims.hint(job_id)
            return
        if to is JobStatus.META_SCHEDULED:
            self.claims.hint(job_id)
        if to in (JobStatus.SCHEDULED, JobStatus.RUNNING) and s.views.shows(job_id, to):
            return  # our own doing, and read after it
        self._read_again(job_id)

    def _heard_cancel(self, event: Event) -> None:
        """The request is on the job already; its place in the queue comes later."""
        if not self._is_known(event):
            self._read_again(event.args["job_id"])

    def _read_again(self, job_id: int) -> None:
        self.services.views.forget(job_id)
        if self.services.journal.is_open(job_id):
            self.wake(job_id)

    async def _when_reachable(self, work: Callable[[], Awaitable[None]]) -> None:
        delay = FIRST_RETRY
        while True:
            try:
                await work()
            except DsqError as error:
                if isinstance(error, DiskError):
                    log.error("journal=not_written reason=%r", str(error))
                else:
                    self.services.health.bad("chain", error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST_RETRY)
            else:
                return

    async def _reconcile_at_start(self) -> None:
        head = await self._reconciler.at_start()
        self.claims.intake.first_block = head.number
        self._read_after = head.number - LAG_BLOCKS
        self.head_number, self.head_timestamp = head.number, head.timestamp
        self.fee_percent = await self.services.fee_percent()

    def _on_discovery(self) -> None:
        """The cluster's limits were read."""
        info = self.poller.info
        self.services.policy = self._policy(info.max_minutes if info else None)

    def _on_record(self) -> None:
        """The record on chain was read."""
        self.claims.registered = self.registrar.room
        self.claims.soon()

    def _policy(self, partition_minutes: int | None) -> Policy:
        caps = [cap for cap in (partition_minutes, self.settings.max_minutes) if cap]
        timing = self.settings.timing
        return Policy(
            cap_minutes=min(caps, default=None),
            lost_grace=timing.lost_grace,
            hand_back_after=timing.hand_back_after,
            fetch_patience=timing.fetch_patience,
        )

    # --- time ----------------------------------------------------------------------------

    async def _tick_loop(self) -> None:
        while not self._is_stopping():
            if self._evicting:
                self._evict_some()
            self._clock_watch.look()
            self._stepper.tick()
            await self._tick.pause(TICK_SECONDS)

    def _report_failed(self, job_id: int, words: str) -> None:
        with job_context(job_id):
            self._stepper.failed(job_id, words)

    def _evict_some(self) -> None:
        for record in self.services.journal.open_records():
            if not record.cancel_cause and record.phase not in (Phase.PLANNED, Phase.ENDED):
                self.cancel_job(record.job_id, EVICTED)
