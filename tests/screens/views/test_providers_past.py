"""Providers: their past from the chain, and several side by side."""

from __future__ import annotations

import dataclasses

from dsq.console.dialogs.compare import compare_lines
from dsq.console.user.track_record import track_record
from dsq.core.errors import UnreachableError
from dsq.core.model import Address, JobStatus, WhyNot
from dsq.core.units import CREDIT
from tests.screens.views.test_submit_view import GOOD, write
from tests.support.console import jobs_shown
from tests.support.fake_grid import GAIA, IRIS, FakeGrid, job, provider, some_jobs

OTHER = Address(b"\x33" * 20)


def test_the_past_is_added_up() -> None:
    """Only what ran counts for success; waits are medians; money is exact."""
    status = JobStatus
    jobs = [
        job(1, status.FINISHED, submit=-500, start=-490, end=-100, cost=101),
        job(2, status.FAILED, submit=-500, start=-470, end=-50, cost=202),
        job(3, status.CANCELLED, submit=-500, start=-400, end=-400),
        job(4, status.RUNNING, submit=-500, start=-400),
        job(5, status.PANICKED, submit=-500, start=-300, end=-200),
        job(6, status.SCHEDULED, submit=-500),
    ]
    record = track_record(jobs)
    assert (record.jobs, record.ran, record.finished, record.panicked) == (6, 3, 1, 1)
    assert record.success == 1 / 3
    assert record.wait_seconds == 65
    assert record.cost_wei == 303 * CREDIT // 100
    assert record.open_jobs == 2
    assert record.last_end == jobs[1].time.end


def test_a_job_of_less_than_a_second_ran() -> None:
    """It has one time for its start and its end, and cost a minute; who never ran cost nothing."""
    short = job(1, JobStatus.FINISHED, submit=-500, start=-490, end=-490, cost=96)
    never = job(2, JobStatus.CANCELLED, submit=-500, start=-400, end=-400)
    record = track_record([short, never])
    assert (record.ran, record.finished, record.success, record.wait_seconds) == (1, 1, 1.0, 10)


def test_nothing_is_known_of_who_never_ran() -> None:
    """No success is claimed where nothing has ended."""
    record = track_record([])
    assert (record.success, record.wait_seconds, record.last_end) == (None, None, 0)
    assert track_record([job(1, JobStatus.RUNNING, start=-5)]).success is None


async def test_the_detail_tells_the_past_of_all_customers() -> None:
    """Jobs of others count too, and the table's do not change by it."""
    grid = FakeGrid().add(*some_jobs())
    stranger = job(90, JobStatus.FINISHED, at=GAIA, submit=-99, start=-90, end=-9, cost=500)
    grid.add(dataclasses.replace(stranger, customer=OTHER))
    async with jobs_shown(grid, size=(160, 48)) as robot:
        await robot.press("3")
        await robot.sees("ITS LAST 5 JOBS", "33% of 3", "218.90 credits", "open now", "2")
        await robot.press("down")
        await robot.sees("panicked", "taken from it by the grid")
        await robot.press("1")
        assert "90" not in [line.split()[0] for line in robot.text.splitlines() if line.split()]


async def test_the_table_tells_the_past_of_everyone() -> None:
    """Success and wait stand in the rows too, where there is room."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, size=(200, 48)) as robot:
        await robot.press("3")
        await robot.sees("SUCCESS", "WAITS", "0%", "50%")


async def test_a_silent_chain_hides_nothing_else() -> None:
    """Without an answer the detail says so and shows the rest."""
    grid = FakeGrid().add(*some_jobs())
    grid.fail["jobs_at"] = UnreachableError("No answer.")
    async with jobs_shown(grid, size=(160, 48)) as robot:
        await robot.press("3")
        await robot.sees("not read yet", "PRICES A MINUTE")


async def test_marked_ones_stand_side_by_side() -> None:
    """c needs two marks; with a workflow it says what each would cost, or why not."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, size=(80, 24)) as robot:
        await robot.press("3", "c")
        assert "side by side" not in robot.text
        await robot.press("asterisk", "c")
        await robot.sees("side by side", "gaia", "iris", "success", "50% of 2", "CPUs", "64 ✓")
        await robot.sees("With a valid workflow in the submit view")
        await robot.press("escape")
        screen = await write(robot, GOOD)
        screen.load(GOOD.replace("gpus: 0", "gpus: 2"), "train.yaml", None)
        await robot.sees("2 GPUs, has none", "1 h 11 min")
        await robot.press("escape", "3", "c")
        await robot.sees("FOR THE WORKFLOW", "a minute", "buys", "iris: needs 2 GPUs, has none")


def test_hostile_names_stay_in_their_column() -> None:
    """Whatever a provider calls itself, each line has its columns where they belong."""
    evil = provider(IRIS, "\x1b[31m[bold]" + "x" * 90 + "\u202e")
    rows = {IRIS: WhyNot(IRIS, evil.name, "no\x1b[2Jroom", 0, 0)}
    lines = compare_lines([provider(GAIA, "gaia"), evil], {}, rows)
    texts = ["".join(text for text, _ in line) for line in lines]
    assert not any("\x1b" in text or "\u202e" in text for text in texts)
    assert all(len(text) <= 11 + 2 * 15 for text in texts[:8])
