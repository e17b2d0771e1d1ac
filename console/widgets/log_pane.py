"""The log view: follows, pauses, wraps, searches, folds steps."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from dsq.console.widgets.log_fold import Head
from dsq.console.widgets.log_view import LogView


class LogPane(LogView, can_focus=True, inherit_bindings=False):
    """A log with its keys."""

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
                tooltip="Fold all steps one level further", id="log.fold"),
        Binding("plus", "fold(1)", "Unfold", show=False,
                tooltip="Open all steps one level further", id="log.unfold"),
        Binding("right_square_bracket,shift+down", "step(1)", "Next step", show=False,
                tooltip="To the next step's header", id="log.next_step"),
        Binding("left_square_bracket,shift+up", "step(-1)", "Previous step", show=False,
                tooltip="To the header of the step before", id="log.previous_step"),
        Binding("enter", "turn", "Fold step", show=False,
                tooltip="Fold or open the step that was gone to, else the first in view",
                id="log.turn_step"),
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

    # -- steps ----------------------------------------------------------------------

    @property
    def chosen_head(self) -> Head | None:
        """The header of the step that was gone to; None if there is none in the log."""
        if self.chosen is None:
            return None
        place = self.buffer.place_of(self.chosen)
        if place >= self.end or self.buffer.base_of(place) != self.chosen:
            return None
        return self.buffer.head(place)

    def action_fold(self, step: int) -> None:
        """Folds or opens all steps by a level, as far as the log has any."""
        depth, level = self.buffer.depth, self.folds.level
        wanted = (depth if level is None else min(level, depth)) + step
        if wanted < 0 or not depth:
            self.app.bell()
            return
        self.folds.at_level(wanted if wanted < depth else None)
        self._take()

    def action_step(self, step: int) -> None:
        """Goes to the next header, or to the one before."""
        here = self.chosen_head
        start = self._top_line() if here is None else here.step.begun
        found = self.buffer.next_head(start - (here is None and step > 0), step)
        if found is None:
            self.app.bell()
            return
        self._choose(found)
        row = self._row_of(self.buffer.place_of(found.step.begun))
        top, height = self.scroll_offset.y, self.size.height
        if not top <= row < top + height:
            self.scroll_to(y=max(0, row - height // 3), animate=False)
        self._set_following(False)

    def action_turn(self) -> None:
        """Folds or opens the chosen step, else the first one in view."""
        head = self.chosen_head
        if head is None:
            head = self.buffer.next_head(self._top_line() - 1, 1)
        if head is None:
            self.app.bell()
        else:
            self._turn(head)

    def on_click(self, event: events.Click) -> None:
        row = self.scroll_offset.y + event.y
        if row < self._row_count():
            number, _ = self._locate(row)
            head = self.buffer.head(number) if number < self.end else None
            if head is not None:
                self._turn(head)

    def _choose(self, head: Head) -> None:
        self.chosen = head.step.begun
        self._cache.clear()
        self.refresh()

    def _turn(self, head: Head) -> None:
        """Folds or opens a step; its header stays where it is on the screen."""
        self._choose(head)
        self._set_following(False)
        self._keeping(head.step.begun, lambda: self.folds.turn(head.key))
        self.sync(force=True)

    # -- moving -------------------------------------------------------------------

    def _scroll(self, rows: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False)
        self._set_following(self._at_end() and rows > 0 and self.paused_at is None)

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
            self.paused_at, self._paused_base = self.buffer.end, self.base.end
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

    # -- search ---------------------------------------------------------------------

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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action in ("step", "turn"):
            return self.buffer.has_steps
        return bool(self.needle) if action == "match" else True
