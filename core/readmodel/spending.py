"""Adding up what jobs have cost, exactly, in the read model's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dsq.core.model import Address
from dsq.core.readmodel.model import ReadModel

PART = 10**9
"""Sums of wei do not fit SQLite's integers; sums of two parts of them do."""

_KEYS: Mapping[str, tuple[str, str]] = {
    "day": ("date(end, 'unixepoch')", "what DESC"),
    "job": ("id", "what DESC"),
    "provider": ("provider", "high DESC, low DESC"),
}
WAYS = tuple(_KEYS)
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


def spent_by(model: ReadModel, way: str, limit: int = -1) -> list[Spent]:
    """What ended jobs cost: newest day, newest job or dearest provider first.

    Jobs that cost nothing are left out.

    Args:
        way: One of :data:`WAYS`.
        limit: No more than so many sums; -1 for all.
    """
    key, order = _KEYS[way]
    rows = model.query(
        f"SELECT {key} AS what, count(*), sum(cost_high) AS high, sum(cost_low) AS low FROM jobs"  # noqa: S608
        " WHERE status > 3 AND (cost_high OR cost_low)"
        f" GROUP BY what ORDER BY {order} LIMIT ?",
        (limit,),
    )
    return [Spent(_shown(what), jobs, high * PART + low) for what, jobs, high, low in rows]


def _shown(what: object) -> str:
    return str(Address(what)) if isinstance(what, bytes) else str(what)
