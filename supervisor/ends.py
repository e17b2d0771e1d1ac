"""How a job's end in Slurm becomes its end on chain: status, minutes, words. Pure.

Only Slurm's own record decides (or, where Slurm forgot the job, the last sighting):
nothing that a job's user can write does.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsq.core.model import JobStatus, exit_code_of
from dsq.core.units import billed_minutes
from dsq.supervisor.records import JobRecord

PARTITION_LIMIT = "partition limit"
"""``last_error`` of a job that ended at a limit below the one its credits bought."""

LIMIT_DENIED = "the cluster did not let the time limit be raised"
LOST = "the cluster knows this job no more; billed until it was last seen running"
LOST_UNSEEN = "the cluster has no record of what this job did; it was never seen running"

WORDS = {
    "NODE_FAIL": "a node of the job failed",
    "OUT_OF_MEMORY": "the job used more memory than it asked for",
    "BOOT_FAIL": "the nodes of the job did not start",
    "PREEMPTED": "the cluster gave the job's nodes to another job",
    "REVOKED": "the cluster revoked the job",
}
"""``last_error`` for ends that are the cluster's doing."""


@dataclass(frozen=True, slots=True)
class End:
    """What is reported to the chain.

    Attributes:
        minutes: What is billed.
        exit_status: Wait status, as the contract stores it.
        start, end: Unix seconds by the cluster's clock; 0 where nothing is billed.
    """

    status: JobStatus
    minutes: int
    exit_status: int = 0
    last_error: str = ""
    start: int = 0
    end: int = 0


def end_of(record: JobRecord) -> End:
    """The end of a job that has run and whose end is on record."""
    status, words = _status(record)
    minutes = minutes_of(record)
    return End(
        status, minutes, record.exit_status, words, start=record.started_at, end=record.ended_at
    )


def minutes_of(record: JobRecord) -> int:
    """Billed minutes between the start and end on record."""
    return billed_minutes(max(0, record.ended_at - record.started_at))


def _status(record: JobRecord) -> tuple[JobStatus, str]:
    state = record.end_state
    if state == "COMPLETED":
        return JobStatus.FINISHED, ""
    if state in ("TIMEOUT", "DEADLINE"):
        return _at_limit(record)
    if state == "CANCELLED":
        if record.cancel_requested:
            return JobStatus.CANCELLED, ""
        return JobStatus.FAILED, record.cancel_cause or "the provider cancelled the job"
    if state == "FAILED":
        return JobStatus.FAILED, _exit_words(record.exit_status)
    return JobStatus.FAILED, WORDS.get(state, f"the job ended in Slurm as {state}")


def _at_limit(record: JobRecord) -> tuple[JobStatus, str]:
    if record.limit_denied:
        return JobStatus.FAILED, LIMIT_DENIED
    # A top-up that came too late to lengthen the job leaves it out of credits.
    if record.limit_minutes >= record.limit_bought:
        return JobStatus.OUT_OF_CREDITS, ""
    return JobStatus.FAILED, PARTITION_LIMIT


def _exit_words(exit_status: int) -> str:
    signal = exit_status & 0x7F
    if signal:
        return f"the job's script was ended by signal {signal}"
    return f"the job's script exited with code {exit_code_of(exit_status)}"


def lost_end(record: JobRecord) -> End:
    """The end of a job that Slurm forgot while it was seen running before."""
    seconds = max(0, record.last_alive_at - record.started_at)
    status = JobStatus.CANCELLED if record.cancel_requested else JobStatus.FAILED
    return End(
        status,
        billed_minutes(seconds),
        0,
        LOST,
        start=record.started_at,
        end=record.started_at + seconds,
    )


UNSEEN = End(JobStatus.FAILED, 0, 0, LOST_UNSEEN)
"""From ``SCHEDULED``: the contract gives everything back."""

FREE = End(JobStatus.PANICKED, 0, 0, "the provider has no record that this job ever ran")
"""From ``RUNNING`` when nothing can be billed: only ``PANICKED`` costs nothing there."""
