"""Which of the services that the supervisor depends on answer."""

from __future__ import annotations

import logging
from dataclasses import replace

from dsq.core.clock import Clock
from dsq.supervisor.snapshot import Connection

log = logging.getLogger("dsq.supervisor.connections")

SERVICES = ("chain", "cluster", "accounting", "sbatch", "logs")
"""Names of the connections, in the order in which they are shown."""

PERHAPS = "accounting"
"""Not every cluster has it: shown once it has answered, or kept silent where it is there."""


class Health:
    """Which services answer. Loops report here; screens and rules read it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known = {name: Connection(name) for name in SERVICES}

    def good(self, name: str, detail: str = "", latency_ms: float | None = None) -> None:
        """The service answered."""
        self._set(name, True, detail or self._known[name].detail, latency_ms)

    def bad(self, name: str, error: Exception) -> None:
        """The service did not answer."""
        self._set(name, False, str(error), None)

    def said(self, name: str, ok: bool | None, detail: str) -> None:
        """The service's own word, which also stands in the log; None for none."""
        if ok is not None:
            self._set(name, ok, detail, None, logged=True)

    def _set(
        self, name: str, ok: bool, detail: str, latency_ms: float | None, *, logged: bool = False
    ) -> None:
        old = self._known[name]
        at = old.changed_at if old.ok is ok else self._clock.now()
        if not logged and old.ok is not ok and not (old.ok is None and ok):
            level = logging.INFO if ok else logging.WARNING
            log.log(level, "%s %s", name, "answers again" if ok else f"does not answer: {detail}")
        detail = "" if ok and old.ok is False and detail == old.detail else detail
        self._known[name] = replace(
            old, ok=ok, detail=detail, latency_ms=latency_ms or old.latency_ms, changed_at=at
        )

    def shift(self, seconds: float) -> None:
        """The machine's clock was set: durations count on as if it had not been."""
        for name, known in self._known.items():
            self._known[name] = replace(known, changed_at=known.changed_at + seconds)

    def of(self, name: str) -> Connection:
        """The state of one service."""
        return self._known[name]

    def all(self) -> tuple[Connection, ...]:
        """The state of every service that there is."""
        known = self._known.values()
        return tuple(one for one in known if one.ok is not None or one.name != PERHAPS)
