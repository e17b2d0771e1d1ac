"""Chooses the columns of a table, their order and their width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from dsq.console.dialogs.base import Dialog

NARROWEST, WIDEST = 3, 60


@dataclass
class Choice:
    """A column as it is being chosen.

    Attributes:
        key: The column's key.
        title: What stands over it.
        shown: It is in the table.
        width: Cells; None for what the table thinks best.
        usual: Cells it has without a width of its own.
    """

    key: str
    title: str
    shown: bool
    width: int | None
    usual: int

    @property
    def setting(self) -> str:
        """As it stands in the settings: ``name`` or ``name:24``."""
        return self.key if self.width is None else f"{self.key}:{self.width}"


class ChooseColumns(Dialog[tuple[str, ...]]):
    """Returns the settings of the columns that are shown, from left to right."""

    DEFAULT_CSS = """
    ChooseColumns > .box { width: 60; max-height: 90%; }
    ChooseColumns OptionList { height: auto; max-height: 18; background: $surface; border: none;
                               padding: 0; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "turn", "Show", tooltip="Show or hide the column", id="columns.toggle"),
        Binding("J", "move(1)", "Down", tooltip="Move the column right", id="columns.down"),
        Binding("K", "move(-1)", "Up", tooltip="Move the column left", id="columns.up"),
        Binding("less_than_sign", "resize(-1)", "Narrower", tooltip="A narrower column",
                id="columns.narrower"),
        Binding("greater_than_sign", "resize(1)", "Wider", tooltip="A wider column",
                id="columns.wider"),
        Binding("0", "usual", "Usual", tooltip="The usual width", id="columns.usual"),
    ]  # fmt: skip

    TITLE_TEXT = "Columns (enter takes them)"

    @property
    def enter_word(self) -> str:
        return "take"

    def __init__(self, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._choices = list(choices)

    def compose_box(self) -> ComposeResult:
        yield OptionList(*map(self._option, self._choices), compact=True)

    def _option(self, choice: Choice) -> Option:
        mark = "[x]" if choice.shown else "[ ]"
        width = "" if choice.width is None else f"{choice.width} cells"
        style = "bold" if choice.shown else ""
        name = choice.title or choice.key
        return Option(Content.assemble((f"{mark} {name:<24}", style), width))

    @property
    def _at(self) -> int:
        return self.query_one(OptionList).highlighted or 0

    def _redraw(self, at: int) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(map(self._option, self._choices))
        options.highlighted = at

    def action_turn(self) -> None:
        choice = self._choices[self._at]
        shown = sum(each.shown for each in self._choices)
        if not choice.shown or shown > 1:
            choice.shown = not choice.shown
        self._redraw(self._at)

    def action_move(self, step: int) -> None:
        at, to = self._at, self._at + step
        if 0 <= to < len(self._choices):
            choices = self._choices
            choices[at], choices[to] = choices[to], choices[at]
            self._redraw(to)

    def action_resize(self, step: int) -> None:
        choice = self._choices[self._at]
        width = (choice.usual if choice.width is None else choice.width) + step
        choice.width = max(NARROWEST, min(width, WIDEST))
        self._redraw(self._at)

    def action_usual(self) -> None:
        self._choices[self._at].width = None
        self._redraw(self._at)

    def on_option_list_option_selected(self) -> None:
        self.dismiss(tuple(choice.setting for choice in self._choices if choice.shown))
