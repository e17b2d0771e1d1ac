"""Tables, colour, JSON."""

from __future__ import annotations

import io
import sys

import pytest

from dsq.console.commands.watching import LinePrinter
from dsq.console.output import cells, coloured, cut, plain, put_json, put_table


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 40 columns. Tests put it in the place of standard output themselves:
    pytest changes that between a fixture and its test."""
    stream = Terminal()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


def test_columns_are_aligned_also_with_wide_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A column is as wide as its widest cell on a terminal, not in characters."""
    put_table(("ID", "NAME", "X"), [("1", "計算", "a"), ("10", "test", "b")], right=("ID",))
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["ID  NAME  X", " 1  計算  a", "10  test  b"]


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """However long."""
    put_table(("NAME",), [("x" * 500,)])
    assert "x" * 500 in capsys.readouterr().out


def test_a_terminal_gets_lines_that_fit(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut with a sign that something is missing."""
    monkeypatch.setattr(sys, "stdout", terminal)
    put_table(("NAME", "STATUS"), [("x" * 500, "RUNNING")])
    assert max(map(cells, terminal.text().splitlines())) == 40
    assert "…" in terminal.text()


def test_colour_only_on_a_terminal_without_no_color(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR and dumb terminals get words alone."""
    monkeypatch.setattr(sys, "stdout", terminal)
    assert coloured("FAILED") == "\x1b[31mFAILED\x1b[0m"
    assert coloured("elsewhere") == "elsewhere"
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("FAILED") == "FAILED"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert coloured("FAILED") == "FAILED"


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\nb", "a\rb", "\x9b1m", "\u202eabc"])
def test_strangers_text_cannot_move_the_cursor(text: str) -> None:
    """What a terminal would obey becomes a visible stand-in."""
    assert plain(text).isprintable()


def test_cut_counts_columns() -> None:
    """Wide characters take two."""
    assert cut("計算機", 5) == "計算…"
    assert cut("short", 5) == "short"


def test_json_is_sorted_and_unicode(capsys: pytest.CaptureFixture[str]) -> None:
    """Keys in order, text as it is."""
    put_json({"b": "é", "a": 1}, indent=None)
    assert capsys.readouterr().out == '{"a": 1, "b": "é"}\n'


def test_logs_on_a_terminal_keep_colours_only(terminal: Terminal) -> None:
    """Escape sequences that move the cursor or set the title are left out."""
    printer = LinePrinter(terminal)
    printer.put(b"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m", 0)
    assert "owned" not in terminal.text()
    assert "[2J" not in terminal.text()
    assert "\x1b[31mred" in terminal.text()


def test_logs_with_no_color(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR counts for a job's own colours too."""
    monkeypatch.setenv("NO_COLOR", "1")
    LinePrinter(terminal).put(b"\x1b[31mred\x1b[0m", 0)
    assert terminal.text() == "red\n"
