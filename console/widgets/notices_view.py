"""The notices view: everything that was said, to be read again."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from dsq.console.widgets.columns import Cell, Column
from dsq.console.widgets.frame import Frame
from dsq.console.widgets.lines import Line, Lines, labelled
from dsq.console.widgets.notice import Notice
from dsq.console.widgets.safe import block, one_line
from dsq.console.widgets.table import LiveTable
from dsq.console.widgets.words import Moment, exact_time

SEVERITIES = {
    "information": ("· note", "muted"),
    "warning": ("▲ warning", "warning"),
    "error": ("× error", "error"),
}


def notice_columns(moment: Callable[[], Moment]) -> list[Column[Notice]]:
    """When, how bad, about what, the sentence."""

    def when(row: Notice, _width: int) -> Cell:
        return [(moment().at(row.at), "muted")]

    return [
        Column("when", "WHEN", 8, when, grow=4),
        Column("kind", "KIND", 9, lambda row, _: [SEVERITIES.get(row.severity, ("·", "muted"))]),
        Column(
            "subject",
            "ABOUT",
            10,
            lambda row, _: [(one_line(row.subject, 40), "foreground")],
            grow=8,
            rank=1,
        ),
        Column("text", "WHAT", 20, lambda row, _: [(one_line(row.text), "foreground")], grow=400),
    ]


def notice_lines(notice: Notice, moment: Moment) -> list[Line]:
    """A notice in full."""
    kind, colour = SEVERITIES.get(notice.severity, ("·", "muted"))
    lines: list[Line] = [
        labelled(
            kind,
            (exact_time(notice.at, moment.zone), "muted"),
            (f"  {one_line(notice.subject)}", "foreground"),
        ),
        [
            (
                one_line(notice.text, 2000),
                f"bold {colour}" if colour != "muted" else "bold foreground",
            )
        ],
    ]
    if notice.hint:
        lines.append([("→ ", "accent"), (one_line(notice.hint, 1000), "foreground")])
    detail = block(notice.detail, lines=50).split("\n") if notice.detail else []
    return [*lines, *([(line, "muted")] for line in detail)]


class NoticesFrame(Frame):
    """Errors, warnings and what has happened, newest first. Apps mix their own frame in."""

    VIEW = "Notices"
    ABOUT = "What went wrong and what has happened since the console started."

    DEFAULT_CSS = """
    NoticesFrame LiveTable { height: 1fr; }
    NoticesFrame #detail {
        height: 8; padding: 0 1; border-top: solid $faint; scrollbar-size: 1 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", tooltip="Copy the notice", id="notices.copy"),
        Binding(
            "escape", "app.view('jobs')", "Jobs", tooltip="Back to the jobs", id="notices.back"
        ),
    ]

    def compose_view(self) -> ComposeResult:
        yield LiveTable(
            self.dsq_app.notices,
            notice_columns(lambda: self.moment),
            key=id,
            empty=("Nothing to tell yet.", "", "Errors and ended jobs are kept here."),
            opens=False,
            id="notices",
        )
        with VerticalScroll(id="detail", can_focus=False):
            yield Lines(id="about")

    @property
    def table(self) -> LiveTable[Notice]:
        return self.query_one("#notices", LiveTable)

    def on_mount(self) -> None:
        self.table.focus()

    def update_view(self, *, changed: bool) -> None:
        self.dsq_app.notices.mark_read()
        if changed:
            self.table.rows_changed()
            self._show_details()

    def _show_details(self) -> None:
        selected = self.table.selected
        lines = notice_lines(selected, self.moment) if selected else []
        self.query_one("#about", Lines).show(lines)

    def on_live_table_moved(self) -> None:
        self._show_details()

    def action_copy(self) -> None:
        notice = self.table.selected
        if notice is not None:
            parts = (notice.text, notice.hint, notice.detail)
            self.dsq_app.copy("\n".join(filter(None, parts)), "the notice")
