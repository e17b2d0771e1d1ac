"""What the chain tells of a provider's past: public, and worth knowing before one pays it. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dsq.core.model import Job, JobStatus

LATEST = 200
"""Jobs that are looked at, the last placed first."""

PROVIDERS_FAULT = (JobStatus.PANICKED,)


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """A provider's last jobs in figures.

    Attributes:
        jobs: How many were looked at.
        ran: Ended ones that had started.
        finished: Those of them that ended well.
        panicked: Jobs that the grid took away from it.
        wait_seconds: Median time from submit to start; None if none started.
        cost_wei: What the ended ones cost their customers, the grid's fee in it.
        open_jobs: Jobs it has now.
        last_end: When the last one ended; 0 for never.
    """

    jobs: int
    ran: int
    finished: int
    panicked: int
    wait_seconds: int | None
    cost_wei: int
    open_jobs: int
    last_end: int

    @property
    def success(self) -> float | None:
        """The part of started jobs that ended well; None if none ended.

        A job that failed by its own fault counts as not well: the chain does not tell why.
        """
        return self.finished / self.ran if self.ran else None


def has_run(job: Job) -> bool:
    """It started: where nothing ran the chain may name a start as well, the end's, at no cost."""
    at_once = job.time.start == job.time.end and not job.cost.final_cost
    return bool(job.time.start) and not at_once


def track_record(jobs: Sequence[Job]) -> TrackRecord:
    """Adds up the jobs of a provider."""
    ended = [job for job in jobs if job.status.is_final]
    ran = [job for job in ended if has_run(job)]
    waits = [max(0, job.time.start - job.time.submit) for job in jobs if has_run(job)]
    return TrackRecord(
        jobs=len(jobs),
        ran=len(ran),
        finished=sum(job.status is JobStatus.FINISHED for job in ran),
        panicked=sum(job.status in PROVIDERS_FAULT for job in ended),
        wait_seconds=round(statistics.median(waits)) if waits else None,
        cost_wei=sum(job.cost.final_cost for job in ended),
        open_jobs=len(jobs) - len(ended),
        last_end=max((job.time.end for job in ended), default=0),
    )
