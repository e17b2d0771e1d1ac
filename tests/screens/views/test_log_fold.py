"""Logs of scripts: steps folded by their markers, several jobs in one."""

from __future__ import annotations

import random

from dsq.console.user.log_session import LogSession
from dsq.console.user.many_logs import SOURCE_COLOURS, ManyLogs
from dsq.console.widgets.log_buffer import BufferLine, LogBuffer, Source
from dsq.console.widgets.log_fold import FoldedLog, Folds
from dsq.console.widgets.log_view import LogView
from dsq.console.widgets.palette import Palette
from tests.support.console import Robot, jobs_shown
from tests.support.fake_grid import NOW, FakeGrid, some_jobs

LOG = """\
start
--> steps[0]
one
--> steps[0].steps[0]
deep
<-- steps[0].steps[0] ok (1 s)
two
<-- steps[0] ok (3 s)
between
--> steps[1]
oops
<-- steps[1] failed with 3 (0 s)
end""".splitlines()


def buffer_of(lines: list[str], **limits: int) -> LogBuffer:
    buffer = LogBuffer(**limits)
    for number, line in enumerate(lines):
        buffer.append(line.encode(), number)
    return buffer


def shown(fold: FoldedLog) -> list[str]:
    fold.catch_up()
    return [fold.line(number).plain for number in range(fold.first, fold.end)]


def at(level: int | None) -> Folds:
    return Folds(level=level)


def test_steps_become_lines_level_by_level() -> None:
    """At level 0 each outer step is one line, at 1 the inner ones are; open ones have headers."""
    base = buffer_of(LOG)
    assert shown(FoldedLog(base, at(0))) == [
        "start", "▸ steps[0]: ok (3 s), 3 lines", "between",
        "▸ steps[1]: failed with 3 (0 s), 1 line", "end",
    ]  # fmt: skip
    assert shown(FoldedLog(base, at(1))) == [
        "start", "▾ steps[0]: ok (3 s)", "one", "▸ steps[0].steps[0]: ok (1 s), 1 line", "two",
        "<-- steps[0] ok (3 s)", "between", "▾ steps[1]: failed with 3 (0 s)", "oops",
        "<-- steps[1] failed with 3 (0 s)", "end",
    ]  # fmt: skip
    whole = FoldedLog(base, at(None))
    assert [line for line in shown(whole) if "▾" not in line] == [
        line for line in LOG if "-->" not in line
    ]
    assert (whole.depth, len(whole)) == (2, len(LOG))


def test_headers_have_names_times_and_exit_codes() -> None:
    """The name is what the script says behind the marker."""
    base = buffer_of(["--> steps[0]", "Running: train", "x", "<-- steps[0] failed with 137 (62 s)"])
    assert shown(FoldedLog(base)) == [
        "▾ steps[0] train: failed with 137 (62 s)", "Running: train", "x",
        "<-- steps[0] failed with 137 (62 s)",
    ]  # fmt: skip
    assert shown(FoldedLog(base, at(0))) == ["▸ steps[0] train: failed with 137 (62 s), 2 lines"]


def test_single_steps_are_turned() -> None:
    """One folds while the others stay open, and opens where all are folded; each run alone."""
    base = buffer_of(["--> a", "1", "<-- a ok (0 s)", "--> a", "2", "<-- a ok (0 s)"])
    folds = Folds()
    folds.turn(("", "a", 1))
    assert shown(FoldedLog(base, folds)) == [
        "▾ a: ok (0 s)", "1", "<-- a ok (0 s)", "▸ a: ok (0 s), 1 line",
    ]  # fmt: skip
    folds.at_level(0)
    folds.turn(("", "a", 0))
    assert shown(FoldedLog(base, folds)) == [
        "▾ a: ok (0 s)", "1", "<-- a ok (0 s)", "▸ a: ok (0 s), 1 line",
    ]  # fmt: skip
    folds.turn(("", "a", 0))
    assert shown(FoldedLog(base, folds)) == ["▸ a: ok (0 s), 1 line"] * 2


def test_a_running_step_says_so_until_it_ends() -> None:
    """Its line changes when the end comes, and the view is told."""
    base = buffer_of(LOG[:5])
    fold = FoldedLog(base, at(0))
    assert shown(fold) == ["start", "▸ steps[0] …, 2 lines"]
    before = fold.rewritten
    for line in LOG[5:8]:
        base.append(line.encode(), 0)
    assert shown(fold)[1] == "▸ steps[0]: ok (3 s), 3 lines"
    assert fold.rewritten > before


def test_markers_that_lie_fold_nothing_else() -> None:
    """An end without a beginning is a line; an end of an outer step ends the inner ones."""
    assert shown(FoldedLog(buffer_of(["<-- steps[9] ok (1 s)", "x"]), at(0))) == [
        "<-- steps[9] ok (1 s)", "x",
    ]  # fmt: skip
    lines = ["--> a", "--> b", "x", "<-- a ok (1 s)", "y"]
    assert shown(FoldedLog(buffer_of(lines), at(0))) == ["▸ a: ok (1 s), 1 line", "y"]
    assert shown(FoldedLog(buffer_of(lines)))[1] == "▾ b: ended with the step around it"


def test_lines_of_one_job_do_not_end_the_steps_of_another() -> None:
    """Whose a line is says the grid, not the line."""
    one, two = Source("1 a"), Source("2 b")
    base = LogBuffer()
    for text, source in (
        ("--> s", one), ("x", two), ("<-- s ok (1 s)", two), ("2 b│ --> s", one),
        ("<-- s ok (2 s)", one), ("y", two),
    ):  # fmt: skip
        base.add(BufferLine(text, 0, source))
    assert shown(FoldedLog(base, at(0))) == [
        "1 a│ ▸ s: ok (2 s), 1 line", "2 b│ x", "2 b│ <-- s ok (1 s)", "2 b│ y",
    ]  # fmt: skip


def test_what_comes_bit_by_bit_folds_the_same() -> None:
    """However a log arrives, and whatever it forgets, numbers and lines agree."""
    dice = random.Random(7)
    for _ in range(20):
        lines = [dice.choice([*LOG, "--> x", "<-- x ok (2 s)"]) for _ in range(300)]
        base, bits = buffer_of(lines), LogBuffer()
        folds = at(dice.choice([None, 0, 1, 2]))
        for nth in range(3):
            folds.turn(("", "steps[0]", nth))
        fold = FoldedLog(bits, folds)
        for number, line in enumerate(lines):
            bits.append(line.encode(), number)
            if dice.random() < 0.1:
                fold.catch_up()
        assert shown(fold) == shown(FoldedLog(base, folds))
        assert [fold.place_of(fold.base_of(n)) for n in range(fold.end)] == list(range(fold.end))
        small = LogBuffer(max_lines=50)
        part = FoldedLog(small, folds)
        for line in lines:
            small.append(line.encode(), 0)
            part.catch_up()
            assert len(shown(part)) == len(part)
            assert all(each >= small.first for each in part._shown)


async def test_the_log_view_folds_and_opens() -> None:
    """- goes outward, + inward; search finds what is shown, saving takes everything."""
    grid = FakeGrid().add(*some_jobs())
    grid.write(41, *LOG)
    async with jobs_shown(grid, size=(100, 30)) as robot:
        await robot.press("l")
        await robot.sees("oops", "13 lines")
        await robot.press("minus")
        await robot.sees("▸ steps[0].steps[0]: ok (1 s), 1 line", "folded: 1 level open", "two")
        await robot.press("minus")
        await robot.sees("▸ steps[0]: ok (3 s), 3 lines", "folded: 0 levels open", "between")
        assert "oops" not in robot.text
        await robot.press("minus")
        grid.write(41, "--> steps[2]", "late")
        await robot.sees("▸ steps[2] …, 1 line")
        grid.write(41, "<-- steps[2] ok (9 s)")
        await robot.sees("▸ steps[2]: ok (9 s), 1 line")
        pane = robot.app.screen.query_one("LogPane")
        assert "oops" in pane.text()  # type: ignore[attr-defined]
        await robot.press("plus", "plus")
        await robot.sees("oops", "late", "<-- steps[2] ok (9 s)")
        assert "folded" not in robot.text


async def test_several_jobs_in_one_log() -> None:
    """The marked jobs' lines by their times, with their numbers; late ones in their place."""
    grid = FakeGrid().add(*some_jobs())
    grid.write(41, "a0", at=NOW)
    grid.write(40, "b1", at=NOW + 10)
    grid.write(41, "a2", at=NOW + 20)
    async with jobs_shown(grid, size=(100, 30)) as robot:
        await robot.press("space", "space", "l")
        await robot.sees("2 jobs", "40 sweep-lr, 41 train-llm", "40 sweep-lr │ b1")
        text = robot.text
        first, second, third = "41 train-llm│ a0", "40 sweep-lr │ b1", "41 train-llm│ a2"
        assert text.index(first) < text.index(second) < text.index(third)
        grid.write(40, "b3", at=NOW + 30)
        await robot.sees("40 sweep-lr │ b3", "4 lines")
        await robot.press("escape")
        await robot.sees("2 marked")


async def test_names_in_several_logs_have_the_colours_of_the_theme() -> None:
    """The jobs' names are told apart by colour, their output is not; another theme paints both."""
    grid = FakeGrid().add(*some_jobs())
    grid.write(41, "a0", at=NOW)
    grid.write(40, "b1", at=NOW + 10)

    def colours(robot: Robot) -> list[list[object]]:
        view = robot.app.screen.query_one(LogView)
        strips = [view.render_line(y) for y in range(2)]
        return [[one.style and one.style.color for one in strip][:2] for strip in strips]

    async with jobs_shown(grid, size=(100, 30)) as robot:
        await robot.press("space", "space", "l")
        await robot.sees("2 lines", "40 sweep-lr │ b1")
        for theme in ("dsq-dark", "dsq-paper"):
            robot.app.theme = theme
            await robot.settle()
            palette = Palette.of(robot.app)
            names = [palette.style(name).color for name in SOURCE_COLOURS[:2]]
            (one, text), (other, _) = colours(robot)
            assert {one, other} == set(names)
            assert text == palette.style("foreground").color


def test_late_lines_are_put_in_their_place() -> None:
    """A log that is read later than the others is merged from its beginning."""

    def grid() -> FakeGrid:
        raise AssertionError

    one, two = LogSession(1, grid), LogSession(2, grid)
    many = ManyLogs([one, two])
    second = 10**9
    for number in range(3):
        one.buffer.append(f"x{number}".encode(), number * 10 * second)
    many.advance()
    two.buffer.append(b"early", 5 * second)
    many.advance()
    lines = [many.buffer.line(number).plain for number in range(many.buffer.end)]
    assert lines == ["1│ x0", "2│ early", "1│ x1", "1│ x2"]
    kept = many.buffer
    two.buffer.append(b"nearly", 19 * second)
    many.advance()
    assert many.buffer is kept
    assert kept.line(4).plain == "2│ nearly"
    many.advance()
    assert kept.end == 5
    two.buffer = LogBuffer()
    two.buffer.append(b"again", 5 * second)
    many.advance()
    assert [many.buffer.line(n).plain for n in range(many.buffer.end)].count("2│ again") == 1
    many.users += 1
    assert (one.users, two.users) == (1, 1)


STEPS = [
    "--> steps[0]", "Running: fetch", *(f"got {n}" for n in range(40)), "<-- steps[0] ok (3 s)",
    "--> steps[1]", "Running: train", *(f"epoch {n}" for n in range(40)),
    "<-- steps[1] failed with 9 (70 s)", "bye",
]  # fmt: skip


async def test_a_single_step_folds_where_it_stands() -> None:
    """[ and ] go to headers, enter turns that one; others stay, and it is kept on all screens."""
    grid = FakeGrid().add(*some_jobs())
    grid.write(41, *STEPS)
    async with jobs_shown(grid, size=(100, 30)) as robot:
        await robot.press("enter")
        await robot.sees("bye")
        await robot.press("l", "left_square_bracket", "left_square_bracket")
        await robot.sees("▾ steps[0] fetch: ok (3 s)", "enter folds steps[0] fetch")
        await robot.press("enter")
        await robot.sees("▸ steps[0] fetch: ok (3 s), 41 lines", "enter opens", "epoch 0")
        await robot.press("right_square_bracket")
        await robot.sees("▾ steps[1] train: failed with 9 (70 s)", "enter folds steps[1] train")
        await robot.press("escape", "end")
        await robot.sees("TIMELINE", "bye", "epoch 39")
        await robot.press("home")
        await robot.sees("▸ steps[0] fetch: ok (3 s), 41 lines")
        await robot.press("enter")
        await robot.sees("▾ steps[0] fetch: ok (3 s)", "got 0")


async def test_a_click_on_a_header_turns_it() -> None:
    """The mouse does what enter does."""
    grid = FakeGrid().add(*some_jobs())
    grid.write(41, *STEPS)
    async with jobs_shown(grid, size=(100, 30)) as robot:
        await robot.press("l", "home")
        await robot.sees("▾ steps[0] fetch")
        pane = robot.app.screen.query_one("LogPane")
        await robot.pilot.click(pane, offset=(5, 0))
        await robot.sees("▸ steps[0] fetch: ok (3 s), 41 lines", "epoch 0")


async def test_a_log_without_steps_has_nothing_to_fold() -> None:
    """The keys say so and do nothing."""
    grid = FakeGrid().add(*some_jobs())
    grid.write(41, "a", "b")
    async with jobs_shown(grid, size=(100, 30)) as robot:
        await robot.press("l")
        await robot.sees("2 lines")
        before = robot.text
        await robot.press("minus", "enter", "right_square_bracket", "plus")
        assert robot.text == before


async def test_a_held_log_stays_held_when_a_step_is_turned() -> None:
    """What came after the pause is still counted, and not shown."""
    grid = FakeGrid().add(*some_jobs())
    grid.write(41, *STEPS)
    async with jobs_shown(grid, size=(100, 30)) as robot:
        await robot.press("l")
        await robot.sees("bye")
        await robot.press("space", "left_square_bracket", "enter")
        grid.write(41, "later")
        await robot.sees("‖ paused, 1 new", "▸ steps[1] train")
        assert "later" not in robot.text
        await robot.press("space")
        await robot.sees("later")
