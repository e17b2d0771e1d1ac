"""What one can do with a job, wherever it is shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dsq.console.dialogs.ask_text import AskText
from dsq.console.export import export_jobs
from dsq.console.user.screens.base import ViewScreen
from dsq.console.widgets.words import plural
from dsq.core.model import Job


class JobActions(ViewScreen):
    """A view of jobs: copies ids, cancels, tops up. Subclasses bind the keys."""

    @property
    def job(self) -> Job | None:
        """The job that is meant; None if there is none."""
        return None

    @property
    def marked_ids(self) -> list[int]:
        """Jobs that were marked; what is done is then done to all of them."""
        return []

    def _marked(self, action: str) -> list[Job]:
        """The marked jobs for which an action makes sense."""
        jobs = (self.state.jobs.get(job_id) for job_id in self.marked_ids)
        return [job for job in jobs if job is not None and self.console_app.can(action, job)]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action == "cancel" and self.ready and self.marked_ids:
            return bool(self._marked("cancel"))
        if action in ("cancel", "top_up"):
            return self.ready and self.job is not None and self.console_app.can(action, self.job)
        return True

    def action_copy(self) -> None:
        if self.marked_ids:
            text = " ".join(map(str, self.marked_ids))
            self.console_app.copy(text, f"{len(self.marked_ids)} job ids")
        elif self.job is not None:
            self.console_app.copy(str(self.job.id), f"job id {self.job.id}")

    def action_cancel(self) -> None:
        if self.marked_ids:
            self.console_app.ask_cancel_all(self._marked("cancel"))
        elif self.job is not None:
            self.console_app.ask_cancel(self.job)

    def action_resubmit(self) -> None:
        if self.job is not None:
            self.console_app.resubmit(self.job)

    @property
    def export_ids(self) -> list[int]:
        """The jobs that an export means."""
        return [self.job.id] if self.job is not None else []

    def action_export(self) -> None:
        def named(text: str | None) -> None:
            if text:
                self.run_worker(self._export(text), exit_on_error=False)

        ids = self.export_ids
        name = f"job-{ids[0]}.json" if len(ids) == 1 else "jobs.json"
        self.app.push_screen(AskText("Write to", name, "a file, .json or .csv"), named)

    async def _export(self, text: str) -> None:
        path = Path(text).expanduser()
        found = [job for job in map(self.state.jobs.get, self.export_ids) if job is not None]
        try:
            count = await asyncio.to_thread(export_jobs, path, found)
        except Exception as error:  # shown, not raised: the console goes on
            self.console_app.report(error, "export")
            return
        self.console_app.tell(f"Wrote {plural(count, 'job')} to {path}.", "export")

    def action_top_up(self) -> None:
        if self.job is not None:
            self.console_app.ask_top_up(self.job)
