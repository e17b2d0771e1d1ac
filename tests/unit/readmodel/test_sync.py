"""Bringing the read model up to date: nothing missed, nothing read twice without need."""

from __future__ import annotations

import pytest

from dsq.core.errors import NotFoundError, UnreachableError
from dsq.core.model import Job, JobStatus
from dsq.core.readmodel import ReadModel
from dsq.core.readmodel.sync import PAGE, synchronise
from tests.support.fake_grid import GAIA, FakeGrid, job, some_jobs


class CountingGrid(FakeGrid):
    """Counts the jobs that were read."""

    read = 0
    fail_after = 10**9

    async def jobs_by_id(self, ids):  # type: ignore[no-untyped-def]
        if self.read + len(ids) > self.fail_after:
            raise UnreachableError("The chain does not answer.")
        self.read += len(ids)
        return await super().jobs_by_id(ids)


async def sync(grid: FakeGrid, model: ReadModel) -> list[int]:
    return [to_come async for to_come in synchronise(grid, model)]


def same(grid: FakeGrid, model: ReadModel) -> bool:
    return model.get(list(model.ids())) == grid.known


async def test_the_first_time_everything_is_read() -> None:
    """An empty file is filled, and knows how far."""
    grid, model = CountingGrid(), ReadModel()
    grid.add(*some_jobs())
    await sync(grid, model)
    assert same(grid, model)
    assert model.anchor is not None
    assert model.anchor.count == 10


async def test_later_only_new_and_open_jobs_are_read() -> None:
    """Ended jobs of long ago are not asked for again."""
    grid, model = CountingGrid(), ReadModel()
    grid.add(*(old(number) for number in range(1, 500)), job(500, JobStatus.RUNNING, at=GAIA))
    grid.block = 10_000
    await sync(grid, model)
    grid.read = 0
    grid.add(job(500, JobStatus.FINISHED, at=GAIA), job(501, JobStatus.PENDING))
    await sync(grid, model)
    assert same(grid, model)
    assert grid.read == 2


def old(number: int) -> Job:
    """A job that ended many blocks ago."""
    return job(number, JobStatus.FINISHED)


async def test_pages_come_newest_first_and_count_down() -> None:
    """A console can show the newest jobs while the others are read."""
    grid, model = FakeGrid(), ReadModel()
    grid.add(*(old(number) for number in range(1, 2 * PAGE + 50)))
    seen = []
    async for to_come in synchronise(grid, model):
        seen.append((to_come, max(model.ids())))
    assert [to_come for to_come, _ in seen] == [PAGE + 49, 49, 0]
    assert seen[0][1] == 2 * PAGE + 49


async def test_a_stopped_reading_goes_on_where_it_was() -> None:
    """What came before the connection was lost is not read again."""
    grid, model = CountingGrid(), ReadModel()
    grid.block = 10_000
    grid.add(*(old(number) for number in range(1, 2 * PAGE + 50)))
    grid.fail_after = PAGE
    with pytest.raises(UnreachableError):
        await sync(grid, model)
    grid.fail_after, grid.read = 10**9, 0
    await sync(grid, model)
    assert same(grid, model)
    assert grid.read == PAGE + 49


async def test_a_chain_with_another_history_is_read_anew() -> None:
    """Nothing of a chain that was started again stays."""
    grid, model = FakeGrid(), ReadModel()
    await sync(grid.add(*some_jobs()), model)
    grid.era, grid.known = 1, {1: job(1, JobStatus.PENDING)}
    await sync(grid, model)
    assert same(grid, model)


async def test_an_end_that_was_taken_back_is_seen() -> None:
    """A job that ended on a branch of the chain that is gone runs again in the file too."""
    grid, model = FakeGrid(block=1050), ReadModel()
    await sync(grid.add(job(41, JobStatus.FINISHED, at=GAIA, start=-60, end=-10)), model)
    grid.known[41] = job(41, JobStatus.RUNNING, at=GAIA, start=-60)
    await sync(grid, model)
    assert same(grid, model)


async def test_a_job_that_is_gone_makes_everything_be_read_anew() -> None:
    """A request that the chain took back leaves the file."""
    grid, model = FakeGrid(), ReadModel()
    await sync(grid.add(*some_jobs()), model)
    del grid.known[41]
    with pytest.raises(NotFoundError):
        await sync(grid, model)
    await sync(grid, model)
    assert same(grid, model)
