"""Marking and writing very many jobs: in pieces, with progress, and one can stop."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from dsq.console.export import JobFile
from dsq.console.user.screens.job_actions import COPIED
from dsq.console.user.screens.jobs import JobsScreen
from dsq.console.widgets import table
from dsq.core.errors import UsageError
from dsq.core.model import JobStatus
from dsq.core.views import job_to_dict
from tests.support.console import Robot, jobs_shown
from tests.support.fake_grid import FakeGrid, job, some_jobs

COUNT = 60


def many() -> FakeGrid:
    return FakeGrid().add(*(job(n, JobStatus.FINISHED, f"j{n}") for n in range(1, COUNT + 1)))


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MARKED_AT_ONCE", 10)
    monkeypatch.setattr("dsq.console.user.screens.job_actions.EXPORT_SLICE", 10)


def jobs_screen(robot: Robot) -> JobsScreen:
    assert isinstance(robot.app.screen, JobsScreen)
    return robot.app.screen


class Turns:
    """Counts how often others had a turn, and does something in one of them."""

    def __init__(self, at: int = 0, act: Any = None) -> None:
        self.count, self._at, self._act = 0, at, act

    async def __call__(self, seconds: float) -> None:
        if seconds == 0:
            self.count += 1
            if self.count == self._at:
                self._act()
        await SLEEP(0)


SLEEP = asyncio.sleep


async def test_marks_of_very_many_rows_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces keys are looked at; the next press marks none."""
    async with jobs_shown(many()) as robot:
        turns = Turns()
        monkeypatch.setattr("dsq.console.widgets.table.asyncio.sleep", turns)
        await robot.press("asterisk")
        assert turns.count >= COUNT // 10 - 1
        monkeypatch.undo()
        await robot.sees("60 marked of 60 jobs")
        assert list(jobs_screen(robot).marked_ids) == list(range(COUNT, 0, -1))
        await robot.press("asterisk")
        await robot.misses("marked")


async def test_marking_can_be_stopped() -> None:
    """Escape in the middle marks nothing, and no piece follows."""
    async with jobs_shown(many()) as robot:
        screen = jobs_screen(robot)
        robot.app.run_worker(screen.table.action_mark_all())
        while screen.table.marking is None:
            await asyncio.sleep(0)
        assert "marking…" in screen.tab_note()
        screen.action_clear_filter()
        await robot.settle()
        assert screen.table.marking is None
        assert not screen.table.marked


async def test_writing_can_be_stopped(tmp_path: Path) -> None:
    """Its progress is in the line of views; escape stops it and leaves no half of a file."""
    path = tmp_path / "jobs.json"
    async with jobs_shown(many()) as robot:
        screen = jobs_screen(robot)
        worker = screen.run_worker(
            screen._export(path, list(range(1, COUNT + 1))), group="export", exit_on_error=False
        )
        while screen.exporting is None or screen.exporting[0] < 20:
            await asyncio.sleep(0)
        assert "20 of 60 written, escape stops" in screen.tab_note()
        assert path.exists()
        screen.action_clear_filter()
        await robot.settle()
        assert worker.is_finished
        assert not path.exists()
        assert screen.exporting is None
        await robot.told("is not kept")


async def test_a_second_file_has_to_wait(tmp_path: Path) -> None:
    """While one is written no other is begun."""
    async with jobs_shown(many()) as robot:
        screen = jobs_screen(robot)
        screen.exporting = (0, 60)
        await robot.press("e")
        await robot.told("being written already")
        assert list(tmp_path.iterdir()) == []


async def test_open_jobs_among_very_many_marks_are_cancelled() -> None:
    """A mark of everything cancels what is open; what has ended is not even read."""
    grid = many().add(*some_jobs())
    async with jobs_shown(grid) as robot:
        read: list[int] = []
        store = jobs_screen(robot).state.jobs
        real = store.get
        store.get = lambda number: (read.append(number), real(number))[1]  # type: ignore[method-assign]
        await robot.press("asterisk", "c")
        await robot.sees("Cancel 5 jobs?")
        assert len(read) < COUNT


async def test_too_many_numbers_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal would refuse them; the sentence says what to do."""
    monkeypatch.setattr("dsq.console.user.screens.job_actions.COPIED", 5)
    assert COPIED > 5
    async with jobs_shown(many()) as robot:
        await robot.press("asterisk", "y")
        await robot.told("5 job ids can be copied at most; e writes all to a file.")


def test_a_file_written_in_pieces_is_whole(tmp_path: Path) -> None:
    """It is what one piece would be: JSON as `dsq jobs --json` prints it, CSV with one head."""
    jobs = some_jobs()
    with JobFile(tmp_path / "a.json") as file:
        file.write(jobs[:3])
        file.write(jobs[3:])
    expected = json.dumps([job_to_dict(each) for each in jobs], indent=2, sort_keys=True) + "\n"
    assert (tmp_path / "a.json").read_text() == expected
    with JobFile(tmp_path / "none.json") as file:
        file.write([])
    assert (tmp_path / "none.json").read_text() == "[]\n"
    with JobFile(tmp_path / "a.csv") as file:
        file.write(jobs[:3])
        file.write(jobs[3:])
    assert (tmp_path / "a.csv").read_text().count("hex_id") == 1
    assert file.count == len(jobs)


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Another ending and a file that exists are refused; an error leaves no file."""
    with pytest.raises(UsageError, match=r"neither .json nor .csv"):
        JobFile(tmp_path / "a.txt")
    (tmp_path / "there.json").write_text("mine")
    with pytest.raises(UsageError, match="exists already"), JobFile(tmp_path / "there.json"):
        pass
    assert (tmp_path / "there.json").read_text() == "mine"
    with pytest.raises(ValueError, match="broken"), JobFile(tmp_path / "b.json"):
        raise ValueError("broken")
    assert not (tmp_path / "b.json").exists()
