"""The provider's transactions and the chain's events, as a supervisor meets them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

from dsq.core.chain import Batch, Cursor, Event, Foreign, Others, Receipt
from dsq.core.errors import ContractError, TransactionError
from dsq.supervisor.journal import Journal
from tests.support.fake_chain import FakeChain, Tx


class FakeSender:
    """Sends to the fake chain. What was sent is mined, whatever becomes of the process."""

    def __init__(self, chain: FakeChain, name: str = "") -> None:
        self.chain = chain
        self.sent: list[str] = []
        self._name = name
        self._made: dict[bytes, Tx] = {}
        self.rivals: list[FakeSender] = []
        self._met: set[bytes] | None = None

    async def others(self) -> Others:
        self.chain.answer()
        mined = [tx for one in self.rivals for tx in one._made.values() if tx.result.done()]
        is_first, known = self._met is None, self._met or set()
        self._met = {tx.hash for tx in mined}
        if is_first:
            return Others(before=bool(mined))
        return Others(seen=tuple(_foreign(tx) for tx in mined if tx.hash not in known))

    def knows(self, tx_hash: bytes) -> bool:
        return tx_hash in self._made

    async def send(self, call: Any, *, timeout: float = 60.0, gas: int | None = None) -> Receipt:
        return await self.wait(await self.submit(call, gas=gas), timeout)

    async def submit(self, call: Any, *, gas: int | None = None) -> bytes:
        world, chain = self.chain.world, self.chain
        await world.delay(0.005)
        chain.answer()
        try:
            if gas is None:
                chain.tried(call)
        except ContractError:
            # It may need what was sent a moment ago; its block will tell.
            if not any(not tx.result.done() for tx in self._made.values()):
                raise
        world.boundary(f"before tx {call.label}")
        self.sent.append(call.label)
        words = f"tx{self._name}{len(self.sent)}"
        tx = Tx(call, hashlib.sha256(words.encode()).digest(), asyncio.Future())
        self._made[tx.hash] = tx
        # It lives on in the pool: mined by the world, not by this process.
        chain.pool.append(tx)
        world.boundary(f"sent tx {call.label}")
        return tx.hash

    async def wait(self, tx_hash: bytes, timeout: float = 60.0) -> Receipt:
        try:
            async with asyncio.timeout(timeout):
                receipt = await asyncio.shield(self._made[tx_hash].result)
                while self.chain.is_down:
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise TransactionError("Not mined in time.") from None
        self.chain.world.boundary(f"mined tx {self._made[tx_hash].call.label}")
        return receipt


class FakeFeed:
    """The follower over the fake chain: the place and hashes before it lie in the journal.

    Attributes:
        reset_next: The next batch says that the chain went back.
        repeats: Batches that come a second time.
        loses: Events that the node leaves out of its answers.
    """

    def __init__(self, chain: FakeChain, journal: Journal, start: int) -> None:
        self._chain = chain
        self._journal = journal
        self._start = start
        self.reset_next = False
        self.repeats = 0
        self.loses = 0
        self._marks: dict[int, str] = {}

    async def __aiter__(self) -> AsyncIterator[Batch]:
        saved = self._journal.get_meta("cursor")
        marks: dict[int, str] = {}
        place = self._start - 1
        if saved is not None:
            marks = {int(number): mark for number, mark in json.loads(saved).items()}
            place = max(marks)
        while True:
            await self._chain.news()
            await self._chain.world.delay(0.05)
            if self._chain.is_down:
                continue
            head = await self._chain.head()
            reset, self.reset_next = self.reset_next, False
            while marks and not self._still_there(place, marks):
                marks.pop(place, None)
                place = max(marks, default=self._start - 1)
                reset = True
            last = head.number - 1  # the block that is being made is not there yet
            if last <= place and not reset:
                continue
            events = tuple(self._seen(await self._chain.events(place + 1, last)))
            for number in range(place + 1, last + 1):
                block = self._chain.block_at(number)
                marks[number] = block.hash.hex() if block else ""
            for old in sorted(marks)[:-64]:
                del marks[old]
            place = max(place, last)
            batch = Batch(events, head, reset, Cursor(place, head.hash))
            self._marks = dict(marks) or {place: ""}
            yield batch
            if self.repeats and events:
                self.repeats -= 1
                yield batch

    def _still_there(self, place: int, marks: dict[int, str]) -> bool:
        block = self._chain.block_at(place)
        if block is None:
            return place < self._chain.blocks[0].number
        return marks.get(place, "") in ("", block.hash.hex())

    def _seen(self, events: list[Event]) -> list[Event]:
        if self.loses and events:
            self.loses -= 1
            self._chain.world.say(f"event lost: {events[-1].name}")
            return events[:-1]
        return events

    async def commit(self, batch: Batch) -> None:
        self._chain.world.boundary("before cursor")
        self._journal.set_meta("cursor", json.dumps(self._marks))
        self._chain.world.boundary("after cursor")


def _foreign(tx: Tx) -> Foreign:
    function, _, words = tx.call.label.partition("(")
    if function == "note":
        return Foreign(tx.hash, note=words.removesuffix(")").encode())
    return Foreign(tx.hash, function)
