"""Naming what is known of a job: what the chain says, what Slurm and the journal say. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from dsq.core.model import JobStatus
from dsq.supervisor.observe import (
    ALIVE_STATES,
    LEAVING_STATES,
    WAITING_STATES,
    ChainView,
    Sight,
    SlurmView,
)
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.scheduler.port import FORGOTTEN

LONGEST_MINUTES = 5 * 365 * 24 * 60
"""Limit for jobs whose price is so low that their credits buy for ever."""

NEVER_REASONS = frozenset(
    {
        "BadConstraints",
        "PartitionNodeLimit",
        "PartitionTimeLimit",
        "InvalidAccount",
        "InvalidQOS",
        "AccountNotAllowed",
        "QOSNotAllowed",
    }
)
"""Slurm's reasons for waiting that no patience cures."""

AWAY_REASONS = frozenset({"PartitionDown", "PartitionInactive", "ReqNodeNotAvail"})
"""Slurm's reasons for waiting that mean that the cluster has gone away for a while."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Patience and limits of this provider; seconds and minutes.

    Attributes:
        cap_minutes: The lower of the partition's longest limit and the settings'
            ``max_minutes``; None if there is neither.
        lost_grace: From the first sighting of a sent job's absence to calling it lost.
        stranger_grace: The same for readings in which a job we run is not ours.
        hand_back_after: How long the cluster may be silent before a job that was never
            submitted goes back.
        fetch_patience: How long the script may be unavailable before the job goes back.
        max_attempts: Attempts that certainly never reached Slurm before the job goes back.
    """

    cap_minutes: int | None = None
    lost_grace: float = 120.0
    stranger_grace: float = 30.0
    hand_back_after: float = 900.0
    fetch_patience: float = 600.0
    max_attempts: int = 3


class ChainState(enum.StrEnum):
    """What the chain says about a job, as far as it matters to its provider."""

    UNKNOWN = "unknown"
    """The chain does not answer, or does not know the job."""
    NOT_MINE = "not mine"
    """PENDING, or with another provider."""
    OFFERED = "offered"
    """META_SCHEDULED to us: not claimed, or the claim was rolled back."""
    SCHEDULED = "scheduled"
    RUNNING = "running"
    STOPPING = "stopping"
    """RUNNING with a cancel request."""
    OVER = "over"
    """Any final status."""


class BodyState(enum.StrEnum):
    """What is known of the job's processes, from Slurm and the journal together."""

    NOTHING = "nothing"
    """Nothing was sent to Slurm, which answers."""
    NOTHING_DARK = "nothing, cluster silent"
    UNSURE = "unsure"
    """An sbatch was planned; whether Slurm took it is not known."""
    NEVER = "never"
    """The planned sbatch certainly never took."""
    WAITING = "waiting"
    DOOMED = "doomed"
    """Waits for something that will never come (:data:`NEVER_REASONS`)."""
    ALIVE = "alive"
    REQUEUED = "requeued"
    """Started once, and was put back into Slurm's queue or started again."""
    LEAVING = "leaving"
    DARK = "dark"
    """It was sent; the cluster does not answer."""
    MISSING = "missing"
    """Slurm does not know it; not yet long enough to call it lost."""
    MISLAID = "mislaid"
    """Slurm does not know a job that was seen running by its id; whether it is there under another
    time of submission, put back into the queue, was not asked yet."""
    LOST = "lost"
    """Slurm forgot a job that was seen running."""
    VANISHED = "vanished"
    """Slurm forgot a job that was never seen running; whether its script began is not known."""
    LOST_UNSEEN = "lost unseen"
    """Its script may have begun, though it was never seen running: Slurm forgot the job, or put
    it back into its queue, and it ended there."""
    ENDED = "ended"
    """Slurm's record of its end is in the journal; it has run."""
    UNRUN = "unrun"
    """Slurm's record of its end is in the journal; it never started."""
    CLOSED = "closed"
    """The record is closed."""


def chain_state(chain: ChainView | None) -> ChainState:
    """Names what the chain says."""
    if chain is None:
        return ChainState.UNKNOWN
    status = chain.job.status
    if status.is_final:
        return ChainState.OVER
    if not chain.mine or status is JobStatus.PENDING:
        return ChainState.NOT_MINE
    if status is JobStatus.META_SCHEDULED:
        return ChainState.OFFERED
    if status is JobStatus.SCHEDULED:
        return ChainState.SCHEDULED
    return ChainState.STOPPING if chain.job.has_cancel_request else ChainState.RUNNING


def body_state(slurm: SlurmView, record: JobRecord, now: float, policy: Policy) -> BodyState:
    """Names what Slurm and the journal say; ``record`` has ``slurm`` folded in already."""
    match record.phase:
        case Phase.FINAL:
            return BodyState.CLOSED
        case Phase.ENDED:
            return _ended_state(record)
        case Phase.CLAIMED:
            dark = slurm.sight is Sight.DARK
            return BodyState.NOTHING_DARK if dark else BodyState.NOTHING
        case Phase.PLANNED if record.missing_count == 0:
            return BodyState.UNSURE
        case Phase.PLANNED:
            # The scheduler's "not there" about a token is certain and for ever.
            dark = slurm.sight is Sight.DARK
            return BodyState.NOTHING_DARK if dark else BodyState.NEVER
    return _sent_state(slurm, record, now, policy)


def _ended_state(record: JobRecord) -> BodyState:
    if record.started_at:
        return BodyState.ENDED
    # A run that nobody saw is on no record; that it came back from the queue says there was one.
    return BodyState.LOST_UNSEEN if record.requeued else BodyState.UNRUN


def _sent_state(slurm: SlurmView, record: JobRecord, now: float, policy: Policy) -> BodyState:
    if slurm.sight in (Sight.DARK, Sight.NONE):
        return BodyState.DARK
    if slurm.is_absent:
        waited = now - record.missing_since
        if record.missing_count < 2 or waited < policy.lost_grace:
            return BodyState.MISSING
        is_sought = record.slurm_state == FORGOTTEN or slurm.job is not None
        if record.started_at:
            return BodyState.LOST if is_sought else BodyState.MISLAID
        return BodyState.LOST_UNSEEN if is_sought else BodyState.VANISHED
    if record.requeued:
        return BodyState.REQUEUED
    if record.slurm_state in ALIVE_STATES:
        return BodyState.ALIVE
    if record.slurm_state in LEAVING_STATES:
        return BodyState.LEAVING
    if record.slurm_state in WAITING_STATES:
        doomed = record.slurm_reason in NEVER_REASONS
        return BodyState.DOOMED if doomed else BodyState.WAITING
    return BodyState.DARK  # a word of Slurm that is not known here: nothing is torn down


def wanted_limit(record: JobRecord, policy: Policy) -> int:
    """Minutes the job may have in Slurm: what was bought, below the caps; 0 if nothing."""
    cap = policy.cap_minutes or LONGEST_MINUTES
    return min(record.bought_minutes, cap, LONGEST_MINUTES)
