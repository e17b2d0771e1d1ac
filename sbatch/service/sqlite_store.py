"""Scripts in one SQLite file: the store of a service that stands alone."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from dsq.core.errors import SettingsError
from dsq.core.model import Address
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.store import (
    IDEMPOTENCY_SECONDS,
    MAX_NONCES,
    IdempotentSubmit,
    ScriptUse,
    StoredScript,
    open_script,
    seal_script,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS scripts (
    key TEXT PRIMARY KEY, owner BLOB, signed INTEGER NOT NULL,
    submitted REAL NOT NULL, sealed BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS script_jobs (
    key TEXT NOT NULL REFERENCES scripts(key) ON DELETE CASCADE,
    job_id TEXT NOT NULL, ended REAL NOT NULL DEFAULT 0, PRIMARY KEY (key, job_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS submits (
    scope TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL,
    script TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nonces (nonce TEXT PRIMARY KEY, expires REAL NOT NULL);
CREATE INDEX IF NOT EXISTS nonces_by_age ON nonces (expires);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
# A job id has 256 bits, more than SQLite's integers: it is kept as decimal text.


def open_database(path: Path, schema: str) -> sqlite3.Connection:
    """Opens a database in write-ahead mode, readable by its owner only.

    Raises:
        SettingsError: It cannot be opened, or is no database.
    """
    try:
        path.touch(mode=0o600)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
            "PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000;" + schema
        )
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(f"The database {path} cannot be used: {error}.") from error
    return connection


class SqliteScriptStore:
    """Scripts in one SQLite file, sealed with the service's key.

    Every call is a small transaction; they are done at once, on the caller's thread.
    """

    def __init__(self, path: Path, sealer: Sealer) -> None:
        self._sealer = sealer.derived("scripts")
        self._database = open_database(path, _SCHEMA)

    async def close(self) -> None:
        self._database.close()

    async def put(self, script: StoredScript, submit: IdempotentSubmit | None = None) -> str:
        sealed = seal_script(self._sealer, script)
        owner = bytes(script.owner) if script.owner else None
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            if submit is not None:
                if (known := self._earlier(submit, script.submitted)) is not None:
                    return known
                database.execute(
                    "INSERT OR REPLACE INTO submits VALUES (?, ?, ?, ?, ?)",
                    (
                        submit.scope,
                        submit.key,
                        submit.fingerprints[0],
                        script.key,
                        script.submitted,
                    ),
                )
            database.execute(
                "INSERT INTO scripts VALUES (?, ?, ?, ?, ?)",
                (script.key, owner, script.signed, script.submitted, sealed),
            )
        return script.key

    async def earlier(self, submit: IdempotentSubmit, now: float) -> str | None:
        return self._earlier(submit, now)

    def _earlier(self, submit: IdempotentSubmit, now: float) -> str | None:
        row = self._database.execute(
            "SELECT fingerprint, script FROM submits WHERE scope = ? AND key = ? AND at > ?",
            (submit.scope, submit.key, now - IDEMPOTENCY_SECONDS),
        ).fetchone()
        if row is None:
            return None
        submit.must_be(bytes(row[0]))
        return str(row[1])

    async def get(self, key: str) -> StoredScript | None:
        row = self._database.execute(
            "SELECT owner, signed, submitted, sealed FROM scripts WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        owner, signed, submitted, sealed = row
        return open_script(
            self._sealer,
            key,
            sealed,
            owner=owner or b"",
            signed=bool(signed),
            submitted=submitted,
        )

    async def has(self, keys: Iterable[str]) -> set[str]:
        found = set()
        for key in set(keys):
            row = self._database.execute("SELECT 1 FROM scripts WHERE key = ?", (key,))
            if row.fetchone():
                found.add(key)
        return found

    async def record_job(self, key: str, job_id: int, customer: Address) -> None:
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(
                "UPDATE scripts SET owner = ? WHERE key = ? AND owner IS NULL",
                (bytes(customer), key),
            )
            database.execute(
                "INSERT OR IGNORE INTO script_jobs (key, job_id)"
                " SELECT key, ? FROM scripts WHERE key = ? AND owner = ?",
                (str(job_id), key, bytes(customer)),
            )

    async def first_job(self, key: str) -> int | None:
        rows = self._database.execute("SELECT job_id FROM script_jobs WHERE key = ?", (key,))
        return min((int(row[0]) for row in rows), default=None)

    async def uses(self) -> list[ScriptUse]:
        found: dict[str, ScriptUse] = {}
        rows = self._database.execute(
            "SELECT s.key, s.submitted, j.job_id, j.ended"
            " FROM scripts s LEFT JOIN script_jobs j ON j.key = s.key"
        )
        for key, submitted, job_id, ended in rows:
            use = found.setdefault(key, ScriptUse(key, submitted, {}))
            if job_id is not None:
                use.jobs[int(job_id)] = ended
        return list(found.values())

    async def mark_ended(self, job_ids: Iterable[int], now: float) -> None:
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "UPDATE script_jobs SET ended = ? WHERE job_id = ? AND ended = 0",
                [(now, str(job_id)) for job_id in job_ids],
            )

    async def forget_jobs(self, job_ids: Iterable[int] | None = None) -> None:
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            if job_ids is None:
                database.execute("DELETE FROM script_jobs")
            else:
                database.executemany(
                    "DELETE FROM script_jobs WHERE job_id = ?",
                    [(str(job_id),) for job_id in job_ids],
                )
            database.execute(
                "UPDATE scripts SET owner = NULL WHERE signed = 0"
                " AND key NOT IN (SELECT key FROM script_jobs)"
            )

    async def delete(self, keys: Iterable[str]) -> None:
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            for key in keys:
                database.execute("DELETE FROM submits WHERE script = ?", (key,))
                database.execute("DELETE FROM scripts WHERE key = ?", (key,))
            database.execute(
                "DELETE FROM submits WHERE at <= ?", (time.time() - IDEMPOTENCY_SECONDS,)
            )

    async def cursor(self) -> int | None:
        row = self._database.execute("SELECT value FROM state WHERE name = 'cursor'").fetchone()
        return int(row[0]) if row else None

    async def set_cursor(self, job_id: int) -> None:
        self._database.execute("INSERT OR REPLACE INTO state VALUES ('cursor', ?)", (str(job_id),))

    async def add_nonce(self, nonce: str, expires: float) -> None:
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO nonces VALUES (?, ?)", (nonce, expires))
            database.execute(
                "DELETE FROM nonces WHERE rowid <= (SELECT max(rowid) FROM nonces) - ?",
                (MAX_NONCES,),
            )

    async def take_nonce(self, nonce: str, now: float) -> bool:
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            row = database.execute(
                "DELETE FROM nonces WHERE nonce = ? RETURNING expires", (nonce,)
            ).fetchone()
            database.execute("DELETE FROM nonces WHERE expires <= ?", (now,))
        return row is not None and row[0] > now
