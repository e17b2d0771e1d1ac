"""How a chain's nodes do, and which of them to ask: decisions without I/O.

::

                    a check: fewer blocks than the best by more than LAG_BLOCKS
     unknown ──> healthy <───────────────────────────────────────────> lagging
        │  answers  │ no answer, an error of its own, a refusal for load    │
        v           v                                                       v
      down <────────┴───────────────────────────────────────────────────────┘
        │ answers a check or a request, after a pause that doubles to a minute
        v
      healthy, or wrong_chain when it serves another chain
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

LAG_BLOCKS = 5
"""A node that is so many blocks behind the best one is asked only if no other answers."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0

STEADY_SECONDS = 60.0
"""A node that answered so long without a fault has its earlier faults forgotten."""

OVERLOADED = ("rate limit", "too many requests", "request limit", "capacity", "throttl", "quota")
"""Words of nodes that refuse everything for a while, whatever was asked."""


class EndpointState(enum.StrEnum):
    """How a node does."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    LAGGING = "lagging"
    WRONG_CHAIN = "wrong_chain"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class EndpointSnapshot:
    """A node as screens and metrics show it.

    Attributes:
        url: Scheme, host and port; user, path and query are left out.
        is_current: Requests go there now.
        head: The newest block that it told of, or None.
        lag: Blocks behind the best node at the last check.
        latency_seconds: Of its last answer, or None.
        last_error: Its last fault in words, or "".
        failures: Faults since it was last steady.
        retry_seconds: Until it is asked again of its own accord; 0 if it may be asked.
    """

    url: str
    state: EndpointState
    is_current: bool
    head: int | None
    lag: int
    latency_seconds: float | None
    last_error: str
    failures: int
    retry_seconds: float


def is_overloaded(code: int, words: str) -> bool:
    """True if a node's error is about the load it has, not about the request."""
    folded = words.lower()
    return code in (-32029, 429) or any(part in folded for part in OVERLOADED)


def pause_after(failures: int) -> float:
    """Seconds until a node is asked again after its n-th fault in a row."""
    return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE)


class Health:
    """What is known of one node. Callers say what time it is (monotonic seconds).

    Attributes:
        is_verified: It said its chain id since it was last away.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.state = EndpointState.UNKNOWN
        self.is_verified = False
        self.head: int | None = None
        self.lag = 0
        self.latency: float | None = None
        self.last_error = ""
        self.failures = 0
        self.retry_at = 0.0
        self._well_since = 0.0

    def answered(self, now: float, latency: float) -> None:
        """It answered a request, whatever it said."""
        if self.state in (EndpointState.DOWN, EndpointState.UNKNOWN):
            self.state = EndpointState.HEALTHY
            self._well_since = now
        elif self.failures and now - self._well_since >= STEADY_SECONDS:
            self.failures = 0
        self.latency = latency
        self.retry_at = 0.0

    def failed(self, now: float, words: str) -> None:
        """It did not answer, or cannot for its load."""
        self.failures += 1
        self.state = EndpointState.DOWN
        self.is_verified = False
        self.last_error = words
        self.retry_at = now + pause_after(self.failures)

    def is_wrong(self, now: float, words: str) -> None:
        """It serves another chain; it is looked at again, for it may be put right."""
        self.failures += 1
        self.state = EndpointState.WRONG_CHAIN
        self.is_verified = False
        self.last_error = words
        self.retry_at = now + pause_after(self.failures)

    def saw(self, head: int | None) -> None:
        """It told of its newest block; None changes nothing."""
        self.head = self.head if head is None else head

    def compared(self, best: int) -> None:
        """A check asked all nodes at once; ``best`` is the highest head of them."""
        if self.head is None or self.state not in (EndpointState.HEALTHY, EndpointState.LAGGING):
            return
        self.lag = max(0, best - self.head)
        late = self.lag > LAG_BLOCKS
        self.state = EndpointState.LAGGING if late else EndpointState.HEALTHY

    def snapshot(self, now: float, *, is_current: bool) -> EndpointSnapshot:
        """What there is to show."""
        return EndpointSnapshot(
            url=self.url,
            state=self.state,
            is_current=is_current,
            head=self.head,
            lag=self.lag,
            latency_seconds=self.latency,
            last_error=self.last_error,
            failures=self.failures,
            retry_seconds=max(0.0, self.retry_at - now),
        )


def order(nodes: Sequence[Health], now: float) -> list[int]:
    """Places of the nodes in the order in which they are asked.

    Healthy ones first, as the settings list them; then those that lag, the least first;
    then those that are down, the one that is due first. A node of another chain is asked
    again only when its pause is over, or if there is no other at all.
    """

    def rank(place: int) -> tuple[int, float, int]:
        node = nodes[place]
        match node.state:
            case EndpointState.HEALTHY | EndpointState.UNKNOWN:
                return 0, 0.0, place
            case EndpointState.LAGGING:
                return 1, float(node.lag), place
            case EndpointState.DOWN:
                return 2, node.retry_at, place
            case EndpointState.WRONG_CHAIN:
                return 3, node.retry_at, place

    places = sorted(range(len(nodes)), key=rank)
    usable = [
        place
        for place in places
        if nodes[place].state is not EndpointState.WRONG_CHAIN or nodes[place].retry_at <= now
    ]
    return usable or places
