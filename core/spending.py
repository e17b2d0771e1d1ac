"""Adding up what jobs have cost, exactly. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dsq.core.model import Job, utc

WAYS = ("day", "job", "provider")
"""What can be added up by."""


@dataclass(frozen=True, slots=True)
class Spent:
    """A sum.

    Attributes:
        key: The day (``2026-01-31``, UTC), the job's number or the provider's address.
        jobs: How many jobs are in it.
        wei: What they cost.
    """

    key: str
    jobs: int
    wei: int


def spent_by(way: str, jobs: Iterable[Job]) -> list[Spent]:
    """What ended jobs cost, newest day, newest job or dearest provider first.

    Args:
        way: One of :data:`WAYS`.
        jobs: Any jobs; those that cost nothing are left out.
    """
    sums: dict[object, tuple[int, int]] = {}
    for job in jobs:
        if job.status.is_final and job.cost.final_cost:
            key = _key(way, job)
            count, wei = sums.get(key, (0, 0))
            sums[key] = count + 1, wei + job.cost.final_cost
    if way == "provider":
        order = sorted(sums, key=lambda key: sums[key][1], reverse=True)
    else:
        order = sorted(sums, reverse=True)  # type: ignore[type-var]
    return [Spent(str(key), *sums[key]) for key in order]


def _key(way: str, job: Job) -> object:
    if way == "job":
        return job.id
    if way == "provider":
        return job.provider
    end = utc(job.time.end)
    return end.date() if end is not None else ""
