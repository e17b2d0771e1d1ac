"""Chooses one of a few things, each with a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from dsq.console.dialogs.base import Dialog


class Choose(Dialog[int]):
    """A list of choices, which ``/`` narrows; returns the index of the one chosen.

    Args:
        choices: Name and sentence of each, shown as plain text.
    """

    DEFAULT_CSS = """
    Choose > .box { width: 90; max-height: 90%; }
    Choose OptionList { height: auto; max-height: 100%; background: $surface; border: none;
                        padding: 0; text-wrap: nowrap; text-overflow: ellipsis; }
    Choose #find { display: none; }
    Choose #find.-open { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "Find", tooltip="Show some choices only", id="choose.find"),
        Binding("down", "list('cursor_down')", "Down", show=False,
                tooltip="Down in the list while one finds", id="choose.down"),
        Binding("up", "list('cursor_up')", "Up", show=False,
                tooltip="Up in the list while one finds", id="choose.up"),
    ]  # fmt: skip

    def __init__(self, title: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._shown = list(range(len(choices)))

    def title_text(self) -> str:
        return self._title

    def compose_box(self) -> ComposeResult:
        yield OptionList(*self._options(), compact=True)
        yield Input(placeholder="words of the name or the sentence", compact=True, id="find")

    def _options(self) -> list[Option]:
        width = max((len(name) for name, _ in self._choices), default=0)
        shown = (self._choices[index] for index in self._shown)
        return [
            Option(Content.assemble((f"{name:<{width}}  ", "bold"), words)) for name, words in shown
        ]

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    @property
    def enter_word(self) -> str:
        return "choose" if self._shown else ""

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._shown[event.option_index])

    # -- finding ---------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "list":
            # In the line that finds, letters are text; arrows still move.
            return True
        return action != "find" or super().check_action("list", parameters)

    def action_find(self) -> None:
        entry = self.query_one("#find", Input)
        entry.add_class("-open")
        entry.focus()

    async def action_list(self, way: str) -> None:
        await self._list.run_action(way)

    def on_input_changed(self, event: Input.Changed) -> None:
        words = event.value.casefold().split()
        self._shown = [
            index
            for index, (name, sentence) in enumerate(self._choices)
            if all(word in f"{name} {sentence}".casefold() for word in words)
        ]
        self._list.clear_options()
        self._list.add_options(self._options())
        self._list.highlighted = 0 if self._shown else None

    def on_input_submitted(self) -> None:
        if self._list.highlighted is None:
            self.app.bell()
        else:
            self.dismiss(self._shown[self._list.highlighted])

    def action_leave(self) -> None:
        """Shows all choices again, then leaves."""
        entry = self.query_one("#find", Input)
        if not entry.has_class("-open"):
            super().action_leave()
            return
        entry.value = ""
        entry.remove_class("-open")
        self._list.focus()
