"""The journal: what was written is there after a crash, once and as it was."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from dataclasses import fields, replace
from pathlib import Path

import pytest

from dsq.core.disk import REMEDY
from dsq.core.errors import DiskError, NotFoundError, SettingsError
from dsq.core.model import JobStatus
from dsq.supervisor.journal import Journal
from dsq.supervisor.journal_disk import LATE_SECONDS
from dsq.supervisor.records import JobRecord, Phase
from tests.support.disk import no_room
from tests.support.fakes import CUSTOMER
from tests.unit.supervisor.cases import DEFINITION, record, sent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def reopened(journal: Journal) -> Journal:
    """What another process would read, without a close."""
    return Journal(journal.path)


def test_every_field_survives(path: Path) -> None:
    """Each field comes back with its value and its type, None and large numbers included."""
    full = JobRecord(
        job_id=2**200,
        customer=CUSTOMER,
        definition=DEFINITION,
        claim_tx=b"\x01" * 32,
        claimed_at=5,
        claim_time=4,
        claims=2,
        bought_minutes=2**64 - 1,
        limit_minutes=7,
        limit_bought=2**64 - 1,
        limit_denied=True,
        logging=False,
        fetch_failed_since=8,
        attempt=3,
        token="abc",
        planned_at=9,
        slurm_id="10",
        submit_time=11,
        phase=Phase.SEEN,
        slurm_state="RUNNING",
        slurm_reason="why",
        nodes="n[1-2]",
        last_alive_at=12,
        missing_count=1,
        missing_since=13,
        stranger_count=1,
        stranger_since=14,
        started_at=15,
        ended_at=16,
        end_state="FAILED",
        exit_status=768,
        requeued=True,
        cancel_requested=True,
        cancel_cause="c",
        cancel_sent_at=17,
        refuse_reason="r",
        handed_back=True,
        reported=JobStatus.RUNNING,
        proved_at=21,
        final_cost=10**30,
        earned=10**29,
        log_offset=18,
        log_line=19,
        log_done=True,
        log_note="note",
        last_error="e",
        last_event="event",
        last_event_at=20,
    )
    untouched = [f.name for f in fields(full) if getattr(full, f.name) == getattr(record(), f.name)]
    assert set(untouched) == {"customer", "definition"}
    Journal(path).save(full)
    assert Journal(path).get(full.job_id) == full


def test_only_its_owner_can_read_it(path: Path) -> None:
    """Customers' jobs are nobody else's business."""
    Journal(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_writes_are_synced(path: Path) -> None:
    """WAL with synchronous=FULL: a commit is on disk when it returns."""
    journal = Journal(path)
    assert journal._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert journal._db.execute("PRAGMA synchronous").fetchone()[0] == 2


def counted(journal: Journal) -> list[int]:
    """Records in each transaction from now on."""
    sizes: list[int] = []
    write = journal._write

    def seen() -> None:
        sizes.append(len(journal._rows))
        write()

    journal._write = seen  # type: ignore[method-assign]
    return sizes


async def test_who_waits_for_the_disk_shares_a_transaction(path: Path) -> None:
    """A hundred plans made in the same moment cost one sync, and all are there after it."""
    journal = Journal(path)
    sizes = counted(journal)

    async def plan(job_id: int) -> None:
        journal.save(sent(job_id=job_id), "planned")
        await journal.settled()
        kept = reopened(journal).get(job_id) if job_id % 25 == 0 else journal.get(job_id)
        assert kept is not None

    await asyncio.gather(*(plan(job_id) for job_id in range(1, 101)))
    assert sizes == [100]
    await journal.settled()
    assert sizes == [100]


async def test_what_nobody_waits_for_is_written_soon(path: Path) -> None:
    """The newest state of each record once, with every line of its history."""
    journal = Journal(path)
    sizes = counted(journal)
    journal.save(sent(slurm_state="PENDING"), "waits")
    journal.update(7, "runs", slurm_state="RUNNING")
    assert reopened(journal).get(7) is None
    await asyncio.sleep(2 * LATE_SECONDS)
    kept = reopened(journal).get(7)
    assert kept is not None
    assert kept.slurm_state == "RUNNING"
    assert sizes == [1]
    assert [note.text for note in journal.history(7)] == ["waits", "runs"]


async def test_the_place_on_the_chain_is_never_ahead_of_the_records(path: Path) -> None:
    """The cursor goes to the disk with what was heard before it, or after it."""
    journal = Journal(path)
    journal.claim(record(), "claimed")
    journal.set_meta("cursor", "5")
    assert journal.get_meta("cursor") == "5"
    other = reopened(journal)
    assert (other.get(7), other.get_meta("cursor")) == (None, None)
    await journal.settled()
    assert (other.get(7) is None, other.get_meta("cursor")) == (False, "5")


async def test_a_full_disk_stops_effects_and_loses_nothing(path: Path) -> None:
    """Who waits gets the error; what was to be written goes with the next transaction."""
    journal = Journal(path)
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    journal.save(sent(log_note="x" * 100_000), "planned")
    with pytest.raises(DiskError, match="full"):
        await journal.settled()
    with pytest.raises(DiskError, match="full"):
        journal.top_up(7, 5, b"\x01")
    assert journal.update(7).bought_minutes == sent().bought_minutes
    assert reopened(journal).get(7) is None
    journal._db.execute(f"PRAGMA max_page_count = {2 * pages + 100}")
    await journal.settled()
    assert journal.top_up(7, 5, b"\x01") is not None
    assert [n.text for n in reopened(journal).history(7)] == ["planned", "topped up by 5 min"]


@pytest.mark.parametrize("is_new", [True, False])
def test_a_journal_that_finds_no_room_is_no_damaged_one(path: Path, is_new: bool) -> None:
    """Nothing has to be restored, and another start may work: not the code of wrong settings."""
    if not is_new:
        Journal(path).close()
    with no_room(), pytest.raises(DiskError, match=r"cannot be used") as error:
        Journal(path)
    assert error.value.hint == REMEDY
    Journal(path).close()


def test_a_journal_is_closed_also_when_its_disk_is_full(path: Path) -> None:
    """At a stop there is nobody left to wait for room: what is lost was only learnt."""
    journal = Journal(path)
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    journal.touch(sent(log_note="x" * 100_000))
    with pytest.raises(DiskError):
        journal.flush()
    journal.close()
    assert Journal(path).get(7) is None


def test_a_job_that_ran_under_a_claim_that_was_rolled_back_keeps_its_run(path: Path) -> None:
    """Claimed once more it is not submitted again: its end is what there is to say."""
    journal = Journal(path)
    ran = sent(started_at=100, ended_at=160, end_state="COMPLETED", claim_tx=b"\x01")
    journal.save(replace(ran, phase=Phase.FINAL, handed_back=True))
    found, is_new = journal.claim(record(claim_tx=b"\x02", bought_minutes=9))
    assert is_new
    assert (found.phase, found.claims, found.bought_minutes) == (Phase.ENDED, ran.claims + 1, 9)
    assert (found.started_at, found.ended_at, found.token) == (100, 160, ran.token)
    assert not found.handed_back


def test_claiming_twice_changes_nothing(path: Path) -> None:
    """The same claim heard from the receipt and from the follower."""
    journal = Journal(path)
    first, is_new = journal.claim(record(claim_tx=b"\x01"))
    assert is_new
    journal.update(7, phase=Phase.PLANNED, attempt=1)
    again, is_new = journal.claim(record(claim_tx=b"\x01"))
    assert not is_new
    assert again.phase is Phase.PLANNED
    assert first.last_event == "claimed"


def test_a_closed_job_claimed_anew_starts_over(path: Path) -> None:
    """New attempts, but its lines at the log service stay counted."""
    journal = Journal(path)
    journal.claim(record(claim_tx=b"\x01"))
    journal.update(7, phase=Phase.FINAL, log_done=True, log_line=4, attempt=2)
    fresh, is_new = journal.claim(record(claim_tx=b"\x02"))
    assert is_new
    assert (fresh.claims, fresh.log_line, fresh.attempt, fresh.phase) == (2, 4, 0, Phase.CLAIMED)


def test_a_replayed_claim_of_a_closed_job_changes_nothing(path: Path) -> None:
    """An old event that comes again after the end opens nothing."""
    journal = Journal(path)
    journal.claim(record(claim_tx=b"\x01"))
    journal.update(7, phase=Phase.FINAL, log_done=True)
    kept, is_new = journal.claim(record(claim_tx=b"\x01"))
    assert not is_new
    assert kept.phase is Phase.FINAL


def test_a_top_up_counts_once(path: Path) -> None:
    """By transaction, also after a restart; a denied limit may be tried again."""
    journal = Journal(path)
    journal.claim(record(limit_denied=True))
    topped = journal.top_up(7, 30, b"\x05")
    assert topped is not None
    assert (topped.bought_minutes, topped.limit_denied) == (90, False)
    assert journal.top_up(7, 30, b"\x05") is None
    assert reopened(journal).top_up(7, 30, b"\x05") is None
    kept = reopened(journal).get(7)
    assert kept is not None
    assert kept.bought_minutes == 90


def test_a_top_up_of_a_strange_job_is_ignored(path: Path) -> None:
    """The journal invents no record."""
    assert Journal(path).top_up(99, 1, b"\x01") is None


def test_update_changes_only_what_it_names(path: Path) -> None:
    """What another part wrote while an effect was under way stays."""
    journal = Journal(path)
    journal.save(sent())
    journal.update(7, log_offset=500)
    journal.update(7, "submitted", phase=Phase.SENT)
    kept = reopened(journal).get(7)
    assert kept is not None
    assert (kept.log_offset, kept.phase, kept.last_event) == (500, Phase.SENT, "submitted")
    with pytest.raises(NotFoundError):
        journal.update(8, phase=Phase.SENT)


def test_touched_records_are_written_at_the_flush(path: Path) -> None:
    """Sightings stay in memory until then, and are lost by a crash before it."""
    journal = Journal(path)
    saved = journal.save(sent())
    journal.touch(replace(saved, last_alive_at=77))
    seen = journal.get(7)
    assert seen is not None
    assert seen.last_alive_at == 77
    lost = reopened(journal).get(7)
    assert lost is not None
    assert lost.last_alive_at == 0
    journal.flush()
    kept = reopened(journal).get(7)
    assert kept is not None
    assert kept.last_alive_at == 77


def test_open_and_log_records(path: Path) -> None:
    """A closed job whose output is due is no open one, but its log goes on."""
    journal = Journal(path)
    journal.save(sent(logging=True))
    assert [r.job_id for r in journal.open_records()] == [7]
    journal.update(7, phase=Phase.FINAL)
    for now in (journal, reopened(journal)):
        assert now.open_records() == []
        assert [r.job_id for r in now.log_records()] == [7]
    journal.update(7, log_done=True)
    assert journal.log_records() == reopened(journal).log_records() == []


def test_history_keeps_every_event_in_order(path: Path) -> None:
    """What a person asks first: what happened to this job."""
    journal = Journal(path, now=lambda: 100.0)
    journal.claim(record(), "claimed for 60 min")
    journal.update(7, attempt=1)
    journal.update(7, "submitted")
    assert [(note.at, note.text) for note in journal.history(7)] == [
        (100, "claimed for 60 min"),
        (100, "submitted"),
    ]


def test_earnings_and_recent(path: Path) -> None:
    """Sums by the jobs' ends; the newest closed ones first."""
    journal = Journal(path)
    for job_id, end in ((1, 100), (2, 200), (3, 300)):
        closed = sent(phase=Phase.FINAL, ended_at=end, earned=10**20, last_event_at=end)
        journal.save(replace(closed, job_id=job_id))
    assert journal.earned_since(200) == 2 * 10**20
    assert [r.job_id for r in journal.recent(2)] == [3, 2]
    assert [r.job_id for r in journal.finished_since(300)] == [3]


def test_a_journal_of_a_newer_dsq_is_refused(path: Path) -> None:
    """An older program must not write into tables it does not know."""
    Journal(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(SettingsError, match="newer dsq"):
        Journal(path)


def test_a_damaged_journal_is_named(path: Path) -> None:
    """One sentence with the file, not a traceback of SQLite."""
    path.parent.mkdir()
    path.write_bytes(b"this is no database, however long it is" * 100)
    with pytest.raises(SettingsError, match=r"journal\.db"):
        Journal(path)


def test_a_failed_write_leaves_memory_and_file_as_they_were(path: Path) -> None:
    """Both change together or not at all."""
    journal = Journal(path)
    journal.save(record())
    with pytest.raises(ValueError, match="format"):
        journal.save_all([(record(phase=Phase.SENT), ""), (replace(record(), job_id="x"), "")])
    kept = journal.get(7)
    assert kept is not None
    assert kept.phase is Phase.CLAIMED
    assert reopened(journal).get(7) == kept


def test_old_jobs_are_pruned_with_their_history(path: Path) -> None:
    """Closed and delivered before the time: gone; open ones and newer ones stay."""
    journal = Journal(path, now=lambda: 1000.0)
    journal.save(sent(job_id=1, phase=Phase.FINAL), "ended")
    journal.save(sent(job_id=2), "runs")
    journal.save(sent(job_id=3, phase=Phase.FINAL, logging=True), "ended, output due")
    assert journal.prune(1000) == 0
    assert journal.prune(1001) == 1
    assert journal.get(1) is None
    assert journal.history(1) == []
    assert [journal.get(job_id) is not None for job_id in (2, 3)] == [True, True]
    assert [note.text for note in journal.history(2)] == ["runs"]


def test_a_closed_job_is_not_read_at_the_next_start(path: Path) -> None:
    """Without output to deliver it is out of the index of what is due."""
    Journal(path).save(sent(phase=Phase.FINAL, logging=False), "ended")
    row = sqlite3.connect(path).execute("SELECT log_done FROM jobs").fetchone()
    assert row == (1,)


def test_a_journal_of_the_first_schema_is_taken_on(path: Path) -> None:
    """Its columns are added, its records stay, and it counts as complete."""
    journal = Journal(path)
    journal.save(sent(), "runs")
    journal.set_meta("cursor", "{}")
    journal.close()
    with sqlite3.connect(path) as old:
        for name in ("claim_time", "proved_at"):
            old.execute(f"ALTER TABLE jobs DROP COLUMN {name}")
        old.execute("DROP INDEX jobs_closed")
        old.execute("PRAGMA user_version = 1")
    taken = Journal(path)
    assert taken.get(7) == replace(
        sent(), last_event="runs", last_event_at=taken.get(7).last_event_at
    )  # type: ignore[union-attr]
    assert taken.get_meta("begun") == "1"


@pytest.mark.parametrize("is_old", [False, True])
def test_the_newest_ended_jobs_are_found_without_reading_all(path: Path, *, is_old: bool) -> None:
    """A screen asks for them twice a second, whatever the journal holds; an old one learns it."""
    journal = Journal(path)
    journal.save_all([(sent(job_id=i, phase=Phase.FINAL), "over") for i in range(1, 2_001)])
    if is_old:
        journal.close()
        with sqlite3.connect(path) as old:
            old.execute("DROP INDEX jobs_closed")
            old.execute("PRAGMA user_version = 2")
        journal = Journal(path)
    hundreds = 0

    def counted() -> int:
        nonlocal hundreds
        hundreds += 1
        return 0

    journal._db.set_progress_handler(counted, 100)
    assert [record.job_id for record in journal.recent(3)] == [2_000, 1_999, 1_998]
    assert not journal.finished_since(2**40)
    assert hundreds < 10
    journal.close()


def test_many_records_change_in_one_transaction(path: Path) -> None:
    """Each with its event; unknown jobs are left out."""
    journal = Journal(path)
    journal.save_all([(sent(job_id=1), ""), (sent(job_id=2), "")])
    done = journal.change_all(
        [(1, "one", {"attempt": 3}), (2, "", {"attempt": 4}), (9, "none", {"attempt": 5})]
    )
    assert {job_id: record.attempt for job_id, record in done.items()} == {1: 3, 2: 4}
    assert [note.text for note in journal.history(1)] == ["one"]
