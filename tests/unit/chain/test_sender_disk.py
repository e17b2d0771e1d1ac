"""A sender whose disk is full: nothing is begun, nothing is lost, and it goes on when there is room.

The node is in memory; the file is a real one, which refuses what it is told to refuse.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsq.core.chain import Sender
from dsq.core.errors import DiskError
from tests.support.fake_node import GWEI, FakeNode
from tests.support.sending import call, make_fast, refuse, sender_of, take_nonce, targets, until

WRITES = ("BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT")


class FullDisk:
    """A database whose disk may be full.

    Attributes:
        refuses: First words of statements that find no room.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.refuses: tuple[str, ...] = ()
        self.refused = 0

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        if self.refuses and statement.startswith(self.refuses):
            self.refused += 1
            raise sqlite3.OperationalError("database or disk is full")
        return self._db.execute(statement, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    make_fast(monkeypatch)


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with FakeNode().listening() as node:
        yield node


@contextlib.contextmanager
def full(sender: Sender, *refuses: str) -> Iterator[FullDisk]:
    """The disk has no room during the ``with``; it must have been met."""
    store = sender._flight.store
    disk = FullDisk(store._db)
    store._db = disk  # type: ignore[assignment]
    disk.refuses = refuses or WRITES
    yield disk
    assert disk.refused
    store._db = disk._db


def states(path: Path) -> list[tuple[str, int]]:
    """State and number of attempts of each transaction in the file."""
    query = (
        "SELECT state, (SELECT count(*) FROM chain_attempts WHERE tx = id) FROM chain_transactions"
    )
    with contextlib.closing(sqlite3.connect(path)) as db:
        return list(db.execute(query))


async def _met(disk: FullDisk, times: int = 3) -> None:
    """Waits until the disk refused so often once more."""
    most = disk.refused + times
    await until(lambda: disk.refused >= most)


@pytest.mark.parametrize("refused", ["BEGIN", "INSERT", "COMMIT"])
async def test_what_cannot_be_saved_is_not_sent(
    node: FakeNode, tmp_path: Path, refused: str
) -> None:
    """Wherever the disk refuses: an error that says so, and the nonce is the next one's."""
    async with sender_of(node, tmp_path / "tx.db") as sender:
        with full(sender, refused), pytest.raises(DiskError, match="takes nothing more: .* full"):
            await sender.send(call(1), gas=21_000)
        assert (len(node.pool), sender.in_flight) == (0, 0)
        send = asyncio.create_task(sender.send(call(2), gas=21_000))
        await until(lambda: bool(node.pool))
        node.mine()
        await send
        assert targets(node) == [2]
        assert states(tmp_path / "tx.db") == [("mined", 1)]


@pytest.mark.parametrize("refused", ["UPDATE", "COMMIT"])
async def test_what_is_mined_meanwhile_is_told_when_there_is_room(
    node: FakeNode, tmp_path: Path, refused: str
) -> None:
    """It stays under way until the file knows, and who waits gets the receipt then."""
    async with sender_of(node, tmp_path / "tx.db") as sender:
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        with full(sender, refused) as disk:
            node.mine()
            await _met(disk)
            assert (sender.in_flight, send.done()) == (1, False)
        receipt = await asyncio.wait_for(send, 5)
        assert receipt.block_number == node.head.number
        assert (sender.in_flight, states(tmp_path / "tx.db")) == (0, [("mined", 1)])


async def test_what_is_undone_meanwhile_is_sent_again(node: FakeNode, tmp_path: Path) -> None:
    """The chain goes back over it while nothing can be written: with room it comes back."""
    async with sender_of(node, tmp_path / "tx.db") as sender:
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        node.mine(3)
        await send
        with full(sender) as disk:
            node.reorganise(3)
            node.pool.clear()
            await _met(disk)
            assert not node.pool
        await until(lambda: bool(node.pool))
        node.mine()
        assert targets(node) == [1]


async def test_a_dearer_attempt_that_cannot_be_saved_is_not_sent(
    node: FakeNode, tmp_path: Path
) -> None:
    """Also not later: what the node gets is in the file, whatever was tried."""
    async with sender_of(node, tmp_path / "tx.db") as sender:
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        (first,) = (tx.hash for tx in node.pool.values())
        with full(sender) as disk:
            node.base_fee = 15 * GWEI
            await _met(disk)
            node.pool.clear()  # and what it knows is sent again
            await until(lambda: bool(node.pool))
            assert [tx.hash for tx in node.pool.values()] == [first]
        await until(lambda: sender.snapshot().replaced == 1)
        assert states(tmp_path / "tx.db") == [("sent", 2)]
        node.mine()
        await send
        assert targets(node) == [1]


async def test_a_refused_one_that_cannot_be_struck_out_stays_under_way(
    node: FakeNode, tmp_path: Path
) -> None:
    """The file still has it, and the next process would send it: nobody may repeat it."""
    async with sender_of(node, tmp_path / "tx.db") as sender:
        refuse(node, "insufficient funds for gas * price + value", times=1)
        with full(sender, "DELETE"):
            send = asyncio.create_task(sender.send(call(1), gas=21_000))
            await until(lambda: bool(node.pool))
            assert not send.done()
        node.mine()
        await send
        assert targets(node) == [1]


async def test_a_displaced_one_is_made_anew_when_there_is_room(
    node: FakeNode, tmp_path: Path
) -> None:
    """Another program took its nonce while nothing could be written."""
    async with sender_of(node, tmp_path / "tx.db") as sender:
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        with full(sender) as disk:
            take_nonce(node)
            await _met(disk)
            assert (sender.in_flight, send.done()) == (1, False)
        await until(lambda: bool(node.pool))
        node.mine()
        await send
        assert targets(node)[:1] == [1]
        assert [state for state, _ in states(tmp_path / "tx.db")] == ["displaced", "mined"]
