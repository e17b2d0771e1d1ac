"""What a sender makes of each fault of a node; the node is in memory, the line is real."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dsq.core.chain import Call, Chain, Sender, launcher, nonces
from dsq.core.chain.rpc import Rpc
from dsq.core.chain.sent import SenderSnapshot
from dsq.core.errors import ContractError, CreditsError, TransactionError
from tests.support.fake_node import GWEI, FakeNode, RefusedError, SilenceError
from tests.support.sending import (
    ANY,
    GRID,
    WALLET,
    call,
    make_fast,
    refuse,
    sender_of,
    take_nonce,
    targets,
    until,
)

ME = WALLET.address.lower


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    make_fast(monkeypatch)


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with FakeNode().listening() as node:
        yield node


def _counts(sender: Sender, **expected: int) -> None:
    shown: SenderSnapshot = sender.snapshot()
    assert {name: getattr(shown, name) for name in expected} == expected


async def test_a_batch_is_one_request_and_one_write(node: FakeNode) -> None:
    """250 calls launched in the same moment go out in three requests, nonce after nonce."""
    async with sender_of(node) as sender:
        node.bodies.clear()
        sends = [asyncio.create_task(sender.send(call(n), gas=21_000)) for n in range(1, 251)]
        await until(lambda: len(node.pool) == 250)
        assert sorted(size for size in node.bodies if size >= 10)[-3:] == [50, 100, 100]
        assert [nonce for _, nonce in sorted(node.pool)] == list(range(250))
        node.mine()
        receipts = await asyncio.gather(*sends)
        assert len({receipt.tx_hash for receipt in receipts}) == 250
        # One request for the block's receipts instead of one each.
        assert node.asked.get("eth_getTransactionReceipt", 0) == 0
        _counts(sender, sent=250, mined=250, in_flight=0, next_nonce=250, refused=0)


async def test_block_receipts_are_not_needed(node: FakeNode) -> None:
    """A node without them is asked for each receipt, from then on."""
    node.refuse["eth_getBlockReceipts"] = deque([RefusedError(-32601, "no such method")] * 99)
    async with sender_of(node) as sender:
        asked: list[int] = []
        for _ in range(3):
            asked.append(node.asked.get("eth_getBlockReceipts", 0))
            sends = [asyncio.create_task(sender.send(call(n), gas=21_000)) for n in range(1, 41)]
            await until(lambda: len(node.pool) == 40)
            node.mine()
            await asyncio.gather(*sends)
    assert asked[0] < asked[1] == asked[2]


@pytest.mark.parametrize("words", ["already known", "ALREADY_EXISTS: already exists"])
async def test_already_known(node: FakeNode, words: str) -> None:
    """The node has it: that is a success, and it is mined once."""
    async with sender_of(node) as sender:
        node.lose["eth_sendRawTransaction"] = 1
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        refuse(node, words)
        node.mine()
        await send
        assert targets(node) == [1]


async def test_lost_answer_of_a_broadcast(node: FakeNode) -> None:
    """The connection breaks after the node took it: nothing is sent under another nonce."""
    async with sender_of(node) as sender:
        node.lose["eth_sendRawTransaction"] = 1
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        await asyncio.sleep(0.05)
        assert len(node.pool) == 1
        node.mine()
        await send
        assert targets(node) == [1]


async def test_nonce_too_low(node: FakeNode) -> None:
    """Another program used the nonce: ours gets the next one, in the same moment."""
    async with sender_of(node) as sender:
        refuse(node, "nonce too low: next nonce 1, tx nonce 0")
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        node.mine()
        await send
        assert targets(node) == [1]
        _counts(sender, sent=1, refused=0)


async def test_replacement_underpriced(node: FakeNode) -> None:
    """Another transaction of the account waits with this nonce: it stays, ours goes behind it."""
    async with sender_of(node) as one, sender_of(node) as two:
        sends = [
            asyncio.create_task(sender.send(call(place), gas=21_000))
            for place, sender in enumerate((one, two), 1)
        ]
        await until(lambda: len(node.pool) == 2)
        node.mine()
        await asyncio.gather(*sends)
        assert targets(node) == [1, 2]


async def test_underpriced(node: FakeNode) -> None:
    """A node that wants more gets more, under the same nonce."""
    async with sender_of(node) as sender:
        refuse(node, "transaction underpriced: tip needed 2 gwei", times=2)
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        (tx,) = node.pool.values()
        assert tx.nonce == 0
        assert tx.max_fee > 3 * GWEI * 1.13**2
        node.mine()
        await send


async def test_underpriced_for_ever(node: FakeNode) -> None:
    """After five tries the caller is told the node's words, and the nonce is free again."""
    async with sender_of(node) as sender:
        refuse(node, "transaction underpriced", times=launcher.TRIES)
        with pytest.raises(TransactionError, match=r"does not take call\(1\): transaction under"):
            await sender.send(call(1), gas=21_000)
        send = asyncio.create_task(sender.send(call(2), gas=21_000))
        await until(lambda: bool(node.pool))
        assert next(iter(node.pool))[1] == 0
        node.mine()
        await send
        _counts(sender, sent=1, refused=1)


async def test_out_of_funds(node: FakeNode) -> None:
    """The account cannot pay: an error at once; with coins the next call goes through."""
    async with sender_of(node) as sender:
        node.balance = 1
        with pytest.raises(CreditsError, match="too few native coins to pay for call"):
            await sender.send(call(1), gas=21_000)
        assert sender.in_flight == 0
        node.balance = 10**20
        send = asyncio.create_task(sender.send(call(2), gas=21_000))
        await until(lambda: bool(node.pool))
        node.mine()
        await send
        assert targets(node) == [2]


async def test_a_refused_one_among_many_leaves_no_gap(node: FakeNode) -> None:
    """Of ten at once the third is refused; what is behind it does not wait for its nonce."""
    async with sender_of(node) as sender:
        answer = node.answer

        def picky(method: str, params: list[Any]) -> Any:
            if method == "eth_sendRawTransaction" and (3).to_bytes(8, "big").hex() in params[0]:
                raise RefusedError(-32000, "invalid sender")
            return answer(method, params)

        node.answer = picky  # type: ignore[method-assign]
        sends = [asyncio.create_task(sender.send(call(n), gas=21_000)) for n in range(1, 11)]
        await until(lambda: len(node.pool) == 10)
        node.mine()
        results = await asyncio.gather(*sends, return_exceptions=True)
        assert [n for n, one in enumerate(results, 1) if isinstance(one, BaseException)] == [3]
        assert targets(node) == [1, 2, 4, 5, 6, 7, 8, 9, 10]
        _counts(sender, gaps_filled=1, refused=1, sent=9)


async def test_dropped_from_the_pool(node: FakeNode) -> None:
    """What a node forgot before it was mined is sent again with the same bytes."""
    async with sender_of(node) as sender:
        sends = [asyncio.create_task(sender.send(call(n), gas=21_000)) for n in range(1, 6)]
        await until(lambda: len(node.pool) == 5)
        before = {tx.hash for tx in node.pool.values()}
        node.pool.clear()
        await until(lambda: len(node.pool) == 5)
        assert {tx.hash for tx in node.pool.values()} == before
        node.mine()
        await asyncio.gather(*sends)
        assert targets(node) == [1, 2, 3, 4, 5]
        assert sender.snapshot().resent >= 5


async def test_node_that_was_restarted(node: FakeNode) -> None:
    """Away for a while, its pool gone, its last blocks too: all is sent again, once each."""
    async with sender_of(node) as sender:
        sends = [asyncio.create_task(sender.send(call(n), gas=21_000)) for n in range(1, 4)]
        await until(lambda: len(node.pool) == 3)
        node.mine()
        await asyncio.gather(*sends)
        later = asyncio.create_task(sender.send(call(4), gas=21_000))
        await until(lambda: len(node.pool) == 1)
        with node.away():
            node.pool.clear()
            del node.blocks[1:]
            await asyncio.sleep(0.03)
        await until(lambda: len(node.pool) == 4)
        node.mine()
        await later
        assert targets(node) == [1, 2, 3, 4]


async def test_reorganised_away(node: FakeNode) -> None:
    """Mined and undone: it comes back without anybody asking."""
    async with sender_of(node) as sender:
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        node.mine(3)
        await send
        node.reorganise(3)
        assert targets(node) == []
        await until(lambda: bool(node.pool))
        node.mine()
        assert targets(node) == [1]


async def test_reverted_in_the_block(node: FakeNode) -> None:
    """A call that failed when it was mined is the contract's refusal; the nonce is used."""
    node.reverting.add((1).to_bytes(8, "big"))
    node.refuse["debug_traceTransaction"] = deque([RefusedError(-32601, "no traces")])
    answer = node.answer

    def replayed(method: str, params: list[Any]) -> Any:
        if method == "eth_call":
            raise RefusedError(3, "execution reverted", "0x97736927")
        return answer(method, params)

    async with sender_of(node) as sender:
        send = asyncio.create_task(sender.send(call(1), gas=30_000))
        await until(lambda: bool(node.pool))
        node.answer = replayed  # type: ignore[method-assign]
        node.mine()
        with pytest.raises(ContractError):
            await send
        _counts(sender, failed=1, mined=0, in_flight=0, next_nonce=1)


async def test_gas_gets_dearer_up_to_the_cap(node: FakeNode) -> None:
    """A replacement offers more, but never more than allowed; it waits until gas is cheaper."""
    cap = 20 * GWEI
    async with sender_of(node, fee_cap=cap) as sender:
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        node.base_fee = 15 * GWEI
        await until(lambda: sender.snapshot().replaced == 1)
        assert [tx.max_fee for tx in node.pool.values()] == [cap]
        node.base_fee = 100 * GWEI
        node.mine(3)
        await asyncio.sleep(0.1)
        assert [tx.max_fee for tx in node.pool.values()] == [cap]
        node.base_fee = 5 * GWEI
        node.mine()
        await send
        assert targets(node) == [1]


async def test_blocks_that_pass_by_make_it_offer_more(node: FakeNode) -> None:
    """With a tip that nobody takes the base fee tells nothing: the blocks do."""
    async with sender_of(node) as sender:
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        first = next(iter(node.pool.values())).max_fee
        node.mine(nonces.PASSED_BLOCKS, limit=0)
        await until(lambda: next(iter(node.pool.values())).max_fee > first)
        node.mine()
        await send
        assert targets(node) == [1]


async def test_replacement_that_the_node_finds_too_cheap(node: FakeNode) -> None:
    """It is raised further the next time; the first attempt is still watched."""
    async with sender_of(node) as sender:
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        refuse(node, "replacement transaction underpriced", times=2)
        node.base_fee = 10 * GWEI
        await until(lambda: next(iter(node.pool.values())).max_fee > 10 * GWEI)
        node.base_fee = GWEI
        node.mine()
        await send
        assert targets(node) == [1]


async def test_a_full_pool(node: FakeNode) -> None:
    """A pool without room is no refusal: it is sent again until there is room."""
    async with sender_of(node) as sender:
        refuse(node, "txpool is full", times=3)
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        node.mine()
        await send


async def test_saved_before_it_is_sent(node: FakeNode, tmp_path: Path) -> None:
    """When the node hears of a transaction its bytes are on the disk already."""
    store = tmp_path / "tx.sqlite"
    seen: list[int] = []
    answer = node.answer

    def look(method: str, params: list[Any]) -> Any:
        if method == "eth_sendRawTransaction":
            with contextlib.closing(sqlite3.connect(store)) as db:
                query = "SELECT count(*) FROM chain_attempts WHERE raw = ?"
                (count,) = db.execute(query, (bytes.fromhex(params[0][2:]),)).fetchone()
            seen.append(count)
        return answer(method, params)

    node.answer = look  # type: ignore[method-assign]
    async with sender_of(node, store) as sender:
        sends = [asyncio.create_task(sender.send(call(n), gas=21_000)) for n in range(1, 8)]
        await until(lambda: len(node.pool) == 7)
        node.mine()
        await asyncio.gather(*sends)
    assert seen == [1] * 7


async def test_killed_after_saving(node: FakeNode, tmp_path: Path) -> None:
    """What was signed and never sent is sent by the next process."""
    store = tmp_path / "tx.sqlite"
    async with sender_of(node, store) as sender:
        refuse(node, "txpool is full", times=10_000)
        hashes = [await sender.submit(call(n), gas=21_000) for n in (1, 2)]
        assert not node.pool
    node.refuse.clear()
    async with sender_of(node, store) as again:
        await until(lambda: len(node.pool) == 2)
        node.mine()
        for tx_hash in hashes:
            assert (await again.wait(tx_hash, 5)).tx_hash == tx_hash
    assert targets(node) == [1, 2]


async def test_gas_is_learned(node: FakeNode) -> None:
    """Calls of the same kind are estimated once if they need not be tried; in one request."""
    async with sender_of(node) as sender:
        for count in (1, 20):
            sends = [
                asyncio.create_task(
                    sender.send(Call(ANY, b"kind" + bytes(32), "it()"), trial=False)
                )
                for _ in range(count)
            ]
            await until(lambda count=count: len(node.pool) == count)  # type: ignore[misc]
            node.mine()
            await asyncio.gather(*sends)
        assert node.asked["eth_estimateGas"] == 1
        node.bodies.clear()
        sends = [asyncio.create_task(sender.send(call(n))) for n in range(1, 31)]
        await until(lambda: len(node.pool) == 30)
        assert node.asked["eth_estimateGas"] == 31
        assert max(node.bodies) == 30
        node.mine()
        await asyncio.gather(*sends)


async def test_who_gave_up_is_not_made_anew(node: FakeNode) -> None:
    """A cancelled caller may repeat the call: what another one displaced stays displaced."""
    async with sender_of(node) as sender:
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        send.cancel()
        with pytest.raises(asyncio.CancelledError):
            await send
        node.pool.clear()
        node.refuse["eth_sendRawTransaction"] = deque([RefusedError(-32000, "txpool is full")] * 99)
        take_nonce(node)
        await until(lambda: sender.in_flight == 0)
        _counts(sender, displaced=1, mined=0)
        assert len(node.mined()) == 1


async def test_lost_answer_and_then_a_refusal_elsewhere(node: FakeNode) -> None:
    """The first node took it and its answer was lost; the second refuses it: it is under way.

    Its refusal does not mean that nothing happened, so nothing is made anew.
    """
    async with FakeNode().listening() as second:
        second.blocks = node.blocks
        answer = node.answer

        def last_words(method: str, params: list[Any]) -> Any:
            result = answer(method, params)
            if method == "eth_sendRawTransaction":
                node.is_down = True
                raise SilenceError
            return result

        node.answer = last_words  # type: ignore[method-assign]
        rpc = Rpc([node.url, second.url], timeout=2)
        try:
            async with Sender(Chain(rpc, node.chain_id, GRID), WALLET) as sender:
                refuse(second, "insufficient funds for gas * price + value", times=10_000)
                send = asyncio.create_task(sender.send(call(1), gas=21_000))
                await until(lambda: bool(node.pool))
                await until(lambda: second.asked.get("eth_sendRawTransaction", 0) > 0)
                await asyncio.sleep(0.05)
                assert not send.done()
                node.mine()
                await send
                assert targets(node) == [1]
                _counts(sender, sent=1, mined=1, refused=0)
        finally:
            await rpc.close()


async def test_a_question_that_fails_after_the_broadcast(node: FakeNode) -> None:
    """Whether the node knows the bytes cannot be asked: they count as under way."""
    async with sender_of(node) as sender:
        node.lose["eth_sendRawTransaction"] = 1
        answer = node.answer

        def picky(method: str, params: list[Any]) -> Any:
            if method == "eth_getTransactionByHash" and sender.snapshot().mined == 0:
                raise RefusedError(-32000, "header not found")
            return answer(method, params)

        node.answer = picky  # type: ignore[method-assign]
        send = asyncio.create_task(sender.send(call(1), gas=21_000))
        await until(lambda: bool(node.pool))
        await asyncio.sleep(0.03)
        node.mine()
        await send
        assert targets(node) == [1]
