"""What the console does to jobs: cancels them, tops them up, submits them again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dsq.console.dialogs.confirm import Confirm
from dsq.console.user.accounting import account
from dsq.console.user.details import job_name
from dsq.console.user.logs_app import LogsApp
from dsq.console.widgets.lines import Line
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import credits_text, duration_text, plural
from dsq.core.model import Job, JobStatus

LISTED = 8
"""Jobs that a question names."""
CANCELS = 16
"""Cancels that are under way at a time."""
TOP_UP_STATES = (JobStatus.SCHEDULED, JobStatus.RUNNING)


class JobsApp(LogsApp):
    """The part of the console about what spends on a job or ends it."""

    def can(self, action: str, job: Job) -> bool:
        """Whether an action makes sense for a job in its state."""
        if self.read_only:
            return False
        if action == "cancel":
            return job.status.is_hot and not job.has_cancel_request
        return job.status in TOP_UP_STATES

    def ask_cancel(self, job: Job) -> None:
        """Asks, naming what dies and what comes back, then cancels."""

        def answered(yes: bool | None) -> None:
            if yes:
                self.sign(lambda: self.act(self._cancel(job)))

        if self.offline_refuses("cancelling"):
            return
        title = f"Cancel job {job.id}, {job_name(job)}?"
        self.push_screen(Confirm(title, self._cancel_lines(job), yes="Cancel the job"), answered)

    def _cancel_lines(self, job: Job) -> list[Line]:
        reckoned = account(job, self.state.provider_of(job), self.now())
        where = one_line(self.state.provider_name(job.provider), 40)
        if reckoned.ran and reckoned.elapsed is not None:
            ran = duration_text(reckoned.elapsed)
            what = f"It has been running for {ran} on {where}; what it has not saved is lost."
            back = f"About {credits_text(reckoned.comes_back)} credits come back,"
            cost = f"about {credits_text(reckoned.so_far)} stay with the provider."
            return [[(what, "foreground")], [(f"{back} {cost}", "foreground")]]
        what = "It has not started. It is cancelled at once."
        back = f"All {credits_text(reckoned.locked)} locked credits come back."
        return [[(what, "foreground")], [(back, "foreground")]]

    async def _cancel(self, job: Job) -> None:
        try:
            after = await self.feed.require_grid().cancel(job.id)
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, f"cancel job {job.id}")
            return
        self.feed.put(after)
        if after.status.is_hot:
            text = f"Job {job.id} {job_name(job)} was asked to stop; its provider ends it."
            self.tell(text, f"job {job.id}")

    def ask_cancel_all(self, jobs: Sequence[Job]) -> None:
        """Asks once for several jobs, naming what dies and what comes back, then cancels them."""

        def answered(yes: bool | None) -> None:
            if yes:
                self.sign(lambda: self.act(self._cancel_each(jobs)))

        if self.offline_refuses("cancelling"):
            return
        now = self.now()
        back = sum(account(each, self.state.provider_of(each), now).comes_back for each in jobs)
        running = sum(each.status is JobStatus.RUNNING for each in jobs)
        names = [f"{each.id} {job_name(each)}" for each in jobs[:LISTED]]
        more = f" and {len(jobs) - LISTED} more" if len(jobs) > LISTED else ""
        lines: list[Line] = [
            [(", ".join(names) + more, "foreground")],
            [(f"{running} of them run; what they have not saved is lost.", "foreground")],
            [(f"About {credits_text(back)} credits come back.", "foreground")],
        ]
        title = f"Cancel {plural(len(jobs), 'job')}?"
        self.push_screen(Confirm(title, lines, yes="Cancel them"), answered)

    async def _cancel_each(self, jobs: Sequence[Job]) -> None:
        for start in range(0, len(jobs), CANCELS):
            await asyncio.gather(*map(self._cancel, jobs[start : start + CANCELS]))

    def ask_top_up(self, job: Job) -> None:
        """Asks for credits, showing what they buy, then adds them."""

        def answered(wei: int | None) -> None:
            if wei:
                self.sign(lambda: self.act(self._top_up(job, wei)))

        if self.offline_refuses("topping up"):
            return
        from dsq.console.dialogs.top_up import TopUp

        self.push_screen(TopUp(job, self.state, self.moment()), answered)

    async def _top_up(self, job: Job, wei: int) -> None:
        try:
            after = await self.feed.require_grid().top_up(job.id, wei)
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, f"top up job {job.id}")
            return
        self.feed.put(after)
        self.tell(f"{credits_text(wei)} credits added to job {job.id}.", f"job {job.id}")

    # -- again -------------------------------------------------------------------------------

    def submitted(self, job: Job, source: str) -> None:
        try:
            self.state.sources.keep(job.definition.batch_location_hash, source)
        except OSError as error:
            self.report(error, "keep the workflow")

    def resubmit(self, job: Job) -> None:
        """Puts the workflow of a job into the submit view, with what it was submitted with."""
        text = self.state.sources.find(job.definition.batch_location_hash)
        if text is None:
            words = f"The workflow of job {job.id} is not known here."
            hint = "Only what was submitted with this console can be submitted again."
            self.tell(f"{words} {hint}", f"job {job.id}", severity="warning")
            return
        self.action_view("submit")
        self.call_later(self._load_again, job, text)

    def _load_again(self, job: Job, text: str) -> None:
        from dsq.console.user.screens.submit import SubmitScreen

        screen = self.screen
        if isinstance(screen, SubmitScreen):
            screen.load_again(job, text)
