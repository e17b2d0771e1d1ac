"""Times of the cluster on the chain's clock. Pure.

A batch of reports carries times, and the contract takes only ``claim <= start <= end <=
now`` by its own clock. The clocks differ, and what is known of the chain's time is its
newest block, seconds old. The length of a run is what is billed, so the length is kept and
the run is moved; only where it cannot fit is it cut.
"""

from __future__ import annotations

from dataclasses import dataclass

HOLD_SECONDS = 30
"""A run that would fit in so many seconds waits for the chain's clock."""


@dataclass(frozen=True, slots=True)
class Span:
    """Start and end of a run, Unix seconds of the chain."""

    start: int
    end: int


def start_on_chain(start: int, claimed: int, now: int) -> int:
    """A start that the contract takes, as near to the true one as can be.

    Args:
        start: By the cluster's clock; 0 if it is not known.
        claimed: When the chain had the claim.
        now: Its newest block.
    """
    return max(claimed, min(start or now, now))


def span_on_chain(start: int, end: int, claimed: int, now: int) -> Span | None:
    """A run as the contract takes it, with the minutes it really took.

    Returns:
        None if the chain's clock has not come far enough, but soon will have.
    """
    length = max(0, end - start)
    room = max(0, now - claimed)
    if length > room:
        # Only whole minutes are billed: the seconds beyond them may go.
        length = length // 60 * 60 if length >= 60 else 0
    if length > room:
        if length - room <= HOLD_SECONDS:
            return None
        length = room
    last = min(max(end, claimed + length), max(now, claimed))
    return Span(last - length, last)
