"""A filter over rows that are in memory, by what their cells say. Pure.

The words are those of the filter of jobs (docs/console.md): ``drain !gpu`` keeps rows that have
``drain`` but not ``gpu`` in some cell, ``state:down`` looks into one column, ``a|b`` takes either,
``~`` begins a regular expression, quotes hold blanks together.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dsq.console.widgets.columns import Column
from dsq.core.errors import UsageError, close_matches

Row = TypeVar("Row")
Cells = Mapping[str, str]
Test = Callable[[Cells], bool]

CELLS = 400
"""Width at which cells are read: nothing of them is cut off."""

_FIELD = re.compile(r"[a-zA-Z_]+$")


@dataclass(frozen=True)
class RowFilter:
    """A parsed filter; one without words keeps every row."""

    text: str = ""
    _tests: tuple[Test, ...] = field(default=(), repr=False)

    def keep(self, rows: Sequence[Row], columns: Sequence[Column[Row]]) -> Sequence[Row]:
        """The rows that pass, in their order."""
        if not self._tests:
            return rows
        return [row for row in rows if self.passes(cells_of(row, columns))]

    def passes(self, cells: Cells) -> bool:
        """Whether a row with these cells passes."""
        return all(test(cells) for test in self._tests)


def cells_of(row: Row, columns: Sequence[Column[Row]]) -> dict[str, str]:
    """What a row's cells say, by their columns' keys."""
    return {
        column.key: "".join(text for text, _ in column.cell(row, CELLS)).strip()
        for column in columns
    }


def parse_row_filter(text: str, fields: Sequence[str]) -> RowFilter:
    """Reads a filter.

    Args:
        text: What was typed; blank keeps every row.
        fields: The keys of the columns.

    Raises:
        UsageError: An unknown field (names the close match), an open quote, a regular expression
            that cannot be read.
    """
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.commenters, lexer.escape, lexer.quotes = True, "", "", '"'
    try:
        words = list(lexer)
    except ValueError:
        raise UsageError(
            "A quote in the filter is not closed.", hint='Write "two words".'
        ) from None
    return RowFilter(text.strip(), tuple(_test(word, fields) for word in words))


def _test(word: str, fields: Sequence[str]) -> Test:
    if word.startswith("!") and len(word) > 1:
        inner = _test(word[1:], fields)
        return lambda cells: not inner(cells)
    if word.startswith("~") and len(word) > 1:
        regular = _regular(word[1:])
        return lambda cells: regular.search(" ".join(cells.values())) is not None
    name, colon, value = word.partition(":")
    # 12:03 and 0xab:c are words; a name before the colon is a column's.
    if colon and _FIELD.match(name):
        return _in_column(name.lower(), value, fields)
    needles = _needles(word)
    return lambda cells: _has(" ".join(cells.values()), needles)


def _in_column(name: str, value: str, fields: Sequence[str]) -> Test:
    if name not in fields:
        raise UsageError(
            f"There is no column '{name}' to filter by.{close_matches(name, fields)}",
            hint=f"Columns: {', '.join(fields)}.",
        )
    if value.startswith("~"):
        regular = _regular(value[1:])
        return lambda cells: regular.search(cells[name]) is not None
    needles = _needles(value)
    return lambda cells: _has(cells[name], needles)


def _needles(text: str) -> list[str]:
    return text.casefold().split("|")


def _has(text: str, needles: Sequence[str]) -> bool:
    folded = text.casefold()
    return any(needle in folded for needle in needles)


def _regular(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise UsageError(f"The regular expression '{text}' cannot be read: {error}.") from None
