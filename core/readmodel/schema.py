"""The tables of a read model, and how its file is opened."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from functools import lru_cache
from pathlib import Path

from dsq.core.readmodel.records import VERSION

SCHEMA = """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,      -- the job's number
    status INTEGER NOT NULL,
    name TEXT NOT NULL,          -- folded, as all texts that are searched
    provider BLOB NOT NULL,
    error TEXT NOT NULL,
    uses TEXT NOT NULL,
    grp TEXT NOT NULL,           -- the sweep it belongs to, '' for none
    exit_code INTEGER NOT NULL,
    gpus INTEGER NOT NULL,
    cpus INTEGER NOT NULL,
    mem INTEGER NOT NULL,
    locked REAL NOT NULL,        -- credits, near enough to sort and to compare
    cost REAL NOT NULL,
    cost_high INTEGER NOT NULL,  -- wei by 10**9, and what is left: their sums are exact
    cost_low INTEGER NOT NULL,
    submit INTEGER NOT NULL,     -- Unix seconds, 0 for not yet
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    block INTEGER NOT NULL,      -- of its last change of state
    hay TEXT NOT NULL            -- what a bare word is looked for in
);
-- Apart, so that looking through all jobs does not read all of each
CREATE TABLE texts (id INTEGER PRIMARY KEY, data TEXT NOT NULL);
CREATE INDEX jobs_by_status ON jobs (status);
CREATE INDEX jobs_by_block ON jobs (block);
CREATE INDEX jobs_by_group ON jobs (grp) WHERE grp != '';
CREATE TABLE providers (address BLOB PRIMARY KEY, hay TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

CACHE_KIB = 16_384


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _regexp(pattern: str, text: str | None) -> bool:
    return text is not None and _compiled(pattern).search(text) is not None


def connect(path: Path | None) -> sqlite3.Connection:
    """Opens a read model's file; one that is damaged or of another version is made anew.

    Args:
        path: None for a database in memory.

    Raises:
        sqlite3.Error: The file can be neither read nor made.
    """
    if path is None:
        return _open(":memory:")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        connection = _open(path)
    except sqlite3.DatabaseError:
        forget(path)
        connection = _open(path)
    path.chmod(0o600)
    return connection


def forget(path: Path) -> None:
    """Deletes a read model's file and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()


def _open(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A copy of the chain needs no sync: what a power cut takes is read again.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.create_function("regexp", 2, _regexp, deterministic=True)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"version {version}")
    except BaseException:
        connection.close()
        raise
    return connection
