"""One job's steps: read, fold in, decide, carry out; never two of one job at once.

:meth:`Stepper.wake` says that a job is to be judged; what is heard while its step runs
starts another one after it. An error of one job stops no other, and is repeated with
growing pauses. :meth:`Stepper.tick` wakes what only time decides.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable
from dataclasses import replace

from dsq.core.errors import DsqError
from dsq.supervisor import actions as do
from dsq.supervisor.decide import decide
from dsq.supervisor.effects import Effects
from dsq.supervisor.logcontext import job_context
from dsq.supervisor.observe import ChainView, observe
from dsq.supervisor.poller import Poller
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.services import Services

log = logging.getLogger("dsq.supervisor.stepper")

FRESH_SECONDS = 1.0
"""An effect is decided on a reading of the chain not older than this."""

CHAIN_AGE_SECONDS = 60.0
"""While nothing is due, an older reading will do; events make it void."""

UNHURRIED = do.Wait | do.ShipLogs | do.ReportRunning | do.ReportEnd
"""What may be decided on an older reading. Of reports the contract leaves out what does not fit
the job any more."""

TICK_SECONDS = 1.0
REST_SECONDS = 60.0
"""A job that just runs or waits is judged again after so long, whatever was heard."""

STEPS_AT_ONCE = 512
ROUNDS = 12
"""Most effects of one step before others get their turn."""

FIRST_RETRY, LAST_RETRY = 0.5, 30.0


class _Judged(enum.Enum):
    RESTING = 0
    AGAIN = 1
    FAILED = 2


class Stepper:
    """Runs the steps of all jobs.

    Args:
        services: Chain views, journal, clock, policy.
        poller: The newest look into the cluster.
        effects: Carries out what was decided.
        is_stopping: True once nothing new may begin.
        closed: Called with a job that was closed.
    """

    def __init__(
        self,
        services: Services,
        poller: Poller,
        effects: Effects,
        is_stopping: Callable[[], bool],
        closed: Callable[[int], None],
    ) -> None:
        self._closed = closed
        self._s = services
        self._poller = poller
        self._effects = effects
        self._is_stopping = is_stopping
        self._busy: set[int] = set()
        self._again: set[int] = set()
        self._retry_at: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._judged_at: dict[int, float] = {}
        self._begun_at = services.clock.monotonic()
        self._slots = asyncio.Semaphore(STEPS_AT_ONCE)
        self.tasks: set[asyncio.Task[None]] = set()

    def wake(self, job_id: int) -> None:
        """Has a job judged soon; while its step runs, once more after it."""
        if self._is_stopping():
            return
        if job_id in self._busy:
            self._again.add(job_id)
            return
        self._busy.add(job_id)
        task = asyncio.create_task(self._drive(job_id), name=f"dsq-job-{job_id}")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

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
            self.failed(job_id, str(error))
        except Exception as error:
            log.exception("step=failed")
            self.failed(job_id, f"{type(error).__name__}: {error}")
        else:
            self._retry_at.pop(job_id, None)
            if not self._effects.reporter.is_at(job_id):
                self._failures.pop(job_id, None)
            return judged
        return _Judged.FAILED

    def failed(self, job_id: int, words: str) -> None:
        """An effect for a job failed: it is judged again after a growing pause."""
        count = self._failures[job_id] = self._failures.get(job_id, 0) + 1
        delay = min(FIRST_RETRY * 2 ** min(count - 1, 10), LAST_RETRY)
        if job_id in self._again:
            delay = FIRST_RETRY  # something was heard meanwhile
        self._retry_at[job_id] = self._s.clock.monotonic() + delay
        log.warning("step=failed reason=%r retry_in=%.1f", words, delay)
        record = self._s.journal.get(job_id)
        if record is not None and record.last_event != words:
            # Not into the history: a long outage would fill it.
            at = int(self._s.clock.now())
            self._s.journal.touch(replace(record, last_event=words, last_event_at=at))

    async def _step(self, job_id: int) -> _Judged:
        """Judges one job and carries out what was decided, until it rests."""
        s = self._s
        for _ in range(ROUNDS):
            self._judged_at[job_id] = s.clock.monotonic()
            view, actions = await self.judge(job_id, CHAIN_AGE_SECONDS)
            if any(not isinstance(action, UNHURRIED) for action in actions):
                view, actions = await self.judge(job_id, FRESH_SECONDS)
            was_open = s.journal.is_open(job_id)
            again = False
            for action in actions:
                again |= await self._effects.apply(job_id, action, view)
            if not again:
                return _Judged.RESTING
            if not s.journal.is_open(job_id):
                self._forget(job_id)
                if was_open:
                    self._closed(job_id)
                return _Judged.RESTING
        return _Judged.AGAIN

    async def judge(self, job_id: int, max_age: float) -> tuple[ChainView | None, list[do.Action]]:
        """What to do about a job, on a reading of the chain not older than ``max_age``."""
        s = self._s
        view = await s.views.get(job_id, max_age)
        old = s.journal.get(job_id)
        if old is None:
            return view, []
        now = s.clock.now()
        slurm = self._poller.view(old)
        record, event = observe(old, view, slurm, now)
        self._keep(old, record, event)
        return view, decide(view, slurm, record, now, s.policy)

    def _keep(self, old: JobRecord, new: JobRecord, event: str) -> None:
        """Writes what was seen; mere sightings wait for the next flush."""
        if event or old.phase is not new.phase or old.slurm_state != new.slurm_state:
            if event:
                log.info("%s", event)
            self._s.journal.save(new, event)
        elif new != old:
            self._s.journal.touch(new)

    def _forget(self, job_id: int) -> None:
        self._s.views.forget(job_id)
        for known in (self._failures, self._retry_at, self._judged_at):
            known.pop(job_id, None)

    def tick(self) -> None:
        """Wakes jobs whose retry, grace or rest is over."""
        now = self._s.clock.monotonic()
        for record in self._s.journal.open_records():
            if record.job_id not in self._busy and self._is_due(record, now):
                self.wake(record.job_id)

    def _is_due(self, record: JobRecord, now: float) -> bool:
        retry_at = self._retry_at.get(record.job_id)
        if retry_at is not None:
            return now >= retry_at
        if self._effects.reporter.is_at(record.job_id):
            return False
        rest = now - self._judged_at.get(record.job_id, self._begun_at)
        is_quiet = (
            record.phase in (Phase.SENT, Phase.SEEN)
            and not record.missing_count
            and not record.stranger_count
            and not record.cancel_requested
            and not record.cancel_sent_at
        )
        return rest >= (REST_SECONDS if is_quiet else TICK_SECONDS)
