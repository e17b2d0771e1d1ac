"""dsq-provider as a process: a real chain, the real services, a real cluster."""

from __future__ import annotations

import asyncio
import json
import sqlite3

import pytest

from dsq.core.model import JobStatus
from dsq.core.units import CREDIT, cost_of
from tests.integration.supervisor.conftest import Site

pytestmark = [pytest.mark.anvil]

on_slurm = pytest.mark.parametrize(
    "cluster", [pytest.param("slurm", marks=pytest.mark.slurm)], indirect=True
)
"""For what does not differ between the kinds of clusters."""


async def test_a_job_from_its_workflow_to_its_bill(site: Site) -> None:
    """Registered, approved, claimed, run, logged, reported; the credits add up to the wei."""
    await site.start()
    before = await site.chain.balance(site.customer.address)
    job_id = await site.submit(
        "echo hello from $SLURM_JOB_NUM_NODES node\necho to stderr >&2\nexit 3"
    )
    job = await site.wait(job_id)
    assert (job.status, job.exit_status, job.exit_code) == (JobStatus.FAILED, 768, 3), site.log()
    prices = (await site.chain.provider(site.me)).prices
    assert job.cost.final_cost == cost_of(job.definition, prices, 1)
    assert before - await site.chain.balance(site.customer.address) == job.cost.final_cost
    fee = job.cost.final_cost * 20 // 100
    assert await site.chain.balance(site.me) == job.cost.final_cost - fee
    assert {"hello from 1 node", "to stderr"} <= set(await site.output(job))


@on_slurm
async def test_cancels_follow_the_chain(site: Site) -> None:
    """A running job is taken out of the cluster and billed for what it ran."""
    await site.start()
    job_id = await site.submit("sleep 300")
    await site.wait(job_id, JobStatus.RUNNING)
    await site.customer_sender.send(site.chain.calls.cancel_job(job_id))
    job = await site.wait(job_id, seconds=30)
    assert job.status is JobStatus.CANCELLED, site.log()
    assert job.cost.final_cost > 0


async def test_a_killed_supervisor_goes_on_where_it_was(site: Site) -> None:
    """kill -9 while one job runs and others come: each is run and reported once."""
    await site.start()
    ran = site.folder / "ran"
    ran.mkdir(mode=0o777)
    first = await site.submit(f"sleep 3; touch {ran}/$$")
    await site.wait(first, JobStatus.RUNNING)
    await site.kill()
    others = [await site.submit(f"touch {ran}/$$") for _ in range(3)]
    await site.until(lambda: list(ran.iterdir()), "the first one ends while nobody looks")
    await site.start()
    jobs = [await site.wait(job_id, seconds=60) for job_id in (first, *others)]
    assert [job.status for job in jobs] == [JobStatus.FINISHED] * 4, site.log()
    assert len(list(ran.iterdir())) == 4
    with sqlite3.connect(site.folder / "state" / "journal.db") as journal:
        attempts = journal.execute("SELECT sum(attempt), count(*) FROM jobs").fetchone()
    assert attempts == (4, 4)


@on_slurm
async def test_sigterm_ends_it_within_five_seconds(site: Site) -> None:
    """Exit code 0, the job runs on in the cluster, and the next start reports it."""
    await site.start()
    job_id = await site.submit("sleep 3")
    await site.wait(job_id, JobStatus.RUNNING)
    code, seconds = await site.stop()
    assert (code, seconds < 5) == (0, True), site.log()
    await site.start()
    assert (await site.wait(job_id)).status is JobStatus.FINISHED


@on_slurm
async def test_a_second_supervisor_is_refused(site: Site) -> None:
    """Exit code 75 and one sentence; the first goes on."""
    await site.start()
    first = site.process
    assert first is not None
    await site.spawn()
    second = site.process
    assert second is not None
    assert await asyncio.wait_for(second.wait(), 20) == 75
    assert "Another supervisor uses" in site.log()
    site.process = first
    job_id = await site.submit("true")
    assert (await site.wait(job_id)).status is JobStatus.FINISHED


@on_slurm
async def test_evicting_ends_jobs_and_settles_them(site: Site) -> None:
    """control.json with evict: the running job is FAILED and paid, none is open any more."""
    await site.start()
    job_id = await site.submit("sleep 300")
    await site.wait(job_id, JobStatus.RUNNING)
    (site.folder / "state" / "control.json").write_text(json.dumps({"mode": "evict"}))
    job = await site.wait(job_id, seconds=30)
    assert (job.status, job.last_error) == (JobStatus.FAILED, "the provider closed its cluster")


@on_slurm
async def test_a_top_up_buys_time(site: Site) -> None:
    """The journal's limit grows by what the credits buy."""
    await site.start()
    job_id = await site.submit("sleep 8", amount=100)
    await site.wait(job_id, JobStatus.RUNNING)
    await site.customer_sender.send(site.chain.calls.top_up_job(job_id, 100 * CREDIT))
    prices = (await site.chain.provider(site.me)).prices
    rate = cost_of((await site.chain.job(job_id)).definition, prices, 1)

    def limit() -> int:
        with sqlite3.connect(site.folder / "state" / "journal.db") as journal:
            return int(journal.execute("SELECT limit_minutes FROM jobs").fetchone()[0])

    await site.until(lambda: limit() == 2 * (100 * CREDIT // rate), "a longer limit", 20)
    assert (await site.wait(job_id)).status is JobStatus.FINISHED
