"""Submitting again: the workflow of a job is kept, shown, and goes back into the editor."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from dsq.console.user import sources
from dsq.console.user.job_store import JobStore
from dsq.console.user.screens.job import JobScreen
from dsq.console.user.screens.submit import SubmitScreen
from dsq.console.user.sources import Sources
from dsq.core.model import Affinity, Label
from dsq.core.readmodel import ReadModel
from tests.screens.views.test_submit_view import GOOD, write
from tests.support.console import jobs_shown
from tests.support.fake_grid import ME, FakeGrid, some_jobs


async def test_submits_the_same_again_after_editing(tmp_path: Path) -> None:
    """By the next console too: text, name, credits and demands are as they were."""
    grid = FakeGrid().add(*some_jobs())

    def options() -> dict[str, Any]:
        path = tmp_path / "jobs.sqlite"
        return {"open_store": lambda _: JobStore(ReadModel(path)), "account": ME, "size": (120, 40)}

    async with jobs_shown(grid, **options()) as robot:
        await write(robot, GOOD, "train.yaml")
        robot.app.screen.query_one("#credits", Input).value = "150.5"
        robot.app.screen.query_one("#labels", Input).value = "zone=eu mem>=64000 gpu:in:a100"
        await robot.press("ctrl+s")
        await robot.sees("Submit this job?")
        await robot.press("enter")
        await robot.until(lambda: isinstance(robot.app.screen, JobScreen))
    first = grid.known[42].definition
    assert first.uses == (Label("zone", "eu"),)
    assert Affinity("mem", ">=", "64000") in first.affinity
    async with jobs_shown(grid, **options()) as robot:
        await robot.press("enter")
        await robot.sees("42 train", "R again")
        await robot.press("v")
        await robot.sees("Workflow of job 42", "cpusPerTask: 8", "echo hello")
        await robot.press("escape", "R")
        await robot.until(lambda: isinstance(robot.app.screen, SubmitScreen))
        await robot.sees("job 42", "● valid", "credits  150")
        screen = robot.app.screen
        assert isinstance(screen, SubmitScreen)
        assert screen.editor.text == GOOD
        screen.editor.load_text(GOOD.replace("hello", "goodbye"))
        await robot.press("ctrl+s")
        await robot.sees("Submit this job?")
        await robot.press("enter")
        await robot.until(lambda: 43 in grid.known)
    again = grid.known[43]
    assert again.name == "train"
    assert (again.definition.uses, again.definition.affinity) == (first.uses, first.affinity)
    workflow = next(call[1][0] for call in grid.sent[::-1] if call[0] == "submit")
    assert "goodbye" in json.dumps(workflow)


async def test_what_was_submitted_elsewhere_says_so() -> None:
    """In the table one sentence; in the job's view the keys are not offered."""
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.press("R")
        await robot.sees("workflow of job 41 is not known here")
        await robot.press("enter")
        await robot.sees("TIMELINE")
        assert "R again" not in robot.text
        await robot.press("v", "R")
        assert isinstance(robot.app.screen, JobScreen)


async def test_one_job_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its view, under its number."""
    monkeypatch.chdir(tmp_path)
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.press("enter")
        await robot.sees("TIMELINE")
        await robot.press("e", "enter")
        await robot.until(lambda: (tmp_path / "job-41.json").exists())
        await robot.sees("Wrote 1 job")
    assert [each["id"] for each in json.loads((tmp_path / "job-41.json").read_text())] == [41]


async def test_an_ended_job_says_where_it_was_settled() -> None:
    """Block and transaction of its end stand below its credits."""
    async with jobs_shown(size=(160, 48)) as robot:
        await robot.press(*["j"] * 5, "enter")
        await robot.sees("cfd-wing", "settled in", "0x1212121212…")


def test_texts_are_private_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of scripts are no paths; the oldest texts go when there are too many."""
    monkeypatch.setattr(sources, "KEPT", 2)
    kept = Sources(tmp_path / "w")
    for number, script in enumerate(("../../evil", "b", "c")):
        kept.keep(script, f"text {script}")
        for path in (tmp_path / "w").glob("*.yaml"):
            if path.read_text() == f"text {script}":
                os.utime(path, (number, number))
    files = list((tmp_path / "w").iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert list(tmp_path.iterdir()) == [tmp_path / "w"]
    again = Sources(tmp_path / "w")
    assert again.find("c") == "text c"
    assert again.find("../../evil") is None
    assert again.find("") is None
