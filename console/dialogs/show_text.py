"""Shows a text that one can only read."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from dsq.console.dialogs.base import Dialog
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.safe import one_line

LONGEST = 2_000
"""Lines that are shown."""


class ShowText(Dialog[None]):
    """A text in a box that scrolls, as text only."""

    DEFAULT_CSS = """
    ShowText > .box { width: 100; height: 90%; }
    ShowText VerticalScroll { height: 1fr; scrollbar-size: 1 1; }
    ShowText Lines { height: auto; }
    """

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def title_text(self) -> str:
        return self._title

    def compose_box(self) -> ComposeResult:
        rows = self._text.splitlines()
        lines: list[Line] = [
            [
                (" " * (len(row) - len(row.lstrip(" "))), "foreground"),
                (one_line(row, 400), "foreground"),
            ]
            for row in rows[:LONGEST]
        ]
        if len(rows) > LONGEST:
            lines.append([(f"… and {len(rows) - LONGEST:,} more lines", "muted")])
        with VerticalScroll():
            yield Lines(lines)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
