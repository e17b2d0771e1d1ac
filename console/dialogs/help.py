"""All keys that work where one is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.dom import DOMNode
from textual.screen import Screen

from dsq.console.dialogs.base import Dialog
from dsq.console.widgets.lines import Line, Lines

KEY_WIDTH = 14
WORDS_WIDTH = 58
"""What fits beside the keys on 80 columns."""
ORDER = ("this view", "table", "log", "here", "everywhere")


def help_lines(app: App[Any], screen: Screen[Any], about: str) -> list[Line]:
    """The keys of the focused widget, the view and the app, one line an action."""
    groups: dict[str, dict[str, tuple[list[str], str]]] = {}
    for active in screen.active_bindings.values():
        _, binding, enabled, _ = active
        if not binding.id or not binding.description or not enabled:
            continue
        group = groups.setdefault(_group(active, app, screen), {})
        keys, _ = group.setdefault(binding.action, ([], binding.tooltip or binding.description))
        if app.get_key_display(binding) not in keys:
            keys.append(app.get_key_display(binding))
    lines: list[Line] = [[(text, "foreground")] for text in about.splitlines()]
    for name, actions in sorted(groups.items(), key=lambda group: ORDER.index(group[0])):
        lines += [[], [(name.upper(), "bold primary")]]
        for keys, words in actions.values():
            shown = " ".join(keys)
            for part in textwrap.wrap(words, WORDS_WIDTH):
                lines.append([(f"{shown:<{KEY_WIDTH}} ", "bold accent"), (part, "foreground")])
                shown = ""
    return lines


def _group(active: ActiveBinding, app: App[Any], screen: Screen[Any]) -> str:
    node: DOMNode = active.node
    if node is app:
        return "everywhere"
    if node is screen:
        return "this view"
    return {"LiveTable": "table", "LogPane": "log"}.get(type(node).__name__, "here")


class Help(Dialog[None]):
    """The keys of the view behind it, and one paragraph about the view."""

    DEFAULT_CSS = """
    Help > .box { width: 84; height: 90%; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,q", "close", "Close", show=False, id="help.close"),
    ]

    TITLE_TEXT = "Keys"

    def __init__(self, lines: Iterable[Line]) -> None:
        super().__init__()
        self._lines = list(lines)

    def action_close(self) -> None:
        self.dismiss(None)

    def compose_box(self) -> ComposeResult:
        with VerticalScroll():
            yield Lines(self._lines, classes="sentence")
