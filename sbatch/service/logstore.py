"""Logs on disk: one append-only file a log, with an index of line numbers.

A file is a row of frames. A frame holds the lines of one append, sealed with a key of the
log's own, behind a small header::

    number of the first line (8 bytes) | number of lines (4) | sealed bytes (4) | sealed lines

What counts is the size that the database has committed: bytes after it are from an append
that did not finish, and the next one writes over them. So an append is either there as a
whole, with the writer's count of lines, or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import struct
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dsq.core.clock import Clock
from dsq.core.errors import DsqError
from dsq.core.model import Address
from dsq.sbatch.service.sealing import OVERHEAD_BYTES, Sealer
from dsq.sbatch.service.store import open_database

log = logging.getLogger("dsq.sbatch.service.logstore")

FRAME_BYTES = 256 << 10
"""A frame takes lines until it holds so many bytes: what a reader keeps in memory."""

MARK_BYTES = 1 << 20
"""Distance of the marks in the index of line numbers."""

_HEADER = struct.Struct(">QII")
_LINE = struct.Struct(">qI")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS logs (
    id INTEGER PRIMARY KEY, user BLOB NOT NULL, name TEXT NOT NULL,
    size INTEGER NOT NULL DEFAULT 0, lines INTEGER NOT NULL DEFAULT 0,
    complete INTEGER NOT NULL DEFAULT 0, written REAL NOT NULL DEFAULT 0,
    UNIQUE (user, name)
);
CREATE TABLE IF NOT EXISTS writers (
    log INTEGER NOT NULL REFERENCES logs(id) ON DELETE CASCADE,
    writer BLOB NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (log, writer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (
    log INTEGER NOT NULL REFERENCES logs(id) ON DELETE CASCADE,
    line INTEGER NOT NULL, start INTEGER NOT NULL, PRIMARY KEY (log, line)
) WITHOUT ROWID;
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LogId:
    """Whose log, and which: ``name`` is 0x and 64 lower-case digits, checked by the caller."""

    user: Address
    name: str


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line as it is kept; ``number`` counts from 0 in the log."""

    number: int
    timestamp: int
    data: bytes


class LogCompleteError(DsqError):
    """A line came for a log that was said to be complete."""

    code = "log_complete"


class DamagedLogError(DsqError):
    """A log's file does not hold what the database says."""

    code = "damaged_log"


class _Log:
    """What is known of one log; shared by all its readers and writers."""

    __slots__ = (
        "__weakref__", "changed", "complete", "id", "key", "lines", "marked", "path", "row",
        "sealer", "size", "writers", "writing", "written",
    )  # fmt: skip

    def __init__(self, key: LogId, path: Path, sealer: Sealer) -> None:
        self.key = key
        self.path = path
        self.sealer = sealer
        self.row: int | None = None
        self.size = 0
        self.lines = 0
        self.complete = False
        self.written = 0.0
        self.marked = 0
        self.writers: dict[bytes, int] = {}
        self.writing = asyncio.Lock()
        self.changed = asyncio.Event()

    def notify(self) -> None:
        """Wakes all readers that wait."""
        waiting, self.changed = self.changed, asyncio.Event()
        waiting.set()

    def context(self, first: int) -> bytes:
        """Ties a frame to its place."""
        return f"{self.key.user.lower}/{self.key.name}/{first}".encode()


@dataclass(frozen=True, slots=True)
class _Commit:
    offset: int
    data: bytes
    size: int
    lines: int
    complete: bool
    written: float
    writer: bytes
    next: int
    marks: tuple[tuple[int, int], ...]


class LogStore:
    """The logs of one service.

    Args:
        folder: Where files and index lie; made if it is not there.
        sealer: The service's key.
    """

    def __init__(self, folder: Path, sealer: Sealer, clock: Clock) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._sealer = sealer.derived("logs")
        self._clock = clock
        self._database = open_database(folder / "index.sqlite", _SCHEMA)
        self._open: weakref.WeakValueDictionary[LogId, _Log] = weakref.WeakValueDictionary()
        # One thread: SQLite has one writer, and the loop must not wait for the disk.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="logs")
        self._appends: set[asyncio.Future[int]] = set()

    async def close(self) -> None:
        """Finishes what is being written."""
        await asyncio.gather(*self._appends, return_exceptions=True)
        await asyncio.to_thread(self._disk.shutdown)
        self._database.close()

    async def append(
        self,
        key: LogId,
        writer: bytes,
        lines: Sequence[tuple[int, bytes]],
        *,
        first_index: int | None,
        end: bool = False,
    ) -> int:
        """Stores lines at the end of a log, all or none of them; on disk when it returns.

        Args:
            writer: Who writes: each writer counts its own lines.
            lines: Timestamp (Unix nanoseconds) and bytes of each.
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
        self,
        key: LogId,
        writer: bytes,
        lines: Sequence[tuple[int, bytes]],
        first_index: int | None,
        end: bool,
    ) -> int:
        entry = await self._entry(key)
        async with entry.writing:
            known = await self._next_of(entry, writer)
            first = known if first_index is None else first_index
            if first > known and lines:
                log.warning("log gap name=%s expected=%d got=%d", key.name, known, first)
            fresh = lines[max(0, known - first) :]
            upcoming = max(known, first + len(lines)) if fresh else known
            if fresh and entry.complete:
                raise LogCompleteError("The log is complete: no line can be added.")
            if fresh or (end and not entry.complete):
                commit = self._frames(entry, fresh, writer, upcoming, end)
                await self._on_disk(lambda: self._write(entry, commit))
                entry.size, entry.lines = commit.size, commit.lines
                entry.complete, entry.written = commit.complete, commit.written
                entry.marked = commit.marks[-1][1] if commit.marks else entry.marked
                entry.writers[writer] = commit.next
                entry.notify()
            return upcoming

    async def exists(self, key: LogId) -> bool:
        """Tells whether anything was ever written to a log."""
        return (await self._entry(key)).row is not None

    async def last_written(self, key: LogId) -> float:
        """When a log last grew, in Unix seconds; 0 for never."""
        return (await self._entry(key)).written

    async def names(self, user: Address, limit: int = 10_000) -> list[str]:
        """The names of a user's logs, newest first."""
        query = "SELECT name FROM logs WHERE user = ? ORDER BY id DESC LIMIT ?"
        rows = await self._on_disk(
            lambda: self._database.execute(query, (bytes(user), limit)).fetchall()
        )
        return [row[0] for row in rows]

    async def read(
        self,
        key: LogId,
        *,
        from_line: int = 0,
        follow: bool = True,
        over: Callable[[], Awaitable[bool]] | None = None,
        poll_seconds: float = 10.0,
    ) -> AsyncIterator[StoredLine]:
        """Yields the lines of a log, one frame in memory at a time.

        Args:
            follow: Go on with new lines until the log is complete.
            over: Asked when all lines are read: True ends the iteration.
            poll_seconds: How often ``over`` is asked while nothing new comes.

        Raises:
            DamagedLogError: The file does not hold what the database says.
        """
        entry = await self._entry(key)
        offset = await self._place_of(entry, from_line)
        while True:
            changed = entry.changed
            while offset < entry.size:
                first, count, data, offset = await asyncio.to_thread(
                    _read_frame, entry, offset, from_line
                )
                if first + count <= from_line:
                    continue
                for line in _lines(first, count, data):
                    if line.number >= from_line:
                        yield line
            if entry.complete or not follow:
                return
            if over is not None and await over() and not changed.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(poll_seconds if over else None):
                    await changed.wait()

    # -- inside ------------------------------------------------------------------

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)

    async def _entry(self, key: LogId) -> _Log:
        entry = self._open.get(key)
        if entry is None:
            path = self._folder / key.user.lower / f"{key.name}.log"
            sealer = self._sealer.derived(f"{key.user.lower}/{key.name}")
            loaded = _Log(key, path, sealer)
            await self._on_disk(lambda: self._load(loaded))
            # Another call may have loaded it meanwhile: there is one entry a log.
            entry = self._open.setdefault(key, loaded)
        return entry

    def _load(self, entry: _Log) -> None:
        row = self._database.execute(
            "SELECT id, size, lines, complete, written FROM logs WHERE user = ? AND name = ?",
            (bytes(entry.key.user), entry.key.name),
        ).fetchone()
        if row is None:
            return
        entry.row, entry.size, entry.lines = row[0], row[1], row[2]
        entry.complete, entry.written = bool(row[3]), row[4]
        last = self._database.execute(
            "SELECT max(start) FROM marks WHERE log = ?", (entry.row,)
        ).fetchone()
        entry.marked = last[0] or 0

    async def _next_of(self, entry: _Log, writer: bytes) -> int:
        if writer not in entry.writers:
            query = "SELECT next FROM writers WHERE log = ? AND writer = ?"
            row = await self._on_disk(
                lambda: self._database.execute(query, (entry.row, writer)).fetchone()
            )
            entry.writers[writer] = row[0] if row else 0
        return entry.writers[writer]

    def _frames(
        self,
        entry: _Log,
        lines: Sequence[tuple[int, bytes]],
        writer: bytes,
        upcoming: int,
        end: bool,
    ) -> _Commit:
        out = bytearray()
        marks: list[tuple[int, int]] = []
        number, marked = entry.lines, entry.marked
        batch = bytearray()
        count = 0
        for position, (timestamp, data) in enumerate(lines):
            batch += _LINE.pack(timestamp, len(data)) + data
            count += 1
            if len(batch) < FRAME_BYTES and position < len(lines) - 1:
                continue
            start = entry.size + len(out)
            if start - marked >= MARK_BYTES:
                marks.append((number, start))
                marked = start
            sealed = entry.sealer.seal(bytes(batch), entry.context(number))
            out += _HEADER.pack(number, count, len(sealed)) + sealed
            number, count = number + count, 0
            batch.clear()
        return _Commit(
            offset=entry.size,
            data=bytes(out),
            size=entry.size + len(out),
            lines=number,
            complete=entry.complete or end,
            written=self._clock.now(),
            writer=writer,
            next=upcoming,
            marks=tuple(marks),
        )

    def _write(self, entry: _Log, commit: _Commit) -> None:
        if commit.data:
            entry.path.parent.mkdir(mode=0o700, exist_ok=True)
            file = os.open(entry.path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                _write_all(file, commit.data, commit.offset)
            finally:
                os.close(file)
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            if entry.row is None:
                found = database.execute(
                    "INSERT INTO logs (user, name) VALUES (?, ?) RETURNING id",
                    (bytes(entry.key.user), entry.key.name),
                ).fetchone()
                row = int(found[0])
            else:
                row = entry.row
            database.execute(
                "UPDATE logs SET size = ?, lines = ?, complete = ?, written = ? WHERE id = ?",
                (commit.size, commit.lines, commit.complete, commit.written, row),
            )
            database.execute(
                "INSERT OR REPLACE INTO writers VALUES (?, ?, ?)", (row, commit.writer, commit.next)
            )
            database.executemany(
                "INSERT INTO marks VALUES (?, ?, ?)", [(row, *mark) for mark in commit.marks]
            )
        entry.row = row

    async def _place_of(self, entry: _Log, line: int) -> int:
        """Where the frame of a line starts, or one shortly before it."""
        if line == 0 or entry.row is None:
            return 0
        query = "SELECT max(start) FROM marks WHERE log = ? AND line <= ?"
        row = await self._on_disk(
            lambda: self._database.execute(query, (entry.row, line)).fetchone()
        )
        return row[0] or 0


def _write_all(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def _read_frame(entry: _Log, offset: int, from_line: int) -> tuple[int, int, bytes, int]:
    """One frame: number of its first line, count, lines (not opened if before ``from_line``),
    and where the next frame starts."""
    try:
        file = os.open(entry.path, os.O_RDONLY)
        try:
            first, count, length = _HEADER.unpack(os.pread(file, _HEADER.size, offset))
            end = offset + _HEADER.size + length
            if end > entry.size or length < OVERHEAD_BYTES:
                raise DamagedLogError(f"The log {entry.key.name} is damaged at byte {offset}.")
            if first + count <= from_line:
                return first, count, b"", end
            sealed = os.pread(file, length, offset + _HEADER.size)
            return first, count, entry.sealer.unseal(sealed, entry.context(first)), end
        finally:
            os.close(file)
    except (OSError, struct.error) as error:
        raise DamagedLogError(f"The log {entry.key.name} cannot be read.") from error


def _lines(first: int, count: int, data: bytes) -> list[StoredLine]:
    lines, place = [], 0
    for number in range(first, first + count):
        timestamp, length = _LINE.unpack_from(data, place)
        place += _LINE.size
        lines.append(StoredLine(number, timestamp, data[place : place + length]))
        place += length
    return lines
