"""The service beside a real chain: scripts and logs go where the contracts say."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from dsq.core.chain import Chain, Sender
from dsq.core.errors import NotFoundError, UnreachableError, WalletError, WrongChainError
from dsq.core.model import Job, JobDefinition, JobStatus
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.logger import LogLine, LogReader, LogWriter
from dsq.core.rpc.sbatch import SBatchClient
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from dsq.sbatch.service.serve import Service, serve
from dsq.sbatch.service.settings import ServiceSettings
from tests.support.anvil import CHAIN_ID, DevGrid

pytestmark = pytest.mark.anvil

WORKFLOW: dict[str, Any] = {
    "resources": {"tasks": 1, "cpusPerTask": 1, "memPerCpu": 100, "gpus": 0},
    "enableLogging": True,
    "steps": [{"name": "hello", "run": {"command": "echo from-the-script"}}],
}


class Running:
    """``serve`` in a task, as ``dsq sbatch serve`` runs it."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.stop = asyncio.Event()
        self.ready: asyncio.Future[Service] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(serve(settings, self.stop, on_ready=self.ready.set_result))

    async def __aenter__(self) -> Service:
        awaited: set[asyncio.Future[Any]] = {self.task, self.ready}
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            await self.task
        return await self.ready

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await self.task


def settings_for(grid: DevGrid, folder: Path) -> ServiceSettings:
    return ServiceSettings(
        data_dir=folder,
        http_port=0,
        grpc_port=0,
        rpc_url=grid.node.rpc_url,
        chain_id=CHAIN_ID,
        metascheduler=str(grid.metascheduler),
        log_end_seconds=1.0,
    )


async def submit(service: Service, wallet: Wallet | None) -> str:
    client = GraphQLClient(f"http://127.0.0.1:{service.http_port}/graphql", wallet)
    try:
        return await client.submit(WORKFLOW, idempotency_key="one")
    finally:
        await client.close()


class Cast:
    """A customer and a provider with their senders."""

    def __init__(self, grid: DevGrid) -> None:
        self.grid = grid

    async def arrive(self) -> Cast:
        self.customer = await self.grid.account(1_000, allowance=True)
        self.provider = await self.grid.provider()
        self.chain: Chain = await self.grid.connect()
        self.user: Sender = await self.grid.sender(self.customer)
        self.host: Sender = await self.grid.sender(self.provider)
        self.operator: Sender = await self.grid.sender(self.grid.operator)
        return self

    async def request(self, key: str, *, sender: Sender | None = None) -> Job:
        """A job on chain with that script, given to the provider."""
        definition = JobDefinition(1, 1, 100, batch_location_hash=key)
        call = self.chain.calls.request_new_job(definition, 100 * CREDIT)
        receipt = await (sender or self.user).send(call)
        event = receipt.event("NewJobRequestEvent")
        assert event is not None
        job_id = int(event.args["job_id"])
        await self.operator.send(self.chain.calls.meta_schedule(job_id, self.provider.address))
        return await self.chain.job(job_id)

    async def claim(self) -> None:
        await self.host.send(self.chain.calls.claim_next_job())

    async def report(self, job: Job, status: JobStatus, minutes: int = 0) -> None:
        await self.host.send(self.chain.calls.provider_set_job_status(job.id, status, minutes))


async def test_a_job_from_submit_to_the_end_of_its_log(grid: DevGrid, tmp_path: Path) -> None:
    """Submit, claim, fetch, write, follow, end: each step open exactly as long as it should be."""
    cast = await Cast(grid).arrive()
    async with Running(settings_for(grid, tmp_path / "data")) as service:
        endpoint = f"127.0.0.1:{service.grpc_port}"
        job = await cast.request(await submit(service, cast.customer))
        provider, stranger = SBatchClient(endpoint, cast.provider), Wallet.generate()
        with pytest.raises(UnreachableError, match="not claimed yet"):
            await provider.fetch(job)
        await cast.claim()
        script = await provider.fetch(job)
        assert "echo from-the-script" in script.text
        assert script.grid_logger_url == endpoint
        thief = SBatchClient(endpoint, stranger)
        with pytest.raises(WalletError, match="not the one that the chain names"):
            await thief.fetch(job)
        await thief.close()

        await cast.report(job, JobStatus.RUNNING)
        writer, reader = LogWriter(endpoint, cast.provider), LogReader(endpoint, cast.customer)

        async def follow() -> list[str]:
            return [line.text async for line in reader.read(job.hex_id)]

        following = asyncio.create_task(follow())
        for index in range(3):
            line = LogLine(f"line {index}".encode())
            await writer.append(job.customer, job.hex_id, [line], first_index=index)
        await cast.report(job, JobStatus.FINISHED, 1)
        await writer.append(job.customer, job.hex_id, [], first_index=3, end=True)
        assert await asyncio.wait_for(following, 10) == ["line 0", "line 1", "line 2"]
        with pytest.raises(NotFoundError, match="its script is closed"):
            await provider.fetch(job)
        for client in (provider, writer, reader):
            await client.close()


async def test_an_unsigned_script_is_the_first_customers(grid: DevGrid, tmp_path: Path) -> None:
    """A second customer who copies the key from the chain gets nothing."""
    cast = await Cast(grid).arrive()
    copier = await grid.sender(await grid.account(500, allowance=True))
    async with Running(settings_for(grid, tmp_path / "data")) as service:
        key = await submit(service, None)
        first = await cast.request(key)
        copy = await cast.request(key, sender=copier)
        await cast.claim()
        await cast.claim()
        async with SBatchClient(f"127.0.0.1:{service.grpc_port}", cast.provider) as client:
            with pytest.raises(WalletError, match="belongs to another customer"):
                await client.fetch(copy)
            assert "from-the-script" in (await client.fetch(first)).text


async def test_a_service_that_was_stopped_goes_on(grid: DevGrid, tmp_path: Path) -> None:
    """Scripts, logs and answers to repeated submits are there after a restart."""
    cast = await Cast(grid).arrive()
    settings = settings_for(grid, tmp_path / "data")
    async with Running(settings) as service:
        key = await submit(service, cast.customer)
        job = await cast.request(key)
        await cast.claim()
        writer = LogWriter(f"127.0.0.1:{service.grpc_port}", cast.provider)
        await writer.append(job.customer, job.hex_id, [LogLine(b"a")], first_index=0)
        await writer.close()
    async with Running(settings) as service:
        assert await submit(service, cast.customer) == key
        endpoint = f"127.0.0.1:{service.grpc_port}"
        async with SBatchClient(endpoint, cast.provider) as client:
            assert "from-the-script" in (await client.fetch(job)).text
        writer, reader = LogWriter(endpoint, cast.provider), LogReader(endpoint, cast.customer)
        more = [LogLine(b"a"), LogLine(b"b")]
        assert await writer.append(job.customer, job.hex_id, more, first_index=0, end=True) == 2
        assert [line.data async for line in reader.read(job.hex_id)] == [b"a", b"b"]
        await writer.close()
        await reader.close()


async def test_the_chain_goes_and_comes_back(grid: DevGrid, tmp_path: Path) -> None:
    """Without the chain the service lives, is not ready, and refuses nothing for good."""
    cast = await Cast(grid).arrive()
    async with Running(settings_for(grid, tmp_path / "data")) as service:
        job = await cast.request(await submit(service, cast.customer))
        await cast.claim()
        base = f"http://127.0.0.1:{service.http_port}"
        async with (
            httpx.AsyncClient(base_url=base, trust_env=False) as http,
            SBatchClient(f"127.0.0.1:{service.grpc_port}", cast.provider, timeout=20) as client,
        ):
            assert (await http.get("/readiness")).status_code == 200
            await grid.node.stop()
            assert (await http.get("/readiness")).status_code == 503
            assert (await http.get("/health")).status_code == 200
            with pytest.raises(UnreachableError, match="chain"):
                await client.fetch(job)
            await grid.node.start()
            assert (await http.get("/readiness")).status_code == 200
            assert "from-the-script" in (await client.fetch(job)).text


async def test_another_chain_is_refused_at_the_start(grid: DevGrid, tmp_path: Path) -> None:
    """A wrong chain id ends the start with its own error."""
    settings = settings_for(grid, tmp_path / "data").model_copy(update={"chain_id": 5})
    with pytest.raises(WrongChainError):
        async with Running(settings):
            pass
