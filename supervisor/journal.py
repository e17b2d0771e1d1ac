"""The journal: what this supervisor did between the chain and Slurm, intent before effect.

SQLite in WAL mode with ``synchronous=FULL``: once a method returns, the record survives
a crash of the machine. One process writes (:mod:`dsq.supervisor.lock`); open records are
also held in memory, so reads cost nothing and a poll over thousands of jobs stays cheap.

Life of a record (``phase``)::

    CLAIMED   the chain gave us the job; nothing went to Slurm
    PLANNED   token and time of an sbatch are written; its outcome is unknown
    SENT      sbatch gave an id (or the token was found in Slurm)
    SEEN      a poll has shown the job
    ENDED     Slurm's end is on record; the chain may not know it yet
    FINAL     nothing is left to do
"""

from __future__ import annotations

import contextlib
import enum
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from dsq.core.errors import NotFoundError, SettingsError
from dsq.core.model import Address, JobDefinition, JobStatus, job_hex_id

SCHEMA_VERSION = 1
"""Of the journal's tables; a journal of a newer dsq is refused."""


class Phase(enum.StrEnum):
    """How far this supervisor has taken a job; see the module's text."""

    CLAIMED = "claimed"
    PLANNED = "planned"
    SENT = "sent"
    SEEN = "seen"
    ENDED = "ended"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class JobRecord:
    """All that the journal knows about one claimed job. Times are Unix seconds, 0: not yet.

    Attributes:
        claims: How often this provider has claimed the job (a refused one can come again).
        bought_minutes: Minutes that the credits buy, top-ups included.
        limit_minutes: Time limit last given to Slurm, 0 before a submission.
        limit_bought: ``bought_minutes`` when that limit was given.
        limit_denied: The cluster did not let the limit of the running job be raised.
        logging: The script asks for its output in the log service; None before it was read.
        attempt: Number of planned sbatch calls of this claim.
        token: Random name of the attempt, part of its output path.
        planned_at: When the attempt was planned.
        submit_time: Slurm's, which with ``slurm_id`` identifies the job for good.
        last_alive_at: Last sighting of the running job, the end of last resort for the bill.
        missing_count, missing_since: Sightings of the job's absence in a row.
        stranger_count, stranger_since: Readings in a row in which the job was not ours.
        requeued: Slurm put the started job back into its queue.
        end_state: Slurm's word for the end, ``LOST`` if Slurm forgot the job.
        cancel_requested: The customer wants the job to stop.
        cancel_cause: Why this supervisor cancelled it in Slurm, if the customer did not ask.
        refuse_reason: Why the job is to be handed back; "" while it is not.
        handed_back: The last claim ended by refusing the job.
        reported: Last status this supervisor saw confirmed on chain.
        final_cost, earned: Wei, of the settled job.
        log_line: Index of the next line at the log service.
        log_note: Words of the supervisor for the job's log, not yet delivered.
    """

    job_id: int
    customer: Address
    definition: JobDefinition
    claim_tx: bytes = b""
    claimed_at: int = 0
    claims: int = 1
    bought_minutes: int = 0
    limit_minutes: int = 0
    limit_bought: int = 0
    limit_denied: bool = False
    logging: bool | None = None
    fetch_failed_since: int = 0
    attempt: int = 0
    token: str = ""
    planned_at: int = 0
    slurm_id: str = ""
    submit_time: int = 0
    phase: Phase = Phase.CLAIMED
    slurm_state: str = ""
    slurm_reason: str = ""
    nodes: str = ""
    last_alive_at: int = 0
    missing_count: int = 0
    missing_since: int = 0
    stranger_count: int = 0
    stranger_since: int = 0
    started_at: int = 0
    ended_at: int = 0
    end_state: str = ""
    exit_status: int = 0
    requeued: bool = False
    cancel_requested: bool = False
    cancel_cause: str = ""
    cancel_sent_at: int = 0
    refuse_reason: str = ""
    handed_back: bool = False
    reported: JobStatus | None = None
    final_cost: int = 0
    earned: int = 0
    log_offset: int = 0
    log_line: int = 0
    log_done: bool = False
    log_note: str = ""
    last_error: str = ""
    last_event: str = ""
    last_event_at: int = 0

    @property
    def hex_id(self) -> str:
        return job_hex_id(self.job_id)

    @property
    def is_open(self) -> bool:
        """Something is left to do about the job itself."""
        return self.phase is not Phase.FINAL

    @property
    def log_is_due(self) -> bool:
        """Output or words of ours are not yet at the log service."""
        return not self.log_done and bool(self.log_note or (self.logging and self.slurm_id))

    @property
    def has_slurm_id(self) -> bool:
        return bool(self.slurm_id)


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a job's history."""

    at: int
    text: str


def _definition_to_text(definition: JobDefinition) -> str:
    names = ("ntasks", "cpus_per_task", "mem_per_cpu", "gpus", "batch_location_hash")
    return json.dumps({name: getattr(definition, name) for name in names}, sort_keys=True)


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


_AS_IS: tuple[Callable[[Any], Any], Callable[[Any], Any]] = (lambda v: v, lambda v: v)
_CODECS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "job_id": (job_hex_id, lambda text: int(text, 16)),
    "customer": (bytes, Address),
    "definition": (_definition_to_text, lambda text: JobDefinition(**json.loads(text))),
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


_SCHEMA = f"""
CREATE TABLE jobs ({", ".join(_column(name) for name in _FIELDS)}) WITHOUT ROWID;
CREATE INDEX jobs_open ON jobs (phase) WHERE phase != 'final' OR log_done = 0;
CREATE INDEX jobs_ended ON jobs (ended_at);
CREATE TABLE history (job_id TEXT NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX history_job ON history (job_id);
CREATE TABLE top_ups (
    tx_hash BLOB NOT NULL, job_id TEXT NOT NULL, minutes TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (tx_hash, job_id)
) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION};
"""


class Journal:
    """The journal of one provider; every method is one short synced transaction.

    Args:
        path: The SQLite file; made with its folder, readable by its owner only.
        now: The clock, Unix seconds.

    Raises:
        SettingsError: The file is no journal, or of a newer dsq.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self._now = now
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._migrate()
            self._open = {record.job_id: record for record in self._load_open()}
            self._touched: set[int] = set()
        except sqlite3.DatabaseError as error:
            raise SettingsError(
                f"The journal {path} cannot be used: {error}.",
                hint="Restore it from a copy; without it running jobs cannot be recognised.",
            ) from error

    def _migrate(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._db.executescript("BEGIN;" + _SCHEMA + "COMMIT;")
        elif version > SCHEMA_VERSION:
            raise SettingsError(
                f"The journal {self.path} was written by a newer dsq (schema {version}).",
                hint="Update dsq.",
            )

    def close(self) -> None:
        """Closes the file; the journal cannot be used afterwards."""
        self.flush()
        self._db.close()

    def get(self, job_id: int) -> JobRecord | None:
        """The record of a job, None if this supervisor never claimed it."""
        if job_id in self._open:
            return self._open[job_id]
        row = self._db.execute(
            "SELECT * FROM jobs WHERE job_id = ?", (job_hex_id(job_id),)
        ).fetchone()
        return _record(row) if row else None

    def open_records(self) -> list[JobRecord]:
        """Records with something left to do about the job itself, oldest first."""
        records = (self._open[job_id] for job_id in sorted(self._open))
        return [record for record in records if record.is_open]

    def log_records(self) -> list[JobRecord]:
        """Records whose output is not wholly at the log service, oldest first."""
        records = (self._open[job_id] for job_id in sorted(self._open))
        return [record for record in records if record.log_is_due]

    def recent(self, limit: int = 100) -> list[JobRecord]:
        """Closed records, the newest end first."""
        rows = self._db.execute(
            "SELECT * FROM jobs WHERE phase = 'final' ORDER BY last_event_at DESC, job_id DESC"
            " LIMIT ?",
            (limit,),
        )
        return [_record(row) for row in rows]

    def finished_since(self, at: float) -> list[JobRecord]:
        """Closed records whose last change is not older than ``at`` (for reorganisations)."""
        rows = self._db.execute(
            "SELECT * FROM jobs WHERE phase = 'final' AND last_event_at >= ?", (int(at),)
        )
        return [_record(row) for row in rows]

    def earned_since(self, at: float) -> int:
        """Wei that jobs which ended since then have earned."""
        rows = self._db.execute(
            "SELECT earned FROM jobs WHERE ended_at >= ? AND earned != '0'", (int(at),)
        )
        return sum(int(row[0]) for row in rows)

    def is_empty(self) -> bool:
        """True before the first claim."""
        return self._db.execute("SELECT 1 FROM jobs LIMIT 1").fetchone() is None

    def history(self, job_id: int) -> list[Note]:
        """What happened to a job, oldest first."""
        rows = self._db.execute(
            "SELECT at, text FROM history WHERE job_id = ? ORDER BY rowid", (job_hex_id(job_id),)
        )
        return [Note(*row) for row in rows]

    def claim(self, record: JobRecord, event: str = "claimed") -> tuple[JobRecord, bool]:
        """Takes in a job the chain gave us; doing it twice changes nothing.

        A job that was closed (refused earlier) starts a new life: new attempts, but the
        lines already in its log stay counted.

        Returns:
            The record now in force, and whether it is new.
        """
        old = self.get(record.job_id)
        if old is not None and old.is_open:
            return old, False
        if old is not None and record.claim_tx and record.claim_tx == old.claim_tx:
            return old, False  # an event that was replayed
        if old is not None:
            record = replace(record, claims=old.claims + 1, log_line=old.log_line)
        return self.save(record, event), True

    def save(self, record: JobRecord, event: str = "") -> JobRecord:
        """Writes a record; ``event`` becomes its last event and a line of its history."""
        return self.save_all([(record, event)])[0]

    def save_all(self, records: Sequence[tuple[JobRecord, str]]) -> list[JobRecord]:
        """Writes several records, each with its event, in one transaction."""
        at = int(self._now())
        done = [
            replace(record, last_event=event, last_event_at=at) if event else record
            for record, event in records
        ]
        notes = [
            (record.hex_id, at, event) for record, (_, event) in zip(done, records, strict=True)
        ]
        with self._transaction():
            self._db.executemany(_UPSERT, [_row(record) for record in done])
            self._db.executemany(_NOTE, [note for note in notes if note[2]])
        for record in done:
            self._remember(record)
            self._touched.discard(record.job_id)
        return done

    def update(self, job_id: int, event: str = "", **changes: Any) -> JobRecord:
        """Changes fields of a record as it is now.

        Read and write are one step: what others changed while an effect was under way stays.

        Raises:
            NotFoundError: The journal has no such job.
        """
        record = self.get(job_id)
        if record is None:
            raise NotFoundError(f"The journal has no job {job_id}.")
        return self.save(replace(record, **changes), event)

    def touch(self, record: JobRecord) -> None:
        """Keeps a change in memory until :meth:`flush`: sightings that a restart may lose."""
        self._remember(record)
        self._touched.add(record.job_id)

    def flush(self) -> None:
        """Writes what was only touched."""
        records = [self._open[job_id] for job_id in self._touched if job_id in self._open]
        self._touched.clear()
        if records:
            self.save_all([(record, "") for record in records])

    def top_up(self, job_id: int, minutes: int, tx_hash: bytes) -> JobRecord | None:
        """Adds minutes that a top-up bought, once a transaction.

        Returns:
            The record, or None if nothing changed (seen before, or not our job).
        """
        record = self.get(job_id)
        if record is None:
            return None
        at = int(self._now())
        new = replace(
            record,
            bought_minutes=record.bought_minutes + minutes,
            limit_denied=False,
            last_event=f"topped up by {minutes} min",
            last_event_at=at,
        )
        with self._transaction():
            added = self._db.execute(
                "INSERT OR IGNORE INTO top_ups VALUES (?, ?, ?, ?)",
                (tx_hash, record.hex_id, str(minutes), at),
            ).rowcount
            if added:
                self._db.execute(_UPSERT, _row(new))
                self._db.execute(_NOTE, (record.hex_id, at, new.last_event))
        if not added:
            return None
        self._remember(new)
        return new

    def get_meta(self, name: str) -> str | None:
        """A value kept beside the records (cursor, last registration)."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def set_meta(self, name: str, value: str) -> None:
        """Keeps a value beside the records."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _load_open(self) -> list[JobRecord]:
        rows = self._db.execute("SELECT * FROM jobs WHERE phase != 'final' OR log_done = 0")
        return [record for record in map(_record, rows) if record.is_open or record.log_is_due]

    def _remember(self, record: JobRecord) -> None:
        if record.is_open or record.log_is_due:
            self._open[record.job_id] = record
        else:
            self._open.pop(record.job_id, None)


_NOTE = "INSERT INTO history VALUES (?, ?, ?)"
_UPSERT = (
    f"INSERT OR REPLACE INTO jobs ({', '.join(_FIELDS)}) "  # noqa: S608 - names of fields only
    f"VALUES ({', '.join('?' * len(_FIELDS))})"
)


def _row(record: JobRecord) -> tuple[Any, ...]:
    return tuple(_CODECS.get(name, _AS_IS)[0](getattr(record, name)) for name in _FIELDS)


def _record(row: sqlite3.Row) -> JobRecord:
    return JobRecord(**{name: _CODECS.get(name, _AS_IS)[1](row[name]) for name in _FIELDS})
