"""Jobs that cannot be claimed soon go back unclaimed, and never run here afterwards."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from dsq.core.model import JobStatus
from dsq.supervisor.offers import LEAVING
from tests.support.provider import Provider, provider
from tests.support.virtual import run_virtual


def scenario(tmp_path: Path, story: Any, **options: Any) -> None:
    """Runs a story in virtual time."""

    async def main() -> None:
        async with provider(tmp_path, **options) as made:
            await asyncio.sleep(5)
            await story(made)

    run_virtual(main())


def claims(p: Provider) -> int:
    """Claims that were sent."""
    return sum(label.startswith("claimNextJob") for label in p.sender.sent)


def test_a_closed_partition_hands_on_within_seconds(tmp_path: Path) -> None:
    """The job is free for another provider long before the grid's own timeout."""

    async def story(p: Provider) -> None:
        p.slurm.closed = "the partition main is DRAIN"
        job_id = p.chain.request()
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 15)
        assert (claims(p), p.accepted(job_id)) == (0, [])
        p.slurm.closed = ""
        p.chain.offer(job_id)
        await p.until_over(job_id)
        assert p.agent is not None
        assert p.agent.claims.offers.passed_on == 1

    scenario(tmp_path, story)


def test_a_partition_that_is_closed_for_a_moment_keeps_its_jobs(tmp_path: Path) -> None:
    """An administrator's slip of three seconds costs nobody a place."""

    async def story(p: Provider) -> None:
        p.slurm.closed = "the partition main is DOWN"
        job_id = p.chain.request()
        p.chain.offer(job_id)
        await asyncio.sleep(3)
        p.slurm.closed = ""
        await p.until_over(job_id)
        assert p.sender.sent.count(f"refuseJob({job_id})") == 0

    scenario(tmp_path, story)


def test_a_silent_cluster_hands_on_after_its_patience(tmp_path: Path) -> None:
    """A controller that restarts is waited for; one that stays away is not."""

    async def story(p: Provider) -> None:
        p.slurm.is_down = True
        await asyncio.sleep(10)
        job_id = p.chain.request()
        p.chain.offer(job_id)
        await asyncio.sleep(40)
        assert p.job(job_id).status is JobStatus.META_SCHEDULED
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 40)

    scenario(tmp_path, story, timing={"hand_on_after": 60})


def test_a_cluster_full_of_others_jobs_hands_on_after_its_patience(tmp_path: Path) -> None:
    """What fits by the grid's books and not in the cluster does not wait for ever."""

    async def story(p: Provider) -> None:
        p.slurm._free_cpus = lambda _node: 0  # type: ignore[method-assign]
        job_id = p.chain.request()
        p.chain.offer(job_id)
        await asyncio.sleep(40)
        assert p.job(job_id).status is JobStatus.META_SCHEDULED
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 40)
        assert claims(p) == 0

    scenario(tmp_path, story, claim_ahead=0, timing={"hand_on_after": 60})


def test_paused_it_hands_on_at_once(tmp_path: Path) -> None:
    """The operator's word needs no second look."""

    async def story(p: Provider) -> None:
        assert p.agent is not None
        p.agent.pause()
        job_id = p.chain.request()
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 5)

    scenario(tmp_path, story)


def test_a_claim_that_slips_in_before_the_refusal_is_never_submitted(tmp_path: Path) -> None:
    """The intent is in the journal: after a crash the late claim's job goes back, and no
    sbatch is sent for it, although the cluster starts jobs again."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request()
        await p.kill()
        p.start()
        p.journal.set_meta(LEAVING, json.dumps({str(job_id): "the partition main is DOWN"}))
        assert p.agent is not None
        p.agent.claims.offers._leaving[job_id] = "the partition main is DOWN"
        p.chain.is_stalled = True
        p.chain.offer(job_id)
        claim = asyncio.create_task(p.sender.send(p.chain.calls.claim_next_jobs(1)))
        await asyncio.sleep(5)
        p.chain.is_stalled = False
        await claim
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 60)
        await asyncio.sleep(60)
        assert p.accepted(job_id) == []

    scenario(tmp_path, story)


@pytest.mark.parametrize("crash_at", range(1, 9))
def test_a_crash_at_any_moment_of_it_leaves_no_job_behind(tmp_path: Path, crash_at: int) -> None:
    """Whatever was written or sent: the job goes back once, and can come again."""

    async def story(p: Provider) -> None:
        p.slurm.closed = "the partition main is DOWN"
        job_id = p.chain.request()
        p.chain.offer(job_id)
        p.die_soon(crash_at)
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 120)
        await p.restart_after_crash()
        p.world.crash_at = 0
        p.slurm.closed = ""
        p.chain.offer(job_id)
        await p.until_over(job_id)
        assert len(p.accepted(job_id)) == 1
        assert len(p.chain.ends[job_id]) == 1

    scenario(tmp_path, story)
