"""Credits, minutes and prices: the formulas of the contracts, in integers.

Money is integer wei (1 credit = 10**18 wei), time is whole minutes, memory MB,
CPUs are hardware threads. The formulas are those of ``contracts/src`` and are
tested against the compiled contracts (tests/unit/contracts/test_formulas.py).
"""

from __future__ import annotations

import re

from dsq.core.errors import UsageError
from dsq.core.model import JobDefinition, ProviderPrices

CREDIT = 10**18
"""Wei of one credit."""

UINT64_MAX = 2**64 - 1

_DECIMAL = re.compile(r"(\d+)(?:\.(\d{1,18}))?", re.ASCII)

_MINUTES = re.compile(
    r"(?:(\d{1,6})\s*(?:d|days?))?\s*(?:(\d{1,6})\s*(?:h|hours?))?"
    r"\s*(?:(\d{1,9})\s*(?:m|min|minutes?)?)?",
    re.ASCII | re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d{1,6}):([0-5]\d)", re.ASCII)


def parse_credits(text: str) -> int:
    """Reads a decimal number of credits, exactly, into wei.

    Raises:
        UsageError: No plain decimal with at most 18 places.
    """
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"'{text}' is not an amount of credits.",
            hint="Write a decimal number with at most 18 places, as in 212.5.",
        )
    whole, places = match.groups()
    return int(whole) * CREDIT + int((places or "").ljust(18, "0"))


def format_credits(wei: int, places: int | None = None) -> str:
    """Writes wei as credits: exactly, or cut (not rounded up) to ``places`` places."""
    sign = "-" if wei < 0 else ""
    whole, rest = divmod(abs(wei), CREDIT)
    digits = f"{rest:018d}"
    digits = digits.rstrip("0") if places is None else digits[:places]
    return f"{sign}{whole:,}".replace(",", "") + (f".{digits}" if digits else "")


def wei_per_minute(definition: JobDefinition, prices: ProviderPrices) -> int:
    """Rate of a job at a provider (reference/contracts: ``rate``)."""
    per_cpu = prices.cpu_per_min + definition.mem_per_cpu * prices.mem_per_min
    return definition.gpus * prices.gpu_per_min + definition.cpus * per_cpu


def cost_of(definition: JobDefinition, prices: ProviderPrices, minutes: int) -> int:
    """Wei that ``minutes`` of the job cost (contract: ``convertDurationToCredit``)."""
    return wei_per_minute(definition, prices) * minutes


def minutes_for(definition: JobDefinition, prices: ProviderPrices, wei: int) -> int:
    """Whole minutes that ``wei`` buy (contract: ``convertCreditToDuration``), at most 2**64 - 1.

    A rate of 0 buys the most: such a provider charges nothing.
    """
    rate = wei_per_minute(definition, prices)
    return min(wei // rate, UINT64_MAX) if rate else UINT64_MAX


def billed_minutes(seconds: int) -> int:
    """Minutes billed for a job that ran ``seconds``: at least 1, begun minutes are free."""
    return max(1, seconds // 60)


def format_minutes(minutes: int) -> str:
    """Writes minutes for people: ``42 min``, ``3 h 05 min``, ``2 d 04 h``."""
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60:02d} h"


def parse_minutes(text: str) -> int:
    """Reads a duration: ``90``, ``90 min``, ``1h30``, ``1 h 30 min``, ``1:30``, ``2d 4h``.

    Raises:
        UsageError: It is none, or less than a minute.
    """
    words = text.strip()
    clock = _CLOCK.fullmatch(words)
    match = _MINUTES.fullmatch(words)
    minutes = 0
    if clock is not None:
        minutes = int(clock[1]) * 60 + int(clock[2])
    elif match is not None and words:
        days, hours, rest = (int(part or 0) for part in match.groups())
        minutes = (days * 24 + hours) * 60 + rest
    if minutes < 1:
        raise UsageError(
            f"'{text}' is not a duration of a minute or more.",
            hint="Write minutes, or days, hours and minutes, as in 90, 1h30 or 2d.",
        )
    return minutes
