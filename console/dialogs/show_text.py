"""Shows a text that one can only read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from dsq.console.dialogs.base import Dialog
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.safe import one_line

LONGEST = 2_000
"""Lines that are shown."""


def plain_lines(text: str) -> list[Line]:
    """A stranger's text, line by line, its indentation kept."""
    return [
        [
            (" " * (len(row) - len(row.lstrip(" "))), "foreground"),
            (one_line(row.lstrip(" "), 400), "foreground"),
        ]
        for row in text.splitlines()
    ]


class ShowText(Dialog[None]):
    """A text in a box that scrolls, as text only.

    Args:
        lines: What is shown of it; by default the text without colours.
        copy: Called with the text when it is to be copied; None offers no copy.
    """

    DEFAULT_CSS = """
    ShowText > .box { width: 100; height: 90%; }
    ShowText VerticalScroll { height: 1fr; scrollbar-size: 1 1; }
    ShowText Lines { height: auto; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", tooltip="Copy the whole text", id="text.copy"),
    ]

    def __init__(
        self,
        title: str,
        text: str,
        *,
        lines: Sequence[Line] | None = None,
        copy: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._lines = plain_lines(text) if lines is None else list(lines)
        self._copy = copy

    def title_text(self) -> str:
        return self._title

    def compose_box(self) -> ComposeResult:
        shown = self._lines[:LONGEST]
        if len(self._lines) > LONGEST:
            more = f"… and {len(self._lines) - LONGEST:,} more lines"
            shown = [*shown, [(more, "muted")]]
        with VerticalScroll():
            yield Lines(shown)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "copy":
            return self._copy is not None
        return super().check_action(action, parameters)

    def action_copy(self) -> None:
        if self._copy is not None:
            self._copy(self._text)
