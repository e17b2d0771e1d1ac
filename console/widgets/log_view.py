"""A log on the screen: which lines are in view and how they look. Paints only those."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from datetime import tzinfo
from itertools import accumulate

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.text import Text
from textual.cache import LRUCache
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dsq.console.widgets.log_buffer import LogBuffer
from dsq.console.widgets.log_fold import FoldedLog, Folds
from dsq.console.widgets.palette import Palette
from dsq.console.widgets.safe import styled_line
from dsq.console.widgets.words import clock_time

TIME_WIDTH = 10


class LogView(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows a :class:`LogBuffer` with its steps; call :meth:`sync` when it may have grown.

    Attributes:
        chosen: Number in the whole log of the step's header that was gone to.
    """

    class Changed(Message):
        """What the pane shows or how it shows it has changed."""

    def __init__(
        self,
        buffer: LogBuffer | None = None,
        *,
        zone: tzinfo | None = None,
        waiting: str = "No output yet.",
        id: str | None = None,  # noqa: A002 - Textual's word
    ) -> None:
        super().__init__(id=id)
        self.base = buffer if buffer is not None else LogBuffer()
        self.folds = Folds()
        self.buffer = FoldedLog(self.base, self.folds)
        self.chosen: int | None = None
        self._folds_seen = 0
        self._paused_base = 0
        self._rewritten = 0
        self.zone = zone
        self.waiting = waiting
        self.following = True
        self.wrap = False
        self.times = False
        self.paused_at: int | None = None
        self.needle = ""
        self.matches: list[int] = []
        self.match: int | None = None
        self._offset = 0
        self._first = self.buffer.first
        self._shown_revision = -1
        self._searched_to = 0
        self._rows: list[int] = []
        self._rows_for: tuple[int, int, int, bool] = (-1, -1, -1, False)
        self._cache: LRUCache[tuple[int, int], list[Text]] = LRUCache(512)

    # -- what is shown ------------------------------------------------------------

    @property
    def end(self) -> int:
        """Number after the last line that may be shown now."""
        return self.buffer.end if self.paused_at is None else max(self.paused_at, self.buffer.first)

    @property
    def unseen(self) -> int:
        """Lines that came since the view was paused."""
        return self.buffer.end - self.end

    def show(self, buffer: LogBuffer, folds: Folds | None = None) -> None:
        """Shows another buffer; folded as ``folds`` say, else as the one before."""
        self.base = buffer
        self.folds = folds if folds is not None else self.folds
        self._take()

    def _take(self) -> None:
        """Shows the log from its end, with its steps as the folds are now."""
        self._refold()
        self.paused_at, self.following, self._offset = None, True, 0
        self._first = self.buffer.first
        self.search(self.needle)
        self.sync(force=True)

    def _refold(self) -> None:
        self.buffer = FoldedLog(self.base, self.folds)
        self.buffer.catch_up()
        self._folds_seen = self.folds.revision
        self._forget_lines()

    def _keeping(self, base_number: int, change: Callable[[], None]) -> None:
        """Does something to the folds; a line of the log keeps its row on the screen."""
        row = self._row_of(self.buffer.place_of(base_number)) - self.scroll_offset.y
        change()
        self._refold()
        if self.paused_at is not None:
            self.paused_at = self.buffer.place_of(self._paused_base)
        self._first = self.buffer.first
        self.search(self.needle)
        self._measure()
        if not self.following:
            kept = self._row_of(self.buffer.place_of(base_number))
            self.scroll_to(y=max(0, kept - row), animate=False)

    def _forget_lines(self) -> None:
        """What was made of lines is made again: they have changed."""
        self._rewritten = self.buffer.rewritten
        self._cache.clear()
        self._rows_for = (-1, -1, -1, False)

    def sync(self, *, force: bool = False) -> None:
        """Takes over what came into the buffer since the last call."""
        if self.folds.revision != self._folds_seen:
            self._keeping(self._top_line(), self._refold)
        if self.buffer.revision == self._shown_revision and not force:
            return
        self._shown_revision = self.buffer.revision
        if self.buffer.rewritten != self._rewritten:
            self._forget_lines()
        self._search_new()
        dropped = self.buffer.first - self._first
        self._first = self.buffer.first
        self._measure()
        if self.following:
            self._to_end()
        elif dropped and not self.wrap:
            self.scroll_to(y=max(0, self.scroll_offset.y - dropped), animate=False)
        self.refresh()
        self.post_message(self.Changed())

    # -- where lines stand ----------------------------------------------------------

    def _measure(self) -> None:
        self.virtual_size = Size(self.size.width, self._row_count())

    def _room(self) -> int:
        return max(1, self.size.width - (TIME_WIDTH if self.times else 0))

    def _row_count(self) -> int:
        if not self.wrap:
            return max(0, self.end - self.buffer.first)
        self._count_rows()
        return self._rows[-1] if self._rows else 0

    def _count_rows(self) -> None:
        """Running totals of rows a line, when lines wrap."""
        key = (self.buffer.first, self._room(), self.end, self.wrap)
        if key == self._rows_for:
            return
        first, room, end, _ = key
        old_first, old_room, old_end, _ = self._rows_for
        if (first, room) == (old_first, old_room) and old_end <= end:
            base, begin = (self._rows[-1] if self._rows else 0), first + len(self._rows)
        else:
            self._rows, base, begin = [], 0, first
        heights = (self._height(number, room) for number in range(begin, end))
        totals = accumulate(heights, initial=base)
        next(totals)
        self._rows.extend(totals)
        self._rows_for = key

    def _height(self, number: int, room: int) -> int:
        plain = self.buffer.line(number).plain
        if plain.isascii():
            return max(1, -(-len(plain) // room))
        return max(1, len(chop_cells(plain, room)))

    def _locate(self, row: int) -> tuple[int, int]:
        """The line and the part of it that stand in a row."""
        if not self.wrap:
            return self.buffer.first + row, 0
        index = bisect.bisect_right(self._rows, row)
        before = self._rows[index - 1] if index else 0
        return self.buffer.first + index, row - before

    def _row_of(self, number: int) -> int:
        index = number - self.buffer.first
        if not self.wrap:
            return index
        self._count_rows()
        return self._rows[index - 1] if 0 < index <= len(self._rows) else 0

    def _top_line(self) -> int:
        """The number in the whole log of the line that is on top."""
        if not len(self.buffer):
            return self.base.first
        number, _ = self._locate(min(self.scroll_offset.y, max(0, self._row_count() - 1)))
        return self.buffer.base_of(min(number, self.buffer.end - 1))

    def _to_end(self) -> None:
        self.scroll_to(y=max(0, self.virtual_size.height - self.size.height), animate=False)

    def _at_end(self) -> bool:
        return self.scroll_offset.y >= self.virtual_size.height - self.size.height

    def _set_following(self, following: bool) -> None:
        self.following = following
        self.post_message(self.Changed())

    def on_resize(self) -> None:
        self._cache.clear()
        self._measure()
        if self.following:
            self._to_end()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._repaint())
        self.sync(force=True)

    def _repaint(self) -> None:
        """Paints all lines anew: the colours of names and marks are the theme's."""
        self._cache.clear()
        self.refresh()

    # -- search ---------------------------------------------------------------------

    def search(self, needle: str) -> int:
        """Marks what holds ``needle`` (any case); "" ends the search. Returns the matches."""
        self.needle = needle
        self.matches, self.match, self._searched_to = [], None, self.buffer.first
        self._cache.clear()
        self._search_new()
        self.refresh()
        self.post_message(self.Changed())
        return len(self.matches)

    def _search_new(self) -> None:
        if self.needle:
            self.matches = [number for number in self.matches if number >= self.buffer.first]
            self.matches += self.buffer.find(self.needle, self._searched_to, self.buffer.end)
        self._searched_to = self.buffer.end

    @property
    def match_place(self) -> tuple[int, int]:
        """Place of the current match from 1 (0 for none), and the number of matches."""
        if self.match is None or self.match not in self.matches:
            return 0, len(self.matches)
        return self.matches.index(self.match) + 1, len(self.matches)

    # -- painting ---------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        palette = Palette.of(self.app)
        ground = palette.style("foreground")
        row = self.scroll_offset.y + y
        if row >= self.virtual_size.height or self.buffer.first >= self.end:
            if y == 1 and not len(self.buffer):
                return Strip(
                    [Segment(f"  {self.waiting}"[:width], palette.style("muted"))]
                ).extend_cell_length(width, ground)
            return Strip.blank(width, ground)
        number, part = self._locate(row)
        if number >= self.buffer.end:
            return Strip.blank(width, ground)
        parts = self._parts(number, palette)
        text = parts[part] if part < len(parts) else Text("")
        segments = list(text.render(self.app.console))
        strip = Strip(segments)
        if not self.wrap and self._offset:
            strip = strip.crop(self._offset, self._offset + self._room())
        if self.times:
            stamp = self._stamp(number) if part == 0 else ""
            time = Segment(stamp.ljust(TIME_WIDTH), palette.style("muted"))
            strip = Strip.join([Strip([time], TIME_WIDTH), strip])
        return strip.apply_style(ground).adjust_cell_length(width, ground)

    def _stamp(self, number: int) -> str:
        return clock_time(self.buffer.line(number).timestamp_ns / 1e9, self.zone)

    def _parts(self, number: int, palette: Palette) -> list[Text]:
        key = (number, self._room() if self.wrap else 0)
        found = self._cache.get(key)
        if found is not None:
            return found
        line = self.buffer.line(number)
        text = styled_line(line.text)
        if line.source is not None:
            # A span, not the base style: what the job wrote keeps its own colours.
            prefix = (f"{line.source.label}│ ", palette.style(line.source.colour))
            text = Text.assemble(prefix, text, end="")
        if self.chosen is not None and self.buffer.base_of(number) == self.chosen:
            text.stylize(palette.style("cursor-text", "cursor"))
        if self.needle:
            mark = palette.style("background", "accent" if number == self.match else "muted")
            plain, needle, at = text.plain.casefold(), self.needle.casefold(), 0
            while (at := plain.find(needle, at)) >= 0:
                text.stylize(mark, at, at + len(needle))
                at += len(needle)
        parts = [text]
        if self.wrap and cell_len(text.plain) > self._room():
            pieces = chop_cells(text.plain, self._room())
            offsets = list(accumulate(len(piece) for piece in pieces))[:-1]
            parts = list(text.divide(offsets))
        self._cache[key] = parts
        return parts

    def text(self) -> str:
        """All lines as plain text, with times if they are shown; folded ones are open."""
        end = self.base.end if self.paused_at is None else self._paused_base
        lines = (self.base.line(number) for number in range(self.base.first, end))
        if not self.times:
            return "".join(f"{line.plain}\n" for line in lines)
        return "".join(
            f"{clock_time(line.timestamp_ns / 1e9, self.zone)} {line.plain}\n" for line in lines
        )
