"""Reading the grid: what is read after a start, a fault, a chain that went back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dsq.core.chain import Head
from dsq.core.clock import SystemClock
from dsq.core.errors import NotFoundError, UnreachableError
from dsq.core.metascheduler.memory import Memory
from dsq.core.metascheduler.picture import Picture
from dsq.core.model import Address, Constants, Job, JobStatus, JobTime, Provider

from .grids import address, definition, job, provider


class Views:
    """Contract views in memory; ``asked`` holds which jobs were read."""

    def __init__(self) -> None:
        self.all: dict[int, Job] = {}
        self.sellers: dict[Address, Provider] = {address(1): provider()}
        self.number = 10
        self.is_up = True
        self.asked: list[list[int]] = []
        self.timeout = 10

    def put(self, *jobs: Job) -> None:
        self.all |= {one.id: one for one in jobs}

    def _answer(self) -> None:
        if not self.is_up:
            raise UnreachableError("The chain does not answer.")

    async def head(self) -> Head:
        self._answer()
        return Head(self.number, bytes([self.number]) * 32, 1000 + self.number)

    async def block(self, number: int) -> Head | None:
        return Head(number, bytes([number]) * 32, 1000 + number) if number <= self.number else None

    async def block_timestamps(self, numbers: Iterable[int]) -> dict[int, int]:
        return {number: 1000 + number for number in numbers}

    async def open_job_ids(self, first: int, last: int) -> list[int]:
        self._answer()
        return sorted(n for n, one in self.all.items() if first <= n <= last and one.status.is_hot)

    async def constants(self) -> Constants:
        return Constants(0, 20, 15, 30, 5, self.timeout)

    async def job_count(self) -> int:
        return max(self.all, default=0)

    async def jobs(self, ids: Sequence[int]) -> list[Job]:
        self._answer()
        self.asked.append(list(ids))
        if missing := [one for one in ids if one not in self.all]:
            raise NotFoundError(f"There is no job {missing[0]}.")
        return [self.all[one] for one in ids]

    async def providers(self) -> list[Provider]:
        return list(self.sellers.values())

    async def provider(self, one: Address) -> Provider:
        return self.sellers.get(one) or replace(provider(approved=False), address=one)

    async def proposal(self, one: Address) -> Provider:
        return replace(provider(approved=False), address=one)


@pytest.fixture
def views() -> Views:
    return Views()


def picture(views: Views, path: Path | None = None) -> Picture:
    memory = Memory(path, "grid") if path is not None else None
    return Picture(views, SystemClock(), memory)  # type: ignore[arg-type]


async def test_the_first_view_reads_open_jobs_only(views: Views) -> None:
    """Jobs that wait and jobs that are placed are known afterwards, ended ones are not kept."""
    views.put(
        job(1, status=JobStatus.FINISHED, on=address(1)),
        job(2),
        job(3, definition(1, 3), status=JobStatus.RUNNING, on=address(1)),
    )
    seen = picture(views)
    await seen.rebuild()
    assert views.asked == [[2, 3]]
    assert (list(seen.state.pending), list(seen.state.tracked)) == ([2], [3])
    assert seen.state.occupations[address(1)].free.cpus == 5
    assert seen.claim_seconds == 600


async def test_a_claim_is_timed_from_the_block_of_the_placement(views: Views) -> None:
    """Also for jobs that were placed before this process started."""
    placed = job(1, status=JobStatus.META_SCHEDULED, on=address(1))
    views.put(replace(placed, time=JobTime(submit=1, block_number_state_change=7)))
    seen = picture(views)
    await seen.rebuild()
    assert seen.state.tracked[1].since == 1007


async def test_a_job_that_could_not_be_read_is_not_forgotten(views: Views) -> None:
    """Its event came, the chain went away: the rebuild reads it."""
    seen = picture(views)
    await seen.rebuild()
    views.put(job(1))
    views.is_up = False
    with pytest.raises(UnreachableError):
        await seen.refresh({1}, ())
    views.is_up = True
    await seen.rebuild()
    assert list(seen.state.pending) == [1]


async def test_a_rebuild_reads_open_and_new_jobs_only(views: Views) -> None:
    """What ended is not read again and again."""
    views.put(*(job(n, status=JobStatus.FINISHED, on=address(1)) for n in range(1, 50)), job(50))
    seen = picture(views)
    await seen.rebuild()
    views.put(job(51))
    await seen.rebuild()
    assert views.asked[-1] == [50, 51]


async def test_a_lost_picture_reads_all(views: Views) -> None:
    """After the chain went back, jobs that had ended may be open again."""
    views.put(job(1, status=JobStatus.FINISHED, on=address(1)), job(2))
    seen = picture(views)
    await seen.rebuild()
    views.put(job(1, status=JobStatus.RUNNING, on=address(1)))
    del views.all[2]
    seen.is_lost = True
    await seen.rebuild()
    assert (list(seen.state.tracked), list(seen.state.pending)) == ([1], [])


async def test_fewer_jobs_than_were_seen_mean_another_past(views: Views) -> None:
    """Numbers are given again then, to other jobs: everything is read."""
    views.put(job(1, status=JobStatus.FINISHED, on=address(1)), job(2), job(3))
    seen = picture(views)
    await seen.rebuild()
    views.all.clear()
    views.put(job(1), job(2))
    await seen.rebuild()
    assert views.asked[-1] == [1, 2]
    assert list(seen.state.pending) == [1, 2]


async def test_a_snapshot_spares_reading_what_ended_before(views: Views, tmp_path: Path) -> None:
    """The next process reads what was open, what ended last, and what is new."""
    path = tmp_path / "state" / "snapshot.json"
    views.put(*(job(n, status=JobStatus.FINISHED, on=address(1)) for n in range(1, 40)), job(40))
    first = picture(views, path)
    await first.rebuild()
    first.state.backoff.refused(40, address(1), 2e9)
    first.remember(now=True)
    views.put(job(41))
    second = picture(views, path)
    await second.recall()
    await second.rebuild()
    assert views.asked[-1] == [40, 41]
    assert second.state.backoff.reason(40, address(1), 2e9)


@pytest.mark.parametrize("what", ["other past", "other grid", "{", "[]", "null", '{"version": 1}'])
async def test_a_snapshot_that_does_not_fit_does_not_count(
    views: Views, tmp_path: Path, what: str
) -> None:
    """The chain has not its block any more, or it is another grid's, or it is damaged."""
    path = tmp_path / "snapshot.json"
    views.put(job(1, status=JobStatus.FINISHED, on=address(1)), job(2))
    first = picture(views, path)
    await first.rebuild()
    first.remember(now=True)
    match what:
        case "other past":
            views.number = 5
        case "other grid":
            path.write_text(path.read_text().replace('"grid": "grid"', '"grid": "other"'))
        case _:
            path.write_text(what)
    second = picture(views, path)
    await second.recall()
    assert second.is_lost


async def test_a_full_disk_stops_nothing(views: Views, tmp_path: Path) -> None:
    """The snapshot is only a shortcut."""
    blocker = tmp_path / "file"
    blocker.write_text("")
    seen = picture(views, blocker / "snapshot.json")
    await seen.rebuild()
    seen.remember(now=True)


async def test_providers_come_go_and_wait(views: Views) -> None:
    """A record that is neither approved nor proposed is dropped; a proposal is kept as such."""
    seen = picture(views)
    await seen.rebuild()
    del views.sellers[address(1)]
    views.sellers[address(2)] = replace(provider(2, approved=False), is_waiting=True)
    await seen.refresh((), {address(1)})
    assert address(1) not in seen.state.providers
