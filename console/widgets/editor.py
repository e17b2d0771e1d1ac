"""A text area for workflows: YAML colours, and problems underlined where they are.

The highlighter is a few regular expressions a line instead of a parser: it needs no compiled
grammar, costs microseconds a line, and is right about what workflows look like.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import on
from textual._text_area_theme import TextAreaTheme
from textual.geometry import Offset
from textual.widgets import TextArea

from dsq.console.widgets.completer import Completer, Completing, Completion, CompletionList, Offer
from dsq.console.widgets.palette import Palette
from dsq.console.widgets.safe import REPLACEMENT

Highlight = tuple[int, int, str]

Look = Callable[[Sequence[str], int, int], Offer | None]
"""What can stand at a line and column (from 0) of a text."""

_KEY = re.compile(r"^(\s*(?:- +)*)([A-Za-z_][\w.-]*|\"[^\"]*\"|'[^']*')(\s*:)(?=\s|$)")
_COMMENT = re.compile(r"(?:^|\s)(#.*)$")
_QUOTED = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:''|[^'])*'")
_SCALAR = re.compile(
    r"(?<![\w.-])(?:true|false|null|yes|no|~|[-+]?\d[\d_]*(?:\.\d+)?)(?![\w.-])", re.IGNORECASE
)
_DASH = re.compile(r"^\s*(-)(?=\s|$)")
_BLOCK = re.compile(r":\s+([|>][+-]?\d?)\s*(?:#.*)?$|^\s*-\s+([|>][+-]?\d?)\s*$")


@dataclass(frozen=True)
class Mark:
    """A problem: line and column from 1 (0: unknown), and one sentence."""

    line: int
    column: int
    text: str


def highlight_yaml(lines: Sequence[str]) -> dict[int, list[Highlight]]:
    """The coloured stretches of each line, in characters."""
    found: dict[int, list[Highlight]] = {}
    block_indent: int | None = None
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if block_indent is not None and (indent > block_indent or not line.strip()):
            if line.strip():
                found[number] = [(indent, len(line), "string")]
            continue
        block_indent = None
        spans = _line_highlights(line)
        if spans:
            found[number] = spans
        if _BLOCK.search(line):
            block_indent = indent
    return found


def _line_highlights(line: str) -> list[Highlight]:
    spans: list[Highlight] = []
    value_from = 0
    dash = _DASH.match(line)
    if dash:
        spans.append((dash.start(1), dash.end(1), "mark"))
        value_from = dash.end(1)
    key = _KEY.match(line)
    if key:
        spans.append((key.start(2), key.end(2), "key"))
        spans.append((key.start(3), key.end(3), "mark"))
        value_from = key.end(3)
    taken = [match.span() for match in _QUOTED.finditer(line, value_from)]
    comment = next(
        (
            match.start(1)
            for match in _COMMENT.finditer(line)
            if not any(start <= match.start(1) < end for start, end in taken)
        ),
        len(line),
    )
    spans += [(start, end, "string") for start, end in taken if start < comment]
    spans += [
        (match.start(), match.end(), "number")
        for match in _SCALAR.finditer(line, value_from, comment)
        if not any(start <= match.start() < end for start, end in taken)
    ]
    if comment < len(line):
        spans.append((comment, len(line), "comment"))
    return spans


class WorkflowEditor(Completing, TextArea):
    """A text area with YAML colours and marked problems."""

    DEFAULT_CSS = """
    WorkflowEditor, WorkflowEditor:focus {
        border: none; padding: 0; background: $background; color: $foreground;
    }
    """

    def __init__(self, text: str = "", *, id: str | None = None) -> None:  # noqa: A002
        self._marks: tuple[Mark, ...] = ()
        self._completing = (0, 0)
        super().__init__(
            text, show_line_numbers=True, tab_behavior="indent", soft_wrap=False, id=id
        )
        self.indent_width = 2

    def on_mount(self) -> None:
        self._use_theme()
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._use_theme())

    def _use_theme(self) -> None:
        palette = Palette.of(self.app)
        colours = {
            name: Style(color=palette.color(f"syntax-{name}").rich_color)
            for name in ("key", "string", "number", "comment", "mark")
        }
        error = palette.color("error").rich_color
        self.register_theme(
            TextAreaTheme(
                name="dsq",
                base_style=palette.style("foreground"),
                gutter_style=palette.style("muted"),
                cursor_style=palette.style("background", "foreground"),
                cursor_line_style=Style(bgcolor=palette.color("surface").rich_color),
                cursor_line_gutter_style=palette.style("muted", "surface"),
                selection_style=Style(bgcolor=palette.color("cursor").rich_color),
                syntax_styles={**colours, "problem": Style(color=error, underline=True, bold=True)},
            )
        )
        self.theme = "dsq"

    # -- completion --

    def complete_with(self, popup: CompletionList, look: Look) -> None:
        """Offers completions in a list while one types."""

        def here() -> Offer | None:
            row, column = self.cursor_location
            return look(self.document.lines, row, column) if self.selection.is_empty else None

        def place(column: int) -> Offset:
            row, at = self.cursor_location
            self._completing = (row, column)
            text = self.document.get_line(row)
            return self.cursor_screen_offset - Offset(cell_len(text[column:at]), 0)

        self._completer = Completer(popup, here, self._put, place)

    def _put(self, offer: Offer, completion: Completion) -> None:
        row, _ = self.cursor_location
        self._by_hand = completion.goes_on
        self.replace(completion.insert, (row, offer.start), (row, offer.end))
        lines = completion.insert.split("\n")
        before = offer.start if len(lines) == 1 else 0
        self.move_cursor((row + len(lines) - 1, before + len(lines[-1])))

    @on(TextArea.Changed)
    def _typed(self) -> None:
        completer, by_hand, self._by_hand = self._completer, self._by_hand, False
        if completer is None:
            return
        if by_hand and self._wants_completion():
            completer.show(explicit=False)
        else:
            completer.close()

    @on(TextArea.SelectionChanged)
    def _moved(self) -> None:
        completer = self._completer
        if completer is not None and completer.is_open:
            row, column = self.cursor_location
            if row != self._completing[0] or column < self._completing[1]:
                completer.close()

    def _wants_completion(self) -> bool:
        """After a letter of a word, or where a value begins."""
        row, column = self.cursor_location
        before = self.document.get_line(row)[:column]
        return bool(re.search(r"[\w./-]$|: $", before)) and not before.endswith(" -")

    def on_blur(self) -> None:
        self.close_completion()

    def show_problems(self, marks: Sequence[Mark]) -> None:
        """Underlines what is wrong."""
        if tuple(marks) != self._marks:
            self._marks = tuple(marks)
            self._build_highlight_map()
            self.refresh()

    def get_line(self, line_index: int) -> Text:
        """The line as it is painted: what would control the terminal or hide is made visible."""
        text = self.document.get_line(line_index)
        if not text.isascii() or not text.isprintable():
            text = "".join(_shown(character) for character in text)
        return Text(text, end="", no_wrap=True)

    def _build_highlight_map(self) -> None:
        self._line_cache.clear()
        highlights = self._highlights
        highlights.clear()
        lines = self.document.lines
        for number, spans in highlight_yaml(lines).items():
            highlights[number].extend(_in_bytes(lines[number], spans))
        for mark in self._marks:
            if 0 < mark.line <= len(lines):
                line = lines[mark.line - 1]
                start, end = problem_span(line, mark.column)
                highlights[mark.line - 1].extend(_in_bytes(line, [(start, end, "problem")]))


def problem_span(line: str, column: int) -> tuple[int, int]:
    """The word at a column (from 1), or the whole text of the line when there is none."""
    start = column - 1
    if not 0 <= start < len(line):
        return len(line) - len(line.lstrip()), len(line)
    word = re.compile(r"[\w.-]+|\S").match(line, start)
    return (start, word.end()) if word else (start, len(line))


def _in_bytes(line: str, spans: Sequence[Highlight]) -> list[Highlight]:
    """TextArea counts its highlights in bytes of UTF-8."""
    if line.isascii():
        return list(spans)
    return [
        (len(line[:start].encode()), len(line[:end].encode()), name) for start, end, name in spans
    ]


def _shown(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return REPLACEMENT if hidden and character != "\t" else character
