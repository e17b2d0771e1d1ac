"""What the supervisor sees, and how a sighting changes a record: pure.

``decide`` judges a record only after :func:`observe` has folded the newest sighting in,
so every rule reads the same facts whether they were seen now or before a restart.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from dsq.core.model import Job, JobStatus, wait_status_of
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.scheduler.port import ENDED_STATES, FORGOTTEN, UNTOLD, SlurmJob

WAITING_STATES = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"}
)
"""The script does not run yet (CONFIGURING: its nodes are being booted)."""

ALIVE_STATES = frozenset({"RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING"})
"""The script runs, or is stopped for a while on nodes it holds."""

LEAVING_STATES = frozenset({"COMPLETING", "STAGE_OUT"})
"""The script has ended; its end is not final in Slurm's books."""

_NEVER_STARTED_ENDS = frozenset({"CANCELLED", "DEADLINE", "BOOT_FAIL", "REVOKED"})
"""Ends that a job can meet in the queue; Slurm then puts the time of the end into its start,
but names no nodes. With nodes it counts as started, however short: it may have run."""


@dataclass(frozen=True, slots=True)
class ChainView:
    """A job as just read from the chain.

    Attributes:
        mine: The chain names this provider for the job.
        at: When it was read, Unix seconds.
    """

    job: Job
    mine: bool
    at: float = 0.0

    @property
    def wants_cancel(self) -> bool:
        """The customer asked for the job's end, or it has been cancelled already."""
        return self.job.has_cancel_request or self.job.status is JobStatus.CANCELLED


class Sight(enum.StrEnum):
    """What a look into the cluster gave."""

    DARK = "dark"
    """The cluster did not answer: nothing is known."""
    NONE = "none"
    """It answers; there was nothing to look for (no attempt was ever sent)."""
    ABSENT = "absent"
    """It answered that it has no such job."""
    FOUND = "found"
    """It has the job, or its end on record."""


@dataclass(frozen=True, slots=True)
class SlurmView:
    """A look into the cluster for one job.

    Attributes:
        job: What was found, for ``Sight.FOUND``.
        at: When it was looked, Unix seconds; for ``Sight.DARK`` since when there is no answer.
    """

    sight: Sight
    job: SlurmJob | None = None
    at: float = 0.0

    @property
    def is_absent(self) -> bool:
        """The cluster has no such job, or knows no more than that it once started."""
        forgotten = self.job is not None and self.job.state == FORGOTTEN
        return self.sight is Sight.ABSENT or forgotten

    @classmethod
    def of(cls, job: SlurmJob | None, at: float) -> SlurmView:
        """The answer of a poll or a search at ``at``."""
        if job is not None and job.state == UNTOLD:
            return cls(Sight.DARK, at=at)
        return cls(Sight.ABSENT if job is None else Sight.FOUND, job, at)


def observe(
    record: JobRecord, chain: ChainView | None, slurm: SlurmView, now: float
) -> tuple[JobRecord, str]:
    """Folds what was just seen into a record.

    Returns:
        The record, changed or not, and the words for its history ("" if nothing happened
        that a person would want to read).
    """
    if not record.is_open:
        return record, ""
    record, event = _observe_chain(record, chain)
    if record.phase in (Phase.CLAIMED, Phase.ENDED):
        return record, event
    if slurm.is_absent:
        if slurm.job is not None and record.phase is Phase.PLANNED:
            # It did start, and its record is gone: absent, but never to be sent again.
            record = replace(record, phase=Phase.SENT, slurm_id=slurm.job.id, slurm_state=FORGOTTEN)
        return _count_absence(record, slurm.at), event
    if slurm.sight is Sight.FOUND and slurm.job is not None:
        record, seen = _observe_job(record, slurm.job, now)
        return record, seen or event
    return record, event


def _observe_chain(record: JobRecord, chain: ChainView | None) -> tuple[JobRecord, str]:
    if chain is None:
        return record, ""
    event = ""
    if chain.wants_cancel and not record.cancel_requested:
        record, event = replace(record, cancel_requested=True), "the customer cancelled it"
    if chain.mine or chain.job.status.is_final:
        if record.stranger_count:
            record = replace(record, stranger_count=0, stranger_since=0)
    else:
        count, since = _count(record.stranger_count, record.stranger_since, chain.at)
        record = replace(record, stranger_count=count, stranger_since=since)
    return record, event


def _count(count: int, since: int, at: float) -> tuple[int, int]:
    """Counts sightings up to two; looks within one second are one sighting.

    A clock that was set back begins the count anew: the grace is not longer by what it lost.
    """
    if count == 0 or at < since:
        return 1, int(at)
    return (2 if at >= since + 1 else count), since


def _count_absence(record: JobRecord, at: float) -> JobRecord:
    count, since = _count(record.missing_count, record.missing_since, at)
    return replace(record, missing_count=count, missing_since=since)


def _observe_job(record: JobRecord, job: SlurmJob, now: float) -> tuple[JobRecord, str]:
    changed = job.state != record.slurm_state
    record = replace(
        record,
        slurm_id=job.id,
        submit_time=job.submit_time or record.submit_time,
        phase=Phase.SEEN,
        slurm_state=job.state,
        slurm_reason=job.reason,
        nodes=job.nodes or record.nodes,
        missing_count=0,
        missing_since=0,
    )
    if job.state in ALIVE_STATES:
        return _alive(record, job, changed, now)
    if job.state in ENDED_STATES:
        return _ended(record, job, now)
    # Put back between two looks: only the count of restarts tells that its script may have begun.
    put_back = job.state in WAITING_STATES and (record.started_at or job.restarts)
    if put_back and not record.requeued:
        return replace(record, requeued=True), "the cluster put it back into its queue"
    waiting = f"waits in Slurm as {job.id}" + (f" ({job.reason})" if job.reason else "")
    return record, waiting if changed and job.state == "PENDING" else ""


def _alive(record: JobRecord, job: SlurmJob, changed: bool, now: float) -> tuple[JobRecord, str]:
    if record.requeued or _runs_again(record, job):
        # Its second run is not the customer's bill; the first one's sightings stay.
        return record, ""
    record = replace(
        record,
        started_at=job.start or record.started_at or int(now),
        last_alive_at=max(int(now), job.start),
    )
    words = f"runs in Slurm as {job.id} on {job.nodes or 'its node'}"
    return record, words if changed else ""


def _ended(record: JobRecord, job: SlurmJob, now: float) -> tuple[JobRecord, str]:
    started = record.started_at or (0 if _never_started(job) else job.start)
    ended = job.end or int(now)
    if record.requeued or _runs_again(record, job):
        # The data base keeps the last run of a submission; the first one's end is lost with it.
        started, ended = record.started_at, record.last_alive_at
    elif started and job.start:
        started = job.start
    record = replace(
        record,
        phase=Phase.ENDED,
        end_state=job.state,
        started_at=started,
        ended_at=max(ended, started),
        requeued=record.requeued or (job.restarts > 0 and not started),
        exit_status=wait_status_of(job.exit_code, job.signal),
    )
    words = f"ended in Slurm: {job.state}, exit {job.exit_code}"
    return record, words + (f", signal {job.signal}" if job.signal else "")


def _runs_again(record: JobRecord, job: SlurmJob) -> bool:
    """Whether a controller that lost its last seconds started the job once more.

    What Slurm says of such a run is not the bill; its script has ended at its first line.
    """
    return 0 < record.started_at < job.start


def _never_started(job: SlurmJob) -> bool:
    if job.start == 0 or job.state == "BOOT_FAIL":
        return True
    return job.state in _NEVER_STARTED_ENDS and not job.nodes
