"""How a follower stands, for screens and metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FollowerSnapshot:
    """Where a follower stands.

    Attributes:
        head: The newest block that the chain told of, or None before the first answer.
        head_timestamp: Its time in Unix seconds.
        position: The last block whose events were read; -1 before the first.
        committed: The last block whose events were handled.
        reorgs: How often the chain went back since the start.
        failures: Looks at the chain that failed since the start.
        quiet_seconds: Since the chain last answered, or None.
    """

    head: int | None
    head_timestamp: int | None
    position: int
    committed: int
    reorgs: int
    failures: int
    quiet_seconds: float | None

    @property
    def lag(self) -> int:
        """Blocks that are not handled yet."""
        return 0 if self.head is None else max(0, self.head - self.committed)
