"""Pictures of every state: all sizes in the dark theme, the main ones in the others too.

The middle size is left to the slow tests: what fits the smallest and the largest fits it.

A picture that differs is not wrong by itself: look at it (``snapshot_report.html``), then take
it over with ``--snapshot-update``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.screens.states import STATES
from tests.support.console import Robot

SIZES = ((80, 24), (120, 40), (200, 60))
CASES = [
    *((name, size, "dsq-dark") for name in STATES for size in SIZES),
    *(
        (name, size, theme)
        for name, state in STATES.items()
        for size in SIZES[:2]
        for theme in ("dsq-light", "dsq-contrast")
        if state.main
    ),
]


def words(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def case(name: str, size: tuple[int, int], theme: str) -> Any:
    marks = [pytest.mark.slow] if size == SIZES[1] else []
    return pytest.param(name, size, theme, marks=marks)


@pytest.mark.parametrize(("name", "size", "theme"), [case(*each) for each in CASES], ids=words)
def test_picture(
    snap_compare: Callable[..., bool], name: str, size: tuple[int, int], theme: str
) -> None:
    """The state looks as it did."""
    state = STATES[name]
    app = state.app()
    app.theme = theme

    async def run(pilot: Pilot[object]) -> None:
        await state.reach(Robot(pilot))
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=run)


def test_there_are_enough_pictures() -> None:
    """Every state is there in three sizes, the main ones in all three kinds of themes."""
    assert len(CASES) >= 200
    assert len({name for name, _, theme in CASES if theme == "dsq-light"}) >= 15
