"""Pictures of every state: all sizes in the dark theme, the main ones in the others too.

The middle size is left to the slow tests: what fits the smallest and the largest fits it.

A picture that differs is not wrong by itself: look at it (``snapshot_report.html``), then take
it over with ``--snapshot-update``.
"""

from __future__ import annotations

import pytest

from tests.screens.colours import check_colours, unreadable
from tests.screens.snapshots.conftest import Pictures
from tests.screens.table import SHOWN_BY, STATES
from tests.support.console import using

SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)
OUTPUT = ("log", "job")
"""States with the output of jobs begin so: it has the colours that they wrote."""

THEMES = ("dsq-dark", "dsq-light", "dsq-contrast")


async def look(pictures: Pictures, name: str, size: tuple[int, int], *themes: str) -> None:
    """Goes to a state, and takes its picture in each theme."""
    state = STATES[name]
    app = state.app()
    app.theme = themes[0]
    async with using(app, size) as robot:
        await state.reach(robot)
        for screen, shown in SHOWN_BY.items():
            assert shown != name or type(app.screen).__name__ == screen
        for theme in themes:
            app.theme = theme
            await robot.settle()
            pictures.take(app, f"{size[0]}x{size[1]}-{theme}")
            assert name.startswith(OUTPUT) or unreadable(robot) == []
        assert pictures.differing == [], "look at snapshot_report.html"
        if size == SMALL:
            app.theme = themes[0]
            await robot.settle()
            await check_colours(robot, name)


def themes_of(name: str) -> tuple[str, ...]:
    return THEMES if STATES[name].main else THEMES[:1]


@pytest.mark.parametrize("name", STATES)
async def test_small(pictures: Pictures, name: str) -> None:
    """The state looks as it did on the smallest terminal, and says nothing by colour alone."""
    await look(pictures, name, SMALL, *themes_of(name))


@pytest.mark.parametrize("name", STATES)
async def test_large(pictures: Pictures, name: str) -> None:
    """The same on a large one."""
    await look(pictures, name, LARGE, THEMES[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
async def test_middle(pictures: Pictures, name: str) -> None:
    """The same on a usual one."""
    await look(pictures, name, MIDDLE, *themes_of(name))


def test_there_are_enough_pictures() -> None:
    """Every state is there in three sizes, the main ones in all three kinds of themes."""
    assert sum(2 * len(themes_of(name)) + 1 for name in STATES) >= 200
    assert sum(state.main for state in STATES.values()) >= 15
