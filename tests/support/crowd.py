"""Long histories on a real node, soon made: a customer that acts many times a transaction.

The customer is the contract in ``Crowd.sol``, compiled by the compiler of the grid's contracts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from dsq.core.chain import Chain, Deployment, Sender, deploy
from dsq.core.chain.abi import contract
from dsq.core.chain.call import Call
from dsq.core.chain.rpc import Rpc, hexed
from dsq.core.errors import UnreachableError
from dsq.core.loopback import free_port
from dsq.core.model import Address, JobDefinition
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from tests.support.anvil import CHAIN_ID, COINS

BLOCK_GAS = 1_000_000_000
REQUESTS = 100
"""Requests of one transaction."""

REQUEST_GAS = 800_000
CANCEL_GAS = 300_000
PLACED = 64
"""Jobs that are placed, or claimed, with one transaction."""

PLACE_GAS = 200_000
AT_ONCE = 8
"""Transactions under way at once."""

CROWD = Address(b"\xcc" * 20)
SUPPLY = 10_000_000 * CREDIT


def compiled() -> str:
    """The contract's code as it lies on the chain, in hexadecimal digits.

    Raises:
        AssertionError: It does not compile.
    """
    source = Path(__file__).with_name("Crowd.sol")
    request = {
        "language": "Solidity",
        "sources": {source.name: {"content": source.read_text()}},
        "settings": {
            "evmVersion": "paris",
            "optimizer": {"enabled": True},
            "outputSelection": {source.name: {"Crowd": ["evm.deployedBytecode.object"]}},
        },
    }
    solc = Path(__file__).parents[2] / "contracts" / "solc" / "solc"
    done = subprocess.run(
        ["node", str(solc), "--standard-json"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert "contracts" in answer, answer
    made: str = answer["contracts"][source.name]["Crowd"]["evm"]["deployedBytecode"]["object"]
    return f"0x{made}"


@dataclass
class QuickNode:
    """A node that makes a block of each transaction at once, and keeps nothing on the disk."""

    url: str
    pid: int
    rpc: Rpc

    async def give_coins(self, *accounts: Address) -> None:
        """Gives accounts native coins."""
        for account in accounts:
            await self.rpc.request("anvil_setBalance", [account.lower, hexed(COINS * 1000)])


@contextlib.asynccontextmanager
async def quick_node(anvil: Path) -> AsyncIterator[QuickNode]:
    """Starts a node, and kills it at the end."""
    port = free_port()
    argv = [str(anvil), "--silent", "--accounts", "0", "--port", str(port)]
    argv += ["--chain-id", str(CHAIN_ID), "--gas-limit", str(BLOCK_GAS), "--prune-history"]
    child = await asyncio.create_subprocess_exec(*argv)
    rpc = Rpc(f"http://127.0.0.1:{port}", timeout=120)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                await rpc.request("eth_chainId")
                break
            except UnreachableError:
                assert time.monotonic() < deadline, "the node does not start"
                await asyncio.sleep(0.05)
        yield QuickNode(rpc.url, child.pid, rpc)
    finally:
        await rpc.close()
        child.kill()
        await child.wait()


class Crowd:
    """A grid with a customer of many jobs.

    Attributes:
        deployment: The grid.
        chain: A connection to it.
    """

    def __init__(self, node: QuickNode, deployment: Deployment, chain: Chain, operator: Sender):
        self.node = node
        self.deployment = deployment
        self.chain = chain
        self.operator = operator

    async def jobs(self, count: int) -> range:
        """Requests jobs; returns their numbers."""
        before = await self.chain.job_count()
        target, data = self._request()
        await self._in_parts(
            count, REQUEST_GAS, lambda part: self._call("repeat(address,bytes,uint256)",
                ["address", "bytes", "uint256"], [target.lower, data, part])
        )  # fmt: skip
        return range(before + 1, before + count + 1)

    async def changes(self, count: int) -> None:
        """Requests jobs and cancels them at once."""
        target, data = self._request()
        selector = contract("MetaScheduler").functions["cancelJob"].selector
        await self._in_parts(
            count, REQUEST_GAS + CANCEL_GAS,
            lambda part: self._call("change(address,bytes,bytes4,uint256)",
                ["address", "bytes", "bytes4", "uint256"], [target.lower, data, selector, part])
        )  # fmt: skip

    async def placed(self, jobs: range, provider: Wallet, store: Path) -> None:
        """Has jobs placed with a provider, who claims them; ``store`` keeps its transactions."""
        calls = self.chain.calls
        parts = [jobs[start : start + PLACED] for start in range(0, len(jobs), PLACED)]
        async with Sender(self.chain, provider, store=store) as host:
            for part in parts:
                pairs = [(job_id, provider.address) for job_id in part]
                gas = PLACE_GAS * len(part)
                await self.operator.send(calls.meta_schedule_jobs(pairs), gas=gas)
                await host.send(calls.claim_next_jobs(len(part)), gas=gas)

    def _request(self) -> tuple[Address, bytes]:
        call = self.chain.calls.request_new_job(JobDefinition(1, 1, 100), 100 * CREDIT)
        return call.to, call.data

    @staticmethod
    def _call(signature: str, types: list[str], args: list[Any]) -> Call:
        data = bytes(keccak(text=signature))[:4] + encode(types, args)
        return Call(CROWD, data, signature)

    async def _in_parts(self, count: int, gas: int, call_of: Any) -> None:
        parts = [min(REQUESTS, count - done) for done in range(0, count, REQUESTS)]
        for start in range(0, len(parts), AT_ONCE):
            await asyncio.gather(
                *(
                    self.operator.send(call_of(part), gas=gas * part + 100_000, timeout=300)
                    for part in parts[start : start + AT_ONCE]
                )
            )


@contextlib.asynccontextmanager
async def crowd(node: QuickNode) -> AsyncIterator[Crowd]:
    """A fresh grid whose credits the customer has."""
    wallet = Wallet.generate()
    await node.give_coins(wallet.address)
    await node.rpc.request("anvil_setCode", [CROWD.lower, await asyncio.to_thread(compiled)])
    deployment = await deploy(node.url, CHAIN_ID, wallet, initial_supply_wei=SUPPLY)
    contract_at = deployment.addresses.metascheduler
    async with (
        await Chain.connect(node.url, chain_id=CHAIN_ID, metascheduler=contract_at) as chain,
        Sender(chain, wallet) as operator,
    ):
        made = Crowd(node, deployment, chain, operator)
        await operator.send(chain.calls.transfer(CROWD, SUPPLY))
        allow = chain.calls.approve_credit(None, SUPPLY)
        await operator.send(
            made._call("repeat(address,bytes,uint256)", ["address", "bytes", "uint256"],
                       [allow.to.lower, allow.data, 1]),
            gas=500_000,
        )  # fmt: skip
        yield made
