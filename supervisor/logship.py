"""Bringing jobs' output to the log service: by offset, line by line, nothing twice.

The journal holds how many bytes were read and how many lines were delivered. An append
that was repeated after a crash carries the same line numbers, and the service skips what
it has. Nothing here ever delays a report: a log that cannot be delivered is tried again
with growing pauses, and given up a day after the job's end.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsq.core.errors import DsqError, UsageError
from dsq.supervisor.logcontext import job_context
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.services import Services
from dsq.supervisor.waiting import Waker, bounded

if TYPE_CHECKING:
    from dsq.core.rpc.logger import LogLine

log = logging.getLogger("dsq.supervisor.logship")

CHUNK = 64 * 1024
"""Bytes read at once, and the longest line: longer ones are cut into several."""

CHUNKS_A_TURN = 16
AT_ONCE = 8
"""Logs that are read side by side."""

FIRST_PAUSE, LAST_PAUSE = 0.3, 5.0
"""Between reads of one log: short after output came, longer while none comes."""

FIRST_RETRY, LAST_RETRY = 1.0, 60.0
SETTLE_SECONDS = 1.0
"""A shared file system may show the last bytes late: the end is read twice."""

GIVE_UP_SECONDS = 24 * 3600
NOTE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Split:
    """Lines cut from a piece of output, and how many of its bytes they used."""

    lines: tuple[bytes, ...]
    used: int


def split_lines(data: bytes, *, at_end: bool) -> Split:
    """Cuts output into lines.

    Args:
        data: Output from the last cut on, at most :data:`CHUNK` bytes.
        at_end: Nothing will follow: a last line without its end counts.
    """
    lines: list[bytes] = []
    used = 0
    while True:
        end = data.find(b"\n", used)
        if end < 0:
            break
        lines.append(data[used:end].removesuffix(b"\r"))
        used = end + 1
    rest = data[used:]
    if rest and (at_end or (used == 0 and len(data) >= CHUNK)):
        lines.append(rest)
        used = len(data)
    return Split(tuple(lines), used)


@dataclass(slots=True)
class _State:
    next_at: float = 0.0
    pause: float = FIRST_PAUSE
    failures: int = 0
    empty_since: float | None = None


class LogShipper:
    """Delivers the output of all jobs that ask for it."""

    def __init__(self, services: Services) -> None:
        self._s = services
        self._states: dict[int, _State] = {}
        self._due: list[tuple[float, int]] = []
        self._busy: set[int] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self.waker = Waker()

    def poke(self, job_id: int) -> None:
        """Output is to be expected: read it now."""
        state = self._states.get(job_id)
        if state is not None and not state.failures:
            self._plan(job_id, state, 0.0)

    def _plan(self, job_id: int, state: _State, at: float) -> None:
        """Has a log read at some time; what was planned for it before does not count."""
        state.next_at = at
        heapq.heappush(self._due, (at, job_id))
        self.waker.set()

    def _heard(self, _old: JobRecord | None, record: JobRecord) -> None:
        """A record changed: its log may be one to deliver from now on."""
        if record.log_is_due and record.job_id not in self._states:
            state = self._states[record.job_id] = _State()
            self._plan(record.job_id, state, 0.0)

    async def deliver_note(self, job_id: int) -> None:
        """Delivers what the supervisor has to say about a job; gives up soon, never raises."""
        record = self._s.journal.get(job_id)
        if record is None or not record.log_note or self._s.logs is None:
            return
        try:
            await bounded(self._send_note(record), "The log service", NOTE_SECONDS)
        except DsqError as error:
            log.info("log=note undelivered=%r", str(error))

    async def run(self, is_stopping: Callable[[], bool]) -> None:
        """Delivers until the agent stops."""
        while self._s.logs is None and not is_stopping():
            await self.waker.pause(LAST_PAUSE)
        for record in self._s.journal.log_records():
            self._heard(None, record)
        self._s.journal.watchers.append(self._heard)
        try:
            while not is_stopping():
                now = self._s.clock.monotonic()
                while self._due and self._due[0][0] <= now:
                    at, job_id = heapq.heappop(self._due)
                    state = self._states.get(job_id)
                    if state is not None and state.next_at == at and job_id not in self._busy:
                        self._start(job_id, state)
                pause = self._due[0][0] - now if self._due else LAST_PAUSE
                await self.waker.pause(min(max(0.05, pause), LAST_PAUSE))
        finally:
            self._s.journal.watchers.remove(self._heard)
            for task in self._tasks:
                task.cancel()

    def _start(self, job_id: int, state: _State) -> None:
        self._busy.add(job_id)
        task = asyncio.create_task(self._turn(job_id, state), name=f"dsq-log-{job_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _turn(self, job_id: int, state: _State) -> None:
        clock = self._s.clock
        with job_context(job_id):
            try:
                async with self._slots:
                    came = await self._ship(job_id, state)
                state.failures = 0
                state.pause = FIRST_PAUSE if came else min(1.5 * state.pause, LAST_PAUSE)
                state.next_at = clock.monotonic() + state.pause
            except DsqError as error:
                self._failed(job_id, state, error)
            except Exception as error:
                log.exception("log=failed")
                self._failed(job_id, state, error)
            finally:
                self._busy.discard(job_id)
        record = self._s.journal.get(job_id)
        if record is None or not record.log_is_due:
            self._states.pop(job_id, None)
        elif self._states.get(job_id) is state:
            self._plan(job_id, state, state.next_at)

    def _failed(self, job_id: int, state: _State, error: Exception) -> None:
        state.failures += 1
        delay = min(FIRST_RETRY * 2 ** (state.failures - 1), LAST_RETRY)
        state.next_at = self._s.clock.monotonic() + delay
        if state.failures == 1:
            log.warning("log=undelivered reason=%r", str(error))
        record = self._s.journal.get(job_id)
        if record is None or record.phase not in (Phase.ENDED, Phase.FINAL):
            return
        ended = record.ended_at or record.last_event_at
        is_closed = isinstance(error, UsageError)  # the service says that the log is complete
        if is_closed or self._s.clock.now() - ended >= GIVE_UP_SECONDS:
            self._s.journal.update(
                job_id, f"its output is not all delivered: {error}", log_done=True, log_note=""
            )

    async def _ship(self, job_id: int, state: _State) -> bool:
        """One turn for one log. Returns whether something was delivered."""
        record = self._s.journal.get(job_id)
        if record is None or not record.log_is_due:
            return False
        if record.log_note:
            await self._send_note(record)
            return True
        for turn in range(CHUNKS_A_TURN):
            record = self._s.journal.get(job_id)
            if record is None or not record.log_is_due:
                return turn > 0
            has_ended = record.phase in (Phase.ENDED, Phase.FINAL)
            data = await bounded(
                self._s.scheduler.read_output(
                    record.hex_id, record.token, record.log_offset, CHUNK
                ),
                "The cluster",
            )
            is_settled = has_ended and self._is_settled(state, data)
            split = split_lines(data, at_end=is_settled)
            if not split.used:
                if is_settled:
                    await self._append(record, (), 0, end=True)
                return turn > 0
            is_last = is_settled and len(data) < CHUNK
            await self._append(record, split.lines, split.used, end=is_last)
        return True

    def _is_settled(self, state: _State, data: bytes) -> bool:
        """The job has ended and its file brought nothing new for a while."""
        now = self._s.clock.monotonic()
        if len(data) >= CHUNK or b"\n" in data:
            state.empty_since = None
            return False
        if state.empty_since is None:
            state.empty_since = now
            state.pause = SETTLE_SECONDS
        return now - state.empty_since >= SETTLE_SECONDS

    async def _append(
        self, record: JobRecord, lines: tuple[bytes, ...], used: int, *, end: bool
    ) -> None:
        from dsq.core.rpc.logger import LogLine

        stamp = int(self._s.clock.now() * 10**9)
        await self._deliver(record, [LogLine(line, stamp) for line in lines], end=end)
        latest = self._s.journal.get(record.job_id)
        if latest is None or latest.token != record.token:
            return  # handed back and claimed anew meanwhile
        self._s.journal.update(
            record.job_id,
            log_offset=record.log_offset + used,
            log_line=record.log_line + len(lines),
            log_done=end,
        )

    async def _send_note(self, record: JobRecord) -> None:
        from dsq.core.rpc.logger import LogLine

        stamp = int(self._s.clock.now() * 10**9)
        await self._deliver(record, [LogLine(record.log_note.encode(), stamp)], end=False)
        self._s.journal.update(record.job_id, log_note="", log_line=record.log_line + 1)

    async def _deliver(self, record: JobRecord, lines: list[LogLine], *, end: bool) -> None:
        assert self._s.logs is not None
        try:
            await bounded(
                self._s.logs.append(
                    record.customer, record.hex_id, lines, first_index=record.log_line, end=end
                ),
                "The log service",
            )
        except DsqError as error:
            self._s.health.bad("logs", error)
            raise
        self._s.health.good("logs")
