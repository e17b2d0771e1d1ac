"""Noticing that somebody sets this machine's clock: patience is no matter of the hands.

Graces that must survive a restart are kept as times of the clock. When the clock jumps,
they begin anew, so that no job is given up before its time. A clock that was set back while
nobody looked shows at the start, by graces that begin in times to come.
"""

from __future__ import annotations

import logging
from typing import Any

from dsq.supervisor.records import JobRecord
from dsq.supervisor.services import Services

log = logging.getLogger("dsq.supervisor.clockwatch")

STEP_SECONDS = 5.0
"""Between two looks the clock may drift by so much."""


class ClockWatch:
    """Compares the clock with time that only goes on."""

    def __init__(self, services: Services) -> None:
        self._s = services
        self._offset: float | None = None

    def look(self) -> None:
        """Begins all graces anew if the clock was set since the last look."""
        clock = self._s.clock
        offset = clock.now() - clock.monotonic()
        before, self._offset = self._offset, offset
        if before is None:
            self._begin_anew(later_than=clock.now() + STEP_SECONDS)
            return
        step = offset - before
        if abs(step) < STEP_SECONDS:
            return
        log.warning("clock=set seconds=%+.0f", step)
        self._s.health.shift(step)
        self._s.views.forget_all()
        self._begin_anew(later_than=0.0)

    def _begin_anew(self, *, later_than: float) -> None:
        """Lets graces begin now that begin after a time, 0 for all."""
        now = int(self._s.clock.now())
        changes = [
            (record.job_id, "", begun)
            for record in self._s.journal.open_records()
            if (begun := _begun_anew(record, now, later_than))
        ]
        if changes:
            self._s.journal.change_all(changes)


def _begun_anew(record: JobRecord, now: int, later_than: float) -> dict[str, Any]:
    changes: dict[str, Any] = {
        name: now
        for name in ("missing_since", "stranger_since", "fetch_failed_since")
        if getattr(record, name) > later_than
    }
    if record.cancel_sent_at > later_than:
        changes["cancel_sent_at"] = 0
    return changes
