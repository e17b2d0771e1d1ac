"""Logs: the bounded buffer, and the pane over it."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

from textual.app import App, ComposeResult

from dsq.console.user.log_session import LogSession
from dsq.console.user.screens.logs import LogScreen
from dsq.console.widgets.log_buffer import LogBuffer
from dsq.console.widgets.log_pane import LogPane
from dsq.console.widgets.palette import default_variables, register_themes
from dsq.core.errors import UnreachableError, WalletError
from tests.support.console import NARROW, jobs_shown
from tests.support.fake_grid import NOW, FakeGrid, some_jobs


def filled(*lines: str, **options: int) -> LogBuffer:
    buffer = LogBuffer(**options)
    for line in lines:
        buffer.append(line.encode(), NOW * 10**9)
    return buffer


def test_the_buffer_forgets_the_oldest_lines() -> None:
    """A million lines keep no more than the newest hundred thousand, rightly numbered."""
    buffer = LogBuffer(max_lines=1000)
    for number in range(10_000):
        buffer.append(b"line %d" % number, 0)
    assert len(buffer) <= 1100
    assert buffer.end == 10_000
    assert buffer.line(9_999).plain == "line 9999"
    assert buffer.line(buffer.first).plain == f"line {buffer.first}"


def test_the_buffer_is_bounded_in_size_too() -> None:
    """Long lines do not grow memory past the limit."""
    buffer = LogBuffer(max_characters=100_000)
    for _ in range(200):
        buffer.append(b"x" * 5000, 0)
    assert sum(len(buffer.line(n).text) for n in range(buffer.first, buffer.end)) <= 110_000
    assert buffer.end == 200


def test_bytes_that_are_no_text_are_kept_visible() -> None:
    """A binary dump does not raise."""
    buffer = filled()
    buffer.append(b"\xff\xfe\x00a\nb", 0)
    assert [buffer.line(n).plain for n in range(2)] == ["\ufffd\ufffd\ufffda", "b"]


def test_search_in_the_buffer() -> None:
    """Any case, colours do not matter."""
    buffer = filled("one", "\x1b[31mT\x1b[0mwo", "three", "TWO")
    assert buffer.find("two", 0, 99) == [1, 3]
    assert buffer.find("", 0, 99) == []


class PaneApp(App[None]):
    """One pane over one buffer."""

    def __init__(self, buffer: LogBuffer) -> None:
        super().__init__()
        register_themes(self)
        self.buffer = buffer

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return default_variables()

    def compose(self) -> ComposeResult:
        yield LogPane(self.buffer, zone=UTC)

    def on_mount(self) -> None:
        self.pane.focus()

    @property
    def pane(self) -> LogPane:
        return self.query_one(LogPane)

    def rows(self) -> list[str]:
        return [self.pane.render_line(y).text.rstrip() for y in range(self.pane.size.height)]


async def test_the_pane_follows_until_one_scrolls() -> None:
    """The newest line is in view; after scrolling up the view stands; f follows again."""
    app = PaneApp(filled(*(f"line {n}" for n in range(100))))
    async with app.run_test(size=NARROW) as pilot:
        await pilot.pause()
        assert app.rows()[-1] == "line 99"
        await pilot.press("k", "k")
        app.buffer.append(b"new", 0)
        app.pane.sync()
        assert app.rows()[-1] == "line 97"
        await pilot.press("f")
        assert app.rows()[-1] == "new"


async def test_a_paused_pane_counts_what_comes() -> None:
    """Space holds the view still; the lines that come are counted and not lost."""
    app = PaneApp(filled(*(f"line {n}" for n in range(100))))
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("space")
        for _ in range(5):
            app.buffer.append(b"new", 0)
        app.pane.sync()
        assert app.rows()[-1] == "line 99"
        assert app.pane.unseen == 5
        await pilot.press("z")
        assert app.pane.unseen == 0
        await pilot.press("G")
        assert app.rows()[-1] == "new"


async def test_wrapped_lines_show_everything() -> None:
    """A long line takes as many rows as it needs, wide characters are not cut in half."""
    long = "".join(chr(97 + n % 26) for n in range(200))
    app = PaneApp(filled("first", long, "日本語" * 40, "last"))
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("w")
        rows = app.rows()
        assert "".join(rows[1:4]) == long
        assert "".join(rows[4:8]).replace(" ", "") == "日本語" * 40
        assert "last" in rows[8]
        await pilot.press("w")
        assert app.rows()[1] == long[: app.pane.size.width]
        await pilot.press("right")
        assert app.rows()[1].startswith(long[8:20])


async def test_times_stand_before_the_lines() -> None:
    """T shows when each line was written."""
    app = PaneApp(filled("hello"))
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("T")
        assert app.rows()[0] == "11:06:40  hello"
        assert app.pane.text() == "11:06:40 hello\n"


async def test_matches_are_found_in_order() -> None:
    """n and N go round the matches; lines that come later are searched too."""
    app = PaneApp(filled(*(f"line {n}" + (" ERROR" if n % 30 == 0 else "") for n in range(100))))
    async with app.run_test(size=NARROW) as pilot:
        assert app.pane.search("error") == 4
        await pilot.press("g", "n")
        assert app.pane.match == 0
        await pilot.press("n")
        assert (app.pane.match, app.pane.match_place) == (30, (2, 4))
        await pilot.press("N", "N")
        assert app.pane.match == 90
        app.buffer.append(b"another error", 0)
        app.pane.sync()
        assert app.pane.match_place == (4, 5)


async def test_the_view_stands_while_the_buffer_forgets() -> None:
    """When old lines go, what one reads stays where it is."""
    app = PaneApp(filled(*(f"line {n}" for n in range(100)), max_lines=100))
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("k")
        before = app.rows()[5]
        for number in range(11):
            app.buffer.append(b"new %d" % number, 0)
        assert app.buffer.first > 0
        app.pane.sync()
        await pilot.pause()
        assert app.rows()[5] == before


def grid_with_output() -> FakeGrid:
    grid = FakeGrid().add(*some_jobs())
    grid.write(41, "\x1b[32mgreen\x1b[0m", "[bold]plain[/bold]", "\x1b]0;evil\x07safe")
    return grid


async def test_reads_the_log_of_a_job() -> None:
    """l opens the log; lines come in while it is open; q goes back to the jobs."""
    grid = grid_with_output()
    async with jobs_shown(grid) as robot:
        await robot.press("l")
        await robot.sees("green", "[bold]plain[/bold]", "safe", "following", "3 lines")
        grid.write(41, "later")
        await robot.sees("later", "4 lines")
        await robot.press("q")
        await robot.sees("NAME", "train-llm")


async def test_searches_and_saves_the_log(tmp_path: Path) -> None:
    """/ finds, ctrl+s writes plain text where one says."""
    async with jobs_shown(grid_with_output()) as robot:
        await robot.press("l")
        await robot.sees("green")
        await robot.press("slash")
        await robot.type("plain")
        await robot.press("enter")
        await robot.sees("'plain' 1/1")
        await robot.press("ctrl+s")
        field = robot.app.screen.query_one("#path")
        field.value = str(tmp_path / "out.log")
        await robot.press("enter")
        await robot.until((tmp_path / "out.log").exists)
        assert (tmp_path / "out.log").read_text() == "green\n[bold]plain[/bold]\nsafe\n"


async def test_a_log_that_cannot_be_read_says_why() -> None:
    """The sentence of the error stands where the lines would."""
    grid = FakeGrid().add(*some_jobs())
    grid.fail["logs"] = WalletError("Logs are for the job's customer only.")
    async with jobs_shown(grid) as robot:
        await robot.press("l")
        await robot.sees("Logs are for the job's customer only.")


async def test_a_finished_job_without_output_says_so() -> None:
    """The end of an empty log is not waited for."""
    async with jobs_shown() as robot:
        robot.app.push_screen(LogScreen(36))
        await robot.sees("The job left no output.", "end")


async def test_a_broken_stream_is_read_again_without_doubles() -> None:
    """After a lost connection the log shows each line once and never fewer than before."""
    grid = grid_with_output()
    grid.known[41] = next(job for job in some_jobs() if job.id == 36)
    attempts = []

    def require() -> FakeGrid:
        attempts.append(1)
        if len(attempts) == 2:
            raise UnreachableError("The log service does not answer.")
        return grid

    session = LogSession(41, require)
    await session.run()
    assert len(session.buffer) == 3
    session.live = True
    import dsq.console.user.log_session as module

    module.RETRY_SECONDS, before = 0.0, module.RETRY_SECONDS
    try:
        await session.run()
    finally:
        module.RETRY_SECONDS = before
    assert len(attempts) == 3
    assert len(session.buffer) == 3
    assert not session.live
