"""Two ways to one real node, either of which may be cut at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dsq.core.chain import Chain, Follower, MemoryCursor, Sender
from dsq.core.model import Address
from tests.support.anvil import CHAIN_ID, DevGrid
from tests.support.way import Way

pytestmark = pytest.mark.anvil


def _target(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


@pytest.fixture
async def ways(grid: DevGrid) -> AsyncIterator[tuple[Way, Way]]:
    async with Way(grid.node.port) as one, Way(grid.node.port) as two:
        yield one, two


async def _connect(grid: DevGrid, ways: tuple[Way, Way]) -> Chain:
    return await Chain.connect(
        [way.url for way in ways], chain_id=CHAIN_ID, metascheduler=grid.metascheduler
    )


@pytest.mark.parametrize("lose", [False, True])
async def test_sends_go_on_and_nothing_is_sent_twice(
    grid: DevGrid, ways: tuple[Way, Way], lose: bool
) -> None:
    """The first way is cut while 40 calls are on it, with or without its last answers."""
    async with await _connect(grid, ways) as chain, Sender(chain, grid.operator) as sender:
        account = grid.operator.address.lower
        before = await chain.rpc.request("eth_getTransactionCount", [account, "latest"])
        calls = chain.calls
        sends = [
            asyncio.create_task(sender.send(calls.transfer(_target(n + 1), 7))) for n in range(40)
        ]
        await asyncio.sleep(0.05)
        ways[0].lose = lose
        await asyncio.sleep(0.02)
        ways[0].cut()
        receipts = await asyncio.gather(*sends)
        assert len({receipt.tx_hash for receipt in receipts}) == 40
        balances = [await chain.balance(_target(n + 1)) for n in range(40)]
        assert balances == [7] * 40
        after = await chain.rpc.request("eth_getTransactionCount", [account, "latest"])
        assert int(after, 16) - int(before, 16) == 40
        assert [str(one.state) for one in chain.rpc.endpoints()] == ["down", "healthy"]


async def test_events_go_on(grid: DevGrid, ways: tuple[Way, Way]) -> None:
    """A follower misses and doubles nothing when its way is cut."""
    sender = await grid.sender(grid.operator)
    async with await _connect(grid, ways) as chain:
        head = (await chain.head()).number
        follower = Follower(
            chain, MemoryCursor(), names=["Transfer"], start_block=head + 1, poll_seconds=0.05
        )
        seen: list[int] = []

        async def read() -> None:
            async for batch in follower:
                seen.extend(event.args["value"] for event in batch.events)
                if 9 in seen:
                    return

        reading = asyncio.create_task(read())
        for value in range(1, 10):
            await sender.send(sender.chain.calls.transfer(_target(1), value))
            if value == 4:
                ways[0].cut()
        await asyncio.wait_for(reading, 20)
        assert seen == list(range(1, 10))
        assert follower.snapshot().reorgs == 0
