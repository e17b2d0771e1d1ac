"""What the meta-scheduler knows: waiting jobs, placed jobs, providers and their load.

Rebuilt from contract views at the start and when the chain went back; kept up by
events afterwards, each at a cost that does not depend on how many jobs there ever were.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dsq.core.metascheduler.backoff import BackOff
from dsq.core.metascheduler.matching import why_not
from dsq.core.metascheduler.occupation import Occupation
from dsq.core.metascheduler.policy import Placement, order
from dsq.core.model import Address, Job, JobStatus, Provider
from dsq.core.units import minutes_for


@dataclass(slots=True)
class Tracked:
    """A job that a provider has.

    Attributes:
        status: ``META_SCHEDULED``, ``SCHEDULED`` or ``RUNNING``.
        since: When it came to this status, Unix seconds.
    """

    job: Job
    provider: Address
    status: JobStatus
    since: float


@dataclass(slots=True)
class Placing:
    """A placement on its way into the chain.

    Attributes:
        mined_at: When its transaction was seen mined; None before.
    """

    job: Job
    provider: Address
    mined_at: float | None = None


@dataclass(slots=True)
class GridState:
    """The meta-scheduler's picture of the grid."""

    pending: dict[int, Job] = field(default_factory=dict)
    placing: dict[int, Placing] = field(default_factory=dict)
    tracked: dict[int, Tracked] = field(default_factory=dict)
    providers: dict[Address, Provider] = field(default_factory=dict)
    occupations: dict[Address, Occupation] = field(default_factory=dict)
    backoff: BackOff = field(default_factory=BackOff)
    unclaimed: set[int] = field(default_factory=set)
    """Numbers of the tracked jobs that are ``META_SCHEDULED``: claims are waited for."""

    # -- providers ---------------------------------------------------------------

    def set_provider(self, provider: Provider) -> None:
        """Takes in a provider's record; new hardware packs its jobs anew."""
        address = provider.address
        self.providers[address] = provider
        known = self.occupations.get(address)
        if known is None or known.hardware != provider.hardware:
            self._repack(address, Occupation(provider.hardware))

    def drop_provider(self, address: Address) -> None:
        """Forgets a provider that left the grid; jobs it still has stay tracked."""
        self.providers.pop(address, None)
        self.occupations.pop(address, None)

    def _repack(self, address: Address, occupation: Occupation) -> None:
        held = {one.job.id: one.job for one in self.tracked.values() if one.provider == address}
        held |= {one.job.id: one.job for one in self.placing.values() if one.provider == address}
        for job_id in sorted(held):
            occupation.add(job_id, held[job_id].definition)
        self.occupations[address] = occupation

    # -- jobs --------------------------------------------------------------------

    def observe(self, job: Job, since: float) -> None:
        """Takes in the view of a job, whatever was thought of it before.

        A waiting job whose placement is on its way keeps its reservation.

        Args:
            job: The job as the chain shows it.
            since: When it came to its status, Unix seconds.
        """
        if job.status is JobStatus.PENDING:
            if job.id in self.placing:
                return
            self._release(job.id)
            self.pending[job.id] = job
        elif job.status.is_final:
            self.ended(job.id)
        else:
            self._hold(job, job.provider, since)

    def _hold(self, job: Job, provider: Address, since: float) -> None:
        before = self.tracked.get(job.id)
        if before is not None and before.provider == provider:
            before.since = since if before.status != job.status else before.since
            before.job, before.status = job, job.status
            self._note(before)
            return
        self._release(job.id)
        self.pending.pop(job.id, None)
        self.backoff.placed(job.id)
        self.tracked[job.id] = tracked = Tracked(job, provider, job.status, since)
        self._note(tracked)
        self._occupy(job, provider)

    def advance(self, job_id: int, status: JobStatus, since: float) -> bool:
        """Follows a transition between statuses of a placed job by the event alone.

        Returns:
            False when the event is not enough and the job's view is due.
        """
        tracked = self.tracked.get(job_id)
        if tracked is None:
            placing = self.placing.pop(job_id, None)
            if placing is None or status is not JobStatus.META_SCHEDULED:
                return False
            self.backoff.placed(job_id)
            # The space was taken when the placement was decided.
            self.tracked[job_id] = tracked = Tracked(placing.job, placing.provider, status, since)
            self._note(tracked)
            return True
        if status not in (JobStatus.META_SCHEDULED, JobStatus.SCHEDULED):
            return False
        tracked.status, tracked.since = status, since
        self._note(tracked)
        return True

    def ended(self, job_id: int) -> None:
        """Forgets a job that ended."""
        self._release(job_id)
        self.pending.pop(job_id, None)
        self.backoff.forget(job_id)

    def begin(self, placement: Placement) -> Job:
        """Reserves space for a placement that is about to be sent; returns the job."""
        job = self.pending.pop(placement.job_id)
        self.placing[job.id] = Placing(job, placement.provider)
        self._occupy(job, placement.provider)
        return job

    def abandon(self, job_id: int) -> None:
        """Gives up a reservation whose transaction failed; the job waits again until seen."""
        placing = self.placing.get(job_id)
        if placing is not None:
            self._release(job_id)
            self.pending[job_id] = placing.job

    def handed_back(self, job_id: int) -> None:
        """A provider has the job no more, by a transition back to ``PENDING``.

        A placement on its way is newer than that transition and stays.
        """
        if job_id in self.tracked:
            self._release(job_id)

    def _note(self, tracked: Tracked) -> None:
        """Keeps :attr:`unclaimed` true to a job's status."""
        if tracked.status is JobStatus.META_SCHEDULED:
            self.unclaimed.add(tracked.job.id)
        else:
            self.unclaimed.discard(tracked.job.id)

    def _occupy(self, job: Job, provider: Address) -> None:
        occupation = self.occupations.get(provider)
        if occupation is not None:
            occupation.add(job.id, job.definition)

    def _release(self, job_id: int) -> None:
        """Frees what a job takes, placed or on its way."""
        self.unclaimed.discard(job_id)
        held = (self.tracked.pop(job_id, None), self.placing.pop(job_id, None))
        for one in held:
            occupation = self.occupations.get(one.provider) if one is not None else None
            if occupation is not None:
                occupation.remove(job_id)

    def clear(self) -> None:
        """Forgets jobs and providers for a rebuild; placements on their way stay reserved."""
        self.pending.clear()
        self.tracked.clear()
        self.unclaimed.clear()
        self.providers.clear()
        self.occupations.clear()

    # -- questions ---------------------------------------------------------------

    def waiting(self, now: float) -> list[Job]:
        """The queue: jobs that are ``PENDING`` on chain, first come first."""
        jobs = {**self.pending, **{job_id: one.job for job_id, one in self.placing.items()}}
        return order(jobs.values(), now)

    def hot_ids(self) -> list[int]:
        """Numbers of all jobs that have not ended."""
        return sorted({*self.pending, *self.placing, *self.tracked})

    def why_not(self, job: Job, provider: Provider, now: float) -> str:
        """Why a provider cannot start a job now, or ""."""
        return why_not(
            job.definition,
            job.cost.max_cost,
            provider,
            self.occupations.get(provider.address),
            self.backoff.reason(job.id, provider.address, now),
        )

    def max_end(self, tracked: Tracked) -> float | None:
        """When a running job's credits end, Unix seconds; None while it does not run."""
        provider = self.providers.get(tracked.provider)
        start = tracked.job.time.start
        if tracked.status is not JobStatus.RUNNING or not start or provider is None:
            return None
        minutes = minutes_for(tracked.job.definition, provider.prices, tracked.job.cost.max_cost)
        return start + minutes * 60
