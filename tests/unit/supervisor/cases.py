"""Records, chain views and looks into Slurm for tests of the pure rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dsq.core.model import Job, JobCost, JobDefinition, JobStatus, JobTime
from dsq.core.units import CREDIT
from dsq.supervisor.observe import ChainView, Sight, SlurmView
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.scheduler.port import FORGOTTEN, SlurmJob
from dsq.supervisor.states import BodyState, ChainState, Policy
from tests.support.fakes import CUSTOMER, ME, OTHER

NOW = 1_000_000
POLICY = Policy(cap_minutes=600)
DEFINITION = JobDefinition(1, 1, 100, 0, "hash")


def record(**changes: Any) -> JobRecord:
    """A freshly claimed job that bought an hour."""
    base = JobRecord(7, CUSTOMER, DEFINITION, claimed_at=NOW - 100, bought_minutes=60)
    return replace(base, **changes)


def sent(**changes: Any) -> JobRecord:
    """A job that Slurm has, limit as bought."""
    base = record(
        phase=Phase.SEEN,
        attempt=1,
        token="t",
        planned_at=NOW - 90,
        slurm_id="41",
        submit_time=NOW - 89,
        limit_minutes=60,
        limit_bought=60,
    )
    return replace(base, **changes)


def slurm(state: str, **changes: Any) -> SlurmView:
    """Slurm shows the job in a state."""
    job = SlurmJob("41", NOW - 89, user="grid", state=state, nodes="n1", time_limit_minutes=60)
    if state == "PENDING":
        job = replace(job, nodes="", reason="Resources")
    else:
        job = replace(job, start=NOW - 80)
    return SlurmView(Sight.FOUND, replace(job, **changes), NOW)


DARK = SlurmView(Sight.DARK, at=NOW - 10)
NONE = SlurmView(Sight.NONE, at=NOW)
ABSENT = SlurmView(Sight.ABSENT, at=NOW)


def chain(
    status: JobStatus, *, mine: bool = True, cancel: bool = False, **changes: Any
) -> ChainView:
    """The chain shows the job in a status."""
    job = Job(
        7,
        status,
        CUSTOMER,
        ME if mine else OTHER,
        DEFINITION,
        JobCost(100 * CREDIT),
        JobTime(submit=NOW - 200),
        has_cancel_request=cancel,
    )
    return ChainView(replace(job, **changes), mine, NOW)


CHAINS: dict[ChainState, ChainView | None] = {
    ChainState.UNKNOWN: None,
    ChainState.NOT_MINE: chain(JobStatus.RUNNING, mine=False),
    ChainState.OFFERED: chain(JobStatus.META_SCHEDULED),
    ChainState.SCHEDULED: chain(JobStatus.SCHEDULED),
    ChainState.RUNNING: chain(JobStatus.RUNNING),
    ChainState.STOPPING: chain(JobStatus.RUNNING, cancel=True),
    ChainState.OVER: chain(JobStatus.CANCELLED),
}
"""One view for each state of the chain."""

LONG_AGO = NOW - 1000
ENDED = {"phase": Phase.ENDED, "end_state": "COMPLETED", "ended_at": NOW - 5}

BODIES: dict[BodyState, tuple[JobRecord, SlurmView]] = {
    BodyState.NOTHING: (record(), NONE),
    BodyState.NOTHING_DARK: (record(), DARK),
    BodyState.UNSURE: (record(phase=Phase.PLANNED, attempt=1, token="t"), NONE),
    BodyState.NEVER: (record(phase=Phase.PLANNED, attempt=1, token="t", missing_count=1), NONE),
    BodyState.WAITING: (sent(slurm_state="PENDING"), slurm("PENDING")),
    BodyState.DOOMED: (
        sent(slurm_state="PENDING", slurm_reason="BadConstraints"),
        slurm("PENDING", reason="BadConstraints"),
    ),
    BodyState.ALIVE: (sent(slurm_state="RUNNING", started_at=NOW - 80), slurm("RUNNING")),
    BodyState.REQUEUED: (
        sent(slurm_state="PENDING", started_at=NOW - 80, requeued=True),
        slurm("PENDING"),
    ),
    BodyState.LEAVING: (sent(slurm_state="COMPLETING", started_at=NOW - 80), slurm("COMPLETING")),
    BodyState.DARK: (sent(slurm_state="RUNNING", started_at=NOW - 80), DARK),
    BodyState.MISSING: (
        sent(started_at=NOW - 80, missing_count=2, missing_since=NOW - 10),
        ABSENT,
    ),
    BodyState.MISLAID: (
        sent(
            slurm_state="RUNNING",
            started_at=NOW - 800,
            last_alive_at=NOW - 500,
            missing_count=2,
            missing_since=LONG_AGO,
        ),
        ABSENT,
    ),
    BodyState.LOST: (
        sent(
            slurm_state=FORGOTTEN,
            started_at=NOW - 800,
            last_alive_at=NOW - 500,
            missing_count=2,
            missing_since=LONG_AGO,
        ),
        ABSENT,
    ),
    BodyState.VANISHED: (sent(missing_count=2, missing_since=LONG_AGO), ABSENT),
    BodyState.LOST_UNSEEN: (
        sent(missing_count=2, missing_since=LONG_AGO, slurm_state=FORGOTTEN),
        ABSENT,
    ),
    BodyState.ENDED: (sent(started_at=NOW - 80, **ENDED), NONE),
    BodyState.UNRUN: (sent(phase=Phase.ENDED, end_state="CANCELLED", ended_at=NOW - 5), NONE),
    BodyState.CLOSED: (sent(phase=Phase.FINAL), NONE),
}
"""A record and a look into Slurm for each state of a job's processes."""

FORGOTTEN_JOB = SlurmView(Sight.FOUND, SlurmJob("", 0, state=FORGOTTEN), NOW)
