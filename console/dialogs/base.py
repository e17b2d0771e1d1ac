"""What all dialogs share: a box in the middle, escape leaves."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList

from dsq.console.widgets.bars import KeyBar
from dsq.console.widgets.lines import Lines

Result = TypeVar("Result")

SCROLLS = {
    "cursor_down": "scroll_down",
    "cursor_up": "scroll_up",
    "first": "scroll_home",
    "last": "scroll_end",
}
"""What moves in a list, and what scrolls a text alike."""


class Dialog(ModalScreen[Result | None]):
    """A box over the screen. ``esc`` closes it with None, which means: do nothing."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > .box {
        width: 72; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $primary; padding: 0 1;
    }
    Dialog > .box.-danger { border: heavy $error; }
    Dialog .title { text-style: bold; color: $foreground; margin-bottom: 1; }
    Dialog .buttons { height: 1; margin-top: 1; align-horizontal: right; }
    Dialog .buttons Button { margin-left: 2; }
    Dialog Input { margin: 0; }
    Dialog .sentence { height: auto; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", tooltip="Close and do nothing", id="dialog.leave"),
        Binding("j", "list('cursor_down')", "Down", show=False, tooltip="Down in a list or text",
                id="dialog.down"),
        Binding("k", "list('cursor_up')", "Up", show=False, tooltip="Up in a list or text",
                id="dialog.up"),
        Binding("g", "list('first')", "First", show=False, tooltip="To the first line of it",
                id="dialog.first"),
        Binding("G", "list('last')", "Last", show=False, tooltip="To the last line of it",
                id="dialog.last"),
    ]  # fmt: skip

    TITLE_TEXT = ""
    DANGER = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="box -danger" if self.DANGER else "box"):
            yield Lines([[(self.title_text(), "bold foreground")]], classes="title")
            yield from self.compose_box()
        yield KeyBar()

    def title_text(self) -> str:
        """The first line of the box."""
        return self.TITLE_TEXT

    def compose_box(self) -> ComposeResult:
        """What the dialog holds."""
        yield from ()

    @property
    def enter_word(self) -> str:
        """What the enter key does where the focus is, for the line of keys."""
        if isinstance(self.focused, OptionList):
            return "choose"
        return "ok" if isinstance(self.focused, Input) else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        return action != "list" or isinstance(self.focused, OptionList | VerticalScroll)

    async def action_list(self, way: str) -> None:
        """Moves in the list or text that has the focus, as arrows do."""
        if isinstance(self.focused, OptionList):
            await self.focused.run_action(way)
        elif isinstance(self.focused, VerticalScroll):
            await self.focused.run_action(SCROLLS[way])

    def action_leave(self) -> None:
        self.dismiss(None)
