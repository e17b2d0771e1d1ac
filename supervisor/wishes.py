"""What is to be said about a job, and how that is said: entries of a batch, words of the journal.

Pure; :mod:`.reports` sends it and says what became of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsq.core.model import JobStatus
from dsq.supervisor.chaintime import span_on_chain, start_on_chain
from dsq.supervisor.ends import End
from dsq.supervisor.records import JobRecord

if TYPE_CHECKING:
    from dsq.core.chain.calls import Report

Change = tuple[int, str, dict[str, Any]]
"""For the journal (:meth:`~dsq.supervisor.journal.Journal.change_all`): job, event, fields."""


@dataclass(slots=True)
class Wish:
    """What is to be said about one job.

    Attributes:
        running: Say that it runs.
        is_proof: It is known to run: only a sign of life.
        end: How it ended, None while it has not.
        corrections: How often its times were corrected.
    """

    job_id: int
    running: bool = False
    is_proof: bool = False
    end: End | None = None
    corrections: int = 0

    @property
    def size(self) -> int:
        """Entries in the batch."""
        return int(self.running) + (self.end is not None)


def entries_of(wish: Wish, record: JobRecord | None, now: int) -> list[Report] | None:
    """The entries of a batch that say it.

    Args:
        wish: What is to be said.
        record: What the journal knows of the job; without it nothing is said.
        now: The chain's newest block, Unix seconds.

    Returns:
        None if it must wait for the chain's clock.
    """
    from dsq.core.chain.calls import Report

    if record is None:
        return []
    claimed, end = record.claim_time, wish.end
    start = start_on_chain(record.started_at, claimed, now)
    last = start
    if end is not None and end.start:
        span = span_on_chain(end.start, end.end, claimed, now)
        if span is None:
            return None
        start, last = span.start, span.end
    entries = []
    if wish.running:
        entries.append(Report(wish.job_id, JobStatus.RUNNING, start))
    if end is not None:
        entries.append(
            Report(wish.job_id, end.status, start, last, end.last_error, end.exit_status)
        )
    return entries


def intent_of(wish: Wish) -> Change | None:
    """What is written before it is said; None for a sign of life or a start: to say these once
    more does no harm."""
    if wish.end is None:
        return None
    return wish.job_id, f"reporting {_words(wish.end)}", {"last_error": wish.end.last_error}


def outcome_of(wish: Wish, record: JobRecord | None, now: int) -> Change:
    """What is written when the contract has taken it.

    Args:
        wish: What was said.
        record: What the journal knows of the job.
        now: Unix seconds.
    """
    if wish.end is not None:
        return wish.job_id, f"reported {_words(wish.end)}", {"reported": wish.end.status}
    if wish.is_proof or (record is not None and record.reported is not None):
        return wish.job_id, "", {"proved_at": now}
    return wish.job_id, "reported RUNNING", {"reported": JobStatus.RUNNING, "proved_at": now}


def _words(end: End) -> str:
    return f"{end.status.name}, {end.minutes} min"
