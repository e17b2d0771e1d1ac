"""What a line to a cluster counts of itself, for metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AccountingState:
    """Whether the cluster's accounting tells how jobs ended.

    Attributes:
        ok: None before it was asked, and where there is none.
        detail: Why it does not answer.
    """

    ok: bool | None = None
    detail: str = ""


@dataclass(slots=True)
class LineStats:
    """Counts since the start of the process.

    Attributes:
        commands: Commands that were run, by program.
        failures: Commands without an answer, by program.
        seconds: Seconds that commands took, by program.
        connects: SSH connections made.
        connect_failures: Attempts that failed.
        sessions: Sessions that are open now.
    """

    commands: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    connects: int = 0
    connect_failures: int = 0
    sessions: int = 0

    def took(self, program: str, seconds: float) -> None:
        """A command has ended, well or not."""
        self.commands[program] += 1
        self.seconds[program] = self.seconds.get(program, 0.0) + seconds

    def add(self, other: LineStats) -> None:
        """Counts another line's together with this one's."""
        self.commands.update(other.commands)
        self.failures.update(other.failures)
        for program, seconds in other.seconds.items():
            self.seconds[program] = self.seconds.get(program, 0.0) + seconds
        self.connects += other.connects
        self.connect_failures += other.connect_failures
        self.sessions += other.sessions
