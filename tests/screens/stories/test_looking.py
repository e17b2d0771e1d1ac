"""How users find and read their jobs, as they would tell it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsq.console.preferences import Preferences, load_preferences
from dsq.core.errors import ContractError
from dsq.core.model import JobCost, JobStatus
from dsq.core.units import CREDIT
from tests.screens.states import OUTPUT, sweeps
from tests.support.console import NARROW, WIDE, Clock, jobs_shown
from tests.support.fake_grid import GAIA, NOW, FakeGrid, job, some_jobs


def grid() -> FakeGrid:
    return FakeGrid().add(*some_jobs())


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("train", ["train-llm"]),
        ("status:run", ["train-llm", "sweep-lr"]),
        ("status:hot !gaia", ["sweep-lr", "render-07", "mesh-coarse"]),
        ("status:bad", ["mpi-check", "long-one", "lost"]),
        ("status:ended !status:bad", ["cfd-wing", "typo"]),
        ("provider:iris status:ended", ["cfd-wing", "lost"]),
        ("name:~^mesh", ["mesh-fine", "mesh-coarse"]),
        ("name:mesh|typo", ["mesh-fine", "mesh-coarse", "typo"]),
        ("exit!=0", ["mpi-check"]),
        ("gpus>0", ["train-llm"]),
        ("cost>50 status:ended", ["cfd-wing", "long-one"]),
        ("locked>=400", ["train-llm"]),
        ("id>=40", ["train-llm", "sweep-lr"]),
        ("uses:nothing", []),
        ('error:"exit code 3"', ["mpi-check"]),
    ],
)
async def test_finds_jobs_by_the_words_of_the_filter(words: str, names: list[str]) -> None:
    """The table has exactly those; escape brings all back."""
    async with jobs_shown(grid()) as robot:
        await robot.filter(words)
        await robot.until(lambda: robot.rows == names)
        await robot.sees(f"{len(names)} of 10", words[-11:])
        await robot.press("escape")
        await robot.until(lambda: len(robot.rows) == 10)


async def test_misspells_a_field_of_the_filter() -> None:
    """The close match is named; what was shown stays shown meanwhile."""
    async with jobs_shown(grid()) as robot:
        await robot.press("slash")
        await robot.type("stauts:run")
        await robot.sees("Did you mean 'status'?", "train-llm")
        await robot.press("end", "ctrl+u")
        await robot.type("status:run")
        await robot.misses("Did you mean")
        await robot.until(lambda: robot.rows == ["train-llm", "sweep-lr"])


async def test_a_filtered_job_leaves_when_it_ends() -> None:
    """A filter is live: what no longer fits goes, what fits comes."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.filter("status:running")
        await robot.until(lambda: robot.rows == ["train-llm", "sweep-lr"])
        ended = job(40, JobStatus.FINISHED, at=GAIA, start=-600, end=-1, cost=2300)
        on.change(40, status=ended.status, time=ended.time, cost=ended.cost)
        await robot.until(lambda: robot.rows == ["train-llm"])
        started = job(38, JobStatus.RUNNING, at=GAIA, start=-3)
        on.change(38, status=started.status, time=started.time)
        await robot.until(lambda: robot.rows == ["train-llm", "mesh-fine"])


async def test_sorts_by_cost_and_the_other_way_round() -> None:
    """o asks; the same again turns the order, and the line of tabs says which."""
    async with jobs_shown(grid()) as robot:
        down = ["down"] * 4
        await robot.press("o", "home", *down, "enter")
        await robot.sees("by cost ↓")
        dearest = robot.rows[0]
        await robot.press("o", "home", *down, "enter")
        await robot.sees("by cost ↑")
        assert robot.rows[-1] == dearest


async def test_the_order_is_there_again_tomorrow(tmp_path: Path) -> None:
    """What was chosen is kept in the settings folder."""
    async with jobs_shown(grid(), folder=tmp_path) as robot:
        await robot.press("o", "home", "down", "enter")
        await robot.sees("by name ↑")
        await robot.until((tmp_path / "console.toml").exists)
    kept = load_preferences(tmp_path)
    clock = Clock()
    async with jobs_shown(grid(), folder=tmp_path, preferences=kept, now=clock) as robot:
        clock.now += 2
        await robot.until(lambda: robot.rows[:1] == ["cfd-wing"])


async def test_marks_some_and_cancels_them_together() -> None:
    """One question for all; those that have ended are left out."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.press("asterisk")
        await robot.sees("10 marked of 10 jobs")
        await robot.press("c")
        await robot.sees("Cancel 5 jobs?", "2 of them run")
        await robot.press("y")
        await robot.until(lambda: len(on.sent) == 5)
    assert {what for call, what in on.sent if call == "cancel"} == {37, 38, 39, 40, 41}


async def test_marks_and_thinks_better_of_it() -> None:
    """escape drops the marks; c then means the job under the cursor again."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.press("space", "space")
        await robot.sees("2 marked")
        await robot.press("escape")
        await robot.misses("marked of")
        await robot.press("g", "c")
        await robot.sees("Cancel job 41")
        await robot.press("n")
        assert not on.sent


async def test_copies_the_numbers_of_marked_jobs() -> None:
    """They are in the clipboard, to be pasted into a command."""
    async with jobs_shown(grid()) as robot:
        await robot.press("y")
        assert robot.app.clipboard == "41"
        await robot.press("space", "space", "y")
        await robot.sees("Copied 2 job ids.")
        assert sorted(robot.app.clipboard.split()) == ["40", "41"]


async def test_folds_a_sweep_and_opens_it_again() -> None:
    """One row counts the states; f gives the jobs back."""
    on = grid()
    sweeps(on)
    async with jobs_shown(on) as robot:
        await robot.sees("lr [5/5]")
        await robot.press("f")
        await robot.sees("lr ×5", "▶2 ✓3")
        on.change(61, status=JobStatus.FAILED)
        await robot.sees("▶1", "×1")
        await robot.press("f")
        await robot.sees("lr [1/5]", "lr [5/5]")


async def test_hides_a_column(tmp_path: Path) -> None:
    """The status is not wanted: space hides it, enter keeps that for good."""
    async with jobs_shown(grid(), folder=tmp_path) as robot:
        assert "STATUS" in robot.text
        await robot.press("C", "down", "down", "space", "enter")
        await robot.misses("STATUS")
        await robot.until(lambda: "status" not in load_preferences(tmp_path).jobs.columns)


async def test_leaves_the_columns_as_they_were(tmp_path: Path) -> None:
    """escape in the dialog changes nothing."""
    async with jobs_shown(grid(), folder=tmp_path) as robot:
        await robot.press("C", "down", "down", "space", "escape")
        await robot.sees("STATUS")
    assert not (tmp_path / "console.toml").exists()


async def test_exports_what_the_filter_shows(tmp_path: Path) -> None:
    """The file has those jobs and no others."""
    async with jobs_shown(grid()) as robot:
        await robot.filter("status:bad")
        await robot.until(lambda: len(robot.rows) == 3)
        await robot.press("e", "end", "ctrl+u")
        await robot.type(str(tmp_path / "bad.json"))
        await robot.press("enter")
        await robot.sees("Wrote 3 jobs")
    found = json.loads((tmp_path / "bad.json").read_text())
    rows = found["jobs"] if isinstance(found, dict) else found
    assert sorted(row["id"] for row in rows) == [32, 33, 35]


async def test_exports_marked_jobs_as_a_table(tmp_path: Path) -> None:
    """A .csv has a line for each marked job, below its head."""
    async with jobs_shown(grid()) as robot:
        await robot.press("space", "space", "e", "end", "ctrl+u")
        await robot.type(str(tmp_path / "two.csv"))
        await robot.press("enter")
        await robot.until((tmp_path / "two.csv").exists)
        await robot.sees("Wrote 2 jobs")
    lines = (tmp_path / "two.csv").read_text().splitlines()
    assert len(lines) == 3
    assert "train-llm" in lines[1] + lines[2]


async def test_walks_the_table_with_the_keyboard() -> None:
    """G goes to the end, g to the top, the cursor is a sign of its own."""
    async with jobs_shown(grid()) as robot:
        await robot.press("G")
        await robot.sees("›   32  lost")
        await robot.press("g")
        await robot.sees("›   41  train-llm")
        await robot.press("j", "down", "k")
        await robot.sees("›   40  sweep-lr")


async def test_the_cursor_stays_on_its_job_when_new_ones_come() -> None:
    """A job that is submitted elsewhere moves the rows, not the choice."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.press("j")
        await robot.sees("›   40")
        on.add(job(42, JobStatus.PENDING, "elsewhere", submit=-1))
        on.say("NewJobRequestEvent", job_id=42, customer=on.address)
        await robot.sees("elsewhere", "›   40")


async def test_clicks_on_a_job_and_on_a_tab() -> None:
    """The mouse does what the keys do."""
    async with jobs_shown(grid()) as robot:
        await robot.pilot.click("#jobs", offset=(10, 3))
        await robot.until(lambda: robot.app.screen.job.id == 39)  # type: ignore[attr-defined]
        await robot.pilot.click("Tabs", offset=(22, 0))
        await robot.sees("CPU/MIN")


async def test_reads_why_a_job_waits() -> None:
    """Place in the queue, and what each provider says."""
    async with jobs_shown(grid(), WIDE) as robot:
        await robot.press("j", "j")
        await robot.sees("Place 2 of 3", "gaia: all 8 GPUs are in use", "iris: needs 4 GPUs")
        await robot.press("enter")
        await robot.sees("render-07", "TIMELINE")


async def test_watches_money_run_through() -> None:
    """Two hours later the job has cost more and has less time left."""
    clock = Clock()
    async with jobs_shown(grid(), now=clock) as robot:
        await robot.sees("165.8/400.0", "1:36:20")
        clock.now += 3600
        await robot.sees("310.0/400.0", "36:20")


async def test_is_told_when_a_job_ends() -> None:
    """Wherever one is, the end of a job is said with its cost, and kept among the notices."""
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.press("3")
        await robot.sees("CPU/MIN")
        ended = job(41, JobStatus.FAILED, at=GAIA, start=-600, end=-1, cost=2300, exit_status=256)
        on.change(41, status=ended.status, time=ended.time, cost=ended.cost, exit_status=256)
        await robot.sees("Job 41 train-llm", "× FAILED 1", "It cost 23.00")
        await robot.press("6")
        await robot.sees("job 41", "× FAILED 1")


async def test_opens_a_failed_job_to_see_what_was_wrong() -> None:
    """Its error, its exit code, who was paid, and that there is no output."""
    async with jobs_shown(grid(), WIDE) as robot:
        await robot.filter("mpi")
        await robot.press("enter")
        await robot.sees("× FAILED 3", "ended with exit code 3", "left no output", "came back")


async def test_a_job_changes_while_it_is_open() -> None:
    """The open page follows: from waiting to running to its end."""
    on = grid()
    async with jobs_shown(on, WIDE) as robot:
        await robot.press("j", "j", "enter")
        await robot.sees("◷ PENDING", "render-07")
        started = job(39, JobStatus.RUNNING, at=GAIA, submit=-300, start=-10)
        on.change(39, status=started.status, provider=GAIA, time=started.time)
        await robot.sees("▶ RUNNING", "gaia")
        ended = job(39, JobStatus.FINISHED, at=GAIA, submit=-300, start=-10, end=-1, cost=100)
        on.change(39, status=ended.status, time=ended.time, cost=ended.cost)
        await robot.sees("✓ FINISHED", "ended")


async def test_tops_up_from_the_open_job() -> None:
    """t there does the same as in the table."""
    on = grid()
    async with jobs_shown(on, WIDE) as robot:
        await robot.press("enter", "t")
        await robot.type("10")
        await robot.press("enter")
        await robot.until(lambda: ("top_up", (41, 10 * CREDIT)) in on.sent)
        await robot.sees("10.00 credits added to job 41.", "not yet turned into time")
    assert on.known[41].cost == JobCost(410 * CREDIT, 0, pending_top_up=10 * CREDIT) or (
        on.known[41].cost.max_cost == 410 * CREDIT
    )


async def test_a_top_up_that_is_refused() -> None:
    """Nothing is said to be added; the reason stays among the notices."""
    on = grid()
    on.fail["top_up"] = ContractError("The job has ended.")
    async with jobs_shown(on) as robot:
        await robot.press("t")
        await robot.type("10")
        await robot.press("enter")
        await robot.sees("top up job 41 failed", "Notices (1)")
        assert "added to job" not in robot.text
        assert on.known[41].cost.max_cost == 400 * CREDIT


async def test_cancels_from_the_open_job_only_after_yes() -> None:
    """n, escape and enter on the first button leave it running."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.press("enter", "c")
        await robot.sees("Cancel job 41, train-llm?")
        for key in ("n", "escape", "enter"):
            await robot.press(key)
            assert not on.sent
            await robot.press("c")
        await robot.press("y")
        await robot.until(lambda: ("cancel", 41) in on.sent)


async def test_follows_a_log_as_it_grows() -> None:
    """New lines come into view by themselves, until one scrolls up; f follows again."""
    on = grid()
    on.write(41, *OUTPUT)
    async with jobs_shown(on) as robot:
        await robot.press("l")
        await robot.sees("step  79", "▼ following")
        on.write(41, "fresh line")
        await robot.sees("fresh line")
        await robot.press("g")
        await robot.sees("epoch 1/20", "↕ scrolled")
        on.write(41, "later line")
        await robot.settle()
        assert "later line" not in robot.text
        await robot.press("f")
        await robot.sees("later line", "▼ following")


async def test_holds_a_log_still_to_read_it() -> None:
    """space stops the view and counts what comes."""
    on = grid()
    on.write(41, *OUTPUT)
    async with jobs_shown(on) as robot:
        await robot.press("l")
        await robot.sees("step  79")
        await robot.press("space")
        on.write(41, "one", "two", "three")
        await robot.sees("‖ paused, 3 new", "step  79")
        await robot.press("space", "f")
        await robot.sees("three")


async def test_searches_a_log() -> None:
    """n and N walk through the matches; what is not there is said."""
    on = grid()
    on.write(41, *OUTPUT)
    async with jobs_shown(on) as robot:
        await robot.press("l")
        await robot.sees("step  79")
        await robot.press("slash")
        await robot.type("STEP  42")
        await robot.press("enter")
        await robot.sees("step  42", "1/1")
        await robot.press("slash", "end", "ctrl+u")
        await robot.type("nowhere")
        await robot.press("enter")
        await robot.sees("'nowhere' is not in the output.")


async def test_saves_a_log_as_plain_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without colours and without what could control a terminal."""
    monkeypatch.chdir(tmp_path)
    on = grid()
    on.write(41, *OUTPUT, "\x1b]0;title\x07end")
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.press("l")
        await robot.sees("end")
        await robot.press("ctrl+s")
        await robot.sees("Save to")
        await robot.press("enter")
        await robot.until((tmp_path / "job-41.log").exists)
        await robot.sees("saved to")
    text = (tmp_path / "job-41.log").read_text()
    assert "\x1b" not in text
    assert "step  79  loss" in text
    assert "[bold]not markup[/bold]" in text


async def test_wraps_a_long_line_and_scrolls_it_sideways() -> None:
    """w shows all of it below, without w the arrows do."""
    on = grid()
    on.write(41, *OUTPUT)
    async with jobs_shown(on) as robot:
        await robot.press("l", "g")
        await robot.sees("a long line")
        assert "-119" not in robot.text
        await robot.press("w")
        await robot.sees("-119", "wrap")
        await robot.press("w", "right", "right")
        await robot.misses("a long line")


async def test_shows_when_lines_were_written() -> None:
    """T puts the time before each line, in the user's zone."""
    on = grid()
    on.write(41, "first", at=NOW - 60)
    on.write(41, "second")
    async with jobs_shown(on) as robot:
        await robot.press("l", "T")
        await robot.sees("11:05:40  first", "11:06:40  second")


async def test_looks_at_a_log_that_is_not_there_yet() -> None:
    """A job that writes nothing has an empty page, not an error."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.press("j", "l")
        await robot.sees("sweep-lr", "0 lines")
        on.write(40, "here I am")
        await robot.sees("here I am", "1 line")


async def test_copies_a_whole_log() -> None:
    """y in the log takes all of it, not what is in view."""
    on = grid()
    on.write(41, *OUTPUT)
    async with jobs_shown(on) as robot:
        await robot.press("l")
        await robot.sees("step  79")
        await robot.press("y")
        assert "epoch 1/20" in robot.app.clipboard
        assert "step  79" in robot.app.clipboard


@pytest.mark.parametrize("size", [NARROW, (120, 40), (200, 60)], ids=str)
async def test_reads_a_job_on_any_terminal(size: tuple[int, int]) -> None:
    """Timeline, credits and output are there, narrow or wide."""
    on = grid()
    on.write(41, "hello")
    async with jobs_shown(on, size) as robot:
        await robot.press("enter")
        await robot.sees("TIMELINE", "CREDITS", "hello")


async def test_starts_without_any_job() -> None:
    """A new user is told what to press; the first job then stands in the table."""
    on = FakeGrid()
    async with jobs_shown(on) as robot:
        await robot.sees("No jobs yet. Press s to submit the first one.")
        on.add(job(1, JobStatus.PENDING, "first", submit=-1))
        on.say("NewJobRequestEvent", job_id=1, customer=on.address)
        await robot.sees("first", "1 job")


async def test_prefers_other_columns_from_the_start() -> None:
    """The settings name them, and the table has them in that order."""
    wanted: Any = {"jobs": {"columns": ("name", "id", "exit")}}
    async with jobs_shown(grid(), preferences=Preferences.model_validate(wanted)) as robot:
        await robot.sees("NAME", "EXIT")
        head = robot.text.splitlines()[2]
        assert head.index("NAME") < head.index("ID") < head.index("EXIT")
