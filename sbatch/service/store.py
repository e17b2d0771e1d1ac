"""What the service remembers of scripts: the port, and SQLite behind it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dsq.core.errors import SettingsError, UsageError
from dsq.core.model import Address
from dsq.sbatch.service.sealing import Sealer

IDEMPOTENCY_SECONDS = 24 * 3600.0
"""How long a repeated submit gets the first one's answer."""

MAX_NONCES = 100_000
"""Most unanswered challenges; the oldest go first."""


@dataclass(frozen=True, slots=True)
class StoredScript:
    """A script and whose it is.

    Attributes:
        owner: The customer who signed the submit, or the customer of the first job on chain
            that names the script; None while neither is known.
        signed: The submit was signed.
        secrets: Values for the job's environment only.
        submitted: Unix seconds.
    """

    key: str
    text: str = field(repr=False)
    owner: Address | None
    signed: bool
    submitted: float
    secrets: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class IdempotentSubmit:
    """A submit that may be repeated.

    Attributes:
        scope: Whose keys these are.
        key: The client's name for the submit.
        fingerprint: Digest of what was submitted.
    """

    scope: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class ScriptUse:
    """A script with the jobs that use it, for the clean-up.

    Attributes:
        submitted: Unix seconds.
        jobs: Job ids on chain, with the Unix seconds at which their end was noticed (0: not).
    """

    key: str
    submitted: float
    jobs: dict[int, float]


class IdempotencyError(UsageError):
    """The same ``Idempotency-Key`` came with another workflow."""


class ScriptStore(Protocol):
    """Where scripts, challenges and the view of the chain are kept."""

    async def put(self, script: StoredScript, submit: IdempotentSubmit | None = None) -> str:
        """Keeps a script. A repeated submit keeps nothing.

        Returns:
            The key of the script kept: for a repeat the first one's.

        Raises:
            IdempotencyError: The submit's key was used for something else.
        """
        ...

    async def earlier(self, submit: IdempotentSubmit, now: float) -> str | None:
        """The answer that a submit got before, if it is a repeat.

        Raises:
            IdempotencyError: Its key was used for something else.
        """
        ...

    async def get(self, key: str) -> StoredScript | None:
        """The script of that key."""
        ...

    async def has(self, keys: Iterable[str]) -> set[str]:
        """Those of ``keys`` that are kept."""
        ...

    async def record_job(self, key: str, job_id: int, customer: Address) -> None:
        """Notes that a job on chain names a script. The first one owns an unsigned script;
        a job of another customer than the owner changes nothing."""
        ...

    async def first_job(self, key: str) -> int | None:
        """The lowest job id noted for a script."""
        ...

    async def uses(self) -> list[ScriptUse]:
        """All scripts with their jobs."""
        ...

    async def mark_ended(self, job_ids: Iterable[int], now: float) -> None:
        """Notes when jobs were first seen to have ended."""
        ...

    async def forget_jobs(self, job_ids: Iterable[int] | None = None) -> None:
        """Drops what was noted of jobs (all: None), owners of unsigned scripts included."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Removes scripts and what hangs on them."""
        ...

    async def cursor(self) -> int | None:
        """The last job id whose definition was looked at; None before the first look."""
        ...

    async def set_cursor(self, job_id: int) -> None:
        """Keeps :meth:`cursor`."""
        ...

    async def add_nonce(self, nonce: str, expires: float) -> None:
        """Keeps a challenge until ``expires`` (Unix seconds)."""
        ...

    async def take_nonce(self, nonce: str, now: float) -> bool:
        """Takes a challenge out; True if it was there and has not expired."""
        ...

    async def close(self) -> None:
        """Ends the use of the store."""
        ...


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
        content = json.dumps({"text": script.text, "secrets": script.secrets}).encode()
        sealed = self._sealer.seal(content, script.key.encode())
        owner = bytes(script.owner) if script.owner else None
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            if submit is not None:
                if (known := self._earlier(submit, script.submitted)) is not None:
                    return known
                database.execute(
                    "INSERT OR REPLACE INTO submits VALUES (?, ?, ?, ?, ?)",
                    (submit.scope, submit.key, submit.fingerprint, script.key, script.submitted),
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
        if bytes(row[0]) != submit.fingerprint:
            raise IdempotencyError(
                "This Idempotency-Key was used for another workflow in the last 24 hours.",
                hint="Take a new key for each submit.",
            )
        return str(row[1])

    async def get(self, key: str) -> StoredScript | None:
        row = self._database.execute(
            "SELECT owner, signed, submitted, sealed FROM scripts WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        owner, signed, submitted, sealed = row
        content = json.loads(self._sealer.unseal(sealed, key.encode()))
        return StoredScript(
            key=key,
            text=content["text"],
            owner=Address(owner) if owner else None,
            signed=bool(signed),
            submitted=submitted,
            secrets=content["secrets"],
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
