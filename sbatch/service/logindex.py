"""The index of all logs: sizes, writers' counts, marks and segments, in SQLite.

Offsets count from the start of a log and never change; the file that holds one is its
segment's. What was dropped lies before ``start``.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from dsq.core.model import Address
from dsq.sbatch.service.logframes import LogId
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.sqlite_store import open_database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS logs (
    id INTEGER PRIMARY KEY, user BLOB NOT NULL, name TEXT NOT NULL,
    size INTEGER NOT NULL DEFAULT 0, lines INTEGER NOT NULL DEFAULT 0,
    complete INTEGER NOT NULL DEFAULT 0, written REAL NOT NULL DEFAULT 0,
    start INTEGER NOT NULL DEFAULT 0, start_line INTEGER NOT NULL DEFAULT 0,
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
CREATE TABLE IF NOT EXISTS segments (
    log INTEGER NOT NULL REFERENCES logs(id) ON DELETE CASCADE,
    start INTEGER NOT NULL, line INTEGER NOT NULL, PRIMARY KEY (log, start)
) WITHOUT ROWID;
"""

_ADDED = ("start", "start_line")


class Log:
    """What is known of one log; shared by all its readers and writers."""

    __slots__ = (
        "__weakref__", "changed", "complete", "folder", "key", "lines", "marked", "row", "sealer",
        "segments", "size", "start", "start_line", "writers", "writing", "written",
    )  # fmt: skip

    def __init__(self, key: LogId, folder: Path, sealer: Sealer) -> None:
        self.key = key
        self.folder = folder
        self.sealer = sealer
        self.row: int | None = None
        self.size = self.start = 0
        self.lines = self.start_line = 0
        self.complete = False
        self.written = 0.0
        self.marked = 0
        self.writers: dict[bytes, int] = {}
        self.segments: list[tuple[int, int]] = []
        self.writing = asyncio.Lock()
        self.changed = asyncio.Event()

    def notify(self) -> None:
        """Wakes all readers that wait."""
        waiting, self.changed = self.changed, asyncio.Event()
        waiting.set()

    def path(self, segment: int) -> Path:
        """The file of the segment that begins at an offset."""
        part = f".{segment}" if segment else ""
        return self.folder / f"{self.key.name}{part}.log"

    def segment_of(self, offset: int) -> tuple[int, int]:
        """Where the segment that holds an offset begins and ends."""
        # A copy: the list may be replaced while this runs on another thread.
        starts = [start for start, _ in self.segments]
        place = bisect_right(starts, offset)
        begin = starts[place - 1] if place else 0
        return begin, starts[place] if place < len(starts) else self.size


@dataclass(frozen=True, slots=True)
class Commit:
    """What an append changes in the index.

    Attributes:
        segment: Offset and first line of a segment that begins with it.
        marks: Numbers of lines and where their frames begin.
    """

    size: int
    lines: int
    complete: bool
    written: float
    writer: bytes
    next: int
    segment: tuple[int, int] | None
    marks: tuple[tuple[int, int], ...]


class LogIndex:
    """The index in one folder. Calls come from one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._database = open_database(folder / "index.sqlite", _SCHEMA)
        self._totals: dict[Address, int] = {}
        known = {row[1] for row in self._database.execute("PRAGMA table_info(logs)")}
        for name in _ADDED:
            if name not in known:
                self._database.execute(
                    f"ALTER TABLE logs ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0"
                )

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def load(self, log: Log) -> None:
        """Fills in what is kept of a log."""
        row = self._database.execute(
            "SELECT id, size, lines, complete, written, start, start_line FROM logs"
            " WHERE user = ? AND name = ?",
            (bytes(log.key.user), log.key.name),
        ).fetchone()
        if row is None:
            return
        log.row, log.size, log.lines, complete, log.written, log.start, log.start_line = row
        log.complete = bool(complete)
        found = self._database.execute(
            "SELECT start, line FROM segments WHERE log = ? ORDER BY start", (log.row,)
        ).fetchall()
        # Logs from before there were segments have one file, from their beginning.
        log.segments = found or ([(0, 0)] if log.size and not log.start else [])
        last = self._database.execute(
            "SELECT max(start) FROM marks WHERE log = ?", (log.row,)
        ).fetchone()
        log.marked = last[0] or 0

    def next_of(self, log: Log, writer: bytes) -> int:
        """The number that is expected next of a writer."""
        row = self._database.execute(
            "SELECT next FROM writers WHERE log = ? AND writer = ?", (log.row, writer)
        ).fetchone()
        return int(row[0]) if row else 0

    def place_of(self, log: Log, line: int) -> int:
        """Where the frame of a line begins, or one shortly before it."""
        row = self._database.execute(
            "SELECT max(start) FROM marks WHERE log = ? AND line <= ?", (log.row, line)
        ).fetchone()
        return row[0] or 0

    def names(self, user: Address, limit: int) -> list[str]:
        """The names of a user's logs, newest first."""
        rows = self._database.execute(
            "SELECT name FROM logs WHERE user = ? ORDER BY id DESC LIMIT ?", (bytes(user), limit)
        )
        return [row[0] for row in rows]

    def commit(self, log: Log, change: Commit) -> int:
        """Keeps an append; returns the log's row."""
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            row = log.row
            if row is None:
                found = database.execute(
                    "INSERT INTO logs (user, name) VALUES (?, ?) RETURNING id",
                    (bytes(log.key.user), log.key.name),
                ).fetchone()
                row = int(found[0])
            database.execute(
                "UPDATE logs SET size = ?, lines = ?, complete = ?, written = ? WHERE id = ?",
                (change.size, change.lines, change.complete, change.written, row),
            )
            database.execute(
                "INSERT OR REPLACE INTO writers VALUES (?, ?, ?)", (row, change.writer, change.next)
            )
            if change.segment is not None:
                database.execute("INSERT INTO segments VALUES (?, ?, ?)", (row, *change.segment))
            database.executemany(
                "INSERT INTO marks VALUES (?, ?, ?)", [(row, *mark) for mark in change.marks]
            )
        self._grow(log.key.user, change.size - log.size)
        return row

    def drop(self, log: Log, begin: int, start: int, line: int) -> None:
        """Forgets what lies from one offset to another, ``start``, where ``line`` begins."""
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(
                "UPDATE logs SET start = ?, start_line = ? WHERE id = ?", (start, line, log.row)
            )
            database.execute("DELETE FROM segments WHERE log = ? AND start < ?", (log.row, start))
            database.execute("DELETE FROM marks WHERE log = ? AND start < ?", (log.row, start))
        self._grow(log.key.user, begin - start)

    def forget(self, log: Log) -> None:
        """Forgets a log as if it had never been."""
        self._database.execute("DELETE FROM logs WHERE id = ?", (log.row,))

    def total(self, user: Address) -> int:
        """Bytes kept of all logs of a user."""
        if user not in self._totals:
            row = self._database.execute(
                "SELECT sum(size - start) FROM logs WHERE user = ?", (bytes(user),)
            ).fetchone()
            self._totals[user] = row[0] or 0
        return self._totals[user]

    def _grow(self, user: Address, size: int) -> None:
        # Counted anew by total() if it was not known.
        if user in self._totals:
            self._totals[user] += size

    def oldest(self, user: Address, besides: LogId) -> tuple[LogId, bool] | None:
        """Another log of a user that holds something, and whether it is complete.

        Complete ones come first, then the one that was quiet the longest.
        """
        row = self._database.execute(
            "SELECT name, complete FROM logs WHERE user = ? AND name != ? AND size > start"
            " ORDER BY complete DESC, written LIMIT 1",
            (bytes(user), besides.name),
        ).fetchone()
        return (LogId(user, row[0]), bool(row[1])) if row else None

    def quiet(self, since: float, limit: int = 1000) -> list[LogId]:
        """Logs that nobody has written to since a time (Unix seconds)."""
        rows = self._database.execute(
            "SELECT user, name FROM logs WHERE written < ? LIMIT ?", (since, limit)
        )
        return [LogId(Address(row[0]), row[1]) for row in rows]
