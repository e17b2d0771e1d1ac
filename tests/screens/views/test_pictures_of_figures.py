"""Charts of what was spent, and the map of a cluster's nodes."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from dsq.console.provider.node_map import (
    LETTERS,
    NODE_STATES,
    OTHER,
    map_lines,
    node_state,
    used_parts,
)
from dsq.console.user.spend_chart import MOST_DAYS, day_chart, last_days, provider_chart
from dsq.console.widgets.lines import Line, width_of
from dsq.core.readmodel.spending import Spent
from dsq.core.units import CREDIT
from dsq.supervisor.snapshot import NodeRow
from tests.support.console import NARROW, WIDE, Robot, jobs_shown, provider_screen, using
from tests.support.fake_grid import NOW
from tests.support.fake_supervisor import FakeSupervisor, some_snapshot


def text(lines: list[Line]) -> list[str]:
    return ["".join(part for part, _ in line) for line in lines]


def day(key: str, credits: int) -> Spent:  # noqa: A002 - the word of the trade
    return Spent(key, 1, credits * CREDIT)


def test_days_without_a_cost_are_days_too() -> None:
    """The last days up to today in UTC, the oldest first, with 0 where nothing was spent."""
    days = last_days([day("2026-11-18", 3), day("2026-11-16", 2), day("2026-01-01", 9)], NOW, 4)
    assert days == [
        (date(2026, 11, 15), 0),
        (date(2026, 11, 16), 2 * CREDIT),
        (date(2026, 11, 17), 0),
        (date(2026, 11, 18), 3 * CREDIT),
    ]


def test_columns_are_as_high_as_what_was_spent() -> None:
    """The largest reaches the top, half of it the middle, a trifle is still seen."""
    spent = [Spent("2026-11-16", 1, 1), day("2026-11-17", 50), day("2026-11-18", 100)]
    lines = text(day_chart(spent, NOW, 8, 4))
    assert lines == [
        "SPENT IN 4 DAYS",
        "      █",
        "      █",
        "    █ █",
        "· ▁ █ █",
        "15 Nov today",
    ]


@pytest.mark.parametrize(
    ("width", "words"),
    [(20, ""), (30, "  150.00"), (60, "  150.00, most 100.00 on 18 Nov")],
)
def test_the_heading_says_as_much_as_fits(width: int, words: str) -> None:
    """The sum first, then the dearest day."""
    spent = [day("2026-11-17", 50), day("2026-11-18", 100)]
    assert text(day_chart(spent, NOW, width, 4))[0] == f"SPENT IN {width // 2} DAYS{words}"


def test_a_chart_without_a_cost_says_so() -> None:
    """No empty axes."""
    assert text(day_chart([], NOW, 20, 4))[1:] == ["Nothing in these days."]
    assert text(provider_chart([], str, 40, 4))[1:] == ["No job has cost anything yet."]


@pytest.mark.parametrize("width", [1, 9, 41, 400])
def test_charts_keep_to_their_width(width: int) -> None:
    """The columns and dates fit the width, and are a bounded number."""
    spent = [day(f"2026-11-{number:02d}", number) for number in range(1, 19)]
    lines = day_chart(spent, NOW, width, 5)
    assert len(lines) == 7
    assert all(width_of(line) <= max(1, min(width, 2 * MOST_DAYS)) for line in lines[1:-1])


def test_the_dearest_providers_stand_alone_and_the_others_together() -> None:
    """Longest bar first; what does not fit is one line."""
    spent = [Spent(str(number), 1, (10 - number) * CREDIT) for number in range(6)]
    lines = text(provider_chart(spent, lambda key: f"p{key}", 50, 4))
    assert [line.split()[0] for line in lines] == ["BY", "p0", "p1", "p2", "3"]
    assert "3 others" in lines[-1]
    assert lines[-1].split()[-1] == "18.0"
    bars = [line.count("━") for line in lines[1:4]]
    assert bars == sorted(bars, reverse=True)


async def test_the_wallet_shows_the_charts_where_there_is_room() -> None:
    """Beside the amounts on a wide screen; on a narrow one the tables tell the same."""
    async with jobs_shown(size=WIDE) as robot:
        await robot.press("4")
        await robot.sees("SPENT IN", "most", "today", "BY PROVIDER", "gaia", "213.9")
    async with jobs_shown(size=NARROW) as robot:
        await robot.press("4")
        await robot.sees("balance")
        assert "SPENT IN" not in robot.text


async def test_very_many_jobs_are_added_up_beside_the_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No key waits for the sums; they are there a moment later, and only once."""
    for module in ("wallet_tables", "screens.wallet"):
        monkeypatch.setattr(f"dsq.console.user.{module}.AT_ONCE", 2)
    asked: list[Any] = []
    real = asyncio.to_thread

    async def counted(function: Any, *args: Any) -> Any:
        asked.append(getattr(function, "__name__", ""))
        return await real(function, *args)

    async with jobs_shown(size=WIDE) as robot:
        monkeypatch.setattr("dsq.console.user.screens.wallet.asyncio.to_thread", counted)
        await robot.press("4")
        await robot.sees("BY PROVIDER", "213.9")
        await robot.press("tab", "tab")
        await robot.sees("2026-11-18")
        assert asked.count("sums_of") == 1


# -- the map of nodes ------------------------------------------------------------------------


def node(state: str, free: int = 0, jobs: int = 0) -> NodeRow:
    return NodeRow("n1", state, 32, 1000, 0, "", free, 0, 0, jobs)


@pytest.mark.parametrize(
    ("words", "letter"),
    [("idle", "i"), ("MIXED", "m"), ("allocated", "a"), ("down*", "X"), ("idle+drain", "D"),
     ("drained", "D"), ("mixed+maint", "M"), ("planned", "p"), ("fail", "?"), ("", "?")],
)  # fmt: skip
def test_each_state_has_a_letter(words: str, letter: str) -> None:
    """Also in Slurm's joined and marked words; what nobody knows is told as such."""
    assert node_state(node(words)).letter == letter


def test_states_differ_without_colour() -> None:
    """No two states have the same letter."""
    letters = [state.letter for state in (*NODE_STATES, OTHER)]
    assert len(set(letters)) == len(letters)


def test_what_is_in_use_is_seen() -> None:
    """In parts of the node; a little is one part, a node that is down uses nothing."""
    used = [used_parts(node("mixed", free)) for free in (32, 31, 16, 0)]
    assert used == [0, 1, LETTERS // 2, LETTERS]
    assert used_parts(node("down", 0)) == 0
    assert used_parts(NodeRow("x", "idle", 0, 0, 0)) == 0


def test_the_share_of_the_grid_is_told_from_the_others() -> None:
    """Nodes with jobs of the grid are filled otherwise than those with others only."""
    lines = text(map_lines([node("mixed", 16, 1), node("mixed", 16, 0)], 100, 5))
    assert lines[0] == "n1 m ████····  n1 m ▒▒▒▒····  "
    assert lines[1].startswith("m ◑ mixed 2  █ with jobs of the grid")


def test_a_map_that_does_not_fit_is_left_out() -> None:
    """The table below has them all."""
    nodes = [NodeRow(f"node{number:04d}", "idle", 8, 1, 0, "", 8) for number in range(500)]
    assert map_lines(nodes, 158, 16) == []
    assert map_lines([], 158, 16) == []
    drawn = map_lines(nodes[:60], 158, 16)
    assert all(width_of(line) <= 158 for line in drawn[:-1])


async def test_a_wide_provider_screen_has_the_map() -> None:
    """Above the table of nodes; a narrow one has the table only."""

    async def shown(robot: Robot) -> str:
        await robot.press("2")
        await robot.sees("FREE CPUS", "down*")
        return robot.text

    async with using(provider_screen(FakeSupervisor(some_snapshot())), WIDE) as robot:
        await robot.sees("UNARMED")
        assert "X × down 1" in await shown(robot)
    async with using(provider_screen(FakeSupervisor(some_snapshot())), NARROW) as robot:
        await robot.sees("UNARMED")
        assert "X × down 1" not in await shown(robot)
