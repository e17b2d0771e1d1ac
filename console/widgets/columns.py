"""The columns of a table: which fit, how wide each is, and what a cell shows of a row.

Cells are plain text with style names; nothing in them is markup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.cells import cell_len, set_cell_size

Row = TypeVar("Row")

Span = tuple[str, str]
"""Printable text and the name of its style (see :class:`~dsq.console.widgets.palette.Palette`)."""

Cell = Sequence[Span]


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column.

    Attributes:
        key: Its name in settings.
        title: The words over it.
        width: Cells it needs.
        cell: Makes a row's cell for so many cells of width.
        right: Align right.
        grow: Cells it takes at most beyond ``width`` when there is room.
        rank: Columns of the highest rank go first when there is no room; 0 never goes.
        eager: Columns of the highest value grow first.
        gap: Blank cells before it.
    """

    key: str
    title: str
    width: int
    cell: Callable[[Row, int], Cell]
    right: bool = False
    grow: int = 0
    rank: int = 0
    eager: int = 0
    gap: int = 2


def fit_columns(columns: Sequence[Column[Row]], room: int) -> list[tuple[Column[Row], int]]:
    """Chooses the columns that fit into ``room`` cells, and gives each its width."""
    kept = list(columns)
    while len(kept) > 1 and _room_for(kept) > room:
        last = max(kept, key=lambda column: column.rank)
        if last.rank == 0:
            break
        kept.remove(last)
    spare = room - _room_for(kept)
    widths = {column.key: column.width for column in kept}
    for eager in sorted({column.eager for column in kept}, reverse=True):
        growing = [column for column in kept if column.grow and column.eager == eager]
        while spare > 0 and growing:
            for column in growing[:spare]:
                widths[column.key] += 1
                spare -= 1
            growing = [each for each in growing if widths[each.key] - each.width < each.grow]
    return [(column, widths[column.key]) for column in kept]


def _room_for(columns: Sequence[Column[Row]]) -> int:
    return sum(column.width + column.gap for column in columns) - columns[0].gap


def fit_cell(cell: Cell, width: int, *, right: bool) -> list[Span]:
    """Cuts or pads a cell to exactly ``width`` cells."""
    length = sum(cell_len(text) for text, _ in cell)
    if length == width:
        return list(cell)
    if length < width:
        padding = (" " * (width - length), cell[-1][1] if cell else "foreground")
        return [padding, *cell] if right else [*cell, padding]
    kept: list[Span] = []
    room = width
    for text, name in cell:
        size = cell_len(text)
        if size < room:
            kept.append((text, name))
            room -= size
            continue
        kept.append((set_cell_size(text, room - 1) + "…" if room > 1 else "…", name))
        break
    return kept
