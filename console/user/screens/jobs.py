"""The jobs view: the live table of my jobs, and what there is to say about the selected one."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Collection, Hashable, Sequence
from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.widgets import Input, Label

from dsq.console.preferences import JobsTable
from dsq.console.user.columns import job_columns
from dsq.console.user.details import detail_lines, summary_lines, title_line
from dsq.console.user.job_store import JobStore
from dsq.console.user.screens.job import JobScreen
from dsq.console.user.screens.job_actions import JobActions
from dsq.console.user.screens.logs import LogScreen
from dsq.console.widgets.columns import Column
from dsq.console.widgets.lines import Lines
from dsq.console.widgets.table import LiveTable
from dsq.console.widgets.words import plural
from dsq.core.errors import UsageError
from dsq.core.groups import membership
from dsq.core.model import Job, JobStatus
from dsq.core.readmodel import Filter, Order, parse_filter

LOGS_AT_ONCE = 12
"""Marked jobs whose output is shown in one."""

GROUP_ROWS = 2000
"""Rows in which a new group is looked for; it has the newest jobs."""

WHY_EVERY = 5.0
SORT_EVERY = 1.0
"""Seconds between two sortings of a table whose order changes by itself."""
EMPTY = ("No jobs yet. Press s to submit the first one.", "", "? shows all keys.")
NO_MATCH = ("No job passes the filter.", "Press / to change it, escape to show all jobs.")
LOADING = ("Reading your jobs from the grid…",)
NO_GRID = ("No grid is chosen yet.",)
UNKNOWN = ("The grid does not answer, so your jobs are not known yet.", "r tries again.")


class JobsScreen(JobActions):
    """My jobs, newest first."""

    # The first keys must not go into the filter, which is hidden a moment later only.
    AUTO_FOCUS = "#jobs"
    VIEW = "Jobs"
    ABOUT = (
        "Your jobs, newest first; they change by themselves.\n"
        "Filter: words, field:value (id, name, status, provider, error, uses), ! turns round.\n"
        "status: takes running, pending, failed…, or hot, waiting, ended, bad."
    )

    DEFAULT_CSS = """
    JobsScreen #filter-line { display: none; height: 1; background: $cursor; color: $cursor-text; }
    JobsScreen #filter-line.-open { display: block; }
    JobsScreen #filter { width: 1fr; }
    JobsScreen #filter-problem { display: none; color: $error; padding: 0 1; }
    JobsScreen #filter-problem.-open { display: block; }
    JobsScreen #queue { display: none; height: 1; padding: 0 1; background: $surface; }
    JobsScreen #queue.-open { display: block; }
    JobsScreen #body { height: 1fr; }
    JobsScreen #detail { height: 6; padding: 0 1; border-top: solid $faint; scrollbar-size: 1 1; }
    JobsScreen.-short #detail { display: none; }
    JobsScreen LiveTable { height: 1fr; width: 1fr; }
    JobsScreen.-wide #body { layout: horizontal; }
    JobsScreen.-wide #detail {
        display: block; width: 56; height: 100%; border-top: none; border-left: solid $faint;
        padding: 0 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "app.view('submit')", "Submit", tooltip="Submit a new job", id="jobs.submit"),
        Binding("l", "logs", "Logs", id="jobs.logs",
                tooltip="The output of the selected job, or of the marked ones in one"),
        Binding("t", "top_up", "Top up", tooltip="Add credits to the job", id="jobs.top_up"),
        Binding("c", "cancel", "Cancel", tooltip="Cancel the job", id="jobs.cancel"),
        Binding("slash", "filter", "Filter", tooltip="Show some jobs only", id="jobs.filter"),
        Binding("y", "copy", "Copy id", tooltip="Copy the job's number", id="jobs.copy"),
        Binding("o", "sort", "Sort", show=False, tooltip="Sort by something; again: the other way",
                id="jobs.sort"),
        Binding("f", "fold", "Fold", show=False, tooltip="One row for the jobs of a sweep, or all",
                id="jobs.fold"),
        Binding("C", "columns", "Columns", show=False, tooltip="Choose, order and size the columns",
                id="jobs.columns"),
        Binding("e", "export", "Export", show=False,
                tooltip="Write the marked jobs, else all shown, to a JSON or CSV file",
                id="jobs.export"),
        Binding("R", "resubmit", "Again", show=False,
                tooltip="Submit the job's workflow again; edit it first", id="jobs.resubmit"),
        Binding("Q", "app.queue", "Queue", show=False, tooltip="Submits that wait for the link",
                id="jobs.queue"),
        Binding("escape", "clear_filter", "All jobs",
                tooltip="Stop writing a file; else drop the marks, then the filter",
                id="jobs.all"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._why_at: dict[int, float] = {}
        self._digits = 4
        self._taken: tuple[JobsTable, JobStore] | None = None
        self._searched_at = 0.0
        self._selected_status: tuple[int, JobStatus, bool] | None = None

    def compose_view(self) -> ComposeResult:
        with Horizontal(id="filter-line"):
            yield Label(" / ")
            yield Input(placeholder="status:running gpu !test", compact=True, id="filter")
        yield Lines(id="filter-problem")
        yield Lines(id="queue")
        with Container(id="body"):
            yield LiveTable(
                self.state.jobs,
                self._columns(),
                key=lambda job: job.id,
                index_of=self._index_of,
                empty=LOADING,
                marks=True,
                keys=lambda: self.state.jobs.shown_ids(),
                id="jobs",
            )
            with VerticalScroll(id="detail", can_focus=False):
                yield Lines(id="about")

    def _index_of(self, key: Hashable) -> int | None:
        return self.state.jobs.index_of(key) if isinstance(key, int) else None

    def _columns(self) -> list[Column[Job]]:
        app = self.console_app
        return job_columns(self.state, app.moment, self._digits, app.preferences.jobs.columns)

    @property
    def table(self) -> LiveTable[Job]:
        return self.query_one("#jobs", LiveTable)

    @property
    def job(self) -> Job | None:
        """The selected job."""
        return self.table.selected

    @property
    def marked_ids(self) -> Collection[int]:
        return cast("Collection[int]", self.table.marked)

    def on_mount(self) -> None:
        self.table.focus()

    # -- painting -------------------------------------------------------------------

    def update_view(self, *, changed: bool) -> None:
        table = self.table
        table.source = self.state.jobs
        self._take_preferences()
        table.stale = self.state.link.state == "offline"
        table.empty = self._empty()
        digits = max(4, len(str(self.state.jobs.newest)))
        if digits != self._digits:
            self._digits = digits
            table.set_columns(self._columns())
        if changed:
            table.rows_changed()
        else:
            table.repaint()
        waiting = self.console_app.queue_line()
        self.query_one("#queue", Lines).set_class(bool(waiting), "-open")
        self.query_one("#queue", Lines).show([waiting])
        self._show_details()
        self._ask_why()
        if self.state.jobs.wants_sorting and self.moment.now - self._searched_at >= SORT_EVERY:
            self._searched_at = self.moment.now
            self._show()

    def _empty(self) -> tuple[str, ...]:
        if self.state.jobs.total:
            return NO_MATCH
        if self.state.loaded:
            return EMPTY
        return {"offline": UNKNOWN, "none": NO_GRID}.get(self.state.link.state, LOADING)

    def _show_details(self) -> None:
        job = self.job
        about = self.query_one("#about", Lines)
        if job is None:
            about.show([])
        elif self.has_class("-wide"):
            lines = detail_lines(job, self.state, self.moment, width=54)
            about.show([title_line(job), [], *lines])
        else:
            about.show(summary_lines(job, self.state, self.moment))
        now = (job.id, job.status, job.has_cancel_request) if job else None
        if now != self._selected_status:
            self._selected_status = now
            self.refresh_bindings()

    def _ask_why(self) -> None:
        """Asks now and then why the selected job waits; the state keeps the answer."""
        job, now = self.job, self.moment.now
        if job is None or job.status is not JobStatus.PENDING or not self.state.link.online:
            return
        if now - self._why_at.get(job.id, 0.0) >= WHY_EVERY:
            self._why_at[job.id] = now
            self.run_worker(self.console_app.feed.refresh_why(job.id), exit_on_error=False)

    def tab_note(self) -> str:
        jobs = self.state.jobs
        text = self.query_one("#filter", Input).value.strip()
        shown = f"{len(jobs):,} of {jobs.total:,}" if text else plural(jobs.total, "job")
        marking, marked = self.table.marking, len(self.table.marked)
        if marked or marking is not None:
            shown = f"{marking[0] if marking is not None else marked:,} marked of {shown}"
        if not jobs.order.is_plain or not jobs.order.descending:
            shown += f" by {jobs.order.by} {'↓' if jobs.order.descending else '↑'}"
        if self.state.to_read:
            shown += f", {self.state.to_read:,} to read"
        if jobs.searching:
            shown += ", searching…"
        if marking is not None:
            shown += ", marking…"
        if self.exporting is not None:
            done, of = self.exporting
            shown = f"{done:,} of {of:,} written, escape stops"
        note = f"/{text}  {shown}" if text else shown if jobs.total else ""
        return "  ".join(part for part in (super().tab_note(), note) if part)

    def on_live_table_marked(self) -> None:
        self.tick(changed=True)
        self.refresh_bindings()

    def on_live_table_moved(self) -> None:
        self._show_details()
        self._ask_why()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_details)

    # -- the filter -------------------------------------------------------------------

    @property
    def enter_word(self) -> str:
        """What the enter key does in the line of the filter."""
        return "done" if self.query_one("#filter", Input).has_focus else ""

    def action_filter(self) -> None:
        self.query_one("#filter-line").add_class("-open")
        self.query_one("#filter", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        problem = self.query_one("#filter-problem", Lines)
        try:
            parsed = parse_filter(event.value)
        except UsageError as error:
            problem.show([[(str(error), "error")]])
            problem.add_class("-open")
            return
        problem.remove_class("-open")
        self._show(wanted=parsed)

    def _show(
        self,
        wanted: Filter | None = None,
        order: Order | None = None,
        fold: bool | None = None,
    ) -> None:
        """Shows other jobs, or the same in another order; many are searched in the background."""
        self.run_worker(self._search(wanted, order, fold), group="search", exit_on_error=False)

    async def _search(self, wanted: Filter | None, order: Order | None, fold: bool | None) -> None:
        await self.state.jobs.show(wanted, order, fold)
        self._searched_at = self.moment.now
        if self.ready:
            self.tick(changed=True)
            self.refresh_bindings()

    def on_input_submitted(self) -> None:
        self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter-line").remove_class("-open")
        self.query_one("#filter-problem", Lines).remove_class("-open")
        self.table.focus()

    def action_clear_filter(self) -> None:
        open_line = self.query_one("#filter-line").has_class("-open")
        if self.exporting is not None and not open_line:
            self.stop_export()
            return
        if (self.table.marked or self.table.marking is not None) and not open_line:
            self.table.clear_marks()
            return
        self.query_one("#filter", Input).value = ""
        self._close_filter()

    # -- order, folding, columns ----------------------------------------------------------

    def _take_preferences(self) -> None:
        """Shows the jobs as the preferences want it; again where those or the jobs are others."""
        wanted = (self.console_app.preferences.jobs, self.state.jobs)
        if wanted == self._taken:
            return
        first, self._taken = self._taken is None, wanted
        self.table.set_columns(self._columns())
        jobs = wanted[0]
        if not first or jobs.sort != JobsTable().sort or jobs.fold:
            text = self.query_one("#filter", Input).value
            try:
                parsed = parse_filter(text)
            except UsageError:
                parsed = None  # It stands there with its problem; the last good one holds.
            self._show(parsed, self.console_app.order(), jobs.fold)

    def action_sort(self) -> None:
        self.console_app.ask_sort()

    def action_fold(self) -> None:
        fold = not self.state.jobs.folded
        self.console_app.prefer_jobs(fold=fold)
        self._show(fold=fold)

    async def show_group(self, group: str) -> None:
        """Folds all jobs, and puts the cursor on the row of a group."""
        entry = self.query_one("#filter", Input)
        with entry.prevent(Input.Changed):
            entry.value = ""
        self._close_filter()
        store = self.state.jobs
        await self._search(parse_filter(""), None, True)
        for index in range(min(len(store), GROUP_ROWS)):
            member = membership(store.row(index).name)
            if member is not None and member.group == group:
                self.table.select(store.id_at(index))
                return

    def action_columns(self) -> None:
        self.console_app.ask_columns()

    @property
    def export_ids(self) -> Sequence[int]:
        return array("q", self.marked_ids) or self.state.jobs.shown_ids()

    # -- what one can do with a job -----------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.ready:
            return True
        if action == "clear_filter":
            shown = self.query_one("#filter-line").has_class("-open")
            typed = bool(self.query_one("#filter", Input).value)
            busy = self.table.marking is not None or self.exporting is not None
            return shown or typed or busy or bool(self.table.marked)
        if action in ("export", "sort", "fold"):
            return self.state.jobs.total > 0
        if action in ("logs", "copy", "resubmit"):
            return self.job is not None
        return super().check_action(action, parameters)

    def on_live_table_opened(self) -> None:
        if self.job is not None:
            self.app.push_screen(JobScreen(self.job.id))

    def action_logs(self) -> None:
        marked = heapq.nsmallest(LOGS_AT_ONCE, self.marked_ids)
        if marked:
            self.app.push_screen(LogScreen(*marked))
        elif self.job is not None:
            self.app.push_screen(LogScreen(self.job.id))
