"""What one can do with a job, wherever it is shown."""

from __future__ import annotations

from dsq.console.user.screens.base import ViewScreen
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

    def action_top_up(self) -> None:
        if self.job is not None:
            self.console_app.ask_top_up(self.job)
