"""Many jobs, and everything that can go wrong, drawn by a seed.

Crashes at any boundary, late replies, lost sbatch requests and answers, outages of
chain, cluster and services, cancels and top-ups at any time. Whatever happens: each job
ends, at most one accepted sbatch a claim, at most one end on chain, the bill is that of
Slurm's own times, and the money adds up.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from dsq.core.errors import ContractError
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT, billed_minutes
from tests.support.fakes import CUSTOMER, ME
from tests.support.provider import Provider, provider
from tests.support.virtual import run_virtual

SEEDS = 24
JOBS = 6
SECONDS = 500


async def trouble(p: Provider, chance: random.Random, jobs: list[int]) -> None:
    """What users and fate do for some minutes; in the end everything answers again."""
    end = p.world.clock.monotonic() + SECONDS
    while p.world.clock.monotonic() < end:
        await asyncio.sleep(chance.expovariate(1 / 8))
        await p.restart_after_crash(down_for=chance.choice((0.1, 3, 60)))
        match chance.randrange(9):
            case 0:
                p.die_soon(chance.randrange(1, 12))
            case 1:
                p.slurm.lose_replies = 1
            case 2:
                p.slurm.lose_requests = 1
            case 3:
                p.slurm.is_down = not p.slurm.is_down
            case 4:
                p.chain.is_down = not p.chain.is_down
            case 5:
                p.logs.is_down = not p.logs.is_down
            case 6:
                cancel(p, chance.choice(jobs))
            case 7:
                job_id = chance.choice(jobs)
                if p.job(job_id).status in (JobStatus.SCHEDULED, JobStatus.RUNNING):
                    p.chain.top_up(job_id, 2 * CREDIT)
            case 8:
                # What was handed back is placed again.
                for job_id in jobs:
                    if p.job(job_id).status is JobStatus.PENDING:
                        p.chain.offer(job_id)
    p.slurm.is_down = p.chain.is_down = p.logs.is_down = False
    p.slurm.lose_replies = p.slurm.lose_requests = 0


def cancel(p: Provider, job_id: int) -> None:
    """The customer cancels, if it is not too late."""
    with contextlib.suppress(ContractError):
        p.chain.cancel(job_id)


async def settled(p: Provider, jobs: list[int]) -> None:
    """Waits until each job has ended or lies with the grid."""

    def done() -> bool:
        for job_id in jobs:
            if p.job(job_id).status is JobStatus.PENDING:
                p.chain.offer(job_id)
        return (
            not p.world.is_dead
            and all(p.job(job_id).status.is_final for job_id in jobs)
            and not p.journal.open_records()
        )

    await p.until(done, 3000)


def check(p: Provider, jobs: list[int]) -> None:
    """What must hold, whatever happened."""
    for job_id in jobs:
        accepted = p.accepted(job_id)
        ran = [job for job in accepted if job.start]
        record = p.record(job_id)
        claims = record.claims if record else 0
        assert len(accepted) <= max(1, claims), p.story()
        assert len(ran) <= 1, p.story()
        assert len(p.chain.ends.get(job_id, [])) <= 1, p.story()
        if p.chain.bills.get(job_id) and ran and ran[0].end:
            true = billed_minutes(ran[0].end - ran[0].start)
            assert p.chain.bills[job_id] == true, p.story()
        for job in accepted:
            assert job.state not in ("PENDING", "RUNNING"), p.story()
    costs = [p.job(job_id).cost for job_id in jobs]
    fees = sum(cost.final_cost * 20 // 100 for cost in costs)
    paid = p.chain.balances.get(ME, 0) + p.chain.balances.get(CUSTOMER, 0) + fees
    assert paid == sum(cost.max_cost for cost in costs)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_happens(tmp_path: Path, seed: int) -> None:
    """One seed, one story; it is told again exactly by its number."""

    async def main() -> None:
        chance = random.Random(seed)
        async with provider(tmp_path) as p:
            p.world.random = random.Random(seed + 1)
            jobs = [
                p.chain.request(
                    credits=chance.choice((2, 4, 1000)),
                    script=f"seconds={chance.choice((0, 1, 30, 70, 200))} exit={chance.choice((0, 3))}",
                )
                for _ in range(JOBS)
            ]
            for job_id in jobs:
                p.chain.offer(job_id)
            await trouble(p, chance, jobs)
            await settled(p, jobs)
            check(p, jobs)

    run_virtual(main())
