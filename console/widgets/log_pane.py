"""The log view: follows, pauses, wraps, searches; paints only the visible lines."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from datetime import tzinfo
from itertools import accumulate
from typing import ClassVar

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dsq.console.widgets.log_buffer import LogBuffer
from dsq.console.widgets.log_fold import FoldedLog, deepest
from dsq.console.widgets.palette import Palette
from dsq.console.widgets.safe import styled_line
from dsq.console.widgets.words import clock_time

TIME_WIDTH = 10


class LogPane(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows a :class:`LogBuffer`; call :meth:`sync` when the buffer may have grown."""

    DEFAULT_CSS = """
    LogPane {
        background: $background;
        overflow-x: hidden;
        overflow-y: scroll;
        padding: 0 0 0 1;
        scrollbar-size-vertical: 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "Follow", tooltip="Stay at the newest line", id="log.follow"),
        Binding("space,z", "pause", "Pause", tooltip="Hold the view still", id="log.pause"),
        Binding("w", "wrap", "Wrap", tooltip="Wrap long lines", id="log.wrap"),
        Binding("T", "times", "Times", tooltip="Show when each line was written", id="log.times"),
        Binding("minus", "fold(-1)", "Fold", show=False,
                tooltip="Fold steps one level further", id="log.fold"),
        Binding("plus", "fold(1)", "Unfold", show=False,
                tooltip="Open steps one level further", id="log.unfold"),
        Binding("n", "match(1)", "Next", tooltip="Next match", id="log.next"),
        Binding("N", "match(-1)", "Previous", tooltip="Previous match", id="log.previous"),
        Binding("up,k", "scroll(-1)", "Line up", show=False, id="log.up"),
        Binding("down,j", "scroll(1)", "Line down", show=False, id="log.down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="log.page_up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="log.page_down"),
        Binding("home,g", "top", "First line", show=False, id="log.first"),
        Binding("end,G", "follow", "Last line", show=False, id="log.last"),
        Binding("left", "sideways(-8)", "Left", show=False, id="log.left"),
        Binding("right", "sideways(8)", "Right", show=False, id="log.right"),
    ]  # fmt: skip

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
        self.buffer: LogBuffer | FoldedLog = self.base
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

    def show(self, buffer: LogBuffer) -> None:
        """Shows another buffer; folded as the one before."""
        level = self.fold_level
        self.base = buffer
        self._take(buffer if level is None else FoldedLog(buffer, level))

    @property
    def fold_level(self) -> int | None:
        """How many levels of steps are open; None for all."""
        return self.buffer.level if isinstance(self.buffer, FoldedLog) else None

    def action_fold(self, step: int) -> None:
        """Folds or opens steps by a level, as far as the log has any."""
        depth = deepest(self.base)
        level = (depth if self.fold_level is None else min(self.fold_level, depth)) + step
        if level < 0 or not depth:
            self.app.bell()
        elif level >= depth:
            self._take(self.base)
        else:
            self._take(FoldedLog(self.base, level))

    def _take(self, buffer: LogBuffer | FoldedLog) -> None:
        self.buffer = buffer
        self._rewritten = buffer.rewritten
        self._cache.clear()
        self._rows_for = (-1, -1, -1, False)
        self.paused_at, self.following, self._offset = None, True, 0
        self._first = buffer.first
        self.search(self.needle)
        self.sync(force=True)

    def sync(self, *, force: bool = False) -> None:
        """Takes over what came into the buffer since the last call."""
        if self.buffer.revision == self._shown_revision and not force:
            return
        self._shown_revision = self.buffer.revision
        if self.buffer.rewritten != self._rewritten:
            self._rewritten = self.buffer.rewritten
            self._cache.clear()
            self._rows_for = (-1, -1, -1, False)
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

    # -- moving -------------------------------------------------------------------

    def _to_end(self) -> None:
        self.scroll_to(y=max(0, self.virtual_size.height - self.size.height), animate=False)

    def _at_end(self) -> bool:
        return self.scroll_offset.y >= self.virtual_size.height - self.size.height

    def _scroll(self, rows: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False)
        self._set_following(self._at_end() and rows > 0 and self.paused_at is None)

    def _set_following(self, following: bool) -> None:
        self.following = following
        self.post_message(self.Changed())

    def action_scroll(self, rows: int) -> None:
        self._scroll(rows)

    def action_page(self, pages: int) -> None:
        self._scroll(pages * max(1, self.size.height - 1))

    def action_top(self) -> None:
        self.scroll_to(y=0, animate=False)
        self._set_following(False)

    def action_follow(self) -> None:
        self.paused_at = None
        self._set_following(True)
        self.sync(force=True)

    def action_pause(self) -> None:
        if self.paused_at is None:
            self.paused_at = self.buffer.end
            self._set_following(False)
        else:
            self.paused_at = None
            self._set_following(self._at_end())
            self.sync(force=True)

    def action_sideways(self, cells: int) -> None:
        if not self.wrap:
            self._offset = max(0, self._offset + cells)
            self.refresh()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._scroll(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._scroll(3)

    # -- how lines look -------------------------------------------------------------

    def action_wrap(self) -> None:
        self._relayout(lambda: setattr(self, "wrap", not self.wrap))

    def action_times(self) -> None:
        self._relayout(lambda: setattr(self, "times", not self.times))

    def _relayout(self, change: Callable[[], None]) -> None:
        """Changes the layout and keeps the top line at the top."""
        top, _ = self._locate(self.scroll_offset.y) if len(self.buffer) else (0, 0)
        change()
        self._offset = 0
        self._cache.clear()
        self._measure()
        if self.following:
            self._to_end()
        else:
            self.scroll_to(y=self._row_of(top), animate=False)
        self.refresh()
        self.post_message(self.Changed())

    def on_resize(self) -> None:
        self._cache.clear()
        self._measure()
        if self.following:
            self._to_end()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.refresh())
        self.sync(force=True)

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

    def action_match(self, step: int) -> None:
        shown = [number for number in self.matches if number < self.end]
        if not shown:
            return
        if self.match is None or self.match not in shown:
            top, _ = self._locate(self.scroll_offset.y)
            at = bisect.bisect_left(shown, top)
            index = at if step > 0 else at - 1
        else:
            index = shown.index(self.match) + step
        self.match = shown[index % len(shown)]
        page = self.size.height
        self.scroll_to(y=max(0, self._row_of(self.match) - page // 3), animate=False)
        self._cache.clear()
        self._set_following(False)
        self.refresh()

    @property
    def match_place(self) -> tuple[int, int]:
        """Place of the current match from 1 (0 for none), and the number of matches."""
        if self.match is None or self.match not in self.matches:
            return 0, len(self.matches)
        return self.matches.index(self.match) + 1, len(self.matches)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        return bool(self.needle) if action == "match" else True

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
            time = Segment(stamp.ljust(TIME_WIDTH), palette.style("faint"))
            strip = Strip.join([Strip([time], TIME_WIDTH), strip])
        return strip.apply_style(ground).adjust_cell_length(width, ground)

    def _stamp(self, number: int) -> str:
        return clock_time(self.buffer.line(number).timestamp_ns / 1e9, self.zone)

    def _parts(self, number: int, palette: Palette) -> list[Text]:
        key = (number, self._room() if self.wrap else 0)
        found = self._cache.get(key)
        if found is not None:
            return found
        text = styled_line(self.buffer.line(number).text)
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
        end = self.end if self.buffer is self.base else self.base.end
        lines = (self.base.line(number) for number in range(self.base.first, end))
        if not self.times:
            return "".join(f"{line.plain}\n" for line in lines)
        return "".join(
            f"{clock_time(line.timestamp_ns / 1e9, self.zone)} {line.plain}\n" for line in lines
        )
