"""Running the benchmarks that are due, as jobs of the cluster like any other."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence

from dsq.core.clock import Clock, SystemClock
from dsq.core.errors import DsqError, NotFoundError, UnreachableError
from dsq.supervisor.benchmark.kinds import KINDS, MACHINE, fingerprint, plan
from dsq.supervisor.benchmark.results import failure_of, labels_of
from dsq.supervisor.benchmark.store import Result, ResultStore
from dsq.supervisor.scheduler.port import (
    ClusterInfo,
    JobSpec,
    NotPermitted,
    Scheduler,
    SlurmJob,
    SlurmJobId,
)
from dsq.supervisor.settings import BenchmarkSettings

log = logging.getLogger("dsq.supervisor.benchmark")

LOOK_SECONDS = 1.0
LONGEST_LOOK = 15.0
MOST_OUTPUT = 1 << 20
"""Bytes of a benchmark's output that are read."""

START_SECONDS = 7 * 24 * 3600.0
"""A benchmark may wait so long for free nodes; it takes no place from customers' jobs."""

NOT_READ = (
    "its output could not be read from here: workdir must be on a file system that login and "
    "compute nodes share"
)
NOT_STARTED = "the job did not start in time, or ended before it was looked at"

PROBE_START_SECONDS = 60.0
"""The small job of a registration waits this long for a free CPU."""


class BenchmarkRunner:
    """Runs benchmarks one after the other, and keeps what they gave.

    Args:
        scheduler: The cluster.
        settings: What the operator wants measured.
        store: Where results are kept.
        env: Variables that jobs get here.
        clock: Time.
        say: Told in a few words what is being done, for people.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        settings: BenchmarkSettings,
        store: ResultStore,
        *,
        env: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._settings = settings
        self._store = store
        self._env = dict(env or {})
        self._clock = clock or SystemClock()
        self._say = say or (lambda words: log.info("benchmark: %s", words))

    def due(self, info: ClusterInfo, *, force: bool = False) -> list[str]:
        """The kinds to run now: wanted, and never run, too old, or for other hardware.

        Args:
            info: The cluster as it is.
            force: All that are wanted, and the rest of the kinds too.
        """
        wanted = {*([MACHINE] if self._settings.probe else []), *self._settings.kinds}
        if force:
            return list(KINDS)
        hardware, now = fingerprint(info), self._clock.now()
        results = self._store.all()
        age = self._settings.max_age_days
        return [
            kind
            for kind in KINDS
            if kind in wanted
            and ((old := results.get(kind)) is None or old.is_due(now, hardware, age))
        ]

    async def run(self, kinds: Sequence[str], info: ClusterInfo) -> None:
        """Runs benchmarks; one that fails is noted and stops no other.

        Raises:
            UnreachableError: The cluster does not answer; nothing is noted then.
        """
        for kind in kinds:
            await self._run_one(kind, info)

    async def _run_one(self, kind: str, info: ClusterInfo) -> None:
        made = plan(kind, info, self._settings, secrets.token_hex(8), self._env)
        if made.spec is None:
            self._say(f"{kind} is left out: {made.skip}")
            self._keep(kind, info, Result(0, "", {}, made.skip))
            return
        self._say(f"{kind} runs as a job of {_size(made.spec)}")
        try:
            job = await self._scheduler.submit(made.spec, made.script)
        except UnreachableError:
            raise
        except DsqError as error:
            self._keep(kind, info, Result(0, "", {}, str(error)))
            return
        raised: bool | None = None
        try:
            if kind == MACHINE:
                raised = await self._try_limit(job, made.spec)
                why = "" if raised is not None else NOT_STARTED
            else:
                why = await self._wait(job)
            output = await self._output(made.spec)
        finally:
            with contextlib.suppress(DsqError):
                await self._scheduler.cancel(job)
        if raised is not None and not output:
            why = NOT_READ
        found = labels_of(output)
        why = "" if found else failure_of(output) or why or "it printed no figure"
        self._keep(kind, info, Result(0, "", found, why, raised))

    def _keep(self, kind: str, info: ClusterInfo, result: Result) -> None:
        result = Result(
            self._clock.now(),
            fingerprint(info),
            result.labels,
            result.error,
            result.can_raise_limit,
        )
        self._store.put(kind, result)
        if result.error:
            log.warning("benchmark=%s failed=%r", kind, result.error)
            self._say(f"{kind} gave nothing: {result.error}")
        else:
            self._say(f"{kind} measured {len(result.labels)} labels")

    async def _wait(self, job: SlurmJobId) -> str:
        """Waits for the end; returns why it gave nothing, "" if it ended well."""
        started_by = self._clock.monotonic() + START_SECONDS
        patience, wait = self._settings.minutes * 60 + 300, LOOK_SECONDS
        until = started_by
        while True:
            seen = (await self._scheduler.poll([job])).get(job.id)
            if seen is None:
                return "the cluster forgot the job"
            if seen.ended:
                return "" if seen.state == "COMPLETED" else f"it ended as {seen.state}"
            if seen.state == "RUNNING" and until == started_by:
                until, wait = self._clock.monotonic() + patience, LOOK_SECONDS
            if self._clock.monotonic() >= until:
                return "it did not end in time"
            await self._clock.sleep(wait)
            wait = min(wait * 1.5, LONGEST_LOOK)

    async def _try_limit(self, job: SlurmJobId, spec: JobSpec) -> bool | None:
        """Whether the limit of the running job can be raised; None if it never ran."""
        if await self._running(job) is None:
            return None
        for _ in range(20):  # until it has printed what it found
            if "@@ end" in await self._output(spec):
                break
            await self._clock.sleep(0.25)
        try:
            await self._scheduler.set_time_limit(job, spec.minutes + 1)
        except NotPermitted:
            return False
        except NotFoundError:
            return None
        return True

    async def _running(self, job: SlurmJobId) -> SlurmJob | None:
        until = self._clock.monotonic() + PROBE_START_SECONDS
        while self._clock.monotonic() < until:
            seen = (await self._scheduler.poll([job])).get(job.id)
            if seen is None or seen.ended:
                return None
            if seen.state == "RUNNING":
                return seen
            await self._clock.sleep(0.25)
        return None

    async def _output(self, spec: JobSpec) -> str:
        data = b""
        while len(data) < MOST_OUTPUT:
            more = await self._scheduler.read_output(spec.name, spec.token, len(data))
            if not more:
                break
            data += more
        return data.decode("utf-8", "replace")


def _size(spec: JobSpec) -> str:
    nodes = f"{spec.nodes} nodes with " if spec.nodes else ""
    cpus = spec.ntasks * spec.cpus_per_task
    return f"{nodes}{cpus} {'CPU' if cpus == 1 else 'CPUs'}"
