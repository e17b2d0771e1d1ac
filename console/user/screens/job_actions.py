"""What one can do with a job, wherever it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from dsq.console.dialogs.ask_text import AskText
from dsq.console.export import JobFile
from dsq.console.user.screens.base import ViewScreen
from dsq.console.widgets.words import plural
from dsq.core.model import Job

EXPORT_SLICE = 50
"""Jobs written before keys are looked at again."""
COPIED = 10_000
"""Numbers that are copied at most: terminals refuse more."""


class JobActions(ViewScreen):
    """A view of jobs: copies ids, cancels, tops up. Subclasses bind the keys.

    Attributes:
        exporting: How many of how many jobs are written, while jobs are being written.
    """

    exporting: tuple[int, int] | None = None

    @property
    def job(self) -> Job | None:
        """The job that is meant; None if there is none."""
        return None

    @property
    def marked_ids(self) -> Collection[int]:
        """Jobs that were marked; what is done is then done to all of them."""
        return ()

    def _to_cancel(self) -> Iterator[Job]:
        """The marked jobs that can be cancelled; only open ones can."""
        marked = self.marked_ids
        for job in self.state.jobs.hot():
            if job.id in marked and self.console_app.can("cancel", job):
                yield job

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action == "cancel" and self.ready and self.marked_ids:
            return any(True for _ in self._to_cancel())
        if action in ("cancel", "top_up"):
            return self.ready and self.job is not None and self.console_app.can(action, self.job)
        return True

    def action_copy(self) -> None:
        if len(self.marked_ids) > COPIED:
            text = f"{plural(COPIED, 'job id')} can be copied at most; e writes all to a file."
            self.console_app.tell(text, "copy", severity="warning")
        elif self.marked_ids:
            text = " ".join(map(str, self.marked_ids))
            self.console_app.copy(text, f"{len(self.marked_ids)} job ids")
        elif self.job is not None:
            self.console_app.copy(str(self.job.id), f"job id {self.job.id}")

    def action_cancel(self) -> None:
        if self.marked_ids:
            self.console_app.ask_cancel_all(list(self._to_cancel()))
        elif self.job is not None:
            self.console_app.ask_cancel(self.job)

    def action_resubmit(self) -> None:
        if self.job is not None:
            self.console_app.resubmit(self.job)

    @property
    def export_ids(self) -> Sequence[int]:
        """The jobs that an export means."""
        return [self.job.id] if self.job is not None else []

    def action_export(self) -> None:
        if self.exporting is not None:
            self.console_app.tell("Jobs are being written already.", "export", severity="warning")
            return

        def named(text: str | None) -> None:
            if text:
                work = self._export(Path(text).expanduser(), ids)
                self.run_worker(work, group="export", exit_on_error=False)

        ids = self.export_ids
        name = f"job-{ids[0]}.json" if len(ids) == 1 else "jobs.json"
        self.app.push_screen(AskText("Write to", name, "a file, .json or .csv"), named)

    async def _export(self, path: Path, ids: Sequence[int]) -> None:
        """Writes jobs, a few at a time: however many they are, no key waits for them."""
        jobs = self.state.jobs
        try:
            with JobFile(path) as file:
                for start in range(0, len(ids), EXPORT_SLICE):
                    self.exporting = (start, len(ids))
                    file.write(jobs.many(ids[start : start + EXPORT_SLICE]))
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            if self.app.is_running:
                self.console_app.tell(f"Stopped: {path} is not kept.", "export", severity="warning")
            raise
        except Exception as error:  # shown, not raised: the console goes on
            self.console_app.report(error, "export")
            return
        finally:
            self.exporting = None
            if self.is_attached:
                self.refresh_bindings()
        self.console_app.tell(f"Wrote {plural(file.count, 'job')} to {path}.", "export")

    def stop_export(self) -> None:
        """Writes no further jobs, and keeps no half of a file."""
        self.workers.cancel_group(self, "export")

    def action_top_up(self) -> None:
        if self.job is not None:
            self.console_app.ask_top_up(self.job)
