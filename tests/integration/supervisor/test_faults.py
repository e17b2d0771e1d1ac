"""The real provider under load while everything around it dies: Slurm, sshd, the node, itself."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any

import psutil
import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT, cost_of
from tests.integration.supervisor.conftest import Site, over_ssh
from tests.integration.supervisor.interrupted import interrupted, interrupted_in
from tests.integration.supervisor.load import Load
from tests.support.sshd import SshServer, sshd_program
from tests.support.sshd import start as start_sshd

pytestmark = [pytest.mark.anvil, pytest.mark.slurm, pytest.mark.sshd, pytest.mark.slow]

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
async def test_slurmctld_and_sshd_die(
    load: Load, count: int, slurm: MiniSlurm, server: SshServer
) -> None:
    """Both are killed under load and come back: nothing is lost, nothing runs twice.

    What the controller ran when it was killed, by its own log, may have FAILED; what it forgot
    before it began runs all the same, and what had ended is known.
    """
    await load.offer(count, seconds=0.5)
    for _ in range(2):
        await asyncio.sleep(1.5)
        kill(slurm, "slurmctld")
        await asyncio.sleep(2)
        await slurm.start()
        await asyncio.sleep(1)
        kill_sshd(server)
        await asyncio.sleep(1)
        start_sshd(server, sshd_program(), env=slurm.env())
    await load.ended(120 + 3 * count)
    ends = await load.check(interrupted=interrupted_in(slurm.root))
    assert sum(ends.values()) == count


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


async def test_the_host_is_rebooted(load: Load, slurm: MiniSlurm, server: SshServer) -> None:
    """Every process dies, jobs too: all end, none runs twice, every credit is accounted for."""
    site = load.site
    await load.offer(12, seconds=3)
    await asyncio.sleep(4)
    await site.kill()
    kill(slurm, "slurmctld", "slurmd")
    kill_sshd(server)
    await site.grid.node.stop()
    await asyncio.sleep(1)
    await site.grid.node.start()
    await slurm.start()
    start_sshd(server, sshd_program(), env=slurm.env())
    await site.spawn()
    await load.ended(240)
    statuses = await load.check(JobStatus.FINISHED, JobStatus.FAILED)
    assert sum(statuses.values()) == 12


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


def kill(slurm: MiniSlurm, *daemons: str) -> None:
    """kill -9 of Slurm's daemons; of slurmd all its steps too."""
    for daemon in daemons:
        process = slurm._process(daemon)
        found = [process] if process is not None else []
        if daemon == "slurmd":
            found = [
                one
                for one in psutil.process_iter(["name", "cmdline"])
                if one.info["name"] == "slurmd"
                and str(slurm.place()) in " ".join(one.info["cmdline"])
            ]
            found += [step for one in found for step in one.children(recursive=True)]
        for one in found:
            with contextlib.suppress(psutil.Error):
                one.kill()


def kill_sshd(server: SshServer) -> None:
    """kill -9 of the server and of the connections it made."""
    with contextlib.suppress(psutil.Error, OSError, ValueError):
        parent = psutil.Process(server.pid)
        for one in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                one.kill()


LOG = """\
slurmctld version 22.05.8 started on cluster dsq
_slurm_rpc_submit_batch_job: JobId=2 InitPrio=4294901759 usec=400
_slurm_rpc_submit_batch_job: JobId=3 InitPrio=4294901758 usec=400
_slurm_rpc_submit_batch_job: JobId=4 InitPrio=4294901757 usec=400
sched: Allocate JobId=2 NodeList=n1 #CPUs=1 Partition=batch
sched: Allocate JobId=3 NodeList=n1 #CPUs=1 Partition=batch
_job_complete: JobId=2 done
slurmctld version 22.05.8 started on cluster dsq
sched: Allocate JobId=4 NodeList=n1 #CPUs=1 Partition=batch
_job_complete: JobId=4 done
"""


def test_a_controllers_log_says_what_ran_when_it_was_killed() -> None:
    """Begun and not ended in one life; what waited or had ended is Slurm's to know."""
    assert interrupted(LOG.splitlines()) == {"3"}
