"""What a meta-scheduler did since its start, and how it stands, for screens and metrics."""

from __future__ import annotations

from dataclasses import dataclass

from dsq.core.chain.followed import FollowerSnapshot
from dsq.core.chain.health import EndpointSnapshot
from dsq.core.chain.sent import SenderSnapshot


@dataclass(slots=True)
class Counted:
    """Counts since the start.

    Attributes:
        placed: Jobs that were given to a provider.
        failed: Placements that did not take effect.
        batches: Transactions of placements.
        taken_back: Jobs that were taken from a provider that did not claim them.
        refused: Jobs that a provider handed back.
        rebuilds: How often the whole grid was read.
    """

    placed: int = 0
    failed: int = 0
    batches: int = 0
    taken_back: int = 0
    refused: int = 0
    rebuilds: int = 0


@dataclass(frozen=True, slots=True)
class MetaSchedulerSnapshot:
    """How a meta-scheduler stands.

    Attributes:
        is_standby: Another process with the key is at work; this one waits.
        is_hearing: The chain was heard of in the last 30 seconds.
        waiting: Jobs that no provider has.
        placing: Those of them whose placement is on its way.
        placed: Jobs that wait to be claimed.
        claimed: Jobs that are claimed and do not run yet.
        running: Jobs that run.
        providers: Approved providers that may get jobs.
        unfit_providers: Known ones that may not.
        counted: Counts since the start, by name.
        follower: Where it reads the chain; None before the first view.
    """

    is_standby: bool
    is_hearing: bool
    waiting: int
    placing: int
    placed: int
    claimed: int
    running: int
    providers: int
    unfit_providers: int
    counted: dict[str, int]
    follower: FollowerSnapshot | None
    sender: SenderSnapshot
    endpoints: tuple[EndpointSnapshot, ...]
