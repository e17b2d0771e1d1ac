"""Throwaway grids on a real EVM node, for tests.

Import the fixtures into a ``conftest.py``
(``from tests.support.anvil import anvil, grid, grid_template``)
or use :func:`dev_chain` and :func:`dev_grid` directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dsq.core.chain import Chain, Deployment, DevChain, Sender, deploy, find_anvil
from dsq.core.config import cache_dir
from dsq.core.errors import DsqError
from dsq.core.loopback import free_port
from dsq.core.model import Address, Label, ProviderHardware, ProviderPrices
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet

CHAIN_ID = 31337
COINS = 100 * 10**18
SUPPLY = 1_000_000 * CREDIT
BLOCK_SECONDS = 0.1
"""Short blocks: most of a test's time is waiting for the next one."""

HARDWARE = ProviderHardware(gpus_per_node=(2, 2), cpus_per_node=(8, 8), mem_per_node=(64_000,) * 2)
PRICES = ProviderPrices(gpu_per_min=CREDIT, cpu_per_min=CREDIT // 10, mem_per_min=10**13)


@pytest.fixture(scope="session")
def anvil() -> Path:
    """The EVM node's program; skips where there is none."""
    try:
        return find_anvil(cache_dir())
    except DsqError as error:
        pytest.skip(f"no anvil: {error}")


@contextlib.asynccontextmanager
async def dev_chain(
    home: Path, anvil: Path, *, block_time: float = BLOCK_SECONDS
) -> AsyncIterator[DevChain]:
    """A development chain in a folder of its own, stopped at the end."""
    node = DevChain(home, free_port(), anvil, block_time=block_time)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


@dataclass
class DevGrid:
    """A grid's contracts on a development chain, and accounts for its people."""

    node: DevChain
    operator: Wallet
    deployment: Deployment
    stack: contextlib.AsyncExitStack = field(repr=False)

    @property
    def metascheduler(self) -> Address:
        return self.deployment.addresses.metascheduler

    async def connect(self, *, ws: bool = False) -> Chain:
        """A connection, closed at the end of the test."""
        chain = await Chain.connect(
            self.node.rpc_url,
            chain_id=CHAIN_ID,
            metascheduler=self.metascheduler,
            ws_url=self.node.ws_url if ws else None,
            start_block=self.deployment.block_number,
        )
        self.stack.push_async_callback(chain.close)
        return chain

    async def sender(self, wallet: Wallet, store: Path | None = None) -> Sender:
        """A sender with a connection of its own, closed at the end of the test."""
        sender = Sender(await self.connect(), wallet, store=store)
        self.stack.push_async_callback(sender.close)
        await sender.start()
        return sender

    async def account(self, amount: int = 0, *, allowance: bool = False) -> Wallet:
        """A new key with native coins and credits, which the grid may take if asked."""
        wallet = Wallet.generate()
        await self.node.set_balance(wallet.address, COINS)
        if amount:
            operator = await self.sender(self.operator)
            await operator.send(operator.chain.calls.transfer(wallet.address, amount * CREDIT))
            await operator.close()
        if allowance:
            sender = await self.sender(wallet)
            await sender.send(sender.chain.calls.approve_credit(None, amount * CREDIT))
            await sender.close()
        return wallet

    async def provider(self, *labels: Label, prices: ProviderPrices = PRICES) -> Wallet:
        """A new key that is an approved provider."""
        wallet = await self.account()
        sender = await self.sender(wallet)
        calls = sender.chain.calls
        await sender.send(calls.register(HARDWARE, prices, labels))
        await sender.close()
        operator = await self.sender(self.operator)
        await operator.send(calls.approve_provider(wallet.address))
        await operator.close()
        return wallet


@contextlib.asynccontextmanager
async def dev_grid(
    home: Path, anvil: Path, *, block_time: float = BLOCK_SECONDS
) -> AsyncIterator[DevGrid]:
    """A fresh grid: contracts deployed, the operator with all roles and all credits."""
    async with contextlib.AsyncExitStack() as stack:
        node = await stack.enter_async_context(dev_chain(home, anvil, block_time=block_time))
        operator = Wallet.generate()
        await node.set_balance(operator.address, COINS)
        deployment = await deploy(
            node.rpc_url,
            CHAIN_ID,
            operator,
            initial_supply_wei=SUPPLY,
            record=home / "deployment.json",
        )
        yield DevGrid(node, operator, deployment, stack)


@dataclass(frozen=True)
class Template:
    """A chain with a grid on it, as files: copying them is faster than deploying."""

    home: Path
    operator: Wallet
    deployment: Deployment

    @contextlib.asynccontextmanager
    async def grid(
        self, home: Path, anvil: Path, *, block_time: float = BLOCK_SECONDS
    ) -> AsyncIterator[DevGrid]:
        """A grid of its own, begun from the template."""
        home.mkdir(parents=True)
        for name in ("state.json", "deployment.json"):
            shutil.copyfile(self.home / name, home / name)
        async with contextlib.AsyncExitStack() as stack:
            node = await stack.enter_async_context(dev_chain(home, anvil, block_time=block_time))
            yield DevGrid(node, self.operator, self.deployment, stack)


@pytest.fixture(scope="session")
def grid_template(anvil: Path, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A grid deployed once for all tests of a run."""
    home = tmp_path_factory.mktemp("template") / "chain"

    async def build() -> Template:
        async with dev_grid(home, anvil) as made:
            return Template(home, made.operator, made.deployment)

    return asyncio.run(build())


@pytest.fixture
async def grid(tmp_path: Path, anvil: Path, grid_template: Template) -> AsyncIterator[DevGrid]:
    """A fresh grid with short blocks."""
    async with grid_template.grid(tmp_path / "chain", anvil) as fresh:
        yield fresh
