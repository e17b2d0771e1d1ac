"""The agent: what was heard from chain and cluster becomes steps, one job at a time.

Several loops run side by side and wait for nobody: the follower of the chain's events
(:mod:`.hearing`), the three queues (:mod:`.claims`), the poll (:mod:`.poller`), the output
(:mod:`.logship`), chores (:mod:`.chores`) and a clock tick for what only time decides. Each only
says *this job is to be judged*; what then happens is one step of that job (:mod:`.stepper`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from dsq.core.clock import Clock
from dsq.supervisor.chores import Chores
from dsq.supervisor.claims import Claims
from dsq.supervisor.clockwatch import ClockWatch
from dsq.supervisor.effects import Effects
from dsq.supervisor.hearing import Hearing
from dsq.supervisor.journal import Journal
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
from dsq.supervisor.waiting import Waker

if TYPE_CHECKING:
    from dsq.core.model import Address

log = logging.getLogger("dsq.supervisor.agent")

TICK_SECONDS = 1.0

STOP_SECONDS = 3.0
"""What is in flight gets so long after a stop; the journal covers the rest."""

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
        self._reconciler = Reconciler(s, self.claims, self.strays, self.wake)
        self.hearing = Hearing(
            s,
            self.claims,
            self._reconciler,
            self.wake,
            provider_changed=self.registrar.waker.set,
            feed=feed,
        )
        self._stepper = Stepper(
            s, self.poller, self._effects, self._is_stopping, self._reconciler.closed
        )
        self._chores = Chores(s, proofs, self._reconciler, self.strays, settings.keep_days)
        self._tick = Waker()
        s.views.is_trusted = False
        self._clock_watch = ClockWatch(s)
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
            ("follow", self.hearing.run()),
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
        await self.hearing.placed.wait()
        await run(self._is_stopping)

    def _end_pauses(self) -> None:
        self.hearing.placed.set()
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

    # --- what the parts tell each other ---------------------------------------------------

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
