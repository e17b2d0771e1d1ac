"""What seeds met: deaths, faults, and what they lead to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.support.boundaries import KINDS
from tests.support.chaos.faults import FAULTS

MEETINGS = (
    "a job that waits is forgotten",
    "an id is given again",
    "another job bears an id",
    "a partition is closed",
    "a write of the journal is refused",
    "a transaction is not saved",
    "a halt",
    "a place before the contract",
    "a place beyond the head",
    "no common block",
)
"""What faults lead to, counted where the supervisor meets it."""

ENOUGH_SEEDS = 200
"""In so many seeds every fault comes, all is met that they lead to, and the process dies at every
kind of boundary."""


@dataclass
class Tally:
    """What seeds met.

    Attributes:
        failed: Seeds in which something did not hold.
        crashes: At how many boundaries of each kind the process died.
        faults: How often each came, and found something to do.
        met: How often the supervisor met what they lead to.
    """

    failed: int = 0
    crashes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Counts another's with this one's."""
        self.failed += other.failed
        self.crashes += other.crashes
        self.faults += other.faults
        self.met += other.met

    def unmet(self) -> list[str]:
        """What should have happened in many seeds, and never did."""
        return [
            *(f"a death {kind}" for kind in KINDS if not self.crashes[kind]),
            *(f"the fault {name}" for name in FAULTS if not self.faults[name]),
            *(name for name in MEETINGS if not self.met[name]),
        ]

    def lines(self) -> list[str]:
        """The counts, as they are printed."""
        deaths = ", ".join(f"{kind} {self.crashes[kind]}" for kind in KINDS)
        faults = ", ".join(f"{name} {self.faults[name]}" for name in FAULTS)
        met = ", ".join(f"{name} {self.met[name]}" for name in MEETINGS)
        return [f"deaths: {deaths}", f"faults: {faults}", f"met: {met}"]
