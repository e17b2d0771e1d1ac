"""The wallet: what there is, where it came from, where it went, and sending some."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dsq.core.contacts import save_contact
from dsq.core.grid.overview import Overview, Scheduling
from dsq.core.model import Address, JobStatus
from dsq.core.units import CREDIT
from tests.support.console import jobs_shown
from tests.support.fake_grid import GAIA, ME, FakeGrid, some_jobs

OTHER = "0x17aA22222222222222222222222222222222" + "90be"


async def test_the_history_tells_where_credits_went() -> None:
    """tab shows what came in and what left, with its job; enter opens the job."""
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.press("4", "tab")
        await robot.sees("received", "+60.00", "job 36 cfd-wing", "−400.00", "minted")
        await robot.press("down", "down", "enter")
        await robot.sees("cfd-wing", "TIMELINE")


async def test_what_was_spent_is_added_up() -> None:
    """By day with bars, by job, by provider; sums follow when a job ends."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, size=(120, 40)) as robot:
        await robot.press("4", "tab", "tab")
        await robot.sees("2026-11-18", "57.10", "━")
        await robot.press("tab")
        await robot.sees("36 cfd-wing", "55.20")
        await robot.press("tab")
        await robot.sees("gaia", "213.90", "iris")
        await robot.press("shift+tab", "shift+tab")
        one = grid.known[41]
        grid.change(
            41,
            status=JobStatus.FINISHED,
            cost=type(one.cost)(one.cost.max_cost, 10 * CREDIT),
            time=type(one.time)(one.time.submit, one.time.start, one.time.start + 60),
        )
        await robot.sees("67.10")


async def test_sends_credits_to_a_contact(tmp_path: Path) -> None:
    """A name, an amount, one picture of it all, one key."""
    save_contact(tmp_path, "gaia", GAIA)
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, size=(120, 40), folder=tmp_path) as robot:
        await robot.press("4", "t")
        await robot.type("gaia")
        await robot.press("enter")
        await robot.type("25.5")
        await robot.sees("1,284.40 → 1,258.90", str(GAIA))
        await robot.press("enter")
        await robot.sees("Send 25.50 credits for good?", "Nobody can take that back")
        assert not [each for each in grid.sent if each[0] == "transfer"]
        await robot.press("y")
        await robot.sees("Sent 25.50 credits to gaia")
        assert ("transfer", (GAIA, 255 * CREDIT // 10)) in grid.sent
        await robot.press("tab")
        await robot.sees("−25.50")


async def test_what_would_be_lost_is_not_sent() -> None:
    """Own address, contracts, no such contact, a wrong checksum, too much: each one sentence."""
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.press("4", "t")
        for text, words in (
            (str(ME), "own address"),
            (str(Address(b"\x0c" * 20)), "Credit contract"),
            ("0x" + "0" * 40, "zero address"),
            ("nobody", "neither an address nor a contact"),
            (str(GAIA).swapcase().replace("0X", "0x"), "checksum"),
        ):
            await robot.press("ctrl+u")
            await robot.type(text)
            await robot.sees(words)
            await robot.press("enter")
            await robot.sees("Send credits")
            await robot.press("home", "ctrl+k")
        await robot.type(str(GAIA))
        await robot.press("enter")
        await robot.type("99999")
        await robot.sees("The wallet holds 1,284.40")
        await robot.press("escape")


async def test_a_transfer_that_fails_is_told() -> None:
    """The error stands among the notices; the wallet goes on."""
    from dsq.core.errors import CreditsError

    grid = FakeGrid().add(*some_jobs())
    grid.fail["transfer"] = CreditsError("The wallet holds 1 credit, not 2.")
    async with jobs_shown(grid, size=(120, 40)) as robot:
        await robot.press("4", "t")
        await robot.type(OTHER.lower())
        await robot.press("enter")
        await robot.type("2")
        await robot.press("enter", "y")
        await robot.sees("transfer failed", "holds 1 credit")


async def test_read_only_sends_nothing() -> None:
    """The key does nothing and is not shown."""
    async with jobs_shown(size=(120, 40), read_only=True) as robot:
        await robot.press("4", "t")
        assert "Send credits" not in robot.text
        assert "t send" not in robot.text


async def test_the_grid_view_says_what_is_wrong() -> None:
    """A silent meta-scheduler, refused jobs and a lagging node stand in words."""
    grid = FakeGrid().add(*some_jobs())
    seen = await grid.overview()
    silent = Scheduling("silent", error="The meta-scheduler does not answer: refused.")
    broken = dataclasses.replace(seen, scheduling=silent, takes_jobs=False)

    async def overview() -> Overview:
        return broken

    grid.overview = overview  # type: ignore[method-assign]
    async with jobs_shown(grid) as robot:
        await robot.press("5")
        await robot.sees("does not answer: refused", "are refused for now", "lagging", "▶ 2")
