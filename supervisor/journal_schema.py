"""How records lie in SQLite: tables, conversions, and the steps from older schemas."""

from __future__ import annotations

import functools
import json
import operator
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from dsq.core.model import Address, JobDefinition, JobStatus, job_hex_id
from dsq.supervisor.records import JobRecord, Phase

SCHEMA_VERSION = 3
"""Of the journal's tables; a journal of a newer dsq is refused."""


@functools.lru_cache(maxsize=1024)
def _definition_to_text(definition: JobDefinition) -> str:
    names = ("ntasks", "cpus_per_task", "mem_per_cpu", "gpus", "batch_location_hash")
    return json.dumps({name: getattr(definition, name) for name in names}, sort_keys=True)


@functools.lru_cache(maxsize=1024)
def _definition_of(text: str) -> JobDefinition:
    # Jobs of one kind share their definition: there may be thousands of them.
    return JobDefinition(**json.loads(text))


@functools.lru_cache(maxsize=1024)
def _address_of(raw: bytes) -> Address:
    return Address(raw)


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


_CODECS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "job_id": (job_hex_id, lambda text: int(text, 16)),
    "customer": (bytes, _address_of),
    "definition": (_definition_to_text, _definition_of),
    "bought_minutes": (str, int),
    "limit_bought": (str, int),
    "final_cost": (str, int),
    "earned": (str, int),
    "phase": (str, Phase),
    "reported": (_optional(int), _optional(JobStatus)),
    "logging": (_optional(int), _optional(bool)),
    **dict.fromkeys(
        ("limit_denied", "requeued", "cancel_requested", "handed_back", "log_done"), (int, bool)
    ),
}
"""How a field is stored where SQLite cannot take it as it is (numbers above 63 bits as text)."""

_FIELDS = tuple(field.name for field in fields(JobRecord))
_INTEGERS = {field.name for field in fields(JobRecord) if field.type in ("int", "bool")} - {
    "job_id",
    "bought_minutes",
    "limit_bought",
    "final_cost",
    "earned",
}


def _column(name: str) -> str:
    kind = "INTEGER" if name in _INTEGERS or name in ("reported", "logging") else "TEXT"
    kind = "BLOB" if name in ("customer", "claim_tx") else kind
    return f"{name} {kind}" + (" PRIMARY KEY" if name == "job_id" else "")


_CLOSED_INDEX = "CREATE INDEX jobs_closed ON jobs (last_event_at, job_id) WHERE phase = 'final';"
"""The newest ended jobs are asked for twice a second where somebody looks."""

SCHEMA = f"""
CREATE TABLE jobs ({", ".join(_column(name) for name in _FIELDS)}) WITHOUT ROWID;
CREATE INDEX jobs_open ON jobs (phase) WHERE phase != 'final' OR log_done = 0;
CREATE INDEX jobs_ended ON jobs (ended_at);
{_CLOSED_INDEX}
CREATE TABLE history (job_id TEXT NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX history_job ON history (job_id);
CREATE TABLE top_ups (
    tx_hash BLOB NOT NULL, job_id TEXT NOT NULL, minutes TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (tx_hash, job_id)
) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION};
"""


MIGRATIONS: dict[int, str] = {
    1: "ALTER TABLE jobs ADD COLUMN claim_time INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN proved_at INTEGER NOT NULL DEFAULT 0;"
    "INSERT OR IGNORE INTO meta SELECT 'begun', '1' FROM meta WHERE name = 'cursor';"
    "UPDATE jobs SET log_done = 1 WHERE phase = 'final' AND log_note = ''"
    " AND (logging IS NULL OR logging = 0 OR slurm_id = '');",
    2: _CLOSED_INDEX,
}
"""What turns a schema into the next one."""

NOTE = "INSERT INTO history VALUES (?, ?, ?)"
UPSERT = (
    f"INSERT OR REPLACE INTO jobs ({', '.join(_FIELDS)}) "  # noqa: S608 - names of fields only
    f"VALUES ({', '.join('?' * len(_FIELDS))})"
)


_values_of = operator.attrgetter(*_FIELDS)
_CONVERTED = [(place, _CODECS[name][0]) for place, name in enumerate(_FIELDS) if name in _CODECS]


def row_of(record: JobRecord) -> list[Any]:
    """The record as SQLite takes it, in the order of the columns."""
    row = list(_values_of(record))
    for place, convert in _CONVERTED:
        row[place] = convert(row[place])
    return row


_READ = [(place, _CODECS[name][1]) for place, name in enumerate(_FIELDS) if name in _CODECS]
_WORDS = [_FIELDS.index(name) for name in ("slurm_state", "slurm_reason", "nodes", "last_event")]
"""Fields that many records have in common: one text in memory is enough."""


def record_of(row: sqlite3.Row) -> JobRecord:
    """The record of a row, whatever the order of its columns."""
    values = [row[name] for name in _FIELDS]
    for place, convert in _READ:
        values[place] = convert(values[place])
    for place in _WORDS:
        values[place] = sys.intern(values[place])
    return JobRecord(*values)
