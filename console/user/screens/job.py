"""The view of one job: timeline, money, resources, provider, and its output beside."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll

from dsq.console.dialogs.choose import Choose
from dsq.console.dialogs.show_text import ShowText
from dsq.console.user.details import copy_choices, detail_columns, title_line
from dsq.console.user.port import TransitionLike
from dsq.console.user.screens.job_actions import JobActions
from dsq.console.user.screens.logs import LogKeys, LogScreen
from dsq.console.widgets.lines import Lines
from dsq.console.widgets.log_pane import LogPane
from dsq.console.widgets.script_lines import script_lines
from dsq.core.errors import DsqError
from dsq.core.model import Job, JobStatus

WHY_EVERY = 5.0
"""Seconds between two questions why a job waits."""
WHY_THERE_EVERY = 60.0
"""The same for one that has a provider: what the others are like now."""


class JobScreen(LogKeys, JobActions):
    """Everything about one job."""

    ABOUT = "One job: its timeline, its credits, what it asks for, and its output."

    DEFAULT_CSS = """
    JobScreen #body { height: 1fr; }
    JobScreen #title { height: 1; padding: 0 1; background: $surface; }
    JobScreen #detail { height: 1fr; padding: 0 1; scrollbar-size: 1 1; }
    JobScreen #columns { layout: horizontal; height: auto; }
    JobScreen #columns Lines { width: 1fr; height: auto; }
    JobScreen #story { padding-right: 1; }
    JobScreen #output { height: 1fr; min-height: 6; border-top: solid $faint; }
    JobScreen LogPane { height: 1fr; }
    JobScreen #log-state { height: 1; padding: 0 1; background: $surface; }
    JobScreen.-wide #body { layout: horizontal; }
    JobScreen.-wide #detail { width: 60; height: 100%; }
    JobScreen.-wide #columns { layout: vertical; }
    JobScreen.-wide #columns Lines { width: 100%; }
    JobScreen.-wide #story { padding-bottom: 1; }
    JobScreen.-wide #output {
        width: 1fr; height: 100%; border-top: none; border-left: solid $faint;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.back", "Back", tooltip="Back to where you were", id="job.back"),
        Binding("l", "logs", "Logs", tooltip="The output on the whole screen", id="job.logs"),
        Binding("t", "top_up", "Top up", tooltip="Add credits to the job", id="job.top_up"),
        Binding("c", "cancel", "Cancel", tooltip="Cancel the job", id="job.cancel"),
        Binding("y", "copy", "Copy id", tooltip="Copy the job's number", id="job.copy"),
        Binding("R", "resubmit", "Again", tooltip="Submit its workflow again; edit it first",
                id="job.resubmit"),
        Binding("v", "source", "Workflow", show=False, tooltip="Show its workflow",
                id="job.source"),
        Binding("S", "script", "Script", show=False,
                tooltip="Show the batch script that its provider runs", id="job.script"),
        Binding("Y", "copy_other", "Copy…", show=False,
                tooltip="Copy an id, a transaction or the script's key", id="job.copy_other"),
        Binding("e", "export", "Export", show=False, tooltip="Write it to a JSON or CSV file",
                id="job.export"),
        Binding("tab", "other_pane", "Other pane", show=False, id="job.pane"),
    ]  # fmt: skip

    def __init__(self, job_id: int) -> None:
        super().__init__(job_id)
        self._history: tuple[TransitionLike, ...] = ()
        self._history_for: tuple[JobStatus, int] | None = None
        self._why_at = 0.0
        self._why_for: tuple[JobStatus, int] | None = None
        self._shown: tuple[JobStatus, bool] | None = None

    def compose_view(self) -> ComposeResult:
        yield Lines(id="title")
        with Container(id="body"):
            with VerticalScroll(id="detail"), Container(id="columns"):
                yield Lines(id="story")
                yield Lines(id="figures")
            with Container(id="output"):
                yield LogPane(zone=self.console_app.zone, id="log")
                yield Lines(id="log-state")

    def on_mount(self) -> None:
        self.open_session()
        self.pane.focus()

    def update_view(self, *, changed: bool) -> None:  # noqa: ARG002
        job = self.job
        if job is None:
            text = f"Job {self.job_id} is not known yet."
            self.query_one("#title", Lines).show([[(text, "muted")]])
        else:
            self._read_more(job)
            self.query_one("#title", Lines).show([title_line(job)])
            width = 58 if self.has_class("-wide") else self.size.width // 2 - 2
            story, figures = detail_columns(job, self.state, self.moment, self._history, width)
            self.query_one("#story", Lines).show(story)
            self.query_one("#figures", Lines).show(figures)
            if (job.status, job.has_cancel_request) != self._shown:
                self._shown = (job.status, job.has_cancel_request)
                self.refresh_bindings()
        self.sync_log()

    def _read_more(self, job: Job) -> None:
        """Asks for the history after each change, and now and then why the job waits."""
        if not self.state.link.online:
            return
        stage = (job.status, job.time.block_number_state_change)
        if stage != self._history_for:
            self._history_for = stage
            self.run_worker(
                self._read_history(job), group="history", exclusive=True, exit_on_error=False
            )
        now = self.moment.now
        every = WHY_EVERY if job.status is JobStatus.PENDING else WHY_THERE_EVERY
        if job.status.is_hot and (stage != self._why_for or now - self._why_at >= every):
            self._why_at, self._why_for = now, stage
            self.run_worker(self.console_app.feed.refresh_why(job.id), exit_on_error=False)

    async def _read_history(self, job: Job) -> None:
        try:
            self._history = tuple(await self.console_app.feed.require_grid().history(job))
        except DsqError:
            # The short timeline made of the job's own times stays.
            self._history_for = None
            return
        self.tick(changed=True)

    # -- actions ------------------------------------------------------------------------

    def action_logs(self) -> None:
        self.app.push_screen(LogScreen(self.job_id))

    def _source(self) -> str | None:
        job = self.job
        return self.state.sources.find(job.definition.batch_location_hash) if job else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("resubmit", "source") and self.ready:
            return self._source() is not None
        return super().check_action(action, parameters)

    def action_source(self) -> None:
        text = self._source()
        if text is not None:
            title = f"Workflow of job {self.job_id}"
            copy = self.console_app.copy
            self.app.push_screen(ShowText(title, text, copy=lambda whole: copy(whole, title)))

    def action_script(self) -> None:
        """Fetches the script with the wallet's proof, and shows it."""
        if not self.console_app.offline_refuses("fetching the script"):
            self.console_app.sign(
                lambda: self.console_app.act(self._show_script()),
                "The grid shows a script to the job's customer only.",
            )

    async def _show_script(self) -> None:
        app = self.console_app
        try:
            text = await app.feed.require_grid().script(self.job_id)
        except Exception as error:  # shown, not raised: the console goes on
            app.report(error, f"script of job {self.job_id}")
            return
        title = f"Script of job {self.job_id}"
        app.push_screen(
            ShowText(
                title, text, lines=script_lines(text), copy=lambda whole: app.copy(whole, title)
            )
        )

    def action_copy_other(self) -> None:
        """Asks which of the job's ids to copy."""
        job = self.job
        if job is None:
            return
        known = copy_choices(job, self._history)

        def chosen(index: int | None) -> None:
            if index is not None:
                self.console_app.copy(known[index][1], known[index][0])

        self.app.push_screen(Choose("Copy", known), chosen)

    def action_other_pane(self) -> None:
        detail = self.query_one("#detail", VerticalScroll)
        (detail if self.pane.has_focus else self.pane).focus()
