"""How commands print: data on standard output, words on standard error.

Colour only on a terminal, never with ``NO_COLOR``, and never as the only sign. Text of
strangers (names, labels, errors) loses what a terminal would obey.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any, TextIO

import click

COLOURS = {
    "PENDING": "bright_black",
    "META_SCHEDULED": "blue",
    "SCHEDULED": "blue",
    "RUNNING": "yellow",
    "FINISHED": "green",
    "CANCELLED": "magenta",
    "FAILED": "red",
    "OUT_OF_CREDITS": "red",
    "PANICKED": "red",
    "approved": "green",
    "waiting": "yellow",
    "banned": "red",
}
"""Words that have a colour."""


def has_colour(stream: TextIO) -> bool:
    """Whether colour may be written to a stream."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(word: str, stream: TextIO | None = None) -> str:
    """A word in its colour, if it has one and the stream takes colour."""
    stream = stream or sys.stdout
    colour = COLOURS.get(word)
    return click.style(word, fg=colour) if colour and has_colour(stream) else word


def plain(text: str) -> str:
    """Text of a stranger without what a terminal would obey."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def say(text: str) -> None:
    """Words for people, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def put(text: str) -> None:
    """Data, on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def put_json(value: Any, *, indent: int | None = 2) -> None:
    """Data as JSON, keys sorted; ``indent=None`` makes it one line."""
    put(json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False))


def put_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()
) -> None:
    """A table in aligned columns, cut to the width of a terminal, whole in a pipe.

    Args:
        headers: Names of the columns.
        rows: Their cells; words of :data:`COLOURS` are coloured.
        right: Columns that are aligned to the right.
    """
    table = [list(headers), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(cells(row[column]) for row in table) for column in range(len(headers))]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for number, row in enumerate(table):
        line = "  ".join(
            _aligned(cell, width, right=header in right)
            for cell, width, header in zip(row, widths, headers, strict=True)
        ).rstrip()
        line = cut(line, limit) if limit else line
        if number:
            for word in {cell for cell in row if cell in COLOURS}:
                line = line.replace(word, coloured(word), 1)
        put(line)


def put_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Names and values below each other; fields without a value are left out."""
    width = max((len(name) for name, value in fields if value), default=0)
    for name, value in fields:
        if value:
            put(f"{name:<{width}}  {coloured(plain(value))}")


def cells(text: str) -> int:
    """Columns of a terminal that printable text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def cut(text: str, width: int) -> str:
    """Printable text cut to a number of columns, with ``…`` where something is missing."""
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def _aligned(cell: str, width: int, *, right: bool) -> str:
    padding = " " * (width - cells(cell))
    return padding + cell if right else cell + padding
