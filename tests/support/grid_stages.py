"""Two grids with hands for what happens around them: one in memory, one on a real chain.

The real one is ``dsq.core.grid.Grid`` on a chain of its own with a real sbatch service; a provider
and an operator do by hand what their programs do.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from pathlib import Path
from typing import Protocol

from dsq.console.user.port import GridPort
from dsq.core.config import GridConfig
from dsq.core.grid import Grid
from dsq.core.loopback import free_port
from dsq.core.metascheduler.service import MetaSchedulerSettings, run_metascheduler
from dsq.core.model import Address, Job, JobStatus
from dsq.core.rpc.logger import LogLine, LogWriter
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.support.anvil import CHAIN_ID, HARDWARE, PRICES, DevGrid
from tests.support.fake_grid import GAIA, FakeBalance, FakeGrid


class Stage(Protocol):
    """A grid, and what happens around it."""

    grid: GridPort
    """Through the customer's wallet."""
    operator: GridPort
    """Through the operator's."""
    key: Wallet
    provider: Address

    async def place(self, job_id: int) -> None:
        """The meta-scheduler gives the job to the provider, which claims it."""

    async def report(self, job_id: int, status: JobStatus, minutes: int = 0) -> None:
        """The provider reports."""

    async def write(self, job: Job, *lines: str, end: bool = False) -> None:
        """The job writes."""

    async def propose(self, cpu_price: int) -> None:
        """The provider registers anew with another price."""

    async def explain(self) -> None:
        """From now on the meta-scheduler answers; no provider takes a job with many GPUs."""


class FakeStage:
    """The grid in memory."""

    def __init__(self) -> None:
        self.key = Wallet.generate()
        money = FakeBalance(1000 * CREDIT, 0, 99 * CREDIT)
        self.fake = FakeGrid(address=self.key.address, moved=[], money=money)
        self.fake.moved.clear()
        self.grid: GridPort = self.fake
        self.operator: GridPort = self.fake.as_operator()
        self.provider = GAIA

    async def place(self, job_id: int) -> None:
        for status in (JobStatus.META_SCHEDULED, JobStatus.SCHEDULED):
            self.fake.change(job_id, status=status, provider=GAIA)

    async def report(self, job_id: int, status: JobStatus, minutes: int = 0) -> None:
        self.fake.report(job_id, status, minutes)

    async def write(self, job: Job, *lines: str, end: bool = False) -> None:
        self.fake.write(job.id, *lines)

    async def propose(self, cpu_price: int) -> None:
        known = next(each for each in self.fake.known_providers if each.address == GAIA)
        prices = dataclasses.replace(known.prices, cpu_per_min=cpu_price)
        self.fake.propose(dataclasses.replace(known, prices=prices))

    async def explain(self) -> None:
        pass


class RealStage:
    """A real chain and a real sbatch service."""

    def __init__(self, world: DevGrid, folder: Path, stack: contextlib.AsyncExitStack) -> None:
        self._world = world
        self._folder = folder
        self._stack = stack
        self._written = 0

    async def build(self) -> RealStage:
        world = self._world
        self.key = await world.account(1000)
        self._seller = await world.provider()
        self.provider = self._seller.address
        settings = ServiceSettings(
            data_dir=self._folder / "sbatch",
            http_port=0,
            grpc_port=0,
            rpc_url=world.node.rpc_url,
            chain_id=CHAIN_ID,
            metascheduler=str(world.metascheduler),
            log_end_seconds=1.0,
        )
        self._service = Service(settings, await world.connect())
        await self._service.start()
        self._stack.push_async_callback(self._service.stop)
        self._oracle = free_port()
        self._config = GridConfig(
            rpc_url=world.node.rpc_url,
            chain_id=CHAIN_ID,
            metascheduler=str(world.metascheduler),
            sbatch_url=f"http://127.0.0.1:{self._service.http_port}/graphql",
            sbatch_grpc=f"127.0.0.1:{self._service.grpc_port}",
            logger_grpc=f"127.0.0.1:{self._service.grpc_port}",
            oracle_url=f"http://127.0.0.1:{self._oracle}/",
        )
        self.grid: GridPort = await self._open(self.key)
        self.operator: GridPort = await self._open(world.operator)
        self._operating = await world.sender(world.operator)
        self._selling = await world.sender(self._seller)
        return self

    async def _open(self, wallet: Wallet) -> Grid:
        return await self._stack.enter_async_context(await Grid.open(self._config, wallet))

    async def place(self, job_id: int) -> None:
        calls = self._operating.chain.calls
        await self._operating.send(calls.meta_schedule(job_id, self.provider))
        await self._selling.send(calls.claim_next_job())

    async def report(self, job_id: int, status: JobStatus, minutes: int = 0) -> None:
        calls = self._selling.chain.calls
        await self._selling.send(calls.provider_set_job_status(job_id, status, minutes))

    async def write(self, job: Job, *lines: str, end: bool = False) -> None:
        writer = LogWriter(self._config.logger_grpc, self._seller)
        try:
            made = [LogLine(line.encode()) for line in lines]
            self._written = await writer.append(
                job.customer, job.hex_id, made, first_index=self._written, end=end
            )
        finally:
            await writer.close()

    async def propose(self, cpu_price: int) -> None:
        prices = dataclasses.replace(PRICES, cpu_per_min=cpu_price)
        await self._selling.send(self._selling.chain.calls.register(HARDWARE, prices, ()))

    async def explain(self) -> None:
        settings = MetaSchedulerSettings(
            rpc_url=self._config.rpc_url,
            chain_id=CHAIN_ID,
            metascheduler=str(self._world.metascheduler),
            state_dir=self._folder / "metascheduler",
            port=self._oracle,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(run_metascheduler(settings, self._world.operator, stop))

        async def end() -> None:
            stop.set()
            await task

        self._stack.push_async_callback(end)
