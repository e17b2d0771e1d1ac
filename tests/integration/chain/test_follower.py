"""Following a real node across restarts, reorganisations and absences."""

from __future__ import annotations

import asyncio
import importlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dsq.core.chain import Batch, Chain, FileCursor, Follower, MemoryCursor, Sender, SqliteCursor
from dsq.core.chain import follower as follower_module
from dsq.core.errors import ReorgError
from dsq.core.model import Address
from tests.support.anvil import DevGrid

pytestmark = pytest.mark.anvil


def _target(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


class Feed:
    """A follower's batches, with what they held."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.batches: AsyncIterator[Batch] = aiter(follower)
        self.values: list[int] = []
        self.resets = 0

    async def next(self) -> Batch:
        batch = await asyncio.wait_for(anext(self.batches), 20)
        self.values += [event.args["value"] for event in batch.events]
        self.resets += batch.reset
        await self.follower.commit(batch)
        return batch

    async def until(self, *values: int) -> None:
        """Reads on until these values have come since the last call."""
        while not set(values) <= set(self.values):
            await self.next()


async def _pay(sender: Sender, *values: int) -> None:
    calls = sender.chain.calls
    await asyncio.gather(*(sender.send(calls.transfer(_target(1), value)) for value in values))


def _follow(chain: Chain, store: object = None, **options: object) -> Feed:
    cursor = MemoryCursor() if store is None else store
    return Feed(Follower(chain, cursor, names=["Transfer"], poll_seconds=0.05, **options))  # type: ignore[arg-type]


async def test_every_event_once_and_in_order(grid: DevGrid) -> None:
    """Events come in the order of the chain, from the grid's first block on."""
    sender = await grid.sender(grid.operator)
    await _pay(sender, 1, 2, 3)
    feed = _follow(await grid.connect())
    await feed.until(3)
    await _pay(sender, 4)
    await _pay(sender, 5, 6)
    await feed.until(5, 6)
    assert feed.values[0] == 1_000_000 * 10**18  # The mint of the deployment.
    assert sorted(feed.values[1:]) == [1, 2, 3, 4, 5, 6]
    assert feed.values.index(4) == 4
    assert feed.resets == 0


async def test_a_cursor_behind_the_place_where_a_new_reader_begins_loses_nothing(
    grid: DevGrid,
) -> None:
    """What happened while the reader was down is read, though it would begin at the head today."""
    sender = await grid.sender(grid.operator)
    chain = await grid.connect()
    store = MemoryCursor()
    first = _follow(chain, store, start_block=(await chain.head()).number)
    await _pay(sender, 1)
    await first.until(1)
    await _pay(sender, 2, 3)
    again = _follow(chain, store, start_block=(await chain.head()).number + 1)
    await _pay(sender, 4)
    await again.until(4)
    assert sorted(again.values) == [2, 3, 4]


async def test_ticks_without_events(grid: DevGrid) -> None:
    """Empty batches come every two seconds or so, with a head that moves."""
    chain = await grid.connect()
    feed = _follow(chain, start_block=(await chain.head()).number + 1)
    first = await feed.next()
    begun = asyncio.get_running_loop().time()
    second = await feed.next()
    assert second.events == ()
    assert second.head.number > first.head.number
    assert 1.5 < asyncio.get_running_loop().time() - begun < 3.5


async def test_goes_on_from_its_cursor(grid: DevGrid, tmp_path: Path) -> None:
    """A new process goes on behind the last committed batch; what was not committed comes again."""
    sender = await grid.sender(grid.operator)
    chain = await grid.connect()
    with sqlite3.connect(tmp_path / "consumer.sqlite") as db:
        for store in (FileCursor(tmp_path / "cursor.json"), SqliteCursor(db, "jobs")):
            feed = _follow(chain, store)
            await _pay(sender, 10)
            await feed.until(10)
            await _pay(sender, 11)
            uncommitted = None
            while uncommitted is None or not uncommitted.events:
                uncommitted = await asyncio.wait_for(anext(feed.batches), 10)
            assert [event.args["value"] for event in uncommitted.events] == [11]
            again = _follow(chain, store)
            await again.until(11)
            assert again.values == [11]


async def test_reorganisation_is_told(grid: DevGrid) -> None:
    """Replaced blocks: the batch says reset, and begins behind the last common block."""
    sender = await grid.sender(grid.operator)
    feed = _follow(await grid.connect())
    await _pay(sender, 21)
    await feed.until(21)
    before = (await feed.next()).head.number
    await grid.node.request("anvil_reorg", 3, [])
    batch = await feed.next()
    while not batch.reset:
        batch = await feed.next()
    assert batch.cursor.recent[-2][0] >= before - 3
    await _pay(sender, 22)
    await feed.until(22)
    assert feed.resets == 1
    assert feed.values.count(21) == 1


async def test_reorganisation_of_many_depths(grid: DevGrid) -> None:
    """Every payment that a reorganisation undid and that was mined again is told again."""
    sender = await grid.sender(grid.operator)
    chain = await grid.connect()
    feed = _follow(chain)
    # Of blocks from before the node's start it has no states to go back to.
    await grid.node.mine(20)
    for depth in (1, 5, 12):
        value = 100 + depth
        await _pay(sender, value)
        await feed.until(value)
        await grid.node.request("anvil_reorg", depth, [])
        while feed.resets == 0:
            await feed.next()
        feed.resets = 0
        # Undone or not: what the chain has in the end was told behind the reset or before it.
        head = (await chain.head()).number
        told = {event.args["value"] for event in await chain.events(0, head, ["Transfer"])}
        await _pay(sender, value + 500)
        await feed.until(value + 500)
        assert told <= set(feed.values)
    assert feed.follower.snapshot().reorgs >= 3
    assert feed.follower.snapshot().lag <= 3


async def test_too_deep_a_reorganisation_stops_with_an_error(grid: DevGrid) -> None:
    """Beyond the allowed depth nothing is handled any more, also not after a restart."""
    chain = await grid.connect()
    cursor = MemoryCursor()
    feed = _follow(chain, cursor, max_reorg=4)
    await grid.node.mine(10)
    while (await feed.next()).head.number < (await chain.head()).number:
        pass
    await grid.node.request("anvil_reorg", 3, [])
    while not feed.resets:
        await feed.next()
    await grid.node.mine(10)
    while (await feed.next()).head.number < (await chain.head()).number - 2:
        pass
    place = cursor.load()
    assert place is not None
    await grid.node.request("anvil_reorg", 12, [])
    for store in (cursor, MemoryCursor(place)):
        halted = _follow(chain, store, max_reorg=4)
        with pytest.raises(ReorgError, match="went back at least .* blocks") as caught:
            await halted.until(-1)
        assert caught.value.exit_code == 74
        assert halted.values == []


async def test_kill_of_the_node_is_told(grid: DevGrid) -> None:
    """kill -9 and a start from an older state: a reset, then the events that happened since."""
    sender = await grid.sender(grid.operator)
    feed = _follow(await grid.connect())
    await _pay(sender, 31)
    await feed.until(31)
    await asyncio.sleep(1.3)  # The state on disk has it.
    await _pay(sender, 32)
    await feed.until(32)
    grid.node.kill()
    await grid.node.start()
    await _pay(sender, 33)
    await feed.until(33)
    # Whether the last payment was in the state is chance; it is on chain in the end.
    assert feed.values.count(31) == 1
    if feed.resets:
        assert feed.values.count(32) in (1, 2)
    assert await sender.chain.balance(_target(1)) == 31 + 32 + 33


async def test_node_away_for_a_while(grid: DevGrid, caplog: pytest.LogCaptureFixture) -> None:
    """While the node is away nothing is yielded and one line is logged; then it goes on."""
    feed = _follow(await grid.connect())
    await feed.next()
    await grid.node.stop()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting := asyncio.create_task(feed.next())), 1.5)
    await grid.node.start()
    await waiting
    lines = [r.getMessage() for r in caplog.records if r.name == "dsq.core.chain.follower"]
    assert [line.split()[0] for line in lines if "chain=" in line][:2] == [
        "chain=lost",
        "chain=back",
    ]


async def test_long_history_in_parts(grid: DevGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long history comes in several batches, each with the head of its last block."""
    sender = await grid.sender(grid.operator)
    await _pay(sender, 41)
    await grid.node.mine(50)
    await _pay(sender, 42)
    monkeypatch.setattr(follower_module, "RANGE_BLOCKS", 10)
    feed = _follow(await grid.connect())
    heads = []
    while 42 not in feed.values:
        heads.append((await feed.next()).head.number)
    assert heads == sorted(set(heads))
    assert len(heads) >= 2
    assert feed.values[1:] == [41, 42]


async def test_websocket_wakes_the_poll(grid: DevGrid) -> None:
    """With a WebSocket the news of a block comes at once, however slow the poll is."""
    importlib.import_module("web3")
    sender = await grid.sender(grid.operator)
    chain = await grid.connect(ws=True)
    head = await chain.head()
    follower = Follower(
        chain, MemoryCursor(), names=["Transfer"], start_block=head.number + 1, poll_seconds=8
    )
    feed = Feed(follower)
    task = asyncio.create_task(feed.until(51))
    await asyncio.sleep(1)  # The subscription stands.
    await _pay(sender, 51)
    begun = asyncio.get_running_loop().time()
    await task
    assert asyncio.get_running_loop().time() - begun < 2
