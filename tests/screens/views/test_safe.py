"""Text of strangers on the screen."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from dsq.console.widgets.safe import (
    LINE_LIMIT,
    REPLACEMENT,
    block,
    fit,
    one_line,
    plain_line,
    styled_line,
    terminal_line,
)

HOSTILE = [
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x07link\x1b]8;;\x07",
    "\x1b[2J\x1b[1;1H",
    "\x1bP+q\x1b\\",
    "\x9b2J",
    "\x9d0;t\x9c",
    "\u202egnp.exe",
    "a\u200bb\u200db\u2060",
    "\ufeff\u00ad\u3164",
    "\x00\x07\x08\x7f",
    "\ud800",
    "\U000e0041",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_one_line_is_printable(text: str) -> None:
    """Nothing that controls, hides or reorders is left in a name."""
    shown = one_line("x" + text + "y")
    assert shown.startswith("x")
    assert shown.isprintable()
    assert not set(shown) & set("\u200b\u200d\u202e\u2060\ufeff\u3164")


@pytest.mark.parametrize("text", HOSTILE)
def test_log_lines_keep_no_control_but_colour(text: str) -> None:
    """A log line holds printable characters and colour sequences only."""
    line, _ = terminal_line("x" + text + "y")
    assert plain_line(line).replace(REPLACEMENT, "").isprintable()
    assert styled_line(line).plain.isprintable()


def test_line_ends_in_a_name_are_shown() -> None:
    """A name of several lines stays one line, and the break is seen."""
    assert one_line("a\r\nb\nc") == "a ⏎ b ⏎ c"


def test_long_names_are_cut() -> None:
    """A megabyte of one word becomes a short line that shows that it was cut."""
    assert one_line("x" * 1_000_000, 20) == "x" * 19 + "…"
    assert one_line("x" * 20, 20) == "x" * 20


def test_piled_accents_are_bounded() -> None:
    """Combining marks cannot grow over the lines above."""
    assert len(one_line("Z" + "\u0301" * 500)) <= 5


def test_markup_is_only_text() -> None:
    """What looks like markup stays as it was typed."""
    assert one_line("[bold red]x[/]") == "[bold red]x[/]"
    assert styled_line(terminal_line("[bold]x[/bold]")[0]).plain == "[bold]x[/bold]"


def test_blocks_are_bounded() -> None:
    """An error of a thousand lines is cut, and says so."""
    assert block("a\nb") == "a\nb"
    assert block("x\n" * 1000, lines=3).split("\n") == ["x", "x", "x", "…"]


def test_colours_last_over_lines_until_they_are_reset() -> None:
    """A colour that one line switches on holds on the next, as in a terminal."""
    first, carry = terminal_line("\x1b[31mred")
    second, carry = terminal_line("still", carry)
    third, carry = terminal_line("\x1b[0mplain", carry)
    assert styled_line(first).spans[0].style.color.number == 1
    assert styled_line(second).spans[0].style.color.number == 1
    assert not carry
    assert plain_line(third) == "plain"


def test_hidden_text_is_shown() -> None:
    """Concealed and blinking text is shown plainly."""
    text = styled_line(terminal_line("\x1b[8mhidden\x1b[5mblink")[0])
    assert text.plain == "hiddenblink"
    assert not any(span.style.conceal or span.style.blink for span in text.spans)


def test_carriage_returns_start_the_line_again() -> None:
    """A progress bar shows its last state; a backspace takes a character back."""
    assert plain_line(terminal_line("10%\r50%\r100%")[0]) == "100%"
    assert plain_line(terminal_line("done\r")[0]) == "done"
    assert plain_line(terminal_line("abc\b\bX")[0]) == "aX"


def test_long_log_lines_are_counted() -> None:
    """A line of a megabyte is cut, and the rest is counted."""
    line = plain_line(terminal_line("x" * 1_000_000)[0])
    assert line.endswith("… 990,000 more characters")
    assert len(line) < LINE_LIMIT + 50


@pytest.mark.parametrize("text", ["abc", "日本語テキスト", "e\u0301e\u0301", "", "a日b"])
@pytest.mark.parametrize("width", [1, 2, 3, 5, 9])
def test_fit_is_exact(text: str, width: int) -> None:
    """A fitted text takes exactly its cells, with wide characters too."""
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, right=True)) == width
