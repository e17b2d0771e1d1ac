"""The node in memory answers as the real one does, in all that the sender relies on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dsq.core.chain.nonces import Outcome, outcome_of
from dsq.core.chain.rpc import Rpc, RpcError, hexed, number
from dsq.core.wallet import Wallet
from tests.support.anvil import COINS, dev_chain
from tests.support.fake_node import GWEI, FakeNode

pytestmark = pytest.mark.anvil


@dataclass
class Line:
    """A node, an account with coins, and a way to make a block."""

    rpc: Rpc
    chain_id: int
    wallet: Wallet
    mine: Callable[[], Awaitable[None]]

    async def send(self, nonce: int, *, fee: int = 5 * GWEI, value: int = 0) -> str:
        """A transfer to nobody."""
        signed, _ = self.wallet.sign_transaction(
            {
                "chainId": self.chain_id,
                "nonce": nonce,
                "to": b"\x99" * 20,
                "data": b"",
                "value": value,
                "gas": 21_000,
                "type": 2,
                "maxFeePerGas": fee,
                "maxPriorityFeePerGas": GWEI,
            }
        )
        return str(await self.rpc.request("eth_sendRawTransaction", [hexed(signed)]))

    async def refused(self, *args: Any, **options: Any) -> Outcome:
        """What the node says against a transfer, as the sender understands it."""
        with pytest.raises(RpcError) as caught:
            await self.send(*args, **options)
        return outcome_of(caught.value.rpc_message)

    async def count(self, which: str) -> int:
        return number(
            await self.rpc.request("eth_getTransactionCount", [self.wallet.address.lower, which])
        )


@pytest.fixture(params=["in memory", "anvil"])
async def line(request: pytest.FixtureRequest, tmp_path: Path, anvil: Path) -> AsyncIterator[Line]:
    wallet = Wallet.generate()
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "anvil":
            node = await stack.enter_async_context(dev_chain(tmp_path / "chain", anvil))
            await node.request("evm_setIntervalMining", 0)
            await node.set_balance(wallet.address, COINS)
            url, chain_id, mine = node.rpc_url, 31337, node.mine
        else:
            fake = await stack.enter_async_context(FakeNode().listening())
            url, chain_id = fake.url, fake.chain_id

            async def mine(blocks: int = 1) -> None:
                fake.mine(blocks)

        rpc = Rpc(url)
        stack.push_async_callback(rpc.close)
        yield Line(rpc, chain_id, wallet, mine)


async def test_counts_pool_and_receipts(line: Line) -> None:
    """Nonces in the pool and behind a gap, receipts singly and by the block."""
    first = await line.send(0)
    await line.send(1)
    await line.send(3)
    assert (await line.count("latest"), await line.count("pending")) == (0, 2)
    known = await line.rpc.request("eth_getTransactionByHash", [first])
    assert known["blockNumber"] is None
    assert await line.rpc.request("eth_getTransactionReceipt", [first]) is None
    await line.mine()
    assert (await line.count("latest"), await line.count("pending")) == (2, 2)
    receipt = await line.rpc.request("eth_getTransactionReceipt", [first])
    assert receipt["status"] == "0x1"
    assert receipt["gasUsed"] == hex(21_000)
    assert receipt["from"].lower() == line.wallet.address.lower
    block = receipt["blockNumber"]
    receipts = await line.rpc.request("eth_getBlockReceipts", [block])
    assert receipts[0]["transactionHash"] == first
    assert len(receipts) == 2
    listed = await line.rpc.request("eth_getBlockByNumber", [block, True])
    assert [number(tx["nonce"]) for tx in listed["transactions"]] == [0, 1]


async def test_refusals(line: Line) -> None:
    """The four refusals that a nonce or a purse can have."""
    await line.send(0)
    assert await line.refused(0) is Outcome.ACCEPTED
    assert await line.refused(0, fee=4 * GWEI) is Outcome.NONCE_TAKEN
    await line.send(0, fee=50 * GWEI)
    await line.mine()
    assert await line.refused(0, fee=7 * GWEI) is Outcome.NONCE_TAKEN
    assert await line.refused(1, value=2 * COINS) is Outcome.NO_FUNDS


async def test_what_there_is_not(line: Line) -> None:
    """Blocks and transactions that do not exist are null; methods that do not are errors."""
    assert await line.rpc.request("eth_getBlockByNumber", ["0xffffff", False]) is None
    assert await line.rpc.request("eth_getTransactionByHash", ["0x" + "11" * 32]) is None
    with pytest.raises(RpcError):
        await line.rpc.request("eth_noSuchMethod")
