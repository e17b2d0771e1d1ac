"""What the console does about the logs that its screens show: one session a job."""

from __future__ import annotations

from typing import Any

from dsq.console.user.log_session import LogSession
from dsq.console.user.look_app import LookApp

SESSIONS_KEPT = 4


class LogsApp(LookApp):
    """The part of the console about logs being read."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._sessions: dict[int, LogSession] = {}

    def log_session(self, job_id: int) -> LogSession:
        """The log of a job, being read; the same one for all screens."""
        session = self._sessions.get(job_id)
        if session is None:
            session = self._sessions[job_id] = LogSession(job_id, lambda: self.feed.require_grid())
            self.run_worker(session.run(), group=f"log-{job_id}", exit_on_error=False)
        return session

    def tidy_sessions(self) -> None:
        """Forgets the oldest logs that no screen shows."""
        idle = [job_id for job_id, session in self._sessions.items() if not session.users]
        for job_id in idle[: max(0, len(self._sessions) - SESSIONS_KEPT)]:
            self.workers.cancel_group(self, f"log-{job_id}")
            del self._sessions[job_id]

    def forget_logs(self) -> None:
        for job_id in self._sessions:
            self.workers.cancel_group(self, f"log-{job_id}")
        self._sessions.clear()

    def logs_again(self) -> None:
        for job_id, session in self._sessions.items():
            if session.wants_key:
                self.run_worker(session.run(), group=f"log-{job_id}", exit_on_error=False)
