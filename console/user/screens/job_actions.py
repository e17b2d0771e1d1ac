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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action in ("cancel", "top_up"):
            return self.ready and self.job is not None and self.console_app.can(action, self.job)
        return True

    def action_copy(self) -> None:
        if self.job is not None:
            self.console_app.copy(str(self.job.id), f"job id {self.job.id}")

    def action_cancel(self) -> None:
        if self.job is not None:
            self.console_app.ask_cancel(self.job)

    def action_top_up(self) -> None:
        if self.job is not None:
            self.console_app.ask_top_up(self.job)
