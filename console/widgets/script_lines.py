"""A batch script as coloured lines, safe to show."""

from __future__ import annotations

from collections.abc import Iterator

from dsq.console.widgets.lines import Line
from dsq.console.widgets.safe import one_line

WIDEST = 400
"""Characters of a line that are shown."""


def script_lines(text: str) -> list[Line]:
    """The lines of a bash script with the style names of its parts."""
    rows: list[list[tuple[str, str]]] = [[]]
    for style, piece in _pieces(text):
        for number, part in enumerate(piece.split("\n")):
            if number:
                rows.append([])
            if part:
                rows[-1].append((part, style))
    if rows and not rows[-1]:
        rows.pop()
    return [_fit(row) for row in rows]


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Style names and the text that has them, in order and complete."""
    from pygments.lexers.shell import BashLexer  # type: ignore[import-untyped]
    from pygments.token import (  # type: ignore[import-untyped]
        Comment,
        Keyword,
        Literal,
        Name,
        Number,
        Operator,
        String,
    )

    styles = (
        (Comment, "syntax-comment"),
        (Number, "syntax-number"),
        (String, "syntax-string"),
        (Literal, "syntax-string"),
        (Keyword, "syntax-key"),
        (Name.Builtin, "syntax-key"),
        (Name.Variable, "syntax-number"),
        (Operator, "syntax-mark"),
    )
    for token, piece in BashLexer(ensurenl=False, stripnl=False).get_tokens(text):
        yield next((style for kind, style in styles if token in kind), "foreground"), piece


def _fit(row: list[tuple[str, str]]) -> Line:
    """A line of printable text, cut where it is too wide."""
    shown: list[tuple[str, str]] = []
    left = WIDEST
    for text, style in row:
        blanks = len(text) - len(text.lstrip(" "))
        part = " " * min(blanks, left) + one_line(text[blanks:], max(2, left - blanks + 1))
        shown.append((part[:left], style))
        left -= len(part)
        if left <= 0:
            shown.append((" …", "muted"))
            break
    return shown or [("", "foreground")]
