"""Who else uses a wallet, on a real node."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dsq.core.chain import Foreign, Sender, watcher
from dsq.core.model import Address
from dsq.core.wallet import Wallet
from tests.support.anvil import DevGrid

pytestmark = pytest.mark.anvil

NOBODY = Address(b"\x07" * 20)


async def _seen(sender: Sender, seconds: float = 10) -> tuple[Foreign, ...]:
    """What is found, looked for a while."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        if found := (await sender.others()).seen:
            return found
        await asyncio.sleep(0.1)
    return ()


async def test_what_another_program_sends_is_found(grid: DevGrid, tmp_path: Path) -> None:
    """A note, a call of the grid and a transfer by hand, each once; after a restart it is known
    that there was something, once, until something of our own comes behind it."""
    store = tmp_path / "tx.db"
    wallet = await grid.provider()
    ours, theirs = await grid.sender(wallet, store), await grid.sender(wallet)
    calls = ours.chain.calls
    assert (await ours.others()).before  # it was registered by somebody
    await ours.send(calls.note(wallet.address, b"mine"))
    assert await _seen(ours, 0.5) == ()
    receipts = [
        await theirs.send(calls.note(wallet.address, b"theirs")),
        await theirs.send(calls.approve_credit(NOBODY, 1)),
    ]
    await ours.send(calls.note(wallet.address, b"mine again"))
    found = await _seen(ours)
    assert found == (
        Foreign(receipts[0].tx_hash, note=b"theirs"),
        Foreign(receipts[1].tx_hash),
    )
    assert await _seen(ours, 0.5) == ()
    await ours.close()
    again = await grid.sender(wallet, store)
    assert not (await again.others()).before
    await theirs.send(calls.note(wallet.address, b"meanwhile"))
    assert [one.note for one in await _seen(again)] == [b"meanwhile"]
    await again.close()
    last = await grid.sender(wallet, store)
    assert (await last.others()).before
    assert not (await last.others()).before


async def test_our_own_are_never_taken_for_anothers(
    grid: DevGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those that were replaced, and not when the chain goes back and takes another way."""
    monkeypatch.setattr("dsq.core.chain.nonces.RAISE_SECONDS", 0.5)
    monkeypatch.setattr(watcher, "RAISE_SECONDS", 0.5)
    sender = await grid.sender(grid.operator)
    calls = sender.chain.calls
    assert await _seen(sender, 0.2) == ()
    await grid.node.request("evm_setIntervalMining", 0)
    tx_hash = await sender.submit(calls.transfer(NOBODY, 4))
    await grid.node.request("anvil_setNextBlockBaseFeePerGas", hex(10**12))
    await grid.node.mine()
    await grid.node.request("evm_setIntervalMining", 1)
    looking = asyncio.create_task(_seen(sender, 6))
    assert (await sender.wait(tx_hash, 20)).tx_hash != tx_hash
    for number in range(3):
        await sender.send(calls.transfer(NOBODY, number + 1))
    await grid.node.request("anvil_reorg", 3, [])
    await sender.send(calls.transfer(NOBODY, 9))
    assert await looking == ()
    assert await _seen(sender, 2) == ()


async def test_the_grids_functions_are_named(grid: DevGrid) -> None:
    """A second supervisor shows by what it calls."""
    wallet = await grid.provider()
    ours, theirs = await grid.sender(wallet), await grid.sender(wallet)
    await ours.others()
    await theirs.submit(ours.chain.calls.claim_next_job(), gas=300_000)
    (one,) = await _seen(ours)
    assert one.function == "claimNextJob"


async def test_a_new_wallet_was_used_by_nobody(grid: DevGrid) -> None:
    """A provider's first start asks nobody."""
    sender = await grid.sender(Wallet.generate())
    assert not (await sender.others()).before
