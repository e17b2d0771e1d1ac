"""The live table: what it paints, and where its cursor goes."""

from __future__ import annotations

from typing import Any

from textual.app import App, ComposeResult

from dsq.console.widgets.columns import Cell, Column, fit_cell, fit_columns
from dsq.console.widgets.palette import default_variables, register_themes
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.table import LiveTable
from tests.support.console import NARROW


def column(key: str, width: int, **options: Any) -> Column[int]:
    return Column(key, key, width, lambda row, _: [(str(row), "foreground")], **options)


def widths(columns: list[Column[int]], room: int) -> dict[str, int]:
    return {chosen.key: width for chosen, width in fit_columns(columns, room)}


def test_columns_go_by_rank_and_grow_by_eagerness() -> None:
    """What is least important goes first; what is spare goes to the eager ones first."""
    columns = [
        column("id", 4),
        column("name", 10, grow=20),
        column("cost", 8, grow=5, eager=1, rank=1),
        column("left", 8, rank=2),
    ]
    assert widths(columns, 36) == {"id": 4, "name": 10, "cost": 8, "left": 8}
    assert widths(columns, 35) == {"id": 4, "name": 14, "cost": 13}
    assert widths(columns, 30) == {"id": 4, "name": 10, "cost": 12}
    assert widths(columns, 20) == {"id": 4, "name": 14}
    assert widths(columns, 5) == {"id": 4, "name": 10}
    assert widths(columns, 50) == {"id": 4, "name": 19, "cost": 13, "left": 8}


def test_cells_are_cut_and_padded_exactly() -> None:
    """A cell of several styles takes exactly its width."""
    cell: Cell = [("ab", "muted"), ("日本", "primary")]
    for width in range(1, 12):
        for right in (False, True):
            text = "".join(part for part, _ in fit_cell(cell, width, right=right))
            assert sum(2 if ord(c) > 0x2E80 else 1 for c in text) == width


class Many(App[None]):
    """A table of many rows, which counts the rows that are asked for."""

    def __init__(self, count: int) -> None:
        super().__init__()
        register_themes(self)
        self.asked: set[int] = set()
        self.source = ListSource(range(count))

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return default_variables()

    def compose(self) -> ComposeResult:
        def cell(row: int, _width: int) -> Cell:
            self.asked.add(row)
            return [(f"row {row}", "foreground")]

        yield LiveTable(
            self.source, [Column("row", "ROW", 20, cell)], key=lambda row: row, index_of=int
        )

    def on_mount(self) -> None:
        self.query_one(LiveTable).focus()


async def test_only_visible_rows_are_painted() -> None:
    """Of 100,000 rows a screenful is asked for, at the top and at the end."""
    app = Many(100_000)
    async with app.run_test(size=NARROW) as pilot:
        await pilot.pause()
        assert app.asked == set(range(23))
        app.asked.clear()
        await pilot.press("G")
        await pilot.pause()
        assert max(app.asked) == 99_999
        assert len(app.asked) < 60


async def test_the_cursor_moves_as_in_vim_and_by_pages() -> None:
    """j and k, half and whole pages, ends; never out of the table."""
    app = Many(200)
    async with app.run_test(size=NARROW) as pilot:
        table: LiveTable[int] = app.query_one(LiveTable)
        for keys, row in (
            ("k", 0),
            ("j", 1),
            ("down", 2),
            ("pagedown", 25),
            ("ctrl+u", 14),
            ("G", 199),
            ("j", 199),
            ("g", 0),
        ):
            await pilot.press(keys)
            assert table.cursor == row, keys


async def test_the_cursor_stays_on_its_row() -> None:
    """New rows above do not move the cursor to another job."""
    app = Many(10)
    async with app.run_test(size=NARROW) as pilot:
        table: LiveTable[int] = app.query_one(LiveTable)
        table._find = lambda key: list(app.source.rows).index(key)
        await pilot.press("j", "j")
        app.source.rows = [100, 101, *range(10)]
        table.rows_changed()
        assert (table.cursor, table.selected) == (4, 2)


async def test_clicks_choose_and_open() -> None:
    """A click chooses the row, a double click opens it."""
    opened: list[object] = []

    class Opening(Many):
        def on_live_table_opened(self, event: LiveTable.Opened) -> None:
            opened.append(event.row_key)

    app = Opening(10)
    async with app.run_test(size=NARROW) as pilot:
        await pilot.click(LiveTable, offset=(5, 4))
        assert app.query_one(LiveTable).cursor == 3
        assert not opened
        await pilot.click(LiveTable, offset=(5, 4), times=2)
        assert opened == [3]


async def test_what_has_not_changed_is_not_painted_again() -> None:
    """A move paints the cursor's rows, a scroll the rows that come in, a change all of them."""
    app = Many(200)
    async with app.run_test(size=NARROW) as pilot:
        await pilot.pause()
        app.asked.clear()
        await pilot.press("j")
        assert app.asked == {0, 1}
        app.asked.clear()
        await pilot.press("pagedown")
        assert app.asked == {23, 24}
        app.asked.clear()
        app.query_one(LiveTable).rows_changed()
        await pilot.pause()
        assert app.asked == set(range(2, 25))


async def test_changed_rows_and_marks_are_seen() -> None:
    """What was painted before is not shown after the source or a mark has changed."""
    app = Many(200)
    async with app.run_test(size=NARROW) as pilot:
        table: LiveTable[int] = app.query_one(LiveTable)
        table._marks = True

        def line(y: int) -> str:
            return table.render_line(y).text

        await pilot.press("j", "k", "space")
        assert line(1).startswith(" ●row 0")
        await pilot.press("asterisk")
        assert all(line(y)[1] == "●" for y in range(1, 20))
        await pilot.press("asterisk")
        assert line(5).startswith("  row 4")
        app.source.rows = list(range(500, 700))
        table.repaint()
        assert line(5).startswith("  row 504")
