"""What the stories about submitting have in common."""

from __future__ import annotations

from typing import Any

from tests.support.console import Robot
from tests.support.fake_grid import FakeGrid, some_jobs

SMALL = "resources:\n  tasks: 1\n  cpusPerTask: 1\n  memPerCpu: 500\n  gpus: 0\nsteps:\n"
SMALL += "  - name: hello\n    run:\n      command: echo hello\n"


def grid() -> FakeGrid:
    return FakeGrid().add(*some_jobs())


def submits(on: FakeGrid) -> list[Any]:
    """What was submitted: workflow, wei, name, labels, demands."""
    return [what for call, what in on.sent if call == "submit"]


async def to_last_page(robot: Robot) -> None:
    await robot.sees("● valid")
    await robot.press("ctrl+s")
    await robot.sees("Submit this job?")
