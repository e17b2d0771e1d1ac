"""Time and money of a job as of now, by the formulas of the contracts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dsq.core.model import Job, JobStatus, Provider
from dsq.core.units import (
    UINT64_MAX,
    billed_minutes,
    cost_of,
    minutes_for,
    wei_per_minute,
)


@dataclass(frozen=True, slots=True)
class Account:
    """What a job has used and may use. Amounts are wei, times seconds.

    Attributes:
        ran: It has run, or runs.
        elapsed: Run time up to now or to the end; None if it never ran.
        left: Until the limit its credits bought; None if it does not run or has no limit.
        ends_at: When that limit is reached; None likewise.
        rate: Wei a minute at its provider; None while that is unknown.
        locked: Locked credits, top-ups included.
        so_far: What it would cost if it ended now; the final cost of one that has ended.
        at_limit: What it costs if it runs to its limit.
        comes_back: Of the locked credits, if it ended now; what came back from one that has.
        part: Share of the bought time that has gone by, 0 to 1.
    """

    ran: bool
    elapsed: int | None
    left: int | None
    ends_at: int | None
    rate: int | None
    locked: int
    so_far: int
    at_limit: int
    comes_back: int
    part: float


def account(job: Job, provider: Provider | None, now: float) -> Account:
    """Reckons a job.

    Args:
        provider: The job's provider, if it is known; without it a running job's cost is
            not known either and counts as nothing.
        now: Unix seconds.
    """
    locked = job.cost.max_cost
    rate = wei_per_minute(job.definition, provider.prices) if provider else None
    if job.status.is_final:
        return _ended(job, rate)
    if job.status is not JobStatus.RUNNING or not job.time.start:
        return Account(False, None, None, None, rate, locked, 0, locked, locked, 0.0)
    elapsed = max(0, int(now) - job.time.start)
    if provider is None:
        return Account(True, elapsed, None, None, None, locked, 0, locked, locked, 0.0)
    bought = minutes_for(job.definition, provider.prices, locked - job.cost.pending_top_up)
    used = min(billed_minutes(elapsed), bought)
    so_far = min(cost_of(job.definition, provider.prices, used), locked)
    if bought == UINT64_MAX:
        return Account(True, elapsed, None, None, rate, locked, so_far, 0, locked - so_far, 0.0)
    ends_at = job.time.start + bought * 60
    return Account(
        ran=True,
        elapsed=elapsed,
        left=max(0, ends_at - int(now)),
        ends_at=ends_at,
        rate=rate,
        locked=locked,
        so_far=so_far,
        at_limit=cost_of(job.definition, provider.prices, bought),
        comes_back=locked - so_far,
        part=min(1.0, elapsed / (bought * 60)) if bought else 1.0,
    )


def _ended(job: Job, rate: int | None) -> Account:
    final = job.cost.final_cost
    # The contract sets start = end for a job that ends before it ran (docs/contracts.md).
    ran = bool(job.time.start) and (job.time.end > job.time.start or final > 0)
    elapsed = max(0, job.time.end - job.time.start) if ran else None
    part = min(1.0, final / job.cost.max_cost) if job.cost.max_cost else 0.0
    back = job.cost.max_cost - final
    return Account(
        ran, elapsed, None, None, rate, job.cost.max_cost, final, final, max(0, back), part
    )


def minutes_bought(job: Job, provider: Provider | None, wei: int) -> int | None:
    """Minutes that ``wei`` more would buy the job; None if the provider is unknown."""
    if provider is None:
        return None
    return minutes_for(job.definition, provider.prices, wei)
