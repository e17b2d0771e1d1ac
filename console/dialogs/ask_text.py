"""Asks for one line of text, as a search does."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Input

from dsq.console.dialogs.base import Dialog


class AskText(Dialog[str]):
    """One input in a box; enter returns its text, an empty one too."""

    def __init__(self, title: str, value: str = "", placeholder: str = "") -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._placeholder = placeholder

    def title_text(self) -> str:
        return self._title

    def compose_box(self) -> ComposeResult:
        yield Input(self._value, placeholder=self._placeholder, compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)
