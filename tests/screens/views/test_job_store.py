"""The console's store of jobs against a plain dictionary."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from dsq.console.user import job_store as module
from dsq.console.user.job_store import JobStore
from dsq.core.model import Job, JobStatus
from dsq.core.readmodel import Order, ReadModel, parse_filter
from tests.support.fake_grid import NOW, job, some_jobs


def shown(store: JobStore) -> list[int]:
    store.settle()
    return [store.row(index).id for index in range(len(store))]


async def test_the_store_keeps_the_filter_while_jobs_change() -> None:
    """After any changes the shown jobs are exactly those that pass, newest first."""
    rng = random.Random(7)
    store, model = JobStore(), dict[int, Job]()
    await store.show(parse_filter("status:hot"))
    for _ in range(2000):
        changed = job(rng.randint(1, 120), JobStatus(rng.randint(0, 8)))
        store.put(changed)
        model[changed.id] = changed
        if rng.random() < 0.05:
            store.settle()
            assert len(store) == sum(1 for each in model.values() if each.status.is_hot)
    hot = sorted((n for n, each in model.items() if each.status.is_hot), reverse=True)
    assert shown(store) == hot
    assert [each.id for each in store.hot()] == hot
    assert all(store.index_of(job_id) == index for index, job_id in enumerate(hot))
    assert store.index_of(10**6) is None
    for status in JobStatus:
        assert store.count(status) == sum(1 for each in model.values() if each.status is status)
    assert store.locked() == sum(model[n].cost.max_cost for n in hot)
    await store.show(parse_filter(""))
    assert len(store) == store.total == len(model)
    assert {n: store.get(n) for n in model} == model


async def test_every_order_finds_its_rows() -> None:
    """Sorted by anything, upward or downward, each row is where index_of says."""
    store = JobStore(now=lambda: NOW)
    store.put_all(some_jobs())
    for by in ("id", "name", "cost", "elapsed"):
        for descending in (True, False):
            await store.show(order=Order(by, descending))
            assert sorted(shown(store)) == sorted(each.id for each in some_jobs())
            assert [store.index_of(n) for n in shown(store)] == list(range(10))


async def test_what_changes_under_an_order_asks_for_sorting() -> None:
    """A table that is sorted by cost says when it wants to be sorted again."""
    store = JobStore(now=lambda: NOW)
    store.put_all(some_jobs())
    await store.show(order=Order("cost"))
    assert not store.wants_sorting
    store.put(job(50, JobStatus.FINISHED, cost=99900))
    store.settle()
    assert len(store) == 10
    assert store.wants_sorting
    await store.show()
    assert store.row(0).id == 50


async def test_a_table_that_was_sorted_empty_shows_its_first_jobs() -> None:
    """Sorted before anything was read, it shows what comes until it is sorted again."""
    store = JobStore(now=lambda: NOW)
    await store.show(order=Order("cost"))
    store.put_all(some_jobs())
    store.settle()
    assert len(store) == len(some_jobs())
    assert store.wants_sorting
    await store.show()
    assert store.row(0).id == 33


def test_putting_the_same_job_again_changes_nothing() -> None:
    """The screen is not painted for news that is none."""
    store = JobStore()
    store.put(job(1, JobStatus.PENDING))
    before = store.revision
    store.put(job(1, JobStatus.PENDING))
    assert store.revision == before


async def test_nothing_is_lost_between_two_starts(tmp_path: Path) -> None:
    """What was put is there after the console was closed, however much waited to be written."""
    path = tmp_path / "jobs.sqlite"
    store = JobStore(ReadModel(path))
    store.put_all(job(number, JobStatus.PENDING) for number in range(1, 1000))
    store.close()
    again = JobStore(ReadModel(path))
    assert again.total == 999
    assert again.count(JobStatus.PENDING) == 999
    assert len(again.hot()) == 999
    again.close()


async def test_the_newest_are_there_before_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many jobs the first page is known at once, and changes meanwhile are kept."""
    monkeypatch.setattr(module, "FIRST", 20)
    path = tmp_path / "jobs.sqlite"
    model = ReadModel(path)
    model.put_all(job(number, JobStatus(number % 9)) for number in range(1, 101))
    model.close()
    store = JobStore(ReadModel(path))
    assert shown(store) == list(range(100, 80, -1))
    assert store.total == 100
    store.put(job(101, JobStatus.RUNNING))
    store.put(job(5, JobStatus.FAILED))
    store.settle()
    before = store.count(JobStatus.FAILED)
    await store.complete_load()
    assert shown(store) == list(range(101, 0, -1))
    assert store.total == 101
    assert store.get(5).status is JobStatus.FAILED  # type: ignore[union-attr]
    assert store.count(JobStatus.FAILED) == before
    assert store.locked() == sum(each.cost.max_cost for each in store.hot())
    store.close()


async def test_many_jobs_are_searched_beside_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a big file a search runs in another thread; what changes meanwhile is not missed."""
    monkeypatch.setattr(module, "AT_ONCE", 10)
    store = JobStore(ReadModel(tmp_path / "jobs.sqlite"))
    store.put_all(job(number, JobStatus.FINISHED, f"job-{number}") for number in range(1, 200))
    await store.show(parse_filter("job-1"))
    assert len(store) == 111
    store.put(job(300, JobStatus.PENDING, "job-1x"))
    store.put(job(100, JobStatus.FINISHED, "other"))
    store.settle()
    assert len(store) == 111
    assert store.row(0).id == 300
    store.close()


async def test_very_many_changes_are_sifted_bit_by_bit(tmp_path: Path) -> None:
    """More changes than a key may wait for pass the filter over several idle moments."""
    store = JobStore(ReadModel(tmp_path / "jobs.sqlite"))
    store.put_all(job(number, JobStatus.RUNNING) for number in range(1, 1001))
    await store.show(parse_filter("status:running"))
    store.put_all(job(number, JobStatus.FINISHED) for number in range(1, 1001))
    store.settle()
    assert store.count(JobStatus.FINISHED) == 1000
    lengths = [len(store)]
    while lengths[-1]:
        before = store.revision
        store.idle()
        assert store.revision > before
        lengths.append(len(store))
    assert lengths == list(range(1000, -1, -module.SLICE))
    store.put(job(7, JobStatus.RUNNING))
    store.settle()
    assert shown(store) == [7]
    store.close()


async def test_a_search_is_given_up_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who types on does not wait for what he typed before."""
    monkeypatch.setattr(module, "AT_ONCE", 10)
    store = JobStore(ReadModel(tmp_path / "jobs.sqlite"))
    store.put_all(job(number, JobStatus.FINISHED, f"job-{number}") for number in range(1, 2000))
    # A regular expression takes long enough to be overtaken.
    first = asyncio.create_task(store.show(parse_filter("~(j.*o.*b.*)+x")))
    await asyncio.sleep(0)
    assert store.searching
    await store.show(parse_filter("job-19"))
    await first
    assert not store.searching
    assert len(store) == 111
    store.close()


async def test_sorting_that_takes_long_is_not_wanted_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small part of the time goes into keeping an order, however many jobs change."""
    monkeypatch.setattr(module, "AT_ONCE", 10)
    clock = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    store = JobStore(ReadModel(tmp_path / "jobs.sqlite"))
    store.put_all(job(number, JobStatus.FINISHED, cost=number) for number in range(1, 50))

    real = module.JobSearch.run

    async def slow(search: module.JobSearch) -> object:
        found = await real(search)
        search.seconds = 3.0
        return found

    monkeypatch.setattr(module.JobSearch, "run", slow)
    await store.show(order=Order("cost"))
    store.put(job(3, JobStatus.FINISHED, cost=99900))
    store.settle()
    assert not store.wants_sorting
    clock[0] += 30.0
    assert store.wants_sorting
    await store.show()
    assert store.row(0).id == 3
    store.close()
