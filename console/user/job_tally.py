"""How many jobs are in each state; the open ones, and the credits that they lock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dsq.core.model import Job, JobStatus


class JobTally:
    """Counts jobs, and keeps those that can still change.

    Args:
        counts: How many of the known jobs are in which state.

    Attributes:
        hot: The open jobs by their numbers.
        locked: Wei locked in open jobs.
    """

    def __init__(self, counts: Counter[JobStatus]) -> None:
        self.hot: dict[int, Job] = {}
        self.locked = 0
        self._counts = counts

    @property
    def total(self) -> int:
        """Number of all jobs."""
        return sum(self._counts.values())

    @property
    def ended(self) -> int:
        """How many jobs have ended."""
        return self.total - len(self.hot)

    def count(self, *statuses: JobStatus) -> int:
        """How many jobs are in one of these states."""
        return sum(self._counts[status] for status in statuses)

    def newest_hot(self) -> list[Job]:
        """The open jobs, newest first."""
        return [self.hot[job_id] for job_id in sorted(self.hot, reverse=True)]

    def take_hot(self, jobs: Iterable[Job]) -> None:
        """Takes in open jobs that are counted already; a state that is known stays."""
        for job in jobs:
            if job.id not in self.hot:
                self.hot[job.id] = job
                self.locked += job.cost.max_cost

    def put(self, job: Job, was: JobStatus | None) -> bool:
        """Counts the new state of a job.

        Args:
            job: As it is now.
            was: The state it was counted in, where it is not among the open ones.

        Returns:
            Whether it was not counted before.
        """
        before = self.hot.pop(job.id, None)
        if before is not None:
            self.locked -= before.cost.max_cost
            was = before.status
        if was is not None:
            self._counts[was] -= 1
        self._counts[job.status] += 1
        if job.status.is_hot:
            self.hot[job.id] = job
            self.locked += job.cost.max_cost
        return was is None
