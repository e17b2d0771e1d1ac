"""The logs of several jobs in one, by the time of their lines."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from rich.cells import cell_len

from dsq.console.user.log_session import LogSession
from dsq.console.widgets.log_buffer import BufferLine, LogBuffer, Source
from dsq.console.widgets.log_fold import Folds
from dsq.console.widgets.safe import fit, one_line

LATE_NS = 2 * 10**9
"""A line that is older than the newest by more than this begins the merging anew."""

SOURCE_COLOURS = ("primary", "status-cancelled", "success", "accent", "secondary")
"""Of the jobs' names, one after the other; neighbours are told apart in every theme."""

NAME_WIDTH = 12
"""Cells of a job's name before its lines."""


def sources(names: Mapping[int, str]) -> dict[int, Source]:
    """What stands before the lines of each job: its number and name, all of one width."""
    numbers = max((len(str(job_id)) for job_id in names), default=0)
    shown = {job_id: one_line(name, NAME_WIDTH) for job_id, name in names.items()}
    width = max((cell_len(name) for name in shown.values()), default=0)
    return {
        job_id: Source(
            f"{job_id:>{numbers}}" + (f" {fit(name, width)}" if width else ""),
            SOURCE_COLOURS[number % len(SOURCE_COLOURS)],
        )
        for number, (job_id, name) in enumerate(shown.items())
    }


class ManyLogs:
    """Has the face of :class:`LogSession`; call :meth:`advance` to take what has come.

    Each line has its job's number and name before it. Lines that come late are put in their
    place, unless they are but a moment late.

    Args:
        sessions: The logs.
        names: The jobs' names by their numbers; without one the number stands alone.
    """

    def __init__(
        self, sessions: Sequence[LogSession], names: Mapping[int, str] | None = None
    ) -> None:
        self._sessions = sessions
        known = names or {}
        self._sources = sources({each.job_id: known.get(each.job_id, "") for each in sessions})
        self.folds = Folds()
        self._seen: dict[int, tuple[LogBuffer, int]] = {}
        self._newest = 0
        self.buffer = LogBuffer()

    @property
    def live(self) -> bool:
        """More may come from one of them."""
        return any(each.live for each in self._sessions)

    @property
    def words(self) -> str:
        """What there is to say of those without output."""
        silent = [each for each in self._sessions if not len(each.buffer) and each.words]
        return "  ".join(f"{each.job_id}: {each.words}" for each in silent)

    @property
    def users(self) -> int:
        return min(each.users for each in self._sessions)

    @users.setter
    def users(self, count: int) -> None:
        change = count - self.users
        for each in self._sessions:
            each.users += change

    def advance(self) -> None:
        """Takes over what has come since."""
        fresh = [self._fresh(each) for each in self._sessions]
        first = min((lines[0].timestamp_ns for lines in fresh if lines), default=None)
        if first is None:
            return
        if first < self._newest - LATE_NS or self._restarted():
            self.buffer, self._newest, self._seen = LogBuffer(), 0, {}
            fresh = [self._fresh(each) for each in self._sessions]
        for line in heapq.merge(*fresh, key=lambda line: line.timestamp_ns):
            self.buffer.add(line)
            self._newest = max(self._newest, line.timestamp_ns)
        for each in self._sessions:
            self._seen[each.job_id] = (each.buffer, each.buffer.end)

    def _restarted(self) -> bool:
        """A log was read again from its beginning."""
        return any(
            each.job_id in self._seen and self._seen[each.job_id][0] is not each.buffer
            for each in self._sessions
        )

    def _fresh(self, session: LogSession) -> list[BufferLine]:
        buffer = session.buffer
        known, seen = self._seen.get(session.job_id, (buffer, 0))
        start = max(seen if known is buffer else 0, buffer.first)
        source = self._sources[session.job_id]
        lines = (buffer.line(number) for number in range(start, buffer.end))
        return [BufferLine(line.text, line.timestamp_ns, source) for line in lines]
