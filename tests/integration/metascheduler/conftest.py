"""A real chain with a deployed grid, and hands for its customer and providers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from dsq.core.chain import Call, Chain, DevChain, Receipt, Sender, deploy, find_anvil
from dsq.core.config import cache_dir
from dsq.core.errors import DsqError
from dsq.core.loopback import free_port
from dsq.core.metascheduler.loop import MetaScheduler
from dsq.core.metascheduler.memory import Memory
from dsq.core.model import (
    Address,
    Job,
    JobDefinition,
    JobStatus,
    Label,
    ProviderHardware,
    ProviderPrices,
)
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet

BLOCK_SECONDS = 0.2
CHAIN_ID = 31337


class Party:
    """An account that sends."""

    def __init__(self, town: Town, wallet: Wallet) -> None:
        self.town = town
        self.wallet = wallet
        self.sender = Sender(town.chain, wallet)

    @property
    def address(self) -> Address:
        return self.wallet.address

    async def send(self, call: Call) -> Receipt:
        return await self.sender.send(call)


class Seller(Party):
    """A provider, moved by the test."""

    async def claim(self) -> int:
        """Claims the next job and returns its number."""
        receipt = await self.send(self.town.chain.calls.claim_next_job())
        event = receipt.event("ClaimJobEvent")
        assert event is not None
        return int(event.args["job_id"])

    async def report(self, job_id: int, status: JobStatus, minutes: int = 0) -> None:
        await self.send(self.town.chain.calls.provider_set_job_status(job_id, status, minutes))

    async def run(self, job_id: int) -> None:
        """A job's whole course at this provider."""
        await self.report(job_id, JobStatus.RUNNING)
        await self.report(job_id, JobStatus.FINISHED, 1)


class Town:
    """A grid on a chain of its own."""

    def __init__(self, node: DevChain, chain: Chain, operator: Wallet, folder: Path) -> None:
        self.node = node
        self.chain = chain
        self.folder = folder
        self.operator = Party(self, operator)
        self.names = itertools.count(1)
        self.tasks: list[asyncio.Task[None]] = []
        self.stops: list[asyncio.Event] = []

    async def party(self, kind: type[Party] = Party) -> Party:
        """A new account with coins."""
        party = kind(self, Wallet.generate())
        await self.node.set_balance(party.address, 100 * CREDIT)
        return party

    async def customer(self) -> Party:
        """A customer with credits and an allowance for all of them."""
        party = await self.party()
        calls = self.chain.calls
        await self.operator.send(calls.transfer(party.address, 10_000 * CREDIT))
        await party.send(calls.approve_credit(None, 10_000 * CREDIT))
        return party

    async def seller(
        self, *, price: int = 1, cpus: int = 8, labels: str = "", approve: bool = True
    ) -> Seller:
        """A provider with one node; ``price`` credits a CPU minute."""
        party = await self.party(Seller)
        assert isinstance(party, Seller)
        await party.send(
            self.chain.calls.register(
                ProviderHardware((0,), (cpus,), (64_000,)),
                ProviderPrices(CREDIT, price * CREDIT, 0),
                [Label.parse(text) for text in labels.split()],
            )
        )
        if approve:
            await self.operator.send(self.chain.calls.approve_provider(party.address))
        return party

    async def request(self, customer: Party, needs: JobDefinition | None = None) -> int:
        """Requests a job of 100 credits and returns its number."""
        needs = needs or JobDefinition(1, 1, 100)
        receipt = await customer.send(self.chain.calls.request_new_job(needs, 100 * CREDIT, "it"))
        event = receipt.event("NewJobRequestEvent")
        assert event is not None
        return int(event.args["job_id"])

    async def until(self, job_id: int, *statuses: JobStatus, timeout: float = 20.0) -> Job:
        """Waits until a job has one of these statuses."""
        found: list[Job] = []

        async def there() -> bool:
            found[:] = [await self.chain.job(job_id)]
            return found[0].status in statuses

        await self.until_true(there, timeout)
        return found[0]

    async def until_true(
        self, question: Callable[[], Awaitable[bool]], timeout: float = 20.0
    ) -> None:
        """Waits until a question is answered with yes."""
        deadline = time.monotonic() + timeout
        while not await question():
            assert time.monotonic() < deadline, "it did not come true in time"
            await asyncio.sleep(0.05)

    async def placer(self) -> Party:
        """An account that may place jobs."""
        party = await self.party()
        await self.operator.send(
            self.chain.calls.grant_role("MetaScheduler", "METASCHEDULER_ROLE", party.address)
        )
        return party

    async def scheduler(
        self, *, remember: bool = False, party: Party | None = None
    ) -> MetaScheduler:
        """Starts a meta-scheduler and waits for its first view."""
        party = party or await self.placer()
        memory = Memory(self.folder / "snapshot.json", "this") if remember else None
        service = MetaScheduler(self.chain, party.sender, memory=memory)
        stop = asyncio.Event()
        self.stops.append(stop)
        self.tasks.append(asyncio.create_task(service.run(stop)))

        async def ready() -> bool:
            return service.is_hearing

        await self.until_true(ready)
        return service

    async def stop_schedulers(self) -> None:
        """Stops them all; what went wrong in one is raised here."""
        for stop in self.stops:
            stop.set()
        tasks, self.tasks = self.tasks, []
        await asyncio.gather(*tasks)


@pytest.fixture(scope="session")
def anvil() -> Path:
    """The EVM node's program."""
    try:
        return find_anvil(cache_dir(env={}))
    except DsqError as error:
        pytest.skip(f"no anvil: {error}")


@pytest.fixture
async def town(anvil: Path, tmp_path: Path) -> AsyncIterator[Town]:
    """A grid with an operator, nobody else yet."""
    node = DevChain(tmp_path / "chain", free_port(), anvil, block_time=BLOCK_SECONDS)
    url = await node.start()
    try:
        operator = Wallet.generate()
        await node.set_balance(operator.address, 1000 * CREDIT)
        done = await deploy(url, CHAIN_ID, operator, initial_supply_wei=10**6 * CREDIT)
        async with await Chain.connect(
            url, chain_id=CHAIN_ID, metascheduler=done.addresses.metascheduler
        ) as chain:
            town = Town(node, chain, operator, tmp_path)
            try:
                yield town
            finally:
                with contextlib.suppress(Exception):
                    await town.stop_schedulers()
    finally:
        await node.stop()
