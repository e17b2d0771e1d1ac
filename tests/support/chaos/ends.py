"""What must hold when all is over: each job ended as Slurm says, for Slurm's minutes."""

from __future__ import annotations

from dsq.core.model import JobStatus
from dsq.core.units import billed_minutes
from tests.support.chaos.scene import Scene


def check_ends(scene: Scene) -> None:
    """Looks at every job.

    Raises:
        AssertionError: One did not end as it should.
    """
    scene.check_now()
    for job_id in scene.jobs:
        _check_job(scene, job_id)


def _check_job(scene: Scene, job_id: int) -> None:
    p = scene.p
    job = p.job(job_id)
    accepted = p.accepted(job_id)
    for one in accepted:
        if one.spec.token in p.slurm.given_up:
            continue  # it came late, and its script ends at once
        assert one.state not in ("PENDING", "RUNNING", "SUSPENDED", "COMPLETING"), (
            f"job {job_id} ended on chain and goes on in Slurm as {one.id}"
        )
    ran = [one for one in accepted if one.runs]
    assert len(ran) <= 1, f"job {job_id} ran {len(ran)} times"
    if job.status is JobStatus.FINISHED:
        assert ran, f"job {job_id} is FINISHED and never ran"
        assert ran[0].state == "COMPLETED", f"job {job_id} is FINISHED, Slurm: {ran[0].state}"
    if job_id in scene.unbillable or (scene.may_stop and len(ran) < len(accepted)):
        return  # its journal was lost: an attempt that ended at the fence may be what counts
    minutes = p.chain.bills.get(job_id, 0)
    if minutes and ran:
        true = billed_minutes(ran[0].end - ran[0].start)
        began = ran[0].start - p.world.cluster_skew
        if p.chain.state.terms[job_id].claimed_at - p.world.chain_skew > began:
            # The claim was rolled back and came again later: nobody pays for the time before.
            assert minutes <= true, f"job {job_id} was billed {minutes} min, it took {true}"
            return
        assert minutes == true, f"job {job_id} was billed {minutes} min, it took {true}"
    if ran and ran[0].state == "COMPLETED" and job.status is not JobStatus.CANCELLED:
        assert job.status is JobStatus.FINISHED, f"job {job_id}: {job.status.name}"
        assert minutes, f"job {job_id} is not paid"
