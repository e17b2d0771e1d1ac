"""The real provider under load while Slurm's daemons and sshd die, or the whole machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.errors import DsqError
from dsq.core.model import JobStatus
from tests.integration.supervisor.conftest import Site, over_ssh
from tests.integration.supervisor.interrupted import interrupted, interrupted_in
from tests.integration.supervisor.load import Load
from tests.support.slurm import running_slurm
from tests.support.sshd import SshServer, ssh_account, sshd, sshd_program
from tests.support.sshd import start as start_sshd

pytestmark = [pytest.mark.anvil, pytest.mark.slurm, pytest.mark.sshd]

FEW = pytest.param(16, id="few")
MANY = pytest.param(200, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])

KEEP_SECONDS = 5.0


@pytest.fixture
def slurm(folder: Path) -> Iterator[MiniSlurm]:
    """A Slurm for one test: a killed controller forgets which numbers it gave, and a node refuses
    a job whose number it has had."""
    with running_slurm(folder / f"slurm-{secrets.token_hex(2)}") as cluster:
        yield cluster


@pytest.fixture
def server(folder: Path, slurm: MiniSlurm) -> Iterator[SshServer]:
    """An SSH server whose sessions find it."""
    place = folder / f"sshd-{secrets.token_hex(2)}"
    with ssh_account() as account, sshd(place, account, env=slurm.env()) as made:
        yield made


@pytest.fixture
def cluster(folder: Path, slurm: MiniSlurm, server: SshServer) -> dict[str, Any]:
    """``[cluster]`` of a provider that goes over SSH."""
    return over_ssh(folder, slurm, server)


@pytest.fixture
async def kept(slurm: MiniSlurm) -> AsyncIterator[None]:
    """Slurm is looked after as a local grid's keeper does: nodes that a killed controller shut
    out come back."""

    async def look_after() -> None:
        while True:
            with contextlib.suppress(DsqError):
                await slurm.start()
            await asyncio.sleep(KEEP_SECONDS)

    keeping = asyncio.create_task(look_after())
    yield
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping


@pytest.fixture
async def load(site: Site, folder: Path, kept: None) -> Load:
    """A started provider and nothing to do yet."""
    await site.start()
    return await Load.on(site, folder)


async def test_a_waiting_job_that_an_administrator_cancels_goes_back(
    site: Site, slurm: MiniSlurm
) -> None:
    """It never ran, so the grid may place it elsewhere, and nobody pays for it."""
    await site.start()
    await said(slurm, "scontrol", "update", "NodeName=ALL", "State=DRAIN", "Reason=test")
    job_id = await site.submit("echo never")
    await site.wait(job_id, JobStatus.SCHEDULED)
    numbers: list[str] = []

    async def waits() -> bool:
        numbers[:] = (await said(slurm, "squeue", "-h", "-t", "PENDING", "-o", "%i")).split()
        return bool(numbers)

    await site.until(waits, "it waits in Slurm")
    await said(slurm, "scancel", *numbers)
    job = await site.wait(job_id, JobStatus.PENDING, JobStatus.FAILED, JobStatus.PANICKED)
    assert (job.status, job.cost.final_cost) == (JobStatus.PENDING, 0)


@pytest.mark.slow
async def test_a_running_job_that_is_put_back_is_taken_out(site: Site, slurm: MiniSlurm) -> None:
    """Waiting again it has another time of submission: after the grace it is found by its token,
    and leaves the queue. Its bill ends with its last sighting."""
    await site.start()
    job_id = await site.submit("echo begun; sleep 600")
    await site.wait(job_id, JobStatus.RUNNING)
    await said(slurm, "scontrol", "update", "NodeName=ALL", "State=DRAIN", "Reason=test")
    number = (await said(slurm, "squeue", "-h", "-t", "RUNNING", "-o", "%i")).split()[0]
    await said(slurm, "scontrol", "update", f"JobId={number}", "Requeue=1")
    await said(slurm, "scontrol", "requeue", number)
    job = await site.wait(job_id, seconds=300)
    assert job.status is JobStatus.FAILED
    assert "requeued" in job.last_error
    assert not await said(slurm, "squeue", "-h", "-t", "PENDING,RUNNING")


async def said(slurm: MiniSlurm, *words: str) -> str:
    """What one of Slurm's programs prints."""
    process = await asyncio.create_subprocess_exec(
        *words, env={**os.environ, **slurm.env()}, stdout=asyncio.subprocess.PIPE
    )
    text, _ = await process.communicate()
    assert process.returncode == 0, words
    return text.decode()


@pytest.mark.parametrize("count", [FEW, MANY])
async def test_slurmctld_and_sshd_die(
    load: Load, count: int, slurm: MiniSlurm, server: SshServer
) -> None:
    """Both are killed under load and come back: nothing is lost, nothing runs twice.

    What the controller ran when it was killed, by its own log, may have FAILED, and what had just
    ended and is not in its records; what it forgot before it began runs all the same.
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
    ends = await load.check(interrupted=interrupted_in(slurm))
    assert sum(ends.values()) == count


@pytest.mark.slow
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
    """Begun and not ended in one life, or ended and in no record; what waited, or ended in time, is
    Slurm's to know."""
    assert interrupted(LOG.splitlines(), {"2", "4"}) == {"3"}
    assert interrupted(LOG.splitlines(), {"4"}) == {"2", "3"}
