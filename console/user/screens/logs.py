"""The log view: a job's output on the whole screen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from dsq.console.dialogs.ask_text import AskText
from dsq.console.dialogs.paths import SaveFile
from dsq.console.user.details import job_name, title_line
from dsq.console.user.log_session import LogSession
from dsq.console.user.many_logs import ManyLogs
from dsq.console.user.screens.base import ViewScreen
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.log_pane import LogPane
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import plural
from dsq.core.model import Job


class LogKeys(ViewScreen):
    """Search and save, for every screen that has a :class:`LogPane`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", tooltip="Search the output", id="log.search"),
        Binding("ctrl+s", "save", "Save", tooltip="Save the output to a file", id="log.save"),
    ]

    def __init__(self, job_id: int) -> None:
        super().__init__()
        self.job_id = job_id
        self.session: LogSession | ManyLogs | None = None
        self._generation: int | None = None

    def tick(self, *, changed: bool) -> None:
        # After a switch to another grid this job's number means another job.
        if self.ready and self._generation != self.console_app.generation:
            if self._generation is not None:
                self.app.pop_screen()
                return
            self._generation = self.console_app.generation
        super().tick(changed=changed)

    @property
    def job(self) -> Job | None:
        """The job, as far as it is known."""
        return self.state.jobs.get(self.job_id)

    @property
    def pane(self) -> LogPane:
        return self.query_one(LogPane)

    def open_session(self) -> None:
        """Starts reading the log."""
        self.session = self.console_app.log_session(self.job_id)
        self.session.users += 1
        self.pane.show(self.session.buffer, self.session.folds)

    def on_unmount(self) -> None:
        if self.session is not None:
            self.session.users -= 1
            self.console_app.tidy_sessions()

    def sync_log(self) -> None:
        """Shows what has come since."""
        if self.session is None:
            return
        if isinstance(self.session, ManyLogs):
            self.session.advance()
        if self.session.buffer is not self.pane.base:
            self.pane.show(self.session.buffer, self.session.folds)
        self.pane.waiting = self.session.words
        self.pane.sync()
        self.query_one("#log-state", Lines).show([log_state(self.pane, self.session)])

    def on_log_view_changed(self) -> None:
        if self.session is not None:
            self.query_one("#log-state", Lines).show([log_state(self.pane, self.session)])
        self.refresh_bindings()

    def action_search(self) -> None:
        def found(needle: str | None) -> None:
            if needle is None:
                return
            count = self.pane.search(needle.strip())
            if needle.strip() and not count:
                self.app.notify(f"'{needle.strip()}' is not in the output.", markup=False)
            self.pane.action_match(-1 if self.pane.following else 1)
            self.pane.focus()

        self.app.push_screen(AskText("Search the output (empty ends it)", self.pane.needle), found)

    def action_save(self) -> None:
        def chosen(path: Path | None) -> None:
            if path is not None:
                text = self.pane.text()
                self.run_worker(self._write(path, text), exit_on_error=False)

        self.app.push_screen(SaveFile(Path.cwd() / f"job-{self.job_id}.log"), chosen)

    async def _write(self, path: Path, text: str) -> None:
        try:
            await asyncio.to_thread(path.write_text, text, "utf-8")
        except OSError as error:
            self.console_app.report(error, f"save {path.name}")
            return
        lines = plural(text.count("\n"), "line")
        self.console_app.tell(f"{lines} saved to {path}.", f"job {self.job_id}")


def log_state(pane: LogPane, session: LogSession | ManyLogs) -> Line:
    """The line under a log: following or paused, how many lines, search."""
    if pane.paused_at is not None:
        spans: list[tuple[str, str]] = [("‖ paused", "bold warning")]
        if pane.unseen:
            spans.append((f", {pane.unseen:,} new", "warning"))
    elif pane.following and session.live:
        spans = [("▼ following", "success")]
    elif pane.following:
        spans = [("■ end", "muted")]
    else:
        spans = [("↕ scrolled, f follows", "muted")]
    spans.append((f"   {plural(pane.base.end, 'line')}", "muted"))
    if pane.base.first:
        spans.append((f", the first {pane.base.first:,} no longer kept", "muted"))
    if pane.folds.level is not None:
        spans.append((f"   folded: {plural(pane.folds.level, 'level')} open", "primary"))
    if pane.chosen_head is not None:
        does = "folds" if pane.chosen_head.is_open else "opens"
        spans.append((f"   enter {does} {one_line(pane.chosen_head.step.title, 30)}", "accent"))
    if pane.needle:
        place, count = pane.match_place
        spans.append((f"   '{pane.needle[:30]}' {place}/{count}", "accent"))
    for shown, word in ((pane.wrap, "wrap"), (pane.times, "times")):
        if shown:
            spans.append((f"   {word}", "primary"))
    if session.words and len(pane.buffer):
        spans.append((f"   {session.words}", "muted"))
    return spans


class LogScreen(LogKeys):
    """The output of a job, or of several by the time of their lines.

    Args:
        job_id: The job.
        more: Other jobs.
    """

    ABOUT = (
        "The output of a job, or of several. It follows the newest line until you scroll up.\n"
        "] and [ go from step to step, enter or a click folds and opens one;\n"
        "- folds all steps by a level, + opens them."
    )

    DEFAULT_CSS = """
    LogScreen #title { height: 1; padding: 0 1; background: $surface; }
    LogScreen LogPane { height: 1fr; }
    LogScreen #log-state { height: 1; padding: 0 1; background: $surface; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.back", "Back", tooltip="Back to where you were", id="log.back"),
        Binding("y", "copy", "Copy", show=False, tooltip="Copy the output", id="log.copy"),
    ]

    def __init__(self, job_id: int, *more: int) -> None:
        super().__init__(job_id)
        self._ids = (job_id, *more)

    def open_session(self) -> None:
        if len(self._ids) == 1:
            super().open_session()
            return
        sessions = [self.console_app.log_session(job_id) for job_id in self._ids]
        jobs = [self.state.jobs.get(job_id) for job_id in self._ids]
        self.session = ManyLogs(
            sessions, {job.id: job_name(job) for job in jobs if job is not None}
        )
        self.session.users += 1
        self.pane.show(self.session.buffer, self.session.folds)

    def _title(self) -> Line:
        if len(self._ids) > 1:
            named = [self.state.jobs.get(job_id) for job_id in self._ids]
            names = ", ".join(f"{job.id} {job_name(job)}" for job in named if job is not None)
            return [(f"{len(self._ids)} jobs  ", "bold foreground"), (names, "muted")]
        job = self.job
        return title_line(job) if job else [(f"Job {self.job_id}", "bold foreground")]

    def compose_view(self) -> ComposeResult:
        yield Lines(id="title")
        yield LogPane(zone=self.console_app.zone, id="log")
        yield Lines(id="log-state")

    def on_mount(self) -> None:
        self.open_session()
        self.pane.focus()

    def update_view(self, *, changed: bool) -> None:  # noqa: ARG002
        self.query_one("#title", Lines).show([self._title()])
        self.sync_log()

    def action_copy(self) -> None:
        self.console_app.copy(self.pane.text(), f"the output of job {self.job_id}")
