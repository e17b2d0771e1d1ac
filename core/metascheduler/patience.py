"""How long the meta-scheduler waits: for the chain, for claims, for what was mined.

Nothing is sent or read here; the loop says what time it is and does what follows.
"""

from __future__ import annotations

from collections.abc import Collection

from dsq.core.metascheduler.state import GridState, Tracked

QUIET_SECONDS = 30.0
"""A gap between batches from which on the chain counts as having been away."""

GRACE_SECONDS = 60.0
"""After a start or an absence of the chain nobody is blamed for late claims so long."""

LOST_SECONDS = 60.0
"""A mined placement whose event does not come for so long was undone by the chain."""


class Patience:
    """When the chain was heard of, and who is late because of it or in spite of it.

    Attributes:
        heard_at: When the chain was last heard of, in Unix seconds of this machine; None
            before the first picture.
    """

    def __init__(self) -> None:
        self.heard_at: float | None = None
        self._grace_until = 0.0

    def is_hearing(self, now: float) -> bool:
        """Whether the chain was heard of lately."""
        return self.heard_at is not None and now - self.heard_at <= QUIET_SECONDS

    def heard(self, now: float) -> None:
        """Notes that the chain was heard of; after a silence a grace begins."""
        if not self.is_hearing(now):
            self._grace_until = now + GRACE_SECONDS
        self.heard_at = now

    def restarted(self, now: float) -> None:
        """Notes that the grid was read anew: a grace begins."""
        self.heard_at = now
        self._grace_until = now + GRACE_SECONDS

    def overdue(
        self, state: GridState, now: float, *, claim_seconds: float, but: Collection[int]
    ) -> list[Tracked]:
        """Jobs whose provider will not claim them: too late, or not allowed to any more.

        Args:
            state: What is known of the grid.
            now: Unix seconds: this machine's, or the chain's where that is ahead.
            claim_seconds: How long a provider may take to claim a job.
            but: Jobs that are being taken back already.
        """
        found = []
        for job_id in sorted(state.unclaimed.difference(but)):
            tracked = state.tracked[job_id]
            provider = state.providers.get(tracked.provider)
            gone = provider is None or not provider.is_valid
            late = now - tracked.since > claim_seconds and now > self._grace_until
            if (gone or late) and not state.backoff.held(job_id, now):
                found.append(tracked)
        return found

    @staticmethod
    def undone(state: GridState, now: float) -> set[int]:
        """Jobs whose placement was mined and then undone by the chain."""
        late = now - LOST_SECONDS
        return {
            job_id
            for job_id, placing in state.placing.items()
            if placing.mined_at is not None and placing.mined_at < late
        }
