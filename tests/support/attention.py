"""Whether somebody looks at each job again: a running step, a retry, a report under way, a timer.

It looks into the agent from outside, once a block. A job that the chain shows as ours counts as
attended while its record is open and due, or while it is among the strays; else the time adds up
in which chain, cluster and disk were all there and nobody took it up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsq.core.model import JobStatus
from dsq.supervisor.agent import Agent
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.snapshot import Mode
from dsq.supervisor.stepper import LAST_RETRY, REST_SECONDS
from tests.support.fakes import ME
from tests.support.provider import Provider

SLACK_SECONDS = 5.0
"""What a look may be late."""

BUSY_SECONDS = 300.0
"""No step takes longer: each call of the outside has its own, shorter limit."""

REPORT_SECONDS = 300.0
"""A report is sent, or fails, in so long while the chain takes transactions."""

HEARD_SECONDS = 300.0
"""A claim is in the journal, and an offer decided on, so long after both sides are there."""


class Attention:
    """Watches one provider's process after the other.

    Args:
        provider: The provider; its agents come and go.
        jobs: The grid's jobs, those to come included.
    """

    def __init__(self, provider: Provider, jobs: Sequence[int]) -> None:
        self._p = provider
        self._jobs = jobs
        self._agent: Agent | None = None
        self._since = 0.0
        self._reporting: dict[int, float] = {}
        self._unheard: dict[int, int] = {}
        self._read: object = None
        self._ours: list[int] = []

    def missing(self) -> Iterator[str]:
        """Jobs at which nobody will look again, in words."""
        p, agent = self._p, self._p.agent
        now = p.world.clock.monotonic()
        if agent is None or p.world.is_dead or p.has_stopped or agent.mode is Mode.STOPPING:
            self._agent = None
            return
        if agent is not self._agent:
            self._agent, self._since = agent, now
            self._reporting.clear()
            self._unheard.clear()
        for record in agent.services.journal.open_records():
            if words := self._overdue(agent, record, now):
                yield f"nobody looks at job {record.job_id} again: {words}"
        if self._is_well():
            yield from self._not_heard_of(agent)

    def _is_well(self) -> bool:
        p = self._p
        is_down = p.chain.is_down or p.chain.is_stalled or p.slurm.is_down or p.scripts.error
        is_full = p.world.disk_full or p.world.sender_disk_full
        return not (is_down or is_full or p.slurm.closed or p.slurm.refuses)

    def _overdue(self, agent: Agent, record: JobRecord, now: float) -> str:
        stepper, job_id = agent._stepper, record.job_id
        looked = max(stepper._judged_at.get(job_id, 0.0), self._since)
        if not agent.reporter.is_at(job_id):
            self._reporting.pop(job_id, None)
        if job_id in stepper._busy:
            is_late = now - looked > BUSY_SECONDS
            return f"its step has run for {now - looked:.0f} s" if is_late else ""
        retry_at = stepper._retry_at.get(job_id)
        if retry_at is not None:
            is_soon = now - SLACK_SECONDS <= retry_at <= now + LAST_RETRY
            return "" if is_soon else f"its retry is due in {retry_at - now:.0f} s"
        if agent.reporter.is_at(job_id):
            if not self._is_well():
                self._reporting[job_id] = now
            since = self._reporting.setdefault(job_id, now)
            is_late = now - since > REPORT_SECONDS
            return f"its report has waited for {now - since:.0f} s" if is_late else ""
        rest = REST_SECONDS if record.phase in (Phase.SENT, Phase.SEEN) else 1.0
        is_late = now - looked > rest + SLACK_SECONDS
        return f"it was judged {now - looked:.0f} s ago" if is_late else ""

    def _not_heard_of(self, agent: Agent) -> Iterator[str]:
        state = self._p.chain.state
        if state is not self._read:
            # Whatever happens on chain makes another state.
            jobs = (state.jobs[job_id] for job_id in self._jobs)
            ours = [job.id for job in jobs if job.provider == ME and not job.status.is_final]
            self._read, self._ours = state, ours
            self._unheard = {i: count for i, count in self._unheard.items() if i in ours}
        for job_id in self._ours:
            if self._is_known(agent, job_id):
                self._unheard.pop(job_id, None)
                continue
            count = self._unheard[job_id] = self._unheard.get(job_id, 0) + 1
            if count * self._p.chain.block_seconds > HEARD_SECONDS:
                status = self._p.job(job_id).status
                yield f"nobody knows of job {job_id}, which is {status.name}"

    def _is_known(self, agent: Agent, job_id: int) -> bool:
        strays = agent.strays
        if job_id in strays._jobs or job_id in strays._left_alone:
            return True
        if self._p.job(job_id).status is JobStatus.META_SCHEDULED:
            offers = agent.claims.offers
            # While strays wait for their fate nothing is claimed.
            known = (offers._known, offers._leaving, offers._hinted)
            return bool(strays.waiting) or any(job_id in some for some in known)
        record = agent.services.journal.get(job_id)
        return record is not None and record.is_open
