"""Looking into the cluster: one poll for all jobs, as often as something may change."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable

from dsq.core.errors import DsqError
from dsq.supervisor.observe import ALIVE_STATES, Sight, SlurmView
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.scheduler.port import UNTOLD, ClusterInfo, SlurmJob, SlurmJobId
from dsq.supervisor.scheduler.stats import AccountingState
from dsq.supervisor.services import Services
from dsq.supervisor.waiting import Waker, bounded

log = logging.getLogger("dsq.supervisor.poller")

YOUNG_SECONDS = 60
"""A job that started so lately may well end soon: it is polled fast."""

STEADY_SECONDS = 1.0
"""Poll interval while jobs run and none waits."""

CHECK_SECONDS = 10.0
"""Sign of life asked of a cluster with none of our jobs."""

DISCOVER_SECONDS = 300.0
"""Hardware and limits are read again after so long."""

LOAD_FACTOR = 4
"""A poll that took t seconds is followed by a pause of at least so many t."""

FLUSH_SECONDS = 30.0


class Poller:
    """Keeps the newest look into the cluster.

    Args:
        services: Scheduler, journal and health.
        changed: Called with each job whose state in Slurm changed.
        fast, slow: Seconds between polls while something is due, and while nothing is.
        discovered: Called when hardware and limits were read.
    """

    def __init__(
        self,
        services: Services,
        changed: Callable[[int], None],
        *,
        fast: float,
        slow: float,
        discovered: Callable[[], None] = lambda: None,
    ) -> None:
        self._s = services
        self._changed = changed
        self._discovered = discovered
        self._fast = fast
        self._slow = slow
        self._waker = Waker()
        self._asked: set[SlurmJobId] = set()
        self._jobs: dict[SlurmJobId, SlurmJob] = {}
        self._at = 0.0
        self._duration = 0.0
        self._discovered_at: float | None = None
        self._flushed_at = 0.0
        self.info: ClusterInfo | None = None

    def soon(self) -> None:
        """Has the next poll come as soon as the load on Slurm allows: something was just
        submitted or cancelled."""
        self._waker.set()

    @property
    def is_dark(self) -> bool:
        """The cluster did not answer the last time, or was not asked yet."""
        return self._s.health.of("cluster").ok is not True

    def view(self, record: JobRecord) -> SlurmView:
        """The newest look for one job."""
        if self.is_dark:
            since = self._s.health.of("cluster").changed_at or self._s.clock.now()
            return SlurmView(Sight.DARK, at=since)
        if record.phase not in (Phase.SENT, Phase.SEEN):
            return SlurmView(Sight.NONE, at=self._at)
        if not record.slurm_id:
            return SlurmView(Sight.ABSENT, at=self._at)
        job = _identity(record)
        if job not in self._asked:
            return SlurmView(Sight.NONE, at=self._at)
        return SlurmView.of(self._jobs.get(job), self._at)

    async def run(self, is_stopping: Callable[[], bool]) -> None:
        """Polls until the agent stops."""
        while not is_stopping():
            await self.poll()
            self._flush()
            least = self._s.clock.monotonic() + LOAD_FACTOR * self._duration
            await self._waker.pause(max(self._interval(), LOAD_FACTOR * self._duration))
            while not is_stopping() and (left := least - self._s.clock.monotonic()) > 0:
                await self._waker.pause(left)

    @property
    def untold(self) -> int:
        """Jobs that have left Slurm's queue, and whose ends its accounting has not told."""
        return sum(job.state == UNTOLD for job in self._jobs.values())

    async def poll(self) -> None:
        """One look. A silent cluster is noted, not raised."""
        try:
            await self._poll()
        finally:
            read = getattr(self._s.scheduler, "accounting", None)
            if read is not None:
                state: AccountingState = read()
                self._s.health.said("accounting", state.ok, state.detail)

    async def _poll(self) -> None:
        was_dark = self.is_dark
        records = [
            record
            for record in self._s.journal.open_records()
            if record.phase in (Phase.SENT, Phase.SEEN) and record.slurm_id
        ]
        started, at = self._s.clock.monotonic(), self._s.clock.now()
        try:
            jobs = await self._look(records)
        except DsqError as error:
            self._duration = 0.0
            self._s.health.bad("cluster", error)
            return
        except Exception as error:
            # A parser that meets new words must not take the loop down.
            log.exception("poll=failed")
            self._s.health.bad("cluster", error)
            return
        self._duration = self._s.clock.monotonic() - started
        self._s.health.good("cluster", latency_ms=self._duration * 1000)
        before, self._jobs, self._at = self._jobs, jobs, at
        known, self._asked = self._asked, set(map(_identity, records))
        if was_dark:
            for record in self._s.journal.open_records():
                self._changed(record.job_id)
            return
        for record in records:
            job = _identity(record)
            new = jobs.get(job)
            if new is None or job not in known or new != before.get(job):
                self._changed(record.job_id)

    async def _look(self, records: list[JobRecord]) -> dict[SlurmJobId, SlurmJob]:
        scheduler = self._s.scheduler
        now = self._s.clock.monotonic()
        if self._discovered_at is None or now - self._discovered_at >= DISCOVER_SECONDS:
            self.info = await bounded(scheduler.discover(), "The cluster")
            self._discovered_at = now
            self._discovered()
            self._s.health.good("cluster", self.info.version)
        if records:
            found: dict[SlurmJobId, SlurmJob] = {}
            for part in distinct(map(_identity, records)):
                seen = await bounded(scheduler.poll(part), "The cluster")
                found.update({job: seen[job.id] for job in part if job.id in seen})
            return found
        await bounded(scheduler.check(), "The cluster")
        return {}

    def _interval(self) -> float:
        if self.is_dark:
            return min(self._slow, 2 * self._fast)
        interval = CHECK_SECONDS
        now = self._s.clock.now()
        for record in self._s.journal.open_records():
            if record.phase not in (Phase.SENT, Phase.SEEN):
                continue
            if self._is_due_soon(record, now):
                return self._fast
            interval = min(interval, max(STEADY_SECONDS, self._fast))
        return interval

    def _is_due_soon(self, record: JobRecord, now: float) -> bool:
        if record.slurm_state not in ALIVE_STATES or record.cancel_sent_at:
            return True
        age = now - record.started_at
        return age < YOUNG_SECONDS or age >= record.limit_minutes * 60

    def _flush(self) -> None:
        now = self._s.clock.monotonic()
        if now - self._flushed_at >= FLUSH_SECONDS:
            self._flushed_at = now
            self._s.journal.flush()


def _identity(record: JobRecord) -> SlurmJobId:
    return SlurmJobId(record.slurm_id, record.submit_time)


def distinct(jobs: Iterable[SlurmJobId]) -> list[list[SlurmJobId]]:
    """Jobs in parts in which each id stands once; nearly always one part.

    A controller that was killed may give an id a second time.
    """
    parts: list[list[SlurmJobId]] = []
    times: Counter[str] = Counter()
    for job in sorted(jobs, key=lambda job: -job.submit_time):
        if times[job.id] == len(parts):
            parts.append([])
        parts[times[job.id]].append(job)
        times[job.id] += 1
    return parts
