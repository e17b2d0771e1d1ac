"""The journal: what this supervisor did between the chain and Slurm, intent before effect.

SQLite in WAL mode with ``synchronous=FULL``. What is written in the same few milliseconds
goes to the disk as one transaction, for a sync costs as much for a hundred jobs as for one:
:meth:`Journal.settled` returns when all that was written before it survives a crash of the
machine, and every outside effect waits for it. What was only learnt (a sighting, the outcome
of an effect) follows a moment later (:mod:`.journal_disk`); a crash before that is like one
before it was learnt. One process writes (:mod:`dsq.supervisor.lock`); open records are also
held in memory, so reads cost nothing and a poll over thousands of jobs stays cheap.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsq.core.disk import REMEDY, is_disks_fault
from dsq.core.errors import DiskError, NotFoundError, SettingsError
from dsq.core.model import Address, job_hex_id
from dsq.supervisor.journal_disk import JournalDisk
from dsq.supervisor.journal_schema import NOTE, UPSERT, record_of, row_of
from dsq.supervisor.records import JobRecord, Note, Phase


class Journal(JournalDisk):
    """The journal of one provider. Without an event loop every write is synced at once.

    Args:
        path: The SQLite file; made with its folder, readable by its owner only.
        now: The clock, Unix seconds.

    Raises:
        SettingsError: The file is no journal, or of a newer dsq.
        DiskError: Its disk is full, or fails.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self.watchers: list[Callable[[JobRecord | None, JobRecord], None]] = []
        try:
            super().__init__(path, now)
            self._open = {record.job_id: record for record in self._load_open()}
            self._touched: set[int] = set()
        except sqlite3.DatabaseError as error:
            words = f"The journal {path} cannot be used: {error}."
            if is_disks_fault(error):
                raise DiskError(words, hint=REMEDY) from error
            raise SettingsError(
                words,
                hint="Restore it from a copy; without it running jobs cannot be recognised.",
            ) from error

    def close(self) -> None:
        """Closes the file; the journal cannot be used afterwards."""
        self.flush()
        super().close()

    # --- records -------------------------------------------------------------------------

    def get(self, job_id: int) -> JobRecord | None:
        """The record of a job, None if this supervisor never claimed it."""
        if job_id in self._open:
            return self._open[job_id]
        if job_id in self._rows:
            return self._rows[job_id][0]
        row = self._db.execute(
            "SELECT * FROM jobs WHERE job_id = ?", (job_hex_id(job_id),)
        ).fetchone()
        return record_of(row) if row else None

    def is_open(self, job_id: int) -> bool:
        """Whether something is left to do about a job; nothing is read for it."""
        record = self._open.get(job_id)
        return record is not None and record.is_open

    def customer_of(self, hex_id: str) -> Address | None:
        """Whose job one is, by its id on chain; None if the journal does not know it."""
        record = self.get(int(hex_id, 16))
        return record.customer if record is not None else None

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
        self.commit()
        rows = self._db.execute(
            "SELECT * FROM jobs WHERE phase = 'final' ORDER BY last_event_at DESC, job_id DESC"
            " LIMIT ?",
            (limit,),
        )
        return [record_of(row) for row in rows]

    def finished_since(self, at: float) -> list[JobRecord]:
        """Closed records whose last change is not older than ``at`` (for reorganisations)."""
        self.commit()
        rows = self._db.execute(
            "SELECT * FROM jobs WHERE phase = 'final' AND last_event_at >= ?", (int(at),)
        )
        return [record_of(row) for row in rows]

    def finished_lately(self, notes: int) -> list[int]:
        """Closed jobs that the last so many lines of history are about, whatever the clock said
        when they were written."""
        self.commit()
        rows = self._db.execute(
            "SELECT DISTINCT history.job_id FROM history JOIN jobs ON jobs.job_id = history.job_id"
            " WHERE history.rowid > (SELECT max(rowid) FROM history) - ? AND phase = 'final'",
            (notes,),
        )
        return [int(row[0], 16) for row in rows]

    def last_event_at(self) -> int:
        """Unix seconds of the newest change of a record, 0 without any."""
        self.commit()
        (newest,) = self._db.execute("SELECT max(last_event_at) FROM jobs").fetchone()
        return int(newest or 0)

    def earned_since(self, at: float) -> int:
        """Wei that jobs which ended since then have earned."""
        self.commit()
        rows = self._db.execute(
            "SELECT earned FROM jobs WHERE ended_at >= ? AND earned != '0'", (int(at),)
        )
        return sum(int(row[0]) for row in rows)

    def is_empty(self) -> bool:
        """True before the first claim."""
        self.commit()
        return self._db.execute("SELECT 1 FROM jobs LIMIT 1").fetchone() is None

    def history(self, job_id: int) -> list[Note]:
        """What happened to a job, oldest first."""
        self.commit()
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
        if old is not None and old.started_at:
            record = _ran_before(old, record)
        elif old is not None:
            record = replace(record, claims=old.claims + 1, log_line=old.log_line)
        return self.save(record, event), True

    def save(self, record: JobRecord, event: str = "") -> JobRecord:
        """Writes a record; ``event`` becomes its last event and a line of its history."""
        return self.save_all([(record, event)])[0]

    def save_all(self, records: Sequence[tuple[JobRecord, str]]) -> list[JobRecord]:
        """Writes several records, each with its event, all or none."""
        at = int(self._now())
        done = [
            _closed(replace(record, last_event=event, last_event_at=at) if event else record)
            for record, event in records
        ]
        notes = [
            (record.hex_id, at, event) for record, (_, event) in zip(done, records, strict=True)
        ]
        rows = [(record, row_of(record)) for record in done]
        for record, row in rows:
            self._rows[record.job_id] = record, row
            self._remember(record)
            self._touched.discard(record.job_id)
        self._notes += [note for note in notes if note[2]]
        self._soon()
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
        self.commit()
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
                self._db.execute(UPSERT, row_of(new))
                self._db.execute(NOTE, (record.hex_id, at, new.last_event))
        if not added:
            return None
        self._remember(new)
        return new

    def top_ups_of(self, job_id: int) -> int:
        """How many top-ups of a job were counted."""
        self.commit()
        query = "SELECT count(*) FROM top_ups WHERE job_id = ?"
        return int(self._db.execute(query, (job_hex_id(job_id),)).fetchone()[0])

    def change_all(
        self, changes: Sequence[tuple[int, str, dict[str, Any]]]
    ) -> dict[int, JobRecord]:
        """:meth:`update` for several jobs (id, event, fields) in one transaction.

        Jobs that the journal does not know are left out.
        """
        saves: list[tuple[JobRecord, str]] = []
        for job_id, event, fields in changes:
            record = self.get(job_id)
            if record is not None:
                saves.append((replace(record, **fields), event))
        done = self.save_all(saves) if saves else []
        return {record.job_id: record for record in done}

    def prune(self, before: float) -> int:
        """Forgets jobs that were closed before a time, with their history.

        Returns:
            How many there were.
        """
        self.commit()
        old = "phase = 'final' AND log_done = 1 AND last_event_at < ?"
        with self._transaction():
            for table in ("history", "top_ups"):
                self._db.execute(
                    f"DELETE FROM {table} WHERE job_id IN "  # noqa: S608 - names only
                    f"(SELECT job_id FROM jobs WHERE {old})",
                    (int(before),),
                )
            gone = self._db.execute(f"DELETE FROM jobs WHERE {old}", (int(before),))  # noqa: S608
        return gone.rowcount

    def get_meta(self, name: str) -> str | None:
        """A value kept beside the records (cursor, last registration)."""
        if name in self._metas:
            return self._metas[name]
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def set_meta(self, name: str, value: str) -> None:
        """Keeps a value beside the records; it is never on the disk before what was written
        before it."""
        self._metas[name] = value
        self._soon()

    def _load_open(self) -> list[JobRecord]:
        rows = self._db.execute("SELECT * FROM jobs WHERE phase != 'final' OR log_done = 0")
        return [record for record in map(record_of, rows) if record.is_open or record.log_is_due]

    def _remember(self, record: JobRecord) -> None:
        old = self._open.get(record.job_id)
        if record.is_open or record.log_is_due:
            self._open[record.job_id] = record
        else:
            self._open.pop(record.job_id, None)
        for watcher in self.watchers:
            watcher(old, record)


def _ran_before(old: JobRecord, new: JobRecord) -> JobRecord:
    """A job that ran under a claim that was rolled back: its run counts, and it has no other."""
    return replace(
        old,
        claim_tx=new.claim_tx,
        claimed_at=new.claimed_at,
        claim_time=new.claim_time,
        bought_minutes=new.bought_minutes,
        claims=old.claims + 1,
        phase=Phase.ENDED if old.end_state else Phase.SENT,
        reported=None,
        handed_back=False,
        refuse_reason="",
        stranger_count=0,
        stranger_since=0,
    )


def _closed(record: JobRecord) -> JobRecord:
    """Marks a closed record without output to deliver, so that no start reads it again."""
    if record.is_open or record.log_done or record.log_is_due:
        return record
    return replace(record, log_done=True)
