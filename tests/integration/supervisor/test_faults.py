"""The real provider under load while everything around it dies: the node, itself."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT, cost_of
from tests.integration.supervisor.conftest import Site, over_ssh
from tests.integration.supervisor.load import Load
from tests.support.sshd import SshServer

pytestmark = [pytest.mark.anvil, pytest.mark.slurm, pytest.mark.sshd]

FEW = pytest.param(16, id="few")
MANY = pytest.param(200, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])


@pytest.fixture
def cluster(folder: Path, slurm: MiniSlurm, server: SshServer) -> dict[str, Any]:
    """``[cluster]`` of a provider that goes over SSH."""
    return over_ssh(folder, slurm, server)


@pytest.fixture
async def load(site: Site, folder: Path) -> Load:
    """A started provider and nothing to do yet."""
    await site.start()
    return await Load.on(site, folder)


@pytest.mark.parametrize("count", [FEW, MANY])
async def test_killed_again_and_again_it_loses_nothing(load: Load, count: int) -> None:
    """kill -9 at random moments: each job runs once, is FINISHED and paid."""
    kills = 3 if count < 100 else 50
    chance = random.Random(count)
    await load.offer(count, seconds=0.5)
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.1, 4.0))
        await load.site.kill()
        await load.site.spawn()
    await load.ended(120 + 3 * count)
    assert await load.check() == {"FINISHED": count}


@pytest.mark.parametrize("count", [FEW, MANY])
async def test_the_node_stops_and_the_chain_goes_back(load: Load, count: int) -> None:
    """The node is away for some seconds, then the chain takes another way, twice."""
    site = load.site
    await load.offer(count, seconds=0.5)
    await asyncio.sleep(1)
    await site.grid.node.stop()
    await asyncio.sleep(3)
    await site.grid.node.start()
    for _ in range(2):
        await asyncio.sleep(2)
        await site.grid.node.request("anvil_reorg", 4, [])
    await load.ended(180 + 3 * count)
    assert await load.check() == {"FINISHED": count}


@pytest.mark.slow
@pytest.mark.parametrize("count", [FEW, MANY])
async def test_sigterm_under_load_with_a_dead_node(load: Load, count: int) -> None:
    """Many jobs on their way and no answer from the chain: it still ends in five seconds."""
    site = load.site
    await load.offer(count, seconds=0.2)
    await asyncio.sleep(2)
    await site.grid.node.stop()
    await asyncio.sleep(0.5)
    code, seconds = await site.stop()
    assert (code, seconds < 5) == (0, True), f"{seconds} s\n{site.log()}"
    await site.grid.node.start()
    await site.spawn()
    await load.ended(120 + 3 * count)
    assert await load.check() == {"FINISHED": count}


@pytest.mark.slow
async def test_a_top_up_that_slurm_refuses_is_told_to_the_customer(site: Site) -> None:
    """An ordinary account may not raise a running job's limit: the job's log says what becomes of
    the credits, it ends as it would have, and they are not spent."""
    await site.start()
    job_id = await site.submit("echo begun; sleep 12")
    await site.wait(job_id, JobStatus.RUNNING)
    await site.customer_sender.send(site.chain.calls.top_up_job(job_id, 50 * CREDIT))
    job = await site.wait(job_id)
    assert job.status is JobStatus.FINISHED, job
    assert job.cost.max_cost == 150 * CREDIT
    prices = (await site.chain.provider(site.me)).prices
    assert job.cost.final_cost == cost_of(job.definition, prices, 1)
    lines = await site.output(job)
    assert "begun" in lines
    assert sum("credits of the top-up come back" in line for line in lines) == 1
