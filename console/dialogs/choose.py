"""Chooses one of a few things, each with a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from dsq.console.dialogs.base import Dialog


class Choose(Dialog[int]):
    """A list of choices; returns the index of the one chosen.

    Args:
        choices: Name and sentence of each, shown as plain text.
    """

    DEFAULT_CSS = """
    Choose > .box { width: 90; max-height: 90%; }
    Choose OptionList { height: auto; max-height: 100%; background: $surface; border: none;
                        padding: 0; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, title: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title = title
        self._choices = choices

    def title_text(self) -> str:
        return self._title

    def compose_box(self) -> ComposeResult:
        width = max((len(name) for name, _ in self._choices), default=0)
        yield OptionList(
            *(
                Option(Content.assemble((f"{name:<{width}}  ", "bold"), (words, "$muted")))
                for name, words in self._choices
            ),
            compact=True,
        )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_index)
