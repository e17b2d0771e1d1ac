"""Noticing that somebody sets this machine's clock: patience is no matter of the hands.

Graces that must survive a restart are kept as times of the clock. When the clock jumps,
they begin anew, so that no job is given up before its time.
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
        step = 0.0 if self._offset is None else offset - self._offset
        self._offset = offset
        if abs(step) < STEP_SECONDS:
            return
        log.warning("clock=set seconds=%+.0f", step)
        self._s.health.shift(step)
        self._s.views.forget_all()
        now = int(clock.now())
        self._s.journal.change_all(
            [
                (record.job_id, "", changes)
                for record in self._s.journal.open_records()
                if (changes := _begun_anew(record, now))
            ]
        )


def _begun_anew(record: JobRecord, now: int) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name in ("missing_since", "stranger_since", "fetch_failed_since"):
        if getattr(record, name):
            changes[name] = now
    if record.cancel_sent_at:
        changes["cancel_sent_at"] = 0
    return changes
