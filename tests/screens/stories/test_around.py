"""Wallet, providers, the grid, notices, themes, keys, a lost connection: as users tell it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dsq.console.preferences import load_preferences
from dsq.core.contacts import save_contact
from dsq.core.errors import ContractError, UnreachableError
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT
from tests.screens.states import empties, generous, troubled
from tests.support.console import NARROW, WIDE, Clock, console, jobs_shown, provider_screen, using
from tests.support.fake_grid import GAIA, IRIS, FakeGrid, provider, some_jobs
from tests.support.fake_supervisor import FakeSupervisor


def grid() -> FakeGrid:
    return FakeGrid().add(*some_jobs())


MIDDLE = (120, 40)


async def test_checks_what_is_locked_where() -> None:
    """The wallet lists open jobs with what they hold; enter goes to the job."""
    async with jobs_shown(grid(), MIDDLE) as robot:
        await robot.press("4")
        await robot.sees("balance", "1,284.4", "train-llm", "400.00")
        await robot.press("enter")
        await robot.sees("TIMELINE", "train-llm")
        await robot.press("escape")
        await robot.sees("balance")


async def test_looks_through_the_history() -> None:
    """What came and went, with signs, newest first."""
    async with jobs_shown(grid(), MIDDLE) as robot:
        await robot.press("4", "tab")
        await robot.sees("received", "+60.00", "sent", "−25.00", "minted", "+2,000.00")
        assert robot.text.index("received") < robot.text.index("minted")


async def test_adds_up_what_was_spent() -> None:
    """By day, by job, by provider; shift+tab goes back."""
    async with jobs_shown(grid(), MIDDLE) as robot:
        await robot.press("4", "tab", "tab")
        await robot.sees("2026-11-18", "57.10", "━")
        await robot.press("tab")
        await robot.sees("36 cfd-wing", "55.20")
        await robot.press("tab")
        await robot.sees("gaia", "213.90")
        await robot.press("shift+tab")
        await robot.sees("36 cfd-wing")


async def test_pays_a_colleague_by_name(tmp_path: Path) -> None:
    """A contact, an amount, one last look; then the history has it."""
    save_contact(tmp_path, "iris", IRIS)
    on = grid()
    async with jobs_shown(on, MIDDLE, folder=tmp_path) as robot:
        await robot.press("4", "t")
        await robot.type("iris")
        await robot.press("enter")
        await robot.type("12.5")
        await robot.press("enter")
        await robot.sees("Send 12.50 credits for good?", "Nobody can take that back")
        assert not on.sent
        await robot.press("y")
        await robot.sees("Sent 12.50 credits to iris.")
        await robot.press("tab")
        await robot.sees("−12.50")
    assert ("transfer", (IRIS, 125 * CREDIT // 10)) in on.sent


async def test_keeps_the_credits_at_the_last_question() -> None:
    """n there sends nothing."""
    on = grid()
    async with jobs_shown(on, MIDDLE) as robot:
        await robot.press("4", "t")
        await robot.type(str(GAIA))
        await robot.press("enter")
        await robot.type("5")
        await robot.press("enter")
        await robot.sees("for good?")
        await robot.press("n")
        await robot.misses("for good?")
        assert not on.sent


async def test_cannot_send_more_than_there_is() -> None:
    """The amount is refused while it is typed."""
    on = grid()
    async with jobs_shown(on, MIDDLE) as robot:
        await robot.press("4", "t")
        await robot.type(str(GAIA))
        await robot.press("enter")
        await robot.type("5000")
        await robot.sees("The wallet holds 1,284.40")
        await robot.press("enter", "y")
        assert not on.sent


async def test_collects_from_the_faucet_and_what_waits() -> None:
    """Both are offered by name, collected by one key each, and then gone."""
    on = grid()
    generous(on)
    async with jobs_shown(on, MIDDLE) as robot:
        await robot.press("4")
        await robot.sees("50.00 the grid's faucet has promised you")
        await robot.press("f")
        await robot.sees("Collected 50.00 credits")
        await robot.press("p")
        await robot.sees("Collected 3.50 credits")
        await robot.misses("promised you")
    assert [call for call, _ in on.sent][:2] == ["claim_faucet", "withdraw_claimable"]


async def test_copies_the_address_to_be_paid() -> None:
    """y in the wallet takes the whole address."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.press("4", "y")
        assert robot.app.clipboard == str(on.address)
        await robot.sees("Copied the wallet's address.")


async def test_has_an_empty_wallet() -> None:
    """Nothing locked, nothing in the history; each table says so in words."""
    on = grid()
    empties(on)
    async with jobs_shown(on, MIDDLE) as robot:
        await robot.press("4")
        await robot.sees("balance")
        for _ in range(5):
            assert len([line for line in robot.text.splitlines() if line.strip()]) >= 4
            await robot.press("tab")


async def test_compares_providers() -> None:
    """Hardware, prices and labels of each; the one under the cursor in full."""
    async with jobs_shown(grid(), WIDE) as robot:
        await robot.press("3")
        await robot.sees("gaia", "iris", "● OPEN", "CPU/MIN")
        await robot.press("j")
        await robot.press("y")
        assert robot.app.clipboard in (str(GAIA), str(IRIS))
        await robot.press("escape")
        await robot.sees("train-llm")


async def test_a_provider_is_banned_while_one_looks() -> None:
    """Its state changes in place, in a word."""
    on = grid()
    async with jobs_shown(on, WIDE) as robot:
        await robot.press("3")
        await robot.sees("● OPEN")
        on.known_providers[0] = dataclasses.replace(
            on.known_providers[0], is_banned=True, is_valid=False
        )
        on.say("ProviderBanned", provider=GAIA)
        await robot.press("r")
        await robot.sees("∅ BANNED")


async def test_a_new_provider_joins() -> None:
    """r reads again, and it is there."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.press("3")
        await robot.sees("gaia")
        on.known_providers.append(provider(type(GAIA)(b"\x33" * 20), "hera"))
        await robot.press("r")
        await robot.sees("hera")


async def test_asks_how_the_grid_is() -> None:
    """Chain, nodes, the meta-scheduler, jobs by state."""
    async with jobs_shown(grid(), MIDDLE) as robot:
        await robot.press("5")
        await robot.sees("far.example", "lagging", "40 blocks behind", "▸", "▶ 2")
        await robot.press("escape")
        await robot.sees("train-llm")


async def test_finds_out_why_nothing_starts() -> None:
    """The meta-scheduler is silent: the grid view says it in a sentence."""
    on = grid()
    troubled(on)
    async with jobs_shown(on, MIDDLE) as robot:
        await robot.press("5")
        await robot.sees("The meta-scheduler does not answer: refused", "are refused for now")


async def test_reads_an_error_again() -> None:
    """What flew by stands among the notices with its hint, and can be copied."""
    on = grid()
    on.fail["cancel"] = ContractError("The job has ended.", hint="Look at its state.")
    async with jobs_shown(on) as robot:
        await robot.press("c", "y")
        await robot.sees("cancel job 41 failed", "Notices (1)")
        await robot.press("6")
        await robot.sees("× error", "→ Look at its state.")
        await robot.press("y")
        assert "The job has ended." in robot.app.clipboard
        await robot.press("1")
        await robot.misses("Notices (1)")


async def test_chooses_a_light_theme_for_good(tmp_path: Path) -> None:
    """ctrl+t, and the next start has it too."""
    async with jobs_shown(grid(), folder=tmp_path) as robot:
        await robot.press("ctrl+t")
        await robot.sees("dsq-light", "dark, in use")
        before = robot.app.theme
        await robot.press("home", "enter")
        await robot.until(lambda: robot.app.theme != before)
        chosen = robot.app.theme
        await robot.until((tmp_path / "console.toml").exists)
    assert load_preferences(tmp_path).theme == chosen


async def test_leaves_the_theme_as_it_was() -> None:
    """escape in the list changes nothing."""
    async with jobs_shown(grid()) as robot:
        before = robot.app.theme
        await robot.press("ctrl+t", "down", "escape")
        assert robot.app.theme == before
        await robot.sees("train-llm")


async def test_gives_a_command_another_key(tmp_path: Path) -> None:
    """keys.toml moves cancel to x; the last line and the help show it."""
    (tmp_path / "keys.toml").write_text('"jobs.cancel" = "x"\n')
    on = grid()
    async with jobs_shown(on, folder=tmp_path) as robot:
        await robot.sees("x cancel")
        await robot.press("c")
        await robot.misses("Cancel job")
        await robot.press("x")
        await robot.sees("Cancel job 41")
        await robot.press("y")
        await robot.until(lambda: ("cancel", 41) in on.sent)


async def test_misspells_a_name_in_the_keys(tmp_path: Path) -> None:
    """The console starts, and tells the close match."""
    (tmp_path / "keys.toml").write_text('"jobs.cancle" = "x"\n')
    async with jobs_shown(grid(), MIDDLE, folder=tmp_path) as robot:
        await robot.press("6")
        await robot.sees("jobs.cancle", "Did you mean 'jobs.cancel'")


async def test_looks_up_the_keys() -> None:
    """? lists those of the view one is in."""
    async with jobs_shown(grid()) as robot:
        await robot.press("question_mark")
        await robot.sees("THIS VIEW", "Cancel the job")
        await robot.press("escape", "4", "question_mark")
        await robot.sees("Send credits to somebody")
        await robot.press("q")
        await robot.sees("balance")


async def test_finds_a_command_by_its_words() -> None:
    """: and a word is enough to get to the wallet."""
    async with jobs_shown(grid()) as robot:
        await robot.press("colon")
        await robot.type("wallet")
        await robot.sees("Go to Wallet")
        await robot.press("escape")
        await robot.misses("Go to Wallet")
        await robot.sees("train-llm")


async def test_loses_the_connection_and_gets_it_back() -> None:
    """A banner with the reason and a countdown; r connects, and both are among the notices."""
    on, clock = grid(), Clock()
    async with jobs_shown(on, MIDDLE, now=clock) as robot:
        app: Any = robot.app
        on.alive = False
        app.feed._offline(UnreachableError("The chain does not answer."), 2)
        await robot.sees("× offline", "Offline: The chain does not answer.", "train-llm")
        clock.now += 3
        await robot.sees("next attempt in".capitalize())
        on.alive = True
        on.heartbeat()
        await robot.sees("● live")
        await robot.misses("Offline:")
        await robot.press("6")
        await robot.sees("The chain does not answer.", "Connected again after 3 s.")


async def test_opens_the_console_while_the_grid_is_down() -> None:
    """It says so and what to press; when the grid is back r shows the jobs."""
    on = grid()
    on.alive = False
    async with using(console(on)) as robot:
        await robot.sees("× offline", "your jobs are not known yet", "r tries again")
        await robot.press("3")
        await robot.press("1")
        on.alive = True
        await robot.press("r")
        await robot.sees("● live", "train-llm", "10 jobs")


async def test_cannot_spend_without_a_connection() -> None:
    """Cancel, top up and send refuse with a reason instead of asking in vain."""
    on = grid()
    async with jobs_shown(on, MIDDLE) as robot:
        app: Any = robot.app
        for keys in (("c",), ("t",), ("4", "t")):
            app.feed._offline(UnreachableError("The chain does not answer."), 2)
            await robot.press(*keys)
            await robot.sees("There is no connection to the grid")
        assert not on.sent


async def test_reads_what_is_known_without_a_connection() -> None:
    """Filtering, opening and copying work on what was read before."""
    on = grid()
    async with jobs_shown(on, MIDDLE) as robot:
        app: Any = robot.app
        app.feed._offline(UnreachableError("The chain does not answer."), 2)
        on.alive = False
        await robot.filter("status:bad")
        await robot.until(lambda: len(robot.rows) == 3)
        await robot.press("y", "enter")
        await robot.sees("TIMELINE", "mpi-check", "× offline")
        assert robot.app.clipboard == "35"


async def test_shows_the_console_to_somebody_read_only() -> None:
    """Nothing that spends is offered or works; everything can be looked at."""
    on = grid()
    async with jobs_shown(on, MIDDLE, read_only=True) as robot:
        await robot.sees("read-only")
        assert "c cancel" not in robot.text
        await robot.press("c", "t", "enter")
        await robot.sees("TIMELINE")
        await robot.press("c", "t", "escape", "4", "t", "2", "ctrl+s", "escape")
        await robot.sees("train-llm")
        assert [call for call, _ in on.sent] == []


async def test_uses_a_tiny_terminal_for_a_moment() -> None:
    """Made tiny and large again, everything is where it was."""
    async with jobs_shown(grid(), WIDE) as robot:
        await robot.press("j")
        for size in ((20, 5), (40, 12), (200, 60), NARROW):
            await robot.pilot.resize_terminal(*size)
            await robot.settle()
        await robot.sees("›   40  sweep-lr", "1 Jobs")


async def test_the_chain_starts_anew_under_the_console() -> None:
    """Other blocks, other jobs: what is shown is what the new chain says."""
    on = grid()
    async with jobs_shown(on) as robot:
        on.known.clear()
        on.add(*some_jobs()[-3:])
        on.era += 1
        on.heartbeat(reset=True)
        await robot.until(lambda: robot.rows == ["typo", "long-one", "lost"])


async def test_leaves_with_q() -> None:
    """The console ends and closes its connection."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.pilot.press("q")
        await robot.pilot.pause()
    assert ("close", None) in on.sent


async def test_a_provider_pauses_and_goes_on() -> None:
    """p needs no arming and says in a word what holds."""
    supervisor = FakeSupervisor()
    async with using(provider_screen(supervisor), MIDDLE) as robot:
        await robot.sees("UNARMED")
        await robot.press("p")
        await robot.until(lambda: supervisor.asked == ["pause"])
        await robot.press("p")
        await robot.until(lambda: supervisor.asked == ["pause", "resume"])


async def test_a_provider_takes_a_job_out_of_slurm() -> None:
    """Unarmed nothing happens; armed it asks, then does it."""
    supervisor = FakeSupervisor()
    async with using(provider_screen(supervisor), MIDDLE) as robot:
        await robot.press("c")
        assert not supervisor.asked
        await robot.press("A", "c")
        await robot.sees("out of Slurm?")
        await robot.press("y")
        await robot.until(lambda: supervisor.asked == [("cancel", 41)])


async def test_a_provider_drains_before_maintenance() -> None:
    """Armed, d asks and then claims nothing new."""
    supervisor = FakeSupervisor()
    async with using(provider_screen(supervisor), MIDDLE) as robot:
        await robot.press("A", "d", "y")
        await robot.until(lambda: supervisor.asked == ["drain"])
        await robot.sees("rain")


async def test_a_provider_looks_through_its_views() -> None:
    """Jobs, cluster, prices, transactions, log: one number each."""
    async with using(provider_screen(), MIDDLE) as robot:
        for key, text in (
            ("2", "FREE CPUS"),
            ("3", "FULLY USED"),
            ("4", "claimNextJob()"),
            ("5", "cluster=slow"),
        ):
            await robot.press(key)
            await robot.sees(text)
        await robot.press("1")
        await robot.sees("CHAIN")


async def test_sees_a_job_that_a_colleague_cancels() -> None:
    """A change made elsewhere shows by itself, and the credits come back to the top line."""
    on = grid()
    async with jobs_shown(on, MIDDLE) as robot:
        on.money = dataclasses.replace(on.money, balance_wei=1_444 * CREDIT)
        on.change(39, status=JobStatus.CANCELLED)
        await robot.sees("∅ CANCELLED")
        await robot.press("r")
        await robot.sees("1,444.00 cr")
