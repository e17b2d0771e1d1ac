"""The same clusters for all tests of the scheduler: this machine, Slurm over both lines, and Slurm
with a data base."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.supervisor.scheduler.port import Scheduler
from dsq.supervisor.scheduler.slurm import SlurmScheduler
from tests.support.accounting import BookedSlurm, booked_slurm
from tests.support.clusters import (
    CPUS,
    Cluster,
    connect,
    local_cluster,
    slurm_here,
    slurm_settings,
)
from tests.support.slurm import open_folder, running_slurm
from tests.support.sshd import SshServer, ssh_account, sshd


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that the jobs' accounts can pass through."""
    path = open_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def slurm(folder: Path) -> Iterator[MiniSlurm]:
    """One Slurm for all tests: two nodes of 16 CPUs."""
    with running_slurm(folder / "slurm", cpus=CPUS, mem_mb=32000) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def booked() -> Iterator[BookedSlurm]:
    """The same with its jobs in a data base."""
    with booked_slurm(cpus=CPUS, mem_mb=32000) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def account() -> Iterator[str]:
    """Whom the SSH server lets in."""
    with ssh_account() as name:
        yield name


@pytest.fixture(scope="session")
def server(folder: Path, slurm: MiniSlurm, account: str) -> Iterator[SshServer]:
    """An SSH server whose sessions find the Slurm."""
    with sshd(folder / "sshd", account, env=slurm.env()) as running:
        yield running


@pytest.fixture(
    params=[
        "local",
        pytest.param("slurm", marks=pytest.mark.slurm),
        pytest.param("ssh", marks=[pytest.mark.slurm, pytest.mark.sshd]),
        pytest.param("booked", marks=[pytest.mark.slurm, pytest.mark.slurmdbd, pytest.mark.slow]),
    ]
)
async def cluster(
    request: pytest.FixtureRequest, tmp_path: Path, folder: Path
) -> AsyncIterator[Cluster]:
    """Each kind of cluster in turn."""
    scheduler: Scheduler
    if request.param == "local":
        scheduler = local_cluster(folder / f"local-{secrets.token_hex(4)}")
    elif request.param in ("slurm", "booked"):
        scheduler = slurm_here(folder, request.getfixturevalue(request.param))
    else:
        server = request.getfixturevalue("server")
        scheduler = SlurmScheduler(connect(server), slurm_settings(folder, server.user))
    cluster = Cluster(scheduler, request.param)
    yield cluster
    await asyncio.gather(*(scheduler.cancel(job) for job in cluster.jobs), return_exceptions=True)
    await scheduler.close()
