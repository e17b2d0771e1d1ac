"""When scripts go, and how little of the chain is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsq.core.model import Address, JobStatus
from dsq.sbatch.service.ledger import SCAN_OVERLAP, Ledger
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.sqlite_store import SqliteScriptStore
from dsq.sbatch.service.store import IdempotentSubmit, StoredScript
from tests.unit.service.support import Jobs, TestClock

ANN, BOB = Address(b"a" * 20), Address(b"b" * 20)
DAY = 24 * 3600.0


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def store(tmp_path: Path) -> SqliteScriptStore:
    return SqliteScriptStore(tmp_path / "scripts.sqlite", Sealer(bytes(32)))


@pytest.fixture
def ledger(jobs: Jobs, store: SqliteScriptStore, clock: TestClock) -> Ledger:
    return Ledger(jobs, store, clock, unseen_seconds=DAY, grace_seconds=DAY)


async def keep(
    store: SqliteScriptStore, clock: TestClock, key: str, owner: Address | None = None
) -> None:
    """A script in the store."""
    await store.put(StoredScript(key, "#!/bin/bash", owner, owner is not None, clock.now()))


async def test_a_script_that_no_job_names_goes_after_a_day(
    ledger: Ledger, store: SqliteScriptStore, clock: TestClock
) -> None:
    """Submitted and forgotten."""
    await keep(store, clock, "k", ANN)
    clock.offset = DAY - 60
    assert await ledger.clean() == 0
    clock.offset = DAY + 60
    assert await ledger.clean() == 1
    assert await store.get("k") is None


@pytest.mark.parametrize("owner", [ANN, None])
async def test_a_script_outlives_its_jobs_by_the_grace(
    ledger: Ledger,
    store: SqliteScriptStore,
    jobs: Jobs,
    clock: TestClock,
    owner: Address | None,
) -> None:
    """A job that waits for a week keeps its script; its end starts the grace."""
    await keep(store, clock, "k", owner)
    first, second = jobs.add("k", ANN), jobs.add("k", ANN)
    for day in range(1, 8):
        clock.offset = day * DAY
        assert await ledger.clean() == 0
    jobs.change(first, status=JobStatus.FINISHED)
    clock.offset = 9 * DAY
    assert await ledger.clean() == 0
    jobs.change(second, status=JobStatus.CANCELLED)
    assert await ledger.clean() == 0
    clock.offset = 10 * DAY - 60
    assert await ledger.clean() == 0
    clock.offset = 10 * DAY + 60
    assert await ledger.clean() == 1


async def test_a_strangers_job_keeps_no_script(
    ledger: Ledger, store: SqliteScriptStore, jobs: Jobs, clock: TestClock
) -> None:
    """Only jobs of the owner count."""
    await keep(store, clock, "k", ANN)
    jobs.add("k", BOB)
    clock.offset = DAY + 60
    assert await ledger.clean() == 1


async def test_history_is_not_looked_through(
    ledger: Ledger, store: SqliteScriptStore, jobs: Jobs, clock: TestClock
) -> None:
    """A new service skips the jobs before it, later scans look at what is new."""
    for _ in range(500):
        jobs.add("old", BOB)
    await ledger.scan()
    await keep(store, clock, "k")
    jobs.add("k", ANN)
    jobs.asked = 0
    await ledger.scan()
    assert await store.first_job("k") == 501
    assert jobs.asked <= SCAN_OVERLAP + 2


async def test_a_store_that_lost_its_cursor_looks_at_all(
    ledger: Ledger, store: SqliteScriptStore, jobs: Jobs, clock: TestClock
) -> None:
    """With scripts and no cursor the chain was away at the start: every job is looked at."""
    await keep(store, clock, "k")
    jobs.add("k", ANN)
    jobs.add("k", BOB)
    await ledger.scan()
    script = await store.get("k")
    assert script is not None
    assert script.owner == ANN


async def test_deleted_scripts_leave_nothing(
    ledger: Ledger, store: SqliteScriptStore, clock: TestClock
) -> None:
    """A repeat after the script went is a new submit, not the key of nothing."""
    submit = IdempotentSubmit("ann", "1", (b"f",))
    script = StoredScript("k", "#!/bin/bash", ANN, True, clock.now())
    assert await store.put(script, submit) == "k"
    assert await store.earlier(submit, clock.now()) == "k"
    await store.delete(["k"])
    assert await store.earlier(submit, clock.now()) is None
