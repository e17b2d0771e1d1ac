"""Pictures of the screens.

A picture that differs is not wrong by itself: look at it (``snapshot_report.html``), then take
it over with ``--snapshot-update``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, TextArea

from dsq.console.user.screens.submit import SubmitScreen
from dsq.core.errors import UnreachableError
from tests.support.console import NARROW, WIDE, Robot, before, console, provider_screen
from tests.support.fake_grid import FakeGrid, some_jobs

Compare = Callable[..., bool]
SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "160x48"])
THEMES = pytest.mark.parametrize("theme", ["dsq-light", "dsq-contrast", "dsq-ember"])

WORKFLOW = """\
# Train on four GPUs.
enableLogging: true
resources:
  tasks: 1
  cpusPerTask: 8
  memPerCpu: 4000
  gpus: 4
steps:
  - name: train
    run:
      command: |
        python train.py --epochs 20
"""

OUTPUT = [
    "\x1b[1;32mepoch 1/20\x1b[0m  loss \x1b[33m0.913\x1b[0m",
    "[bold]not markup[/bold]",
    "progress 10%\rprogress 100%",
    *(f"\x1b[36mstep {number:3d}\x1b[0m  loss {1 / (number + 1):.4f}" for number in range(40)),
]


@pytest.fixture(autouse=True)
def _still_cursors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture must not depend on the phase of a blinking cursor."""
    for widget in (Input, TextArea):
        monkeypatch.setattr(widget.cursor_blink, "_default", False)


def grid() -> FakeGrid:
    shown = FakeGrid().add(*some_jobs())
    shown.write(41, *OUTPUT)
    return shown


def writes(text: str, *keys: str) -> Callable[[Robot], Awaitable[None]]:
    """Puts a workflow into the editor, waits for its check, presses keys."""

    async def act(robot: Robot) -> None:
        screen: Any = robot.app.screen
        assert isinstance(screen, SubmitScreen)
        screen.load(text, "train.yaml", Path("train.yaml"))
        await robot.until(lambda: not screen._checked.empty)
        if not screen._checked.problems:
            await robot.until(lambda: bool(screen._estimates.rows))
        await robot.press(*keys)
        if keys:
            await robot.sees("Submit this job?")

    return act


def waits(*texts: str) -> Callable[[Robot], Awaitable[None]]:
    """Waits until the screen shows something."""

    async def act(robot: Robot) -> None:
        await robot.sees(*texts)

    return act


@SIZES
def test_jobs(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The table with one job of every kind."""
    assert snap_compare(console(), terminal_size=size, run_before=before())


@THEMES
def test_jobs_in_other_themes(snap_compare: Compare, theme: str) -> None:
    """The same, light, in high contrast and warm."""
    app = console()
    app.theme = theme
    assert snap_compare(app, terminal_size=NARROW, run_before=before("j"))


def test_jobs_waiting(snap_compare: Compare) -> None:
    """A waiting job says its place and why not."""
    run = before("j", "j", then=waits("Place 2 of 3"))
    assert snap_compare(console(), terminal_size=NARROW, run_before=run)


def test_jobs_empty(snap_compare: Compare) -> None:
    """No job yet."""
    assert snap_compare(console(FakeGrid()), terminal_size=NARROW, run_before=before())


def test_jobs_offline(snap_compare: Compare) -> None:
    """Lost after it had loaded: dimmed, with a banner."""

    async def lose(robot: Robot) -> None:
        app: Any = robot.app
        await robot.until(lambda: app.state.link.online)
        app.feed._offline(
            UnreachableError("The chain at http://127.0.0.1:8545 does not answer."), 2
        )
        await robot.settle()

    assert snap_compare(console(), terminal_size=NARROW, run_before=before(then=lose))


def test_filter(snap_compare: Compare) -> None:
    """While a filter is typed."""

    async def act(robot: Robot) -> None:
        await robot.type("status:hot !gaia")

    assert snap_compare(console(), terminal_size=NARROW, run_before=before("slash", then=act))


@SIZES
def test_job(snap_compare: Compare, size: tuple[int, int]) -> None:
    """One running job with its output."""
    run = before("enter", then=waits("step  39", "scheduled"))
    assert snap_compare(console(grid()), terminal_size=size, run_before=run)


def test_job_ended(snap_compare: Compare) -> None:
    """A failed job: error, settlement, no output."""
    run = before(*["j"] * 6, "enter", then=waits("left no output", "scheduled"))
    assert snap_compare(console(), terminal_size=NARROW, run_before=run)


def test_log(snap_compare: Compare) -> None:
    """The log with times, paused."""
    run = before("l", then=lambda robot: _paused_log(robot))
    assert snap_compare(console(grid()), terminal_size=NARROW, run_before=run)


async def _paused_log(robot: Robot) -> None:
    await robot.sees("step  39")
    await robot.press("g", "T", "space")
    await robot.sees("paused")


@SIZES
def test_submit(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A valid workflow with its estimates, one provider cannot take it."""
    run = before("2", then=writes(WORKFLOW))
    assert snap_compare(console(), terminal_size=size, run_before=run)


def test_submit_problem(snap_compare: Compare) -> None:
    """A problem is underlined and explained."""
    run = before("2", then=writes(WORKFLOW.replace("command", "comand")))
    assert snap_compare(console(), terminal_size=NARROW, run_before=run)


def test_submit_confirm(snap_compare: Compare) -> None:
    """The last page before credits are locked."""
    run = before("2", then=writes(WORKFLOW, "ctrl+s"))
    assert snap_compare(console(), terminal_size=NARROW, run_before=run)


@SIZES
def test_providers(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Who is on the grid."""
    run = before("3", then=waits("CPU/MIN", "cost in all"))
    assert snap_compare(console(), terminal_size=size, run_before=run)


@pytest.mark.parametrize("tabs", range(5), ids=["locked", "history", "day", "job", "provider"])
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "160x48"])
def test_wallet(snap_compare: Compare, tabs: int, size: tuple[int, int]) -> None:
    """What there is, what is locked, what came and went, what was spent."""
    run = before("4", *["tab"] * tabs, then=waits("▸"))
    assert snap_compare(console(), terminal_size=size, run_before=run)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "160x48"])
def test_grid(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The chain, its nodes, the meta-scheduler and totals."""
    run = before("5", then=waits("far.example"))
    assert snap_compare(console(), terminal_size=size, run_before=run)


def test_transfer_dialog(snap_compare: Compare) -> None:
    """Who gets what is asked for."""
    run = before("4", "t", then=waits("Send credits"))
    assert snap_compare(console(), terminal_size=NARROW, run_before=run)


def test_columns_dialog(snap_compare: Compare) -> None:
    """Columns with their order and width."""
    run = before("C", then=waits("Columns"))
    assert snap_compare(console(), terminal_size=NARROW, run_before=run)


def test_cancel_dialog(snap_compare: Compare) -> None:
    """The question before a running job is cancelled."""
    run = before("c", then=waits("Cancel job 41"))
    assert snap_compare(console(), terminal_size=NARROW, run_before=run)


def test_top_up_dialog(snap_compare: Compare) -> None:
    """What more credits would buy."""

    async def act(robot: Robot) -> None:
        await robot.type("50")
        await robot.sees("20 min more")

    assert snap_compare(console(), terminal_size=NARROW, run_before=before("t", then=act))


def test_help(snap_compare: Compare) -> None:
    """All keys of the jobs view."""
    run = before("question_mark", then=waits("THIS VIEW"))
    assert snap_compare(console(), terminal_size=NARROW, run_before=run)


@SIZES
def test_provider(snap_compare: Compare, size: tuple[int, int]) -> None:
    """dsq-provider at work."""
    run = before(then=waits("UNARMED"))
    assert snap_compare(provider_screen(), terminal_size=size, run_before=run)


def test_provider_armed(snap_compare: Compare) -> None:
    """Armed, before a job is taken out of Slurm."""
    run = before("A", "c", then=waits("out of Slurm?"))
    assert snap_compare(provider_screen(), terminal_size=NARROW, run_before=run)


def test_provider_cluster(snap_compare: Compare) -> None:
    """The nodes."""
    run = before("2", then=waits("FREE CPUS"))
    assert snap_compare(provider_screen(), terminal_size=NARROW, run_before=run)
