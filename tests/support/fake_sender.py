"""The provider's transactions, as a supervisor meets them."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from dsq.core.chain import Foreign, Others, Receipt
from dsq.core.errors import ContractError, DiskError, TransactionError
from tests.support.fake_chain import FakeChain
from tests.support.fake_state import Tx


class FakeSender:
    """Sends to the fake chain. What was sent is mined, whatever becomes of the process.

    Attributes:
        file: What is on the disk: transactions are there before they are sent.
    """

    def __init__(self, chain: FakeChain, name: str = "") -> None:
        self.chain = chain
        self.sent: list[str] = []
        self.file: set[bytes] = set()
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
        return tx_hash in self.file

    def unsaved(self) -> list[str]:
        """Calls that were sent without being in the file."""
        return [tx.call.label for tx in self._made.values() if tx.hash not in self.file]

    def _save(self, tx_hash: bytes) -> None:
        if self.chain.world.sender_disk_full:
            self.chain.world.met["a transaction is not saved"] += 1
            raise DiskError("The file of transactions takes nothing more: disk is full.")
        self.file.add(tx_hash)

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
        words = f"tx{self._name}{len(self.sent) + 1}"
        tx = Tx(call, hashlib.sha256(words.encode()).digest(), asyncio.Future())
        self._save(tx.hash)
        self.sent.append(call.label)
        self._made[tx.hash] = tx
        # It lives on in the pool: mined by the world, not by this process.
        chain.pool.append(tx)
        world.boundary(f"sent tx {call.label}")
        return tx.hash

    async def wait(self, tx_hash: bytes, timeout: float = 60.0) -> Receipt:
        try:
            async with asyncio.timeout(timeout):
                receipt = await asyncio.shield(self._made[tx_hash].result)
                # What is mined is told when that is in the file, too.
                while self.chain.is_down or self.chain.world.sender_disk_full:
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise TransactionError("Not mined in time.") from None
        self.chain.world.boundary(f"mined tx {self._made[tx_hash].call.label}")
        return receipt


def _foreign(tx: Tx) -> Foreign:
    function, _, words = tx.call.label.partition("(")
    if function == "note":
        return Foreign(tx.hash, note=words.removesuffix(")").encode())
    return Foreign(tx.hash, function)
