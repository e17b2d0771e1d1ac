"""The chain's events as a supervisor meets them: the real follower over the fake chain."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, cast

from dsq.core.chain import Batch, Chain, Event, Follower
from dsq.core.chain.follower import MAX_REORG
from dsq.core.chain.rpc import Head
from dsq.supervisor.journal import Journal
from dsq.supervisor.run import JournalCursor
from tests.support.fake_chain import FakeChain

SHORT_SECONDS = 0.5
"""A follower's pause between looks; here it lasts until there is another block."""

GENESIS = Head(0, bytes(32), 0)
"""The block before the first."""


class FakeNodeLogs:
    """What a follower asks of a node. The block that is being made is not there yet.

    Attributes:
        loses: Answers with events of which the node leaves the last one out.
        start_block: Where the grid's contract begins.
    """

    ws_url = None
    where = "the fake chain"

    def __init__(self, chain: FakeChain) -> None:
        self._chain = chain
        self.start_block = chain.blocks[0].number
        self.loses = 0

    @property
    def rpc(self) -> FakeNodeLogs:
        return self

    def reader(self, names: Collection[str] | None) -> FakeNodeLogs:
        return self

    def filter(self) -> dict[str, Any]:
        return {}

    def read_all(self, logs: Sequence[Mapping[str, Any]]) -> list[Event]:
        return [log["event"] for log in logs]

    async def head(self) -> Head:
        await self._chain.world.delay(0.05)
        self._chain.answer()
        return self._block(self._chain.block - 1) or GENESIS

    async def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        chance = self._chain.world.random
        if chance is not None and chance.random() < 0.2:
            await self._chain.world.delay(0.1)  # and the head moves on meanwhile, or is replaced
        self._chain.answer()
        return [self._answer(*call) for call in calls]

    all_of = batch

    def _answer(self, method: str, params: list[Any]) -> Any:
        if method == "eth_getLogs":
            return self._logs(int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16))
        block = self._block(int(params[0], 16))
        if block is None:
            return None
        words = {"number": hex(block.number), "timestamp": hex(block.timestamp)}
        return {**words, "hash": "0x" + block.hash.hex()}

    def _block(self, number: int) -> Head | None:
        block = self._chain.block_at(number)
        if block is None or number >= self._chain.block:
            return GENESIS if number == 0 else None
        return Head(number, block.hash, block.time)

    def _logs(self, first: int, last: int) -> list[dict[str, Any]]:
        blocks = (self._chain.block_at(number) for number in range(first, last + 1))
        logs = [
            {"blockNumber": hex(block.number), "blockHash": "0x" + block.hash.hex(), "event": event}
            for block in blocks
            if block is not None and block.number < self._chain.block
            for event in block.events
        ]
        if self.loses and logs:
            self.loses -= 1
            lost = logs.pop()["event"]
            self._chain.world.say(f"event lost: {lost.name}")
            self._chain.lost_events.append(lost)
        return logs


class _BlockClock:
    """A clock on which the usual pause lasts until there is another block."""

    def __init__(self, chain: FakeChain) -> None:
        self._chain = chain

    def now(self) -> float:
        return self._chain.world.clock.now()

    def monotonic(self) -> float:
        return self._chain.world.clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        if seconds == SHORT_SECONDS:
            await self._chain.news()
        else:
            await self._chain.world.clock.sleep(seconds)


class FakeFeed:
    """A follower whose place lies in the journal.

    Attributes:
        reset_next: The next batch says that the chain went back.
        repeats: Batches that come a second time.
    """

    def __init__(
        self, chain: FakeChain, journal: Journal, start: int, max_reorg: int = MAX_REORG
    ) -> None:
        self._world = chain.world
        self._node = FakeNodeLogs(chain)
        self.follower = Follower(
            cast("Chain", self._node),
            JournalCursor(journal),
            start_block=start,
            poll_seconds=SHORT_SECONDS,
            max_reorg=max_reorg,
            clock=_BlockClock(chain),
        )
        self.reset_next = False
        self.repeats = 0

    def lose(self, answers: int) -> None:
        """The node leaves events out of its next answers."""
        self._node.loses = answers

    async def __aiter__(self) -> AsyncIterator[Batch]:
        async for batch in self.follower:
            reset, self.reset_next = self.reset_next, False
            if reset:
                batch = dataclasses.replace(batch, reset=True)
            yield batch
            if self.repeats and batch.events:
                self.repeats -= 1
                yield batch

    async def keep_halt(self) -> None:
        await self.follower.keep_halt()

    async def commit(self, batch: Batch) -> None:
        self._world.boundary("before cursor")
        await self.follower.commit(batch)
        self._world.boundary("after cursor")
