"""Why a job was given to its provider, in words. Pure: for the console and for ``dsq why``.

The meta-scheduler's rule is the reason (docs/metascheduler.md): among the providers that can
start a job at once the cheapest for this job gets it, then the least loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsq.core.model import Address, JobStatus, WhyNot
from dsq.core.units import format_credits, format_minutes

_DID = {
    JobStatus.META_SCHEDULED: "Placed on {}",
    JobStatus.SCHEDULED: "Claimed by {}",
    JobStatus.RUNNING: "Runs on {}",
}
_NEXT = {
    JobStatus.META_SCHEDULED: ", which has not claimed it yet",
    JobStatus.SCHEDULED: "; waits in its Slurm",
}


def where_words(status: JobStatus, provider: str) -> str:
    """Where a placed job is, as a sentence."""
    return f"{_DID[status].format(provider)}{_NEXT.get(status, '')}."


def reason_words(wei_per_minute: int | None) -> str:
    """Why there: the meta-scheduler's rule, and the price that decided.

    Args:
        wei_per_minute: What a minute of the job costs there; None if it is not known.
    """
    price = "" if wei_per_minute is None else f" ({format_credits(wei_per_minute, 2)} a minute)"
    return f"It was the cheapest that could start it{price}."


def others(chosen: Address, answers: Sequence[WhyNot]) -> list[tuple[str, str]]:
    """What speaks for or against the other providers now: name and words, the cheapest first.

    Args:
        chosen: Who has the job.
        answers: As the meta-scheduler gives them now; it was otherwise, perhaps, when it chose.
    """
    ours = next((row.wei_per_minute for row in answers if row.provider == chosen), None)
    found = []
    for row in answers:
        if row.provider == chosen:
            continue
        words = row.reason or f"{credits_a_minute(row.wei_per_minute)}{_time(row.minutes)}"
        if not row.reason and ours is not None and row.wei_per_minute < ours:
            words += "; could not start it then"
        found.append((row.name, words))
    return found


def credits_a_minute(wei: int) -> str:
    """A price, for people."""
    return f"{format_credits(wei, 2)} credits a minute"


def _time(minutes: int) -> str:
    return f" for {format_minutes(minutes)}" if 0 < minutes < 100 * 366 * 24 * 60 else ""
