"""How far a follower has read, and where that is kept.

A cursor is the last block whose events were handled, with the hashes of blocks before
it: near ones all, far ones thinned out. They tell how far a chain that went back still
agrees with what was read.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dsq.core.errors import SettingsError

NEAR = 64
"""Hashes kept of the newest blocks."""

STEP = 64
"""Of older blocks, about one hash in so many blocks is kept."""

FAR = 64
"""How many of the older ones are kept."""

Mark = tuple[int, bytes]
"""A block's number and hash."""

NO_BLOCK = b""
"""The hash of a block that was replaced: no block has it."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the chain.

    Attributes:
        number: The last block that was read; -1 before the first.
        hash: Its hash; b"" before the first block.
        recent: Blocks read before it, oldest first, itself included.
    """

    number: int
    hash: bytes
    recent: tuple[Mark, ...] = ()

    def advance(self, number: int, block_hash: bytes) -> Cursor:
        """The cursor after one more block (or a range that ends with it) was read."""
        return Cursor(number, block_hash, thin((*self.recent, (number, block_hash))))

    def back_to(self, number: int) -> Cursor:
        """The cursor at the newest remembered block that is not above ``number``."""
        kept = tuple(mark for mark in self.recent if mark[0] <= number)
        return Cursor(*kept[-1], kept) if kept else START

    def without(self, number: int) -> Cursor:
        """The same place, and that the chain does not have the block of this number any more."""
        kept = tuple(mark for mark in self.recent if mark[0] != number)
        return Cursor(self.number, self.hash, tuple(sorted((*kept, (number, NO_BLOCK)))))

    def to_json(self) -> str:
        """The cursor as text."""
        marks = [[number, block_hash.hex()] for number, block_hash in self.recent]
        return json.dumps({"number": self.number, "hash": self.hash.hex(), "recent": marks})

    @classmethod
    def from_json(cls, text: str) -> Cursor:
        """Reads what :meth:`to_json` wrote.

        Raises:
            ValueError: It is something else.
        """
        try:
            data = json.loads(text)
            marks = tuple((int(number), bytes.fromhex(mark)) for number, mark in data["recent"])
            return cls(int(data["number"]), bytes.fromhex(data["hash"]), marks)
        except (KeyError, TypeError) as error:
            raise ValueError(f"no cursor: {error}") from error


START = Cursor(-1, b"")
"""The place before the first block."""


def thin(marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """Keeps the newest marks all, and of the older ones about one in :data:`STEP` blocks."""
    if len(marks) <= NEAR:
        return marks
    old, near = marks[:-NEAR], marks[-NEAR:]
    kept: list[Mark] = []
    for mark in old:
        if not kept or mark[0] // STEP != kept[-1][0] // STEP:
            kept.append(mark)
    return (*kept[-FAR:], *near)


class CursorStore(Protocol):
    """Keeps one cursor."""

    def load(self) -> Cursor | None:
        """The cursor saved last, or None."""
        ...

    def save(self, cursor: Cursor) -> None:
        """Keeps the cursor."""
        ...


class MemoryCursor:
    """Keeps the cursor as long as the process lives."""

    def __init__(self, cursor: Cursor | None = None) -> None:
        self._cursor = cursor

    def load(self) -> Cursor | None:
        return self._cursor

    def save(self, cursor: Cursor) -> None:
        self._cursor = cursor


class FileCursor:
    """Keeps the cursor in a file of its own, written by rename. A damaged file counts as none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Cursor | None:
        try:
            return Cursor.from_json(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            raise SettingsError(f"{self._path} cannot be read: {error.strerror}.") from error

    def save(self, cursor: Cursor) -> None:
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        fresh.write_text(cursor.to_json())
        fresh.replace(self._path)


class SqliteCursor:
    """Keeps the cursor in a table of the consumer's database.

    With the consumer's connection the cursor moves in the same transaction as what the
    events changed; then nothing is handled twice.

    Args:
        connection: The database.
        name: Which cursor, where a database has several.
        autocommit: False leaves the commit to the consumer.
    """

    def __init__(
        self, connection: sqlite3.Connection, name: str = "chain", *, autocommit: bool = True
    ) -> None:
        self._connection = connection
        self._name = name
        self._autocommit = autocommit
        connection.execute(
            "CREATE TABLE IF NOT EXISTS cursors (name TEXT PRIMARY KEY, cursor TEXT NOT NULL)"
        )

    def load(self) -> Cursor | None:
        query = "SELECT cursor FROM cursors WHERE name = ?"
        row = self._connection.execute(query, (self._name,)).fetchone()
        if row is None:
            return None
        with contextlib.suppress(ValueError):
            return Cursor.from_json(row[0])
        return None

    def save(self, cursor: Cursor) -> None:
        self._connection.execute(
            "INSERT INTO cursors VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor",
            (self._name, cursor.to_json()),
        )
        if self._autocommit:
            self._connection.commit()
