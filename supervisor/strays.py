"""Jobs that are ours on chain, of which the journal knows nothing: it was lost.

They may have been submitted before. A job counts as ours in Slurm only by the token of an
attempt (:mod:`dsq.supervisor.tokens`): it is taken up again if one is found, and else
handed back if it was only claimed. Nothing is ever submitted for such a claim. One that
the chain shows as running and the cluster does not is left alone: its end is the grid's.
So is one whose tokens cannot be made again (a contract of the published version does not
tell the time of a claim for certain).

Before anything is done it is waited: whoever else works with this key shows up by what it
does to these jobs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from dsq.core.errors import DsqError
from dsq.core.model import Job, JobStatus, job_hex_id
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.rivals import Rivals
from dsq.supervisor.services import Services
from dsq.supervisor.tokens import attempt_token
from dsq.supervisor.waiting import bounded

if TYPE_CHECKING:
    from dsq.core.chain.client import ClaimTerms

log = logging.getLogger("dsq.supervisor.strays")

LISTEN_SECONDS = 120.0
"""Another supervisor with this key gets so long to show itself."""

LOST_JOURNAL = "the provider lost its record of this job"

_STEPS = {
    JobStatus.SCHEDULED: (
        JobStatus.RUNNING,
        JobStatus.FINISHED,
        JobStatus.FAILED,
        JobStatus.OUT_OF_CREDITS,
    ),
    JobStatus.RUNNING: (JobStatus.FINISHED, JobStatus.OUT_OF_CREDITS),
}
"""What only a provider does to a job."""


class Strays:
    """Takes up what the journal lost.

    Args:
        services: Chain, cluster, journal.
        wake: Has a job judged.
        is_dark: True while the cluster does not answer.
        rivals: Says who stays where another supervisor works on them.
    """

    def __init__(
        self,
        services: Services,
        wake: Callable[[int], None],
        is_dark: Callable[[], bool],
        rivals: Rivals,
    ) -> None:
        self._rivals = rivals
        self._s = services
        self._wake = wake
        self._is_dark = is_dark
        self._jobs: dict[int, tuple[float, JobStatus, int]] = {}
        self._left_alone: set[int] = set()
        self._rivals_jobs: set[int] = set()

    def add(self, job_id: int, status: JobStatus = JobStatus.SCHEDULED) -> None:
        """A job of ours that the journal does not know."""
        if job_id in self._jobs or job_id in self._left_alone:
            return
        log.warning("job=%d is ours on chain, but not in the journal", job_id)
        self._jobs[job_id] = (self._s.clock.monotonic(), status, self._claims(job_id))

    def add_rivals(self, job_id: int) -> None:
        """A job that another supervisor claimed, which will stop."""
        self._rivals_jobs.add(job_id)
        self.add(job_id)

    @property
    def waiting(self) -> int:
        """Jobs whose fate is not decided: until then nothing new is claimed.

        Those of a rival that is to stop are left out: only by our claims does it hear of us.
        """
        return len(self._jobs.keys() - self._rivals_jobs)

    async def look(self) -> None:
        """Looks at those that have waited long enough.

        Raises:
            RivalError: Somebody else works on them with this key, and was there first.
        """
        now = self._s.clock.monotonic()
        for job_id, (_, _, claims) in list(self._jobs.items()):
            if self._claims(job_id) > claims:
                del self._jobs[job_id]  # its claim was heard of meanwhile
        due = [i for i, (since, _, _) in self._jobs.items() if now - since >= LISTEN_SECONDS]
        if not due or self._is_dark():
            return
        views = await self._s.views.read(due)
        for job_id, view in views.items():
            before = self._jobs[job_id][1]
            if view.mine and view.job.status in _STEPS.get(before, ()):
                head = await bounded(self._s.chain.head(), "The chain")
                if not await self._rivals.stays(head.number):
                    raise self._rivals.gives_way(job_id, "it works on")
                self._rivals.outlasts(job_id)
                self._jobs[job_id] = (now, view.job.status, self._jobs[job_id][2])
                due.remove(job_id)
            if not view.mine or view.job.status not in (JobStatus.SCHEDULED, JobStatus.RUNNING):
                del self._jobs[job_id]
        due = [job_id for job_id in due if job_id in self._jobs and job_id in views]
        terms = await bounded(self._s.chain.claim_terms(due), "The chain") if due else {}
        for job_id in due:
            try:
                await self._take_up(views[job_id].job, terms.get(job_id))
            except DsqError as error:
                log.info("job=%d not_taken_up=%r", job_id, str(error))
            else:
                del self._jobs[job_id]

    def _claims(self, job_id: int) -> int:
        """Claims of a job that the journal has heard of; an open record counts as one more."""
        record = self._s.journal.get(job_id)
        return record.claims + record.is_open if record is not None else 0

    async def _take_up(self, job: Job, terms: ClaimTerms | None) -> None:
        s = self._s
        at = terms.claimed_at if terms else await self._claimed_at(job)
        record = JobRecord(
            job_id=job.id,
            customer=job.customer,
            definition=job.definition,
            claimed_at=at or int(s.clock.now()),
            claim_time=at,
            bought_minutes=minutes_bought(job, terms),
            attempt=s.policy.max_attempts,
        )
        # The newest first: an older one was given up, and may have come late.
        attempts = range(s.policy.max_attempts, 0, -1) if s.token_seed and at else ()
        for attempt in attempts:
            token = attempt_token(s.token_seed, job.id, at, attempt)
            # What is not found can never run from now on.
            found = await bounded(s.scheduler.find(job_hex_id(job.id), token, at), "The cluster")
            if found is not None:
                self._adopt(record, attempt, token)
                return
        if job.status is JobStatus.SCHEDULED and terms is not None and s.token_seed:
            self._adopt(record, 0, "")
        else:
            log.error("job=%d is ours on chain, no Slurm job bears its token; left alone", job.id)
            self._left_alone.add(job.id)

    async def _claimed_at(self, job: Job) -> int:
        """The time of a claim that the contract does not tell; 0 if it cannot be known."""
        if job.status is not JobStatus.SCHEDULED:
            return 0
        block = job.time.block_number_state_change
        return await bounded(self._s.chain.block_timestamp(block), "The chain")

    def _adopt(self, record: JobRecord, attempt: int, token: str) -> None:
        words = "taken up again: found in Slurm by its token"
        if token:
            record = replace(
                record,
                phase=Phase.PLANNED,
                attempt=attempt,
                token=token,
                planned_at=record.claim_time,
                limit_bought=record.bought_minutes,
                limit_minutes=record.bought_minutes,
            )
        else:
            words = LOST_JOURNAL
            record = replace(record, refuse_reason=LOST_JOURNAL)
        self._s.journal.claim(record, words)
        self._s.views.forget(record.job_id)
        self._wake(record.job_id)


def minutes_bought(job: Job, terms: ClaimTerms | None) -> int:
    """Minutes that the credits of a claimed job buy, as the contract has them; 0 without a rate."""
    if terms is None or not terms.rate:
        return 0
    return int((job.cost.max_cost - job.cost.pending_top_up) // terms.rate)
