"""SIGTERM while what the provider talks to takes connections and never answers."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.model import JobStatus
from tests.integration.supervisor.conftest import Site, over_ssh
from tests.support.sshd import SshServer
from tests.support.way import Way

pytestmark = [pytest.mark.anvil, pytest.mark.slurm, pytest.mark.sshd]

HANGING = ("chain", "cluster", "services")

ALL = pytest.param([HANGING], id="all")
EACH = pytest.param([(name,) for name in HANGING], id="each", marks=pytest.mark.slow)


@pytest.fixture
def cluster(folder: Path, slurm: MiniSlurm, server: SshServer) -> dict[str, Any]:
    """``[cluster]`` of a provider that goes over SSH; the host key holds for any port."""
    words = over_ssh(folder, slurm, server)
    del words["known_hosts"]
    return {**words, "host_key": server.host_key}


@pytest.fixture
async def ways(site: Site, server: SshServer) -> AsyncIterator[dict[str, Way]]:
    """Between the provider and each of its services."""
    words = tomllib.loads(site.config.read_text())
    async with (
        Way.to(words["chain"]["rpc_url"]) as chain,
        Way(server.port) as cluster,
        Way.to(words["services"]["sbatch_grpc"]) as services,
    ):
        words["chain"]["rpc_url"] = chain.url
        words["cluster"]["port"] = cluster.port
        for name in ("sbatch_grpc", "logger_grpc"):
            words["services"][name] = f"127.0.0.1:{services.port}"
        site.config.write_text(tomli_w.dumps(words))
        yield {"chain": chain, "cluster": cluster, "services": services}


@pytest.mark.parametrize("hanging", [ALL, EACH])
async def test_it_ends_in_five_seconds_whatever_hangs(
    site: Site, ways: dict[str, Way], hanging: list[tuple[str, ...]]
) -> None:
    """Jobs are on their way and services hang, then the node from the start on: exit code 0 in
    time, and every job ends right."""
    await site.start()
    jobs = []
    for names in hanging:
        jobs.append(await site.submit("for n in $(seq 30); do echo $n; sleep 0.1; done"))
        await site.wait(jobs[-1], JobStatus.SCHEDULED, JobStatus.RUNNING, JobStatus.FINISHED)
        for name in names:
            ways[name].hang()
        jobs += [await site.submit("echo more") for _ in range(3)]
        await asyncio.sleep(2)
        code, seconds = await site.stop()
        assert (code, seconds < 5) == (0, True), f"{names}: {seconds} s\n{site.log()}"
        for way in ways.values():
            way.flow()
        if names is not hanging[-1]:
            await site.spawn()
    ways["chain"].hang()
    ways["chain"].taken = 0
    await site.spawn()
    await site.until(lambda: ways["chain"].taken, "it asks the node")
    code, seconds = await site.stop()
    assert (code, seconds < 5) == (0, True), f"starting: {seconds} s\n{site.log()}"
    ways["chain"].flow()
    await site.spawn()
    for job_id in jobs:
        assert (await site.wait(job_id)).status is JobStatus.FINISHED, site.log()
