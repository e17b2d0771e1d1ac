"""A live table that paints only what is visible.

The table owns no rows: it asks a source for the few it paints, so its cost does not depend
on how many there are. Cells are plain text with style names; nothing in them is markup.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dsq.console.widgets.columns import Column, fit_cell, fit_columns
from dsq.console.widgets.palette import Palette
from dsq.console.widgets.safe import fit

Row = TypeVar("Row")
RowOut = TypeVar("RowOut", covariant=True)

MARK = 2
MARGIN = 1

MARKED_AT_ONCE = 25_000
"""Rows marked before keys are looked at again."""

PAINTED = 2000
"""Painted lines that are kept: those of a few pages that one looks through."""


class Source(Protocol[RowOut]):
    """Where a table gets its rows."""

    def __len__(self) -> int: ...
    def row(self, index: int) -> RowOut:
        """The ``index``-th row from the top."""
        ...


class LiveTable(ScrollView, Generic[Row], can_focus=True, inherit_bindings=False):
    """A table over a :class:`Source`, with a cursor that stays on its row's key.

    Attributes:
        marked: The keys of the marked rows.
        marking: How many of how many rows were gone through, while very many are being marked.

    Args:
        source: Where the rows come from.
        columns: What is shown of them.
        key: What a row is known by.
        index_of: Finds a row by its key; looks at every row when None.
        empty: What to say when there are no rows.
        opens: Enter and a double click open a row.
        quiet: Without the focus it shows no cursor.
        marks: Rows can be marked.
        keys: Tells the keys of all rows, from the top, without reading the rows.
    """

    DEFAULT_CSS = """
    LiveTable {
        background: $background;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor(-1)", "Row up", show=False, id="table.up"),
        Binding("down,j", "cursor(1)", "Row down", show=False, id="table.down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="table.page_up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="table.page_down"),
        Binding("ctrl+u", "page(-0.5)", "Half a page up", show=False, id="table.half_up"),
        Binding("ctrl+d", "page(0.5)", "Half a page down", show=False, id="table.half_down"),
        Binding("home,g", "cursor_to(0)", "First row", show=False, id="table.first"),
        Binding("end,G", "cursor_to(-1)", "Last row", show=False, id="table.last"),
        Binding("enter", "open", "Open", tooltip="Open what the cursor is on", id="table.open"),
        Binding("space", "mark", "Mark", show=False, tooltip="Mark the row", id="table.mark"),
        Binding(
            "asterisk",
            "mark_all",
            "Mark all",
            show=False,
            tooltip="Mark every row that is shown, or none",
            id="table.mark_all",
        ),
    ]

    class Moved(Message):
        """The cursor came to another row."""

        def __init__(self, table: LiveTable[Any], row_key: Hashable | None) -> None:
            super().__init__()
            self.table = table
            self.row_key = row_key

        @property
        def control(self) -> LiveTable[Any]:
            return self.table

    class Opened(Message):
        """Enter, or a double click, on a row."""

        def __init__(self, table: LiveTable[Any], row_key: Hashable) -> None:
            super().__init__()
            self.table = table
            self.row_key = row_key

        @property
        def control(self) -> LiveTable[Any]:
            return self.table

    class Marked(Message):
        """Other rows are marked."""

        def __init__(self, table: LiveTable[Any]) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> LiveTable[Any]:
            return self.table

    def __init__(
        self,
        source: Source[Row],
        columns: Sequence[Column[Row]],
        *,
        key: Callable[[Row], Hashable],
        index_of: Callable[[Hashable], int | None] | None = None,
        empty: Sequence[str] = ("Nothing here.",),
        opens: bool = True,
        quiet: bool = False,
        marks: bool = False,
        keys: Callable[[], Sequence[Hashable]] | None = None,
        id: str | None = None,  # noqa: A002 - Textual's word
    ) -> None:
        super().__init__(id=id)
        self.source = source
        self.columns = columns
        self.empty = empty
        self.stale = False
        self._opens = opens
        self._quiet = quiet
        self._marks = marks
        self._keys = keys or self._read_keys
        self.marking: tuple[int, int] | None = None
        self.marked: dict[Hashable, None] = {}
        self._key = key
        self._find = index_of or self._scan
        self._cursor = 0
        self._cursor_key: Hashable | None = None
        self._layout: list[tuple[Column[Row], int]] = []
        self._layout_for: tuple[int, int] = (-1, -1)
        self._painted: dict[int, Strip] = {}

    # -- rows ---------------------------------------------------------------------

    def _read_keys(self) -> list[Hashable]:
        return [self._key(self.source.row(index)) for index in range(len(self.source))]

    def _scan(self, key: Hashable) -> int | None:
        return next(
            (i for i in range(len(self.source)) if self._key(self.source.row(i)) == key), None
        )

    @property
    def cursor(self) -> int:
        """The row the cursor is on, from 0."""
        return self._cursor

    @property
    def selected(self) -> Row | None:
        """The row under the cursor, None in an empty table."""
        return self.source.row(self._cursor) if self._cursor < len(self.source) else None

    def select(self, key: Hashable) -> bool:
        """Puts the cursor on the row with this key; False if it is not shown."""
        index = self._find(key)
        if index is None:
            return False
        self._move(index)
        return True

    def rows_changed(self) -> None:
        """To be called when the source has changed: keeps the cursor on its row."""
        count = len(self.source)
        self.virtual_size = Size(self.size.width, count + 1)
        found = self._find(self._cursor_key) if self._cursor_key is not None else None
        index = found if found is not None else min(self._cursor, max(0, count - 1))
        self._move(index, follow=found is not None and found != self._cursor)
        self.refresh()

    def repaint(self) -> None:
        """To be called when rows read differently though they are the same (time went by)."""
        self.refresh()

    def _move(self, index: int, *, follow: bool = True) -> None:
        count, before = len(self.source), self._cursor
        self._cursor = max(0, min(index, count - 1))
        key = self._key(self.source.row(self._cursor)) if count else None
        if follow:
            self._show_cursor()
        self._refresh_row(before)
        self._refresh_row(self._cursor)
        if key != self._cursor_key:
            self._cursor_key = key
            self.post_message(self.Moved(self, key))

    def _refresh_row(self, index: int) -> None:
        """Paints one row anew, the others stay as they are."""
        y = index - self.scroll_offset.y + 1
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _show_cursor(self) -> None:
        page = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + page:
            self.scroll_to(y=self._cursor - page + 1, animate=False)

    # -- keys and mouse -------------------------------------------------------------

    def action_cursor(self, step: int) -> None:
        self._move(self._cursor + step)

    def action_page(self, pages: float) -> None:
        self._move(self._cursor + int(pages * max(1, self.size.height - 1)))

    def action_cursor_to(self, index: int) -> None:
        self._move(index if index >= 0 else len(self.source) - 1)

    def action_open(self) -> None:
        if self._cursor_key is not None:
            self.post_message(self.Opened(self, self._cursor_key))

    def action_mark(self) -> None:
        if self._cursor_key is None:
            return
        if self._cursor_key in self.marked:
            del self.marked[self._cursor_key]
        else:
            self.marked[self._cursor_key] = None
        self._painted.pop(self._cursor, None)
        self._move(self._cursor + 1)
        self.post_message(self.Marked(self))

    async def action_mark_all(self) -> None:
        if self.marking is not None:
            self.clear_marks()
            return
        shown = self._keys()
        if len(shown) <= MARKED_AT_ONCE:
            await self._mark_all(shown)
        else:
            self.run_worker(self._mark_all(shown), group="marks", exclusive=True)

    async def _mark_all(self, shown: Sequence[Hashable]) -> None:
        """Marks these rows, or none if they all are; of very many a slice at a time."""
        everything = len(self.marked) >= len(shown)
        marked: dict[Hashable, None] = {}
        try:
            for start in range(0, len(shown), MARKED_AT_ONCE):
                if start:
                    self.marking = (start, len(shown))
                    self._marks_changed()
                    await asyncio.sleep(0)
                keys = shown[start : start + MARKED_AT_ONCE]
                everything = everything and all(key in self.marked for key in keys)
                marked |= dict.fromkeys(keys)
        finally:
            self.marking = None
        self.marked = {} if everything else marked
        self._marks_changed()

    def clear_marks(self) -> None:
        """Marks no row, and marks no further ones."""
        self.workers.cancel_group(self, "marks")
        self.marked, self.marking = {}, None
        self._marks_changed()

    def _marks_changed(self) -> None:
        self.refresh()
        self.post_message(self.Marked(self))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action in ("mark", "mark_all"):
            return self._marks and len(self.source) > 0
        return action != "open" or (self._opens and len(self.source) > 0)

    def on_click(self, event: events.Click) -> None:
        index = int(event.y) - 1 + self.scroll_offset.y
        if 0 <= index < len(self.source) and event.y >= 1:
            self._move(index, follow=False)
            if event.chain == 2:
                self.action_open()

    # -- painting -------------------------------------------------------------------

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.refresh())
        self.rows_changed()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.source) + 1)
        self._show_cursor()

    def set_columns(self, columns: Sequence[Column[Row]]) -> None:
        """Shows other columns."""
        self.columns = columns
        self._layout_for = (-1, -1)
        self.refresh()

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        # Scrolling and the cursor name regions: the rows are the same as before.
        if repaint and not regions:
            self._painted.clear()
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        palette = Palette.of(self.app)
        if self._layout_for != (width, id(self.columns)):
            self._layout = fit_columns(self.columns, width - MARK - MARGIN)
            self._layout_for = (width, id(self.columns))
            self._painted.clear()
        if y == 0:
            return self._header(width, palette)
        index = self.scroll_offset.y + y - 1
        if index < len(self.source):
            cursor = index == self._cursor and (self.has_focus or not self._quiet)
            if cursor:
                return self._line(self.source.row(index), width, palette, cursor=True)
            return self._kept_line(index, width, palette)
        blank = palette.style("muted")
        if not len(self.source) and 0 <= y - 2 < len(self.empty):
            return Strip([Segment(fit("  " + self.empty[y - 2], width), blank)], width)
        return Strip.blank(width, blank)

    def _kept_line(self, index: int, width: int, palette: Palette) -> Strip:
        """A row as it was painted last, if nothing was said to have changed since."""
        strip = self._painted.get(index)
        if strip is None:
            if len(self._painted) >= PAINTED:
                self._painted.clear()
            strip = self._line(self.source.row(index), width, palette, cursor=False)
            self._painted[index] = strip
        return strip

    def _header(self, width: int, palette: Palette) -> Strip:
        style = palette.style("bold muted", "surface")
        text = " " * MARK + "".join(
            (" " * column.gap if number else "") + fit(column.title, size, right=column.right)
            for number, (column, size) in enumerate(self._layout)
        )
        return Strip([Segment(fit(text, width), style)], width)

    def _line(self, row: Row, width: int, palette: Palette, *, cursor: bool) -> Strip:
        ground = ("cursor" if self.has_focus else "panel") if cursor else "background"

        def style(name: str) -> Style:
            if self.stale and not cursor:
                name = "muted"
            return palette.style(f"bold {name}" if cursor else name, ground)

        mark = "●" if self._marks and self._key(row) in self.marked else " "
        segments = [Segment(("›" if cursor else " ") + mark, style("primary"))]
        used = MARK
        for number, (column, size) in enumerate(self._layout):
            if number:
                segments.append(Segment(" " * column.gap, style("foreground")))
                used += column.gap
            cell = fit_cell(column.cell(row, size), size, right=column.right)
            segments.extend(Segment(text, style(name)) for text, name in cell)
            used += size
        if used < width:
            segments.append(Segment(" " * (width - used), style("foreground")))
        return Strip(segments, max(used, width)).crop(0, width)
