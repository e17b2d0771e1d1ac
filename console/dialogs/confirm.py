"""Asks before something that cannot be undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Button

from dsq.console.dialogs.base import Dialog
from dsq.console.widgets.lines import Line, Lines


class Confirm(Dialog[bool]):
    """A question that names what is lost. The harmless answer has the focus.

    Args:
        title: The question.
        lines: What happens, what it costs, what comes back.
        yes: Words of the dangerous button.
        no: Words of the harmless one.
        danger: Draw it as a danger.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "Yes", tooltip="Do it", id="confirm.yes"),
        Binding("n", "no", "No", tooltip="Leave everything as it is", id="confirm.no"),
        Binding("left,right,tab", "other", "Other button", show=False, id="confirm.other"),
    ]

    def __init__(
        self,
        title: str,
        lines: Sequence[Line],
        *,
        yes: str,
        no: str = "Keep it",
        danger: bool = True,
    ) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._yes = yes
        self._no = no
        self.DANGER = danger

    def title_text(self) -> str:
        return self._title

    def compose_box(self) -> ComposeResult:
        yield Lines(self._lines, classes="sentence")
        with Horizontal(classes="buttons"):
            yield Button(f" {self._no} ", id="no", compact=True)
            yield Button(
                f" {self._yes} ",
                id="yes",
                variant="error" if self.DANGER else "primary",
                compact=True,
            )

    def on_mount(self) -> None:
        self.query_one("#no", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(True if event.button.id == "yes" else None)

    def action_no(self) -> None:
        self.dismiss(None)

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_other(self) -> None:
        self.focus_next()
