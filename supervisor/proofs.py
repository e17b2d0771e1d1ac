"""Signs of life: the chain hears now and then that a job still runs.

Should this provider fall silent for good, anyone can end its jobs, and it is paid for the
minutes up to its last word about each (docs/contracts.md, Exits). One transaction carries
the signs of all jobs, so many minutes after the last one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dsq.core.model import JobStatus
from dsq.supervisor.observe import ALIVE_STATES
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.reports import Reporter
from dsq.supervisor.services import Services

log = logging.getLogger("dsq.supervisor.proofs")


class Proofs:
    """Sends signs of life.

    Args:
        services: Journal and clock.
        reporter: Brings them to the chain.
        is_dark: True while the cluster does not answer: then nothing is known to run.
        every: Seconds between signs; 0 sends none.
    """

    def __init__(
        self, services: Services, reporter: Reporter, is_dark: Callable[[], bool], every: float
    ) -> None:
        self._s = services
        self._reporter = reporter
        self._is_dark = is_dark
        self._every = every

    def look(self) -> int:
        """Sends what is due. Returns for how many jobs."""
        if not self._every or self._is_dark():
            return 0
        now = self._s.clock.now()
        running = [r for r in self._s.journal.open_records() if self._runs(r)]
        if not any(now - record.proved_at >= self._every for record in running):
            return 0
        # Those that would soon be due go with them, so that all are due together.
        due = [r.job_id for r in running if now - r.proved_at >= self._every / 2]
        log.info("proofs=%d", len(due))
        self._reporter.alive(due)
        return len(due)

    def _runs(self, record: JobRecord) -> bool:
        return (
            record.phase is Phase.SEEN
            and record.slurm_state in ALIVE_STATES
            and not record.requeued
            and not record.missing_count
            and record.reported is JobStatus.RUNNING
        )
