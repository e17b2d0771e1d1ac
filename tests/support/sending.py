"""A sender on a node in memory, for tests of what becomes of transactions."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dsq.core.chain import Addresses, Call, Chain, Sender, nonces, watcher
from dsq.core.chain import sender as sender_module
from dsq.core.chain.rpc import Rpc
from dsq.core.model import Address
from dsq.core.wallet import Wallet
from tests.support.fake_node import GWEI, FakeNode, RefusedError

WALLET = Wallet.generate()
ANY = Address(b"\x07" * 20)
GRID = Addresses(*[Address(bytes([place] * 20)) for place in range(1, 7)])


def call(number: int) -> Call:
    """A call that :func:`targets` knows by its number."""
    return Call(Address(number.to_bytes(20, "big")), number.to_bytes(8, "big"), f"call({number})")


def make_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes hundredths."""
    monkeypatch.setattr(watcher, "BUSY_SECONDS", 0.005)
    monkeypatch.setattr(watcher, "IDLE_SECONDS", 0.02)
    monkeypatch.setattr(watcher, "MAX_BACKOFF", 0.02)
    monkeypatch.setattr(watcher, "GAP_SECONDS", 0.05)
    for name in ("RESEND_SECONDS", "RAISE_SECONDS", "RIVAL_SECONDS"):
        monkeypatch.setattr(nonces, name, 0.03)
    monkeypatch.setattr(watcher, "RAISE_SECONDS", 0.03)
    monkeypatch.setattr(sender_module, "MARKET_SECONDS", 0.0)


@contextlib.asynccontextmanager
async def sender_of(
    node: FakeNode, store: Path | None = None, **options: Any
) -> AsyncIterator[Sender]:
    """A sender of :data:`WALLET`, connected to the node."""
    rpc = Rpc(node.url, timeout=2)
    try:
        async with Sender(Chain(rpc, node.chain_id, GRID), WALLET, store=store, **options) as one:
            yield one
    finally:
        await rpc.close()


async def until(question: Callable[[], bool]) -> None:
    """Waits until something is so, for at most five seconds."""
    async with asyncio.timeout(5):
        while not question():
            await asyncio.sleep(0.003)


def targets(node: FakeNode) -> list[int]:
    """Whom the mined transactions called, without those that fill gaps."""
    found = [int.from_bytes(bytes(tx.fields["to"]), "big") for tx in node.mined()]
    return sorted(number for number in found if number < 10_000)


def refuse(node: FakeNode, words: str, times: int = 1) -> None:
    """The node refuses the next transactions."""
    node.refuse["eth_sendRawTransaction"] = deque([RefusedError(-32000, words)] * times)


def take_nonce(node: FakeNode, nonce: int = 0) -> None:
    """Another program with the same key is mined under a nonce, before what waits in the pool."""
    signed, _ = WALLET.sign_transaction(
        {
            "chainId": node.chain_id,
            "nonce": nonce,
            "to": bytes(ANY),
            "data": b"",
            "value": 0,
            "gas": 21_000,
            "type": 2,
            "maxFeePerGas": 5 * GWEI,
            "maxPriorityFeePerGas": GWEI,
        }
    )
    node.refuse.clear()
    node.pool.clear()
    node.answer("eth_sendRawTransaction", ["0x" + signed.hex()])
    node.mine()
