"""The line that filters the table of a view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Label

from dsq.console.provider.screens.base import ProviderFrame
from dsq.console.widgets.bars import Tabs
from dsq.console.widgets.lines import Lines
from dsq.console.widgets.row_filter import RowFilter, parse_row_filter
from dsq.console.widgets.table import LiveTable
from dsq.core.errors import UsageError

Row = TypeVar("Row")

NO_MATCH = ("Nothing passes the filter.", "Press / to change it, escape to show all.")


class FilteredFrame(ProviderFrame):
    """A view whose table shows the rows that pass a filter."""

    # The first keys must not go into the filter, which is hidden a moment later only.
    AUTO_FOCUS = "LiveTable"

    DEFAULT_CSS = """
    FilteredFrame #filter-line {
        display: none; height: 1; background: $cursor; color: $cursor-text;
    }
    FilteredFrame #filter-line.-open { display: block; }
    FilteredFrame #filter { width: 1fr; }
    FilteredFrame #filter-problem { display: none; color: $error; padding: 0 1; }
    FilteredFrame #filter-problem.-open { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", tooltip="Show some rows only", id="provider.filter"),
        Binding(
            "escape",
            "escape",
            "Back",
            tooltip="Show all rows; else go back to the jobs",
            id="provider.back",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.filter = RowFilter()
        self._shown = (0, 0)

    def compose_filter(self) -> ComposeResult:
        """The line, and the place for what is wrong with it."""
        with Horizontal(id="filter-line"):
            yield Label(" / ")
            yield Input(placeholder="words, column:value, ! turns round", compact=True, id="filter")
        yield Lines(id="filter-problem")

    @property
    def filtered(self) -> LiveTable[Any]:
        """The table that the filter is for."""
        return self.query(LiveTable).first()

    def kept(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows that pass."""
        kept = self.filter.keep(rows, self.filtered.columns)
        if self._shown != (len(kept), len(rows)):
            self._shown = len(kept), len(rows)
            # The note beside the views was written before the rows were counted.
            self.query_one(Tabs).show(self.tab_badges(), self.tab_note())
        return kept

    def empty_words(self, words: Sequence[str]) -> Sequence[str]:
        """What a table without rows says."""
        return NO_MATCH if self.filter.text and self._shown[1] else words

    @property
    def enter_word(self) -> str:
        """What the enter key does in the line of the filter."""
        return "done" if self.query_one("#filter", Input).has_focus else ""

    def tab_note(self) -> str:
        note = super().tab_note()
        if not self.filter.text:
            return note
        shown, total = self._shown
        return f"{note}  /{self.filter.text}  {shown:,} of {total:,}"

    def action_filter(self) -> None:
        self.query_one("#filter-line").add_class("-open")
        self.query_one("#filter", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        problem = self.query_one("#filter-problem", Lines)
        fields = [column.key for column in self.filtered.columns]
        try:
            self.filter = parse_row_filter(event.value, fields)
        except UsageError as error:
            problem.show([[(str(error), "error")]])
            problem.add_class("-open")
            return
        problem.remove_class("-open")
        self.tick(changed=True)
        self.refresh_bindings()

    def on_input_submitted(self) -> None:
        self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter-line").remove_class("-open")
        self.query_one("#filter-problem", Lines).remove_class("-open")
        self.filtered.focus()
        self.refresh_bindings()

    @property
    def is_filtering(self) -> bool:
        """A filter is typed, or holds."""
        open_line = self.query_one("#filter-line").has_class("-open")
        return open_line or bool(self.query_one("#filter", Input).value)

    def action_escape(self) -> None:
        if self.is_filtering:
            self.query_one("#filter", Input).value = ""
            self._close_filter()
        elif self.VIEW != "Jobs":
            self.app.switch_mode("jobs")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action == "escape" and self.ready:
            return self.VIEW != "Jobs" or self.is_filtering
        return True
