"""Logs on disk: append-only files with an index of line numbers.

What counts is the size that the index has committed: bytes after it are from an append
that did not finish, and the next one writes over them. So an append is either there as a
whole, with the writer's count of lines, or not at all.

A log is cut into segments, each a file. When it is longer than its quota, or its customer's
logs together are, the oldest segments go; numbers of lines stay, and a reader is told how
many lines are missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import struct
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dsq.core.clock import Clock
from dsq.core.errors import DsqError
from dsq.core.model import Address
from dsq.sbatch.service import logframes
from dsq.sbatch.service.logframes import DamagedLogError, Frame, Lines, LogId
from dsq.sbatch.service.logindex import Commit, Log, LogIndex
from dsq.sbatch.service.sealing import Sealer

log = logging.getLogger("dsq.sbatch.service.logstore")

READ_BYTES = 256 << 10
"""How much of a file is read at once; a longer frame is read as a whole."""

MARK_BYTES = 1 << 20
"""Distance of the marks in the index of line numbers."""

SEGMENT_BYTES = 64 << 20
"""Longest segment; logs with small quotas have shorter ones,"""

SEGMENTS = 8
"""so that at most one in so many bytes goes at once."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Quota:
    """How much is kept.

    Attributes:
        log_bytes: Of one log.
        customer_bytes: Of all logs of one customer.
        keep_seconds: Life of a log that nobody writes to.
    """

    log_bytes: int = 4 << 30
    customer_bytes: int = 32 << 30
    keep_seconds: float = 30 * 24 * 3600.0

    @property
    def segment_bytes(self) -> int:
        return min(SEGMENT_BYTES, max(1, min(self.log_bytes, self.customer_bytes) // SEGMENTS))


class LogCompleteError(DsqError):
    """A line came for a log that was said to be complete."""

    code = "log_complete"


class LogStore:
    """The logs of one service.

    Args:
        folder: Where files and index lie; made if it is not there.
        sealer: The service's key.
        on_drop: Told how many lines went for a quota or by age.
    """

    def __init__(
        self,
        folder: Path,
        sealer: Sealer,
        clock: Clock,
        quota: Quota | None = None,
        on_drop: Callable[[int], None] | None = None,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._sealer = sealer.derived("logs")
        self._clock = clock
        self._quota = quota or Quota()
        self._on_drop = on_drop or (lambda _lines: None)
        self._index = LogIndex(folder)
        self._open: weakref.WeakValueDictionary[LogId, Log] = weakref.WeakValueDictionary()
        # One thread: SQLite has one writer, and the loop must not wait for the disk.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="logs")
        self._appends: set[asyncio.Future[int]] = set()
        self._shrinking: dict[Address, asyncio.Lock] = {}

    async def close(self) -> None:
        """Finishes what is being written."""
        await asyncio.gather(*self._appends, return_exceptions=True)
        await asyncio.to_thread(self._disk.shutdown)
        self._index.close()

    async def append(
        self,
        key: LogId,
        writer: bytes,
        lines: Lines,
        *,
        first_index: int | None,
        end: bool = False,
    ) -> int:
        """Stores lines at the end of a log, all or none of them; on disk when it returns.

        Args:
            writer: Who writes: each writer counts its own lines.
            lines: Bytes and timestamp (Unix nanoseconds) of each.
            first_index: The writer's number of the first line; lines that he sent before are
                skipped. None: the next one, whatever it is.
            end: The log is complete.

        Returns:
            The number that is expected next of this writer.

        Raises:
            LogCompleteError: The log is complete and a new line came.
        """
        # Shielded: a caller that hangs up must not stop the work between file and memory.
        work = asyncio.ensure_future(self._append(key, writer, lines, first_index, end))
        self._appends.add(work)
        work.add_done_callback(self._appends.discard)
        return await asyncio.shield(work)

    async def _append(
        self, key: LogId, writer: bytes, lines: Lines, first_index: int | None, end: bool
    ) -> int:
        entry = await self._entry(key)
        async with entry.writing:
            known = await self._next_of(entry, writer)
            first = known if first_index is None else first_index
            count = len(lines.data)
            if first > known and count:
                log.warning("log gap name=%s expected=%d got=%d", key.name, known, first)
            fresh = lines.after(known - first)
            upcoming = max(known, first + count) if fresh.data else known
            if fresh.data and entry.complete:
                raise LogCompleteError("The log is complete: no line can be added.")
            if not fresh.data and (entry.complete or not end):
                return upcoming
            change = await self._on_disk(lambda: self._write(entry, fresh, writer, upcoming, end))
            entry.size, entry.lines = change.size, change.lines
            entry.complete, entry.written = change.complete, change.written
            entry.marked = change.marks[-1][1] if change.marks else entry.marked
            if change.segment is not None:
                entry.segments = [*entry.segments, change.segment]
            entry.writers[writer] = change.next
            while entry.size - entry.start > self._quota.log_bytes and len(entry.segments) > 1:
                await self._drop_segments(entry, 1)
            entry.notify()
        if fresh.data:
            await self._shrink(entry)
        return upcoming

    async def exists(self, key: LogId) -> bool:
        """Tells whether anything was ever written to a log."""
        return (await self._entry(key)).row is not None

    async def last_written(self, key: LogId) -> float:
        """When a log last grew, in Unix seconds; 0 for never."""
        return (await self._entry(key)).written

    async def names(self, user: Address, limit: int = 10_000) -> list[str]:
        """The names of a user's logs, newest first."""
        return await self._on_disk(lambda: self._index.names(user, limit))

    async def read(
        self,
        key: LogId,
        *,
        from_line: int = 0,
        follow: bool = True,
        over: Callable[[], Awaitable[bool]] | None = None,
        poll_seconds: float = 10.0,
    ) -> AsyncIterator[Frame]:
        """Yields the lines of a log, one frame in memory at a time.

        Lines that were dropped come as a gap.

        Args:
            follow: Go on with new lines until the log is complete.
            over: Asked when all lines are read: True ends the iteration.
            poll_seconds: How often ``over`` is asked while nothing new comes.

        Raises:
            DamagedLogError: The file does not hold what the index says.
        """
        entry = await self._entry(key)
        offset = 0
        if from_line and entry.row is not None:
            offset = await self._on_disk(lambda: self._index.place_of(entry, from_line))
        line = from_line
        while True:
            changed = entry.changed
            while offset < entry.size:
                if offset < entry.start:
                    offset = entry.start
                    if line < entry.start_line:
                        yield Frame(line, entry.start_line - line, b"", is_gap=True)
                        line = entry.start_line
                    continue
                try:
                    frames, offset = await asyncio.to_thread(_read_frames, entry, offset, line)
                except DamagedLogError:
                    if offset < entry.start:
                        continue  # it was dropped meanwhile
                    raise
                if frames:
                    frame = logframes.join(frames).since(line)
                    yield frame
                    line = frame.end
            if entry.complete or not follow:
                return
            if over is not None and await over() and not changed.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(poll_seconds if over else None):
                    await changed.wait()

    async def clean(self) -> int:
        """Deletes the logs that nobody has written to for long; returns how many."""
        since = self._clock.now() - self._quota.keep_seconds
        keys = await self._on_disk(lambda: self._index.quiet(since))
        for key in keys:
            entry = await self._entry(key)
            async with entry.writing:
                if entry.row is None or entry.written >= since:
                    continue
                await self._drop_segments(entry, len(entry.segments))
                await self._forget(entry)
        if keys:
            log.info("logs deleted count=%d", len(keys))
        return len(keys)

    # -- inside ------------------------------------------------------------------

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)

    async def _entry(self, key: LogId) -> Log:
        entry = self._open.get(key)
        if entry is None:
            sealer = self._sealer.derived(f"{key.user.lower}/{key.name}")
            loaded = Log(key, self._folder / key.user.lower, sealer)
            await self._on_disk(lambda: self._index.load(loaded))
            # Another call may have loaded it meanwhile: there is one entry a log.
            entry = self._open.setdefault(key, loaded)
        return entry

    async def _next_of(self, entry: Log, writer: bytes) -> int:
        if writer not in entry.writers:
            entry.writers[writer] = await self._on_disk(lambda: self._index.next_of(entry, writer))
        return entry.writers[writer]

    def _write(self, entry: Log, lines: Lines, writer: bytes, upcoming: int, end: bool) -> Commit:
        segment = None
        begin = entry.segments[-1][0] if entry.segments else None
        if lines.data and (begin is None or entry.size - begin >= self._quota.segment_bytes):
            begin, segment = entry.size, (entry.size, entry.lines)
        out = bytearray()
        marks: list[tuple[int, int]] = []
        number, marked = entry.lines, entry.marked
        for part in logframes.split(lines):
            place = entry.size + len(out)
            if place - marked >= MARK_BYTES:
                marks.append((number, place))
                marked = place
            out += logframes.pack(entry.sealer, entry.key, number, part)
            number += len(part.data)
        if begin is not None and out:
            entry.folder.mkdir(mode=0o700, exist_ok=True)
            _write_at(entry.path(begin), out, entry.size - begin)
        change = Commit(
            size=entry.size + len(out),
            lines=number,
            complete=entry.complete or end,
            written=self._clock.now(),
            writer=writer,
            next=upcoming,
            segment=segment,
            marks=tuple(marks),
        )
        entry.row = self._index.commit(entry, change)
        return change

    async def _drop_segments(self, entry: Log, count: int) -> None:
        """Drops the oldest segments of a log; the caller holds ``entry.writing``."""
        gone, left = entry.segments[:count], entry.segments[count:]
        start, line = left[0] if left else (entry.size, entry.lines)
        self._on_drop(line - entry.start_line)
        log.info("log lines dropped name=%s lines=%d", entry.key.name, line - entry.start_line)
        before = entry.start
        entry.segments, entry.start, entry.start_line = left, start, line

        def work() -> None:
            # The index first: a file that is left over does no harm.
            self._index.drop(entry, before, start, line)
            for begin, _ in gone:
                entry.path(begin).unlink(missing_ok=True)

        await self._on_disk(work)

    async def _forget(self, entry: Log) -> None:
        await self._on_disk(lambda: self._index.forget(entry))
        entry.row, entry.writers, entry.complete = None, {}, False
        entry.size = entry.start = entry.lines = entry.start_line = entry.marked = 0

    async def _shrink(self, entry: Log) -> None:
        """Brings the logs of a customer below the quota; ``entry`` has just grown."""
        user, most = entry.key.user, self._quota.customer_bytes
        lock = self._shrinking.setdefault(user, asyncio.Lock())
        async with lock:
            while await self._on_disk(lambda: self._index.total(user)) > most:
                other = await self._on_disk(lambda: self._index.oldest(user, entry.key))
                if (other is None or not other[1]) and len(entry.segments) > 1:
                    async with entry.writing:
                        await self._drop_segments(entry, 1)
                elif other is None:
                    break
                else:
                    found = await self._entry(other[0])
                    async with found.writing:
                        await self._drop_segments(found, len(found.segments))
        if not lock.locked():
            self._shrinking.pop(user, None)


def _write_at(path: Path, data: bytearray, offset: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        view = memoryview(data)
        while view:
            written = os.pwrite(file, view, offset)
            view, offset = view[written:], offset + written
    finally:
        os.close(file)


def _read_frames(entry: Log, offset: int, from_line: int) -> tuple[list[Frame], int]:
    """Some frames from an offset on, and the offset after them."""
    begin, end = entry.segment_of(offset)
    try:
        file = os.open(entry.path(begin), os.O_RDONLY)
        try:
            wanted = min(READ_BYTES, end - offset)
            raw = os.pread(file, wanted, offset - begin)
            frames, taken = logframes.unpack(entry.sealer, entry.key, raw, offset, from_line)
            if not taken:
                length = logframes.frame_bytes(raw)
                if length <= len(raw) or offset + length > end:
                    raise DamagedLogError(f"The log {entry.key.name} is damaged at byte {offset}.")
                raw = os.pread(file, length, offset - begin)
                frames, taken = logframes.unpack(entry.sealer, entry.key, raw, offset, from_line)
        finally:
            os.close(file)
    except (OSError, struct.error) as error:
        raise DamagedLogError(f"The log {entry.key.name} cannot be read.") from error
    if not taken:
        raise DamagedLogError(f"The log {entry.key.name} is damaged at byte {offset}.")
    return frames, offset + taken
