"""The jobs view and the job's view, as a user meets them."""

from __future__ import annotations

from dsq.console.user.screens.job import JobScreen
from dsq.console.user.screens.jobs import JobsScreen
from dsq.core.errors import ContractError, UnreachableError
from dsq.core.model import JobStatus, ProviderPrices
from dsq.core.units import CREDIT
from tests.support.console import NARROW, WIDE, Clock, console, jobs_shown, using
from tests.support.fake_grid import GAIA, NOW, FakeGrid, job, provider, some_jobs


async def test_shows_my_jobs_newest_first() -> None:
    """The table has every job, the header the grid, the chain, the money and the counts."""
    async with jobs_shown() as robot:
        await robot.sees("local", "● live", "#1,204", "1,284.40 cr", "1,144.00 locked")
        await robot.sees("▶ 2", "◷ 3", "× 3", "10 jobs")
        lines = robot.text.splitlines()
        ids = [line.split()[0 if line[0] == " " else 1] for line in lines[3:13]]
        assert ids == [str(number) for number in range(41, 31, -1)]


async def test_an_empty_table_teaches_the_next_step() -> None:
    """Without jobs the table says how to submit one; s goes there."""
    async with jobs_shown(FakeGrid()) as robot:
        await robot.sees("No jobs yet. Press s to submit the first one.")
        await robot.press("s")
        await robot.sees("new workflow", "credits")


async def test_time_and_cost_tick_without_asking_the_grid() -> None:
    """A minute later the running job shows a minute more and its cost; nothing was read."""
    clock, grid = Clock(), FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, now=clock) as robot:
        await robot.sees("1:09:40", "165.8/400.0", "1:36:20")
        grid.fail["job"] = grid.fail["jobs"] = UnreachableError("must not be asked")
        clock.now += 61
        await robot.sees("1:10:41", "168.2/400.0", "1:35:19")


async def test_a_folded_sweep_costs_what_its_jobs_cost() -> None:
    """Its row has the sums of cost and lock, and no times of a single job; open, each its own."""
    clock, grid = Clock(), FakeGrid()
    name, ended = "lr#k3x9f2.{}/4", {"start": -600, "end": -1, "at": GAIA, "locked": 10}
    grid.add(
        job(61, JobStatus.FINISHED, name.format(1), cost=150, **ended),
        job(62, JobStatus.FAILED, name.format(2), cost=250, **ended),
        job(63, JobStatus.RUNNING, name.format(3), at=GAIA, locked=100, start=-600),
        job(64, JobStatus.PENDING, name.format(4), locked=10),
    )
    async with jobs_shown(grid, now=clock, size=WIDE) as robot:
        await robot.sees("1.5/10.0", "2.5/10.0", "4.0/100.0", "–/10.0", "10:00")
        await robot.press("f")
        await robot.sees("lr ×4", "8.0/130.0")
        assert "10:00" not in robot.text.splitlines()[3]
        clock.now += 60
        await robot.sees("8.4/130.0")


async def test_changes_show_by_themselves() -> None:
    """A job that starts and ends elsewhere changes in the table; its end is told."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid) as robot:
        grid.change(38, status=JobStatus.RUNNING, time=job(38, JobStatus.RUNNING, start=-3).time)
        await robot.sees("▶ 3")
        ended = job(38, JobStatus.FINISHED, at=GAIA, start=-600, end=-1, cost=2300)
        grid.change(38, status=ended.status, time=ended.time, cost=ended.cost)
        await robot.sees("▶ 2", "✓ FINISHED. It", "cost 23.00, 189.00 came back.")


async def test_the_selected_job_explains_itself() -> None:
    """A waiting job says its place and why not; a failed one shows its error."""
    async with jobs_shown() as robot:
        await robot.press("j", "j")
        await robot.sees("Place 2 of 3 in the queue", "gaia: all 8 GPUs are in use until 12:31")
        await robot.press("j", "j", "j", "j")
        await robot.sees("step 'check' ended with exit code 3", "came back 210.10")


async def test_details_stand_beside_the_table_when_there_is_room() -> None:
    """At 160 columns the whole story of the job is beside the table."""
    async with jobs_shown(size=WIDE) as robot:
        await robot.sees("TIMELINE", "CREDITS", "ASKS FOR", "PROVIDER", "STARTED")


async def test_filters_as_one_types() -> None:
    """/ narrows the table at once, a mistake is explained, escape shows all again."""
    async with jobs_shown() as robot:
        await robot.press("slash")
        await robot.type("status:hot !gaia")
        await robot.sees("3 of 10")
        assert "train-llm" not in robot.text
        await robot.press("enter")
        await robot.sees("!gaia 3 of 10")
        await robot.press("slash")
        await robot.type(" stauts:x")
        await robot.sees("There is no field 'stauts' to filter by. Did you mean 'status'?")
        await robot.press("escape")
        await robot.sees("10 jobs", "train-llm")


async def test_a_filter_without_matches_says_so() -> None:
    """An empty result is no empty grid."""
    async with jobs_shown() as robot:
        await robot.press("slash")
        await robot.type("nothing-like-this")
        await robot.sees("No job passes the filter.", "0 of 10")


async def test_cancels_after_a_question_that_names_the_cost() -> None:
    """c asks; escape and enter do nothing, y cancels."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid) as robot:
        await robot.press("c")
        await robot.sees("Cancel job 41, train-llm?", "running for 1:09:40 on gaia")
        await robot.sees("About 234.17 credits come back, about 165.82 stay with the provider.")
        await robot.press("enter")
        await robot.press("c", "escape")
        assert not grid.sent
        await robot.press("c", "y")
        await robot.until(lambda: ("cancel", 41) in grid.sent)
        await robot.sees("was asked to", "(cancel")


async def test_a_waiting_job_is_cancelled_at_once() -> None:
    """All its credits come back, and the dialog says so."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid) as robot:
        await robot.press("j", "j", "c")
        await robot.sees("It has not started.", "All 160.00 locked credits come back.")
        await robot.press("y")
        await robot.sees("∅ CANCELLED.", "160.00 came back.")


async def test_tops_up_after_showing_what_it_buys() -> None:
    """t shows minutes, new limit and wallet while one types; enter adds the credits."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid) as robot:
        await robot.press("t")
        await robot.type("99999")
        await robot.sees("The wallet holds 1,284.40 credits.")
        await robot.press("enter")
        assert not grid.sent
        await robot.press(*["backspace"] * 5)
        await robot.type("50.5")
        await robot.sees("21 min more on gaia", "12:43:00 → 13:04:00", "1,284.40 → 1,233.90")
        await robot.press("enter")
        await robot.until(lambda: bool(grid.sent))
        assert grid.sent == [("top_up", (41, 505 * CREDIT // 10))]
        await robot.sees("50.50 credits added to job 41.")


async def test_keys_that_make_no_sense_are_not_offered() -> None:
    """An ended job cannot be cancelled or topped up, a waiting one not topped up."""
    async with jobs_shown() as robot:
        await robot.sees("t top up", "c cancel")
        await robot.press("j", "j")
        await robot.until(lambda: "t top up" not in robot.text and "c cancel" in robot.text)
        await robot.press("G")
        await robot.until(lambda: "c cancel" not in robot.text)
        await robot.press("c", "t")
        assert isinstance(robot.app.screen, JobsScreen)


async def test_read_only_changes_nothing() -> None:
    """With --read-only nothing that spends is offered or works."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, read_only=True) as robot:
        await robot.sees("read-only")
        assert "cancel" not in robot.text.splitlines()[-1]
        await robot.press("c", "t")
        assert isinstance(robot.app.screen, JobsScreen)
        await robot.press("2", "ctrl+s")
        assert not grid.sent


async def test_errors_can_be_read_again() -> None:
    """A refused cancel is told at once and stands among the notices with its hint."""
    grid = FakeGrid().add(*some_jobs())
    grid.fail["cancel"] = ContractError("The job has ended.", hint="Look at its state.")
    async with jobs_shown(grid) as robot:
        await robot.press("c", "y")
        await robot.sees("cancel job 41 failed", "6 Notices (1)")
        await robot.press("6")
        await robot.sees("× error", "The job has ended.", "→ Look at its state.")
        await robot.press("1")
        await robot.until(lambda: "Notices (1)" not in robot.text)


async def test_offline_everything_known_stays_usable() -> None:
    """A banner counts down; moving, filtering and opening work on what is known."""
    grid, clock = FakeGrid().add(*some_jobs()), Clock()
    grid.alive = False
    app = console(grid, now=clock)
    async with using(app) as robot:
        await robot.sees("× offline", "Offline: The chain at", "Next attempt in")
        await robot.sees("your jobs are not known yet")
        grid.alive = True
        await robot.press("r")
        await robot.sees("● live", "train-llm")
        app.feed._offline(UnreachableError("The chain does not answer."), 3)
        clock.now += 5
        await robot.sees("× offline 5s", "ext attempt in 10 s", "train-llm")
        await robot.press("j", "enter")
        await robot.sees("TIMELINE", "sweep-lr")


async def test_opens_a_job_and_its_log_and_comes_back() -> None:
    """enter shows the job with its history, l the log, escape goes back step by step."""
    async with jobs_shown() as robot:
        await robot.press("enter")
        await robot.sees("TIMELINE", "◑ scheduled", "CREDITS", "at the limit", "398.93")
        await robot.press("l")
        await robot.sees("following")
        await robot.press("escape")
        await robot.sees("TIMELINE")
        await robot.press("escape")
        await robot.sees("NAME")


async def test_a_settled_job_shows_who_got_what() -> None:
    """Cost, the provider's share, the fee and the refund add up to what was locked."""
    async with jobs_shown(size=WIDE) as robot:
        robot.app.push_screen(JobScreen(36))
        await robot.sees("locked       212", "cost         55.2", "provider   44.16")
        await robot.sees("grid's fee 11.04", "came back    156.8")


async def test_the_help_has_every_key_of_the_view() -> None:
    """? shows the keys that work here, in words."""
    async with jobs_shown() as robot:
        await robot.press("question_mark")
        await robot.sees("THIS VIEW", "Submit a new job", "Cancel the job")
        await robot.press("escape")
        await robot.sees("NAME")


async def test_the_palette_runs_commands_by_their_words() -> None:
    """: and some letters find what a key does."""
    async with jobs_shown() as robot:
        await robot.press("colon")
        await robot.type("provid")
        await robot.sees("Go to Providers")
        await robot.press("enter", "enter")
        await robot.sees("CPU/MIN")


async def test_number_keys_and_clicks_switch_views() -> None:
    """Each number is a view; a click on its name too."""
    async with jobs_shown() as robot:
        for key, text in (
            ("3", "CPU/MIN"),
            ("4", "allowance"),
            ("5", "NODE"),
            ("6", "KIND"),
            ("1", "NAME"),
        ):
            await robot.press(key)
            await robot.sees(text)
        await robot.pilot.click("Tabs", offset=(22, 0))
        await robot.sees("CPU/MIN")
        await robot.pilot.click("KeyBar", offset=(3, 0))


async def test_a_theme_is_chosen_from_a_list() -> None:
    """ctrl+t lists the themes; the chosen one is used at once."""
    async with jobs_shown() as robot:
        await robot.press("ctrl+t")
        await robot.sees("dsq-light", "light", "dark, in use")
        await robot.press("up", "enter")
        assert robot.app.theme != "dsq-dark"


async def test_resizing_keeps_everything_in_place() -> None:
    """From wide to narrow to tiny and back, live, without an error."""
    async with jobs_shown(size=WIDE) as robot:
        for size in (NARROW, (40, 10), (200, 60), (20, 5), NARROW):
            await robot.pilot.resize_terminal(*size)
            await robot.settle()
        await robot.sees("train-llm", "LEFT")


async def test_nothing_is_said_by_colour_alone() -> None:
    """Cursor, states, link and tabs can be told apart in plain text."""
    async with jobs_shown() as robot:
        await robot.press("j")
        cursor = [line for line in robot.text.splitlines() if line.startswith("›")]
        assert len(cursor) == 1
        assert "sweep-lr" in cursor[0]
        for words in ("▶ RUNNING", "◷ PENDING", "✓ FINISHED", "× FAILED 3", "● live"):
            assert words in robot.text


HOSTILE = "[red]x[/] \x1b[31mred\x1b]0;t\x07 \u202egnp \u200bhid " + "日本" * 200 + "\n\nend"


async def test_hostile_text_in_every_field_is_only_text() -> None:
    """Names, labels, errors and reasons of strangers cannot break or forge the screen."""
    from dsq.core.model import Label

    grid = FakeGrid().add(
        job(1, JobStatus.FAILED, HOSTILE[:20], at=GAIA, start=-60, end=-1, error=HOSTILE * 20),
        job(2, JobStatus.RUNNING, "\u202e[link=x]", at=GAIA, start=-60),
        job(3, JobStatus.PENDING, HOSTILE[:30]),
    )
    labels = (Label("name", HOSTILE), Label(HOSTILE, HOSTILE), Label("", ""))
    grid.known_providers = [provider(GAIA, "x", labels=labels)]
    grid.write(2, HOSTILE, "[bold]log[/bold]")
    everywhere = ("j", "j", "enter", "l", "escape", "escape", "3", "4", "5", "6", "1", "k")
    for size, pressed in ((WIDE, everywhere), (NARROW, ("j", "k"))):
        async with jobs_shown(grid, size=size, grid_name=HOSTILE) as robot:
            for keys in pressed:
                await robot.press(keys)
                text = robot.text
                assert not set(text) & set("\x1b\x07\u202e\u200b"), keys
                width = robot.app.size.width
                assert all(len(line) <= width for line in text.splitlines())
            assert "[link=x]" in robot.text


async def test_absurd_numbers_fit() -> None:
    """Amounts and times at the ends of their types do not break a row."""
    big = 2**255
    grid = FakeGrid().add(
        job(2**63 - 1, JobStatus.RUNNING, "big", at=GAIA, start=-(10**9), locked=big // CREDIT),
        job(5, JobStatus.PENDING, "", submit=-(10**9)),
    )
    prices = ProviderPrices(2**200, 0, 0)
    grid.known_providers = [provider(GAIA, "gaia", prices=prices)]
    async with jobs_shown(grid) as robot:
        await robot.press("enter")
        await robot.press("escape", "j", "4")
        await robot.sees("balance")
        assert NOW


async def test_ages_are_those_of_the_console_s_clock() -> None:
    """age<10m asks what the header's clock says."""
    async with jobs_shown() as robot:
        await robot.press("slash")
        await robot.type("age<10m")
        await robot.press("enter")
        await robot.sees("3 of 10")
