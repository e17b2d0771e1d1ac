"""The agent: what was heard from chain and cluster becomes steps, one job at a time.

Several loops run side by side and wait for nobody: the follower of the chain's events,
the three queues (:mod:`.claims`), the poll (:mod:`.poller`), the output (:mod:`.logship`)
and a clock tick for what only time decides. Each only says *this job is to be judged*;
:meth:`Agent.wake` then runs that job's step: read, fold in, decide, carry out. Steps of
one job never overlap, an error of one job never stops another, and a failing one is
repeated with growing pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from dsq.core.clock import Clock
from dsq.core.errors import DsqError
from dsq.core.model import JobStatus
from dsq.core.units import minutes_for
from dsq.supervisor import decide as do
from dsq.supervisor.claims import Claims
from dsq.supervisor.effects import Effects
from dsq.supervisor.journal import JobRecord, Journal, Phase
from dsq.supervisor.logcontext import job_context
from dsq.supervisor.logship import LogShipper
from dsq.supervisor.observe import ChainView, observe
from dsq.supervisor.poller import Poller
from dsq.supervisor.ports import ChainPort, Feed, LogSink, ScriptSource, SenderPort
from dsq.supervisor.registration import Registrar
from dsq.supervisor.scheduler.port import Scheduler
from dsq.supervisor.services import Services, Waker, bounded
from dsq.supervisor.settings import ProviderSettings
from dsq.supervisor.snapshot import Mode

if TYPE_CHECKING:
    from dsq.core.chain import Batch
    from dsq.core.model import Address

log = logging.getLogger("dsq.supervisor.agent")

EVENTS = (
    "ClaimJobEvent",
    "ClaimNextCancellingJobEvent",
    "ClaimNextTopUpJobEvent",
    "JobTransitionEvent",
    "ProviderApproved",
    "ProviderRemoved",
    "ProviderBanChanged",
)
"""What the follower reads."""

FRESH_SECONDS = 1.0
"""An effect is decided on a reading of the chain not older than this."""

CHAIN_AGE_SECONDS = 60.0
"""While nothing is due, an older reading will do; events make it void."""

TICK_SECONDS = 1.0
REST_SECONDS = 60.0
"""A job that just runs or waits is judged again after so long, whatever was heard."""

STEPS_AT_ONCE = 64
ROUNDS = 12
"""Most effects of one step before others get their turn."""

FIRST_RETRY, LAST_RETRY = 0.5, 30.0
STOP_SECONDS = 3.5
"""What is in flight gets so long after a stop; the journal covers the rest."""

REORG_SECONDS = 3600.0
"""After the chain went back, jobs closed within so long are looked at again."""

COMMIT_SECONDS = 30.0
"""Blocks without events are committed so often: each commit is a write to disk."""

SCAN_CHUNK = 500

EVICTED = "the provider closed its cluster"
"""``last_error`` of jobs that :meth:`Agent.evict` ended."""


class _Judged(enum.Enum):
    RESTING = 0
    AGAIN = 1
    FAILED = 2


class Agent:
    """One provider's supervisor.

    Args:
        settings: The provider's settings.
        me: Its address.
        chain, sender, scheduler, sbatch, logs: The ports; ``logs`` None without a log service.
        journal: Its journal; this agent is its only writer.
        clock: Time.
        feed: Makes the follower, once the first block to read is known.
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
            env=_job_environment(settings),
            job_path=settings.cluster.job_path or None,
        )
        timing = settings.timing
        s.policy = self._policy(None)
        self.poller = Poller(s, self.wake, fast=timing.poll_fast, slow=timing.poll_slow)
        self.shipper = LogShipper(s)
        self.claims = Claims(
            s,
            self.poller,
            self.wake,
            may_claim=lambda: self.mode is Mode.CLAIMING,
            claim_ahead=settings.cluster.claim_ahead,
            idle=timing.poll_slow,
        )
        self.registrar = Registrar(s, settings, self.poller, on_record=self._on_record)
        self._effects = Effects(
            s,
            wake=self.wake,
            poll_soon=self.poller.soon,
            ship=self.shipper.poke,
            deliver_note=self.shipper.deliver_note,
        )
        self._feed = feed
        self._busy: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._again: set[int] = set()
        self._retry_at: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._judged_at: dict[int, float] = {}
        self._slots = asyncio.Semaphore(STEPS_AT_ONCE)
        self._tick = Waker()
        self.waits: dict[int, str] = {}
        self.head_number = 0
        self.head_timestamp = 0
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

    # --- life ----------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set, then ends within five seconds; jobs go on in Slurm."""
        log.info("provider=%s started", self.services.me)
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(loop, name=f"dsq-{name}")
                for name, loop in (
                    ("follow", self._follow()),
                    ("poll", self.poller.run(self._is_stopping)),
                    ("queues", self.claims.run(self._is_stopping)),
                    ("logs", self.shipper.run(self._is_stopping)),
                    ("registration", self.registrar.run(self._is_stopping)),
                    ("tick", self._tick_loop()),
                )
            ]
            await self._until(stop, loops)
            self.mode = Mode.STOPPING
            for waker in (self._tick, self.shipper.waker, self.registrar.waker):
                waker.set()
            self.claims.soon()
            self.poller.soon()
            await self._let_go(loops)
        self.services.journal.flush()
        log.info("provider=%s stopped", self.services.me)

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
        pending = {*loops, *self._tasks, *self.claims.in_flight, *self._effects.in_flight}
        _, pending = await asyncio.wait(pending, timeout=STOP_SECONDS)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=1.0)

    # --- hearing -------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Reads the chain's events; the first thing is to make sure of what is open."""
        await self._when_reachable(self._reconcile_at_start)
        feed = self._feed(self.head_number)
        committed_at = float("-inf")
        async for batch in feed:
            # A batch is committed when all of it was taken in; taking in twice is harmless.
            await self._when_reachable(functools.partial(self._hear, batch))
            now = self.services.clock.monotonic()
            if batch.events or batch.reset or now - committed_at >= COMMIT_SECONDS:
                await feed.commit(batch)
                committed_at = now

    async def _hear(self, batch: Batch) -> None:
        s = self.services
        self.head_number, self.head_timestamp = batch.head.number, batch.head.timestamp
        s.health.good("chain")
        if batch.reset:
            await self._reconcile_after_reset()
        for event in batch.events:
            if event.name == "JobTransitionEvent":
                self._heard_transition(int(event.args["job_id"]), event.args["to_status"])
            elif event.name.startswith("Provider"):
                self.registrar.waker.set()
            else:
                self.claims.take_any(event)

    def _heard_transition(self, job_id: int, to: JobStatus) -> None:
        self.services.views.forget(job_id)
        if to is JobStatus.META_SCHEDULED:
            self.claims.hint(job_id)
        else:
            self.claims.not_offered(job_id)
        record = self.services.journal.get(job_id)
        if record is not None and record.is_open:
            self.wake(job_id)

    async def _when_reachable(self, work: Callable[[], Awaitable[None]]) -> None:
        delay = FIRST_RETRY
        while True:
            try:
                await work()
            except DsqError as error:
                self.services.health.bad("chain", error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST_RETRY)
            else:
                return

    async def _reconcile_at_start(self) -> None:
        """Reads every open job; without a journal, looks for jobs that are ours on chain."""
        s = self.services
        head = await s.chain.head()
        is_first_run = s.journal.get_meta("cursor") is None
        if is_first_run:
            await self._scan(await s.chain.job_count())
        self.head_number, self.head_timestamp = head.number, head.timestamp
        self.fee_percent = (await s.chain.constants()).deepsquare_cut
        await self._wake_all([record.job_id for record in s.journal.open_records()])

    async def _reconcile_after_reset(self) -> None:
        """The chain went back: events we handled may not have happened. Views decide."""
        s = self.services
        log.warning("chain=went_back jobs are read again")
        s.views.forget_all()
        since = s.clock.now() - REORG_SECONDS
        closed = [record.job_id for record in s.journal.finished_since(since)]
        await self._wake_all([record.job_id for record in s.journal.open_records()] + closed)
        await self._scan(await s.chain.job_count())

    async def _wake_all(self, job_ids: list[int]) -> None:
        for start in range(0, len(job_ids), SCAN_CHUNK):
            part = job_ids[start : start + SCAN_CHUNK]
            await self.services.views.read(part)
            for job_id in part:
                self.wake(job_id)

    async def _scan(self, count: int) -> None:
        """Looks through all jobs on chain for ones of ours that the journal does not know."""
        s = self.services
        for high in range(count, 0, -SCAN_CHUNK):
            ids = range(max(1, high - SCAN_CHUNK + 1), high + 1)
            for job in await bounded(s.chain.jobs(ids), "The chain"):
                if job.provider != s.me:
                    continue
                if job.status is JobStatus.META_SCHEDULED:
                    self.claims.hint(job.id)
                elif job.status is JobStatus.SCHEDULED:
                    await self._adopt(ChainView(job, True, s.clock.now()))
                elif job.status is JobStatus.RUNNING and s.journal.get(job.id) is None:
                    log.error("job=%d runs on chain, but this journal does not know it", job.id)

    async def _adopt(self, view: ChainView) -> None:
        """Takes in a job that was claimed without the journal hearing of it."""
        s, job = self.services, view.job
        record = s.journal.get(job.id)
        if record is not None and record.is_open:
            return
        block = job.time.block_number_state_change
        events = await bounded(s.chain.events(block, block, ("ClaimJobEvent",)), "The chain")
        for event in events:
            if event.args["job_id"] == job.id and event.args["provider"] == s.me:
                self.claims.take(event)
                return
        prices = (await bounded(s.chain.provider(s.me), "The chain")).prices
        minutes = minutes_for(job.definition, prices, job.cost.max_cost - job.cost.pending_top_up)
        self.claims.adopt(
            JobRecord(
                job_id=job.id,
                customer=job.customer,
                definition=job.definition,
                claimed_at=int(s.clock.now()),
                bought_minutes=minutes,
            ),
            f"found on chain, claimed for {minutes} min",
        )

    def _on_record(self) -> None:
        """The cluster's limits or the record on chain changed."""
        self.services.policy = self._policy(self.poller.info.max_minutes if self.poller.info else 0)
        self.claims.registered = self.registrar.room
        self.claims.soon()

    def _policy(self, partition_minutes: int | None) -> do.Policy:
        caps = [cap for cap in (partition_minutes, self.settings.max_minutes) if cap]
        timing = self.settings.timing
        return do.Policy(
            cap_minutes=min(caps, default=None),
            lost_grace=timing.lost_grace,
            hand_back_after=timing.hand_back_after,
            fetch_patience=timing.fetch_patience,
        )

    # --- judging -------------------------------------------------------------------------

    def wake(self, job_id: int) -> None:
        """Has a job judged soon; while its step runs, once more after it."""
        if self._is_stopping():
            return
        if job_id in self._busy:
            self._again.add(job_id)
            return
        self._busy.add(job_id)
        task = asyncio.create_task(self._drive(job_id), name=f"dsq-job-{job_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drive(self, job_id: int) -> None:
        try:
            await self._drive_until_rest(job_id)
        finally:
            # Here and not in a callback of the task: what is heard from now on must start
            # a new one.
            self._busy.discard(job_id)

    async def _drive_until_rest(self, job_id: int) -> None:
        with job_context(job_id):
            while not self._is_stopping():
                self._again.discard(job_id)
                async with self._slots:
                    judged = await self._step_guarded(job_id)
                if judged is _Judged.FAILED:
                    return
                if judged is _Judged.RESTING and job_id not in self._again:
                    return

    async def _step_guarded(self, job_id: int) -> _Judged:
        try:
            judged = await self._step(job_id)
        except DsqError as error:
            self._failed(job_id, str(error))
        except Exception as error:
            log.exception("step=failed")
            self._failed(job_id, f"{type(error).__name__}: {error}")
        else:
            self._failures.pop(job_id, None)
            self._retry_at.pop(job_id, None)
            return judged
        return _Judged.FAILED

    def _failed(self, job_id: int, words: str) -> None:
        count = self._failures[job_id] = self._failures.get(job_id, 0) + 1
        delay = min(FIRST_RETRY * 2 ** min(count - 1, 10), LAST_RETRY)
        if job_id in self._again:
            delay = FIRST_RETRY  # something was heard meanwhile
        self._retry_at[job_id] = self.services.clock.monotonic() + delay
        log.warning("step=failed reason=%r retry_in=%.1f", words, delay)
        record = self.services.journal.get(job_id)
        if record is not None and record.last_event != words:
            # Not into the history: a long outage would fill it.
            at = int(self.services.clock.now())
            self.services.journal.touch(replace(record, last_event=words, last_event_at=at))

    async def _step(self, job_id: int) -> _Judged:
        """Judges one job and carries out what was decided, until it rests."""
        for _ in range(ROUNDS):
            self._judged_at[job_id] = self.services.clock.monotonic()
            view, actions = await self._judge(job_id, CHAIN_AGE_SECONDS)
            if any(not isinstance(action, do.Wait | do.ShipLogs) for action in actions):
                view, actions = await self._judge(job_id, FRESH_SECONDS)
            again = False
            for action in actions:
                if isinstance(action, do.Wait):
                    self.waits[job_id] = action.why
                again |= await self._effects.apply(job_id, action, view)
            if not again:
                return _Judged.RESTING
            record = self.services.journal.get(job_id)
            if record is None or not record.is_open:
                self._forget(job_id)
                return _Judged.RESTING
        return _Judged.AGAIN

    async def _judge(self, job_id: int, max_age: float) -> tuple[ChainView | None, list[do.Action]]:
        s = self.services
        view = await s.views.get(job_id, max_age)
        old = s.journal.get(job_id)
        if old is None:
            return view, []
        now = s.clock.now()
        slurm = self.poller.view(old)
        record, event = observe(old, view, slurm, now)
        self._keep(old, record, event)
        return view, do.decide(view, slurm, record, now, s.policy)

    def _keep(self, old: JobRecord, new: JobRecord, event: str) -> None:
        """Writes what was seen; mere sightings wait for the next flush."""
        if event or old.phase is not new.phase or old.slurm_state != new.slurm_state:
            if event:
                log.info("%s", event)
            self.services.journal.save(new, event)
        elif new != old:
            self.services.journal.touch(new)

    def _forget(self, job_id: int) -> None:
        self.services.views.forget(job_id)
        for known in (self.waits, self._failures, self._retry_at, self._judged_at):
            known.pop(job_id, None)

    # --- time ----------------------------------------------------------------------------

    async def _tick_loop(self) -> None:
        while not self._is_stopping():
            now = self.services.clock.monotonic()
            if self._evicting:
                self._evict_some()
            for record in self.services.journal.open_records():
                if record.job_id not in self._busy and self._is_due(record, now):
                    self.wake(record.job_id)
            await self._tick.pause(TICK_SECONDS)

    def _evict_some(self) -> None:
        for record in self.services.journal.open_records():
            if not record.cancel_cause and record.phase not in (Phase.PLANNED, Phase.ENDED):
                self.cancel_job(record.job_id, EVICTED)

    def _is_due(self, record: JobRecord, now: float) -> bool:
        retry_at = self._retry_at.get(record.job_id)
        if retry_at is not None:
            return now >= retry_at
        rest = now - self._judged_at.get(record.job_id, 0.0)
        is_quiet = (
            record.phase in (Phase.SENT, Phase.SEEN)
            and not record.missing_count
            and not record.stranger_count
            and not record.cancel_requested
        )
        return rest >= (REST_SECONDS if is_quiet else TICK_SECONDS)


def _job_environment(settings: ProviderSettings) -> dict[str, str]:
    """Where scripts keep their storage: below the account's home unless the site says else."""
    cluster = settings.cluster
    home = f"{settings.state_dir}" if cluster.kind == "local" else "~/.dsq"
    return {
        "DSQ_CACHE_ROOT": cluster.cache_root or f"{home}/cache",
        "DSQ_SCRATCH_ROOT": cluster.scratch_root or f"{home}/scratch",
    }


@contextlib.asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[asyncio.Event]:
    """Runs an agent for the length of a ``with``; yields its stop event."""
    stop = asyncio.Event()
    task = asyncio.create_task(agent.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await task
