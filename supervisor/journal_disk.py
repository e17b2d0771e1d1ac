"""How the journal comes to the disk: its file, and writes that share one sync.

What is written in the same few milliseconds is one transaction, for a sync costs as much for
a hundred jobs as for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dsq.core.errors import DiskError, SettingsError
from dsq.supervisor.journal_schema import MIGRATIONS, NOTE, SCHEMA, SCHEMA_VERSION, UPSERT
from dsq.supervisor.records import JobRecord

log = logging.getLogger("dsq.supervisor.journal")

GATHER_SECONDS = 0.002
"""Those who wait for the disk within so long share a transaction; longer on a slow disk."""

LONGEST_GATHER = 0.025
LATE_SECONDS = 0.05
"""What nobody waits for is on the disk after so long."""


class JournalDisk:
    """The SQLite file, and what waits to be written to it.

    Args:
        path: The file; made with its folder, readable by its owner only.
        now: The clock, Unix seconds.

    Raises:
        SettingsError: The file is of a newer dsq.
        sqlite3.DatabaseError: It is no journal.
    """

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self.path = path
        self._now = now
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._migrate()
        self._rows: dict[int, tuple[JobRecord, list[Any]]] = {}
        self._notes: list[tuple[str, int, str]] = []
        self._metas: dict[str, str] = {}
        self._written = self._synced = 0
        self._took = 0.0
        self._late: asyncio.TimerHandle | None = None

    def _migrate(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._db.executescript("BEGIN;" + SCHEMA + "COMMIT;")
        elif version > SCHEMA_VERSION:
            raise SettingsError(
                f"The journal {self.path} was written by a newer dsq (schema {version}).",
                hint="Update dsq.",
            )
        for old in range(version or SCHEMA_VERSION, SCHEMA_VERSION):
            steps = MIGRATIONS[old] + f"PRAGMA user_version = {old + 1};"
            self._db.executescript("BEGIN;" + steps + "COMMIT;")

    def close(self) -> None:
        """Closes the file; what was written is on the disk, if that takes it.

        What it does not take was only learnt, and will be learnt again.
        """
        try:
            self.commit()
        except DiskError as error:
            log.error("journal=not_written reason=%r", str(error))
        self._db.close()

    async def settled(self) -> None:
        """Returns when all that was written so far is on the disk.

        Raises:
            DiskError: The disk does not take it: nothing may follow from it outside.
        """
        mark = self._written
        if self._synced >= mark:
            return
        await asyncio.sleep(min(max(GATHER_SECONDS, self._took), LONGEST_GATHER))
        if self._synced < mark:
            self.commit()

    def commit(self) -> None:
        """Brings what was written to the disk, in one transaction.

        Raises:
            DiskError: The disk does not take it. It is tried again with the next one.
        """
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if self._synced == self._written:
            return
        began = self._now()
        self._write()
        self._rows.clear()
        self._notes.clear()
        self._metas.clear()
        self._synced = self._written
        self._took = max(0.0, self._now() - began)

    def _write(self) -> None:
        with self._transaction():
            self._db.executemany(UPSERT, [row for _, row in self._rows.values()])
            self._db.executemany(NOTE, self._notes)
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", self._metas.items())

    def _soon(self) -> None:
        """Something was written: it goes to the disk with what else comes in a moment."""
        self._written += 1
        if self._late is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.commit()
            return
        self._late = loop.call_later(LATE_SECONDS, self._commit_late)

    def _commit_late(self) -> None:
        self._late = None
        try:
            self.commit()
        except DiskError as error:
            # Effects wait for the disk themselves, and meet the same error.
            log.error("journal=not_written reason=%r", str(error))
            self._late = asyncio.get_running_loop().call_later(1.0, self._commit_late)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise DiskError(
                    f"The journal {self.path} takes nothing more: {error}.",
                    hint="Make room on its disk; until then nothing is begun.",
                ) from error
            raise
