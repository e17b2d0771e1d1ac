"""One grid on a real node with the real services, and dsq-provider as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.chain import Chain, Sender
from dsq.core.model import Address, Job, JobStatus
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.logger import LogReader
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet, create_key_file
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from dsq.sbatch.workflow import load_workflow
from tests.support.anvil import CHAIN_ID, DevGrid, anvil, dev_grid
from tests.support.slurm import open_folder, running_slurm
from tests.support.sshd import SshServer, ssh_account, sshd

__all__ = ["anvil"]

RPC_BLOCK_SECONDS = 0.25


@dataclass
class Site:
    """A grid with one provider; its own part of the meta-scheduler is played by the test."""

    grid: DevGrid
    chain: Chain
    service: Service
    config: Path
    me: Address
    customer: Wallet
    customer_sender: Sender
    operator_sender: Sender
    folder: Path
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Starts dsq-provider and waits until the grid can give it jobs."""
        await self.spawn()
        await self.until(self._is_valid, "the provider is approved", 120)

    async def spawn(self) -> None:
        """Starts dsq-provider."""
        log = (self.folder / "provider.log").open("ab")
        env = {key: value for key, value in os.environ.items() if not key.startswith("ETH_")}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dsq.console.provider_main"),
            *("--headless", "--config", str(self.config)),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=log,
            env=env,
        )
        log.close()

    async def _is_valid(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, self.log()
        if (await self.chain.proposal(self.me)).is_waiting:
            await self.operator_sender.send(self.chain.calls.approve_provider(self.me))
        return (await self.chain.provider(self.me)).is_valid

    async def stop(self) -> tuple[int, float]:
        """SIGTERM; returns the exit code and the seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.terminate()
        code = await asyncio.wait_for(self.process.wait(), 15)
        return code, time.monotonic() - began

    async def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    def log(self) -> str:
        """What the provider wrote."""
        return (self.folder / "provider.log").read_text()[-6000:]

    async def request(self, command: str, *, amount: int = 100, logging: bool = True) -> int:
        """A signed submit and a request on chain; not yet placed."""
        text = (
            f"enableLogging: {str(logging).lower()}\n"
            "resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 100, gpus: 0}\n"
            "steps:\n- name: it\n  run:\n    command: |\n"
            + "".join(f"      {line}\n" for line in command.splitlines())
        )
        workflow = load_workflow(text)
        client = GraphQLClient(f"http://127.0.0.1:{self.service.http_port}/graphql", self.customer)
        key = await client.submit(workflow.to_wire())
        await client.close()
        call = self.chain.calls.request_new_job(workflow.definition(key), amount * CREDIT, "it")
        receipt = await self.customer_sender.send(call)
        event = receipt.event("NewJobRequestEvent")
        assert event is not None
        return int(event.args["job_id"])

    async def submit(self, command: str, **options: Any) -> int:
        """Requests a job and places it with the provider."""
        job_id = await self.request(command, **options)
        await self.operator_sender.send(self.chain.calls.meta_schedule(job_id, self.me))
        return job_id

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> None:
        """Waits for a condition, or an awaitable of one."""
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            assert time.monotonic() < deadline, f"not in time: {what}\n{self.log()}"
            await asyncio.sleep(0.1)

    async def wait(self, job_id: int, *statuses: JobStatus, seconds: float = 60) -> Job:
        """Waits for one of the statuses, or any final one."""

        async def reached() -> bool:
            status = (await self.chain.job(job_id)).status
            return status in statuses if statuses else status.is_final

        await self.until(reached, f"job {job_id}: {statuses or 'its end'}", seconds)
        return await self.chain.job(job_id)

    async def output(self, job: Job) -> list[str]:
        """The job's lines at the log service, followed to their end."""
        reader = LogReader(f"127.0.0.1:{self.service.grpc_port}", self.customer)
        try:
            async with asyncio.timeout(30):
                return [line.text async for line in reader.read(job.hex_id)]
        finally:
            await reader.close()


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that jobs of any account can pass through."""
    path = open_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def slurm(folder: Path) -> Iterator[MiniSlurm]:
    """A real Slurm of two nodes."""
    with running_slurm(folder / "slurm") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def server(folder: Path, slurm: MiniSlurm) -> Iterator[SshServer]:
    """An SSH server whose sessions find the test's Slurm."""
    with ssh_account() as account, sshd(folder / "sshd", account, env=slurm.env()) as made:
        yield made


def over_ssh(folder: Path, slurm: MiniSlurm, server: SshServer) -> dict[str, Any]:
    """``[cluster]`` of a provider that goes over SSH."""
    workdir = folder / secrets.token_hex(4)
    workdir.mkdir()
    workdir.chmod(0o777)
    return {
        "kind": "ssh",
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "identity_file": str(server.identity),
        "known_hosts": str(server.known_hosts),
        "partition": slurm.partition,
        "workdir": str(workdir),
        "cache_root": f"{workdir}/cache",
        "scratch_root": f"{workdir}/scratch",
        "claim_ahead": 40,
    }


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def cluster(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> dict[str, Any]:
    """``[cluster]`` of a provider, for each kind of cluster."""
    mine = folder / secrets.token_hex(4)
    if request.param == "local":
        return {"kind": "local", "workdir": str(mine), "cpus": 4, "mem_mb": 4000, "gpus": 0}
    slurm: MiniSlurm = request.getfixturevalue("slurm")
    return {
        "kind": "slurm",
        "workdir": str(mine),
        "partition": slurm.partition,
        "slurm_conf": slurm.env()["SLURM_CONF"],
    }


@pytest.fixture
async def site(anvil: Path, tmp_path: Path, cluster: dict[str, Any]) -> AsyncIterator[Site]:
    """A grid, its services and a provider that is not started yet."""
    async with built_site(anvil, tmp_path, cluster) as made:
        yield made


@contextlib.asynccontextmanager
async def built_site(
    anvil: Path, tmp_path: Path, cluster: dict[str, Any], *, block_time: float = RPC_BLOCK_SECONDS
) -> AsyncIterator[Site]:
    """The same for whoever is no fixture."""
    async with contextlib.AsyncExitStack() as stack:
        grid = await stack.enter_async_context(
            dev_grid(tmp_path / "chain", anvil, block_time=block_time)
        )
        chain = await grid.connect()
        service = Service(
            ServiceSettings(data_dir=tmp_path / "service", http_port=0, grpc_port=0), chain
        )
        await service.start()
        stack.push_async_callback(service.stop)
        wallet = await grid.account()
        customer = await grid.account(10_000, allowance=True)
        (tmp_path / "passphrase").write_text("secret\n")
        create_key_file(tmp_path / "key.json", wallet, "secret", light=True)
        config = tmp_path / "provider.toml"
        grpc = f"127.0.0.1:{service.grpc_port}"
        config.write_text(
            tomli_w.dumps(
                {
                    "name": "gaia",
                    "state_dir": "state",
                    "shared_account": True,
                    "chain": {
                        "rpc_url": grid.node.rpc_url,
                        "chain_id": CHAIN_ID,
                        "metascheduler": str(grid.metascheduler),
                    },
                    "services": {"sbatch_grpc": grpc, "logger_grpc": grpc},
                    "timing": {"lost_grace": 20.0},
                    "wallet": {"key_file": "key.json", "passphrase_file": "passphrase"},
                    "cluster": {
                        "cache_root": str(tmp_path / "cache"),
                        "scratch_root": str(tmp_path / "scratch"),
                        **cluster,
                    },
                }
            )
        )
        made = Site(
            grid,
            chain,
            service,
            config,
            wallet.address,
            customer,
            await grid.sender(customer),
            await grid.sender(grid.operator),
            tmp_path,
        )
        try:
            yield made
        finally:
            if made.process is not None and made.process.returncode is None:
                await made.kill()
