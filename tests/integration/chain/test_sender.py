"""The sender on a real node: nonces, crashes, rivals, refusals."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from dsq.core.chain import Call, Sender, nonces, watcher
from dsq.core.chain.fees import read_market
from dsq.core.errors import ContractError, CreditsError, TransactionError, WalletError
from dsq.core.model import Address, JobDefinition
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from tests.support.anvil import CHAIN_ID, COINS, DevGrid, dev_grid

pytestmark = pytest.mark.anvil


def _target(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def _states(store: Path) -> list[tuple[int, str]]:
    with sqlite3.connect(store) as db:
        query = "SELECT nonce, state FROM chain_transactions ORDER BY nonce, id"
        return list(db.execute(query))


async def test_fifty_sends_at_once(grid: DevGrid) -> None:
    """Fifty concurrent calls are mined each exactly once, with consecutive nonces."""
    sender = await grid.sender(grid.operator)
    calls = sender.chain.calls
    receipts = await asyncio.gather(
        *(sender.send(calls.transfer(_target(n + 1), n + 1)) for n in range(50))
    )
    assert len({receipt.tx_hash for receipt in receipts}) == 50
    for n, receipt in enumerate(receipts):
        event = receipt.event("Transfer")
        assert event is not None
        assert event.args["value"] == n + 1
        assert await sender.chain.balance(_target(n + 1)) == n + 1
    assert sender.in_flight == 0


async def test_sends_while_the_node_is_killed_and_started_again(
    grid: DevGrid, tmp_path: Path
) -> None:
    """kill -9 of the node loses blocks and its pool; every transaction still takes effect once."""
    store = tmp_path / "sender.sqlite"
    sender = await grid.sender(grid.operator, store)
    calls = sender.chain.calls
    await asyncio.sleep(1.2)  # A state is written that has the contracts.
    sends = [asyncio.create_task(sender.send(calls.transfer(_target(n + 1), 7))) for n in range(20)]
    await asyncio.gather(*sends[:10])
    await asyncio.sleep(0.05)
    grid.node.kill()
    submitted = [n for n, send in enumerate(sends) if not send.done()]
    await grid.node.start()
    await asyncio.gather(*sends, return_exceptions=True)
    # The last ones were mined and lost, or wait: the sender brings back all of them.
    for _ in range(100):
        balances = [await sender.chain.balance(_target(n + 1)) for n in range(20)]
        if balances == [7] * 20:
            break
        await asyncio.sleep(0.1)
    assert balances == [7] * 20, submitted
    assert len(_states(store)) == 20


async def test_mined_transactions_that_the_chain_lost_are_sent_again(
    grid: DevGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node started from an older state gets what was mined since, though nobody waits."""
    monkeypatch.setattr(watcher, "IDLE_SECONDS", 0.5)
    sender = await grid.sender(grid.operator, tmp_path / "sender.sqlite")
    calls = sender.chain.calls
    snapshot = await grid.node.request("evm_snapshot")
    for n in range(3):
        await sender.send(calls.transfer(_target(n + 1), 5))
    await grid.node.request("evm_revert", snapshot)
    assert await sender.chain.balance(_target(1)) == 0
    for _ in range(100):
        if await sender.chain.balance(_target(3)) == 5:
            break
        await asyncio.sleep(0.1)
    assert [await sender.chain.balance(_target(n + 1)) for n in range(3)] == [5, 5, 5]


async def test_a_new_call_waits_behind_what_the_chain_lost(grid: DevGrid, tmp_path: Path) -> None:
    """A call right after the chain went back does not take the nonce of a lost one."""
    sender = await grid.sender(grid.operator, tmp_path / "sender.sqlite")
    calls = sender.chain.calls
    snapshot = await grid.node.request("evm_snapshot")
    await sender.send(calls.transfer(_target(1), 5))
    await grid.node.request("evm_revert", snapshot)
    await sender.send(calls.transfer(_target(2), 6))
    assert await sender.chain.balance(_target(1)) == 5
    assert await sender.chain.balance(_target(2)) == 6


async def test_transactions_of_a_killed_process_are_sent_by_the_next(
    grid: DevGrid, tmp_path: Path
) -> None:
    """Signed bytes in the store reach a chain that has never seen them, on start."""
    store = tmp_path / "sender.sqlite"
    first = await grid.sender(grid.operator, store)
    await grid.node.request("evm_setIntervalMining", 0)
    tx_hash = await first.submit(first.chain.calls.transfer(_target(1), 9))
    await first.close()
    await grid.node.request("anvil_dropAllTransactions")
    await grid.node.request("evm_setIntervalMining", 1)
    second = await grid.sender(grid.operator, store)
    receipt = await second.wait(tx_hash, 10)
    assert receipt.tx_hash == tx_hash
    assert await second.chain.balance(_target(1)) == 9
    assert (await second.wait(tx_hash, 1)).block_number == receipt.block_number


async def test_store_of_another_chain_is_not_sent(
    grid: DevGrid, tmp_path: Path, anvil: Path
) -> None:
    """What was signed for a development chain that was made anew since stays unsent."""
    store = tmp_path / "sender.sqlite"
    first = await grid.sender(grid.operator, store)
    await grid.node.request("evm_setIntervalMining", 0)
    await first.submit(first.chain.calls.transfer(_target(1), 9))
    await first.close()
    await asyncio.sleep(1.1)  # The first block's hash tells chains apart by their second.
    async with dev_grid(tmp_path / "other", anvil) as other:
        await other.node.set_balance(grid.operator.address, COINS)
        async with Sender(await other.connect(), grid.operator, store=store) as sender:
            assert sender.in_flight == 0


async def test_two_senders_of_one_key(grid: DevGrid) -> None:
    """Another program that uses the key costs new nonces, but loses or doubles nothing."""
    one, two = await grid.sender(grid.operator), await grid.sender(grid.operator)
    calls = one.chain.calls
    sends = [
        sender.send(calls.transfer(_target(place * 10 + n + 1), 3))
        for n in range(5)
        for place, sender in enumerate((one, two))
    ]
    receipts = await asyncio.gather(*sends)
    assert len({receipt.tx_hash for receipt in receipts}) == 10
    for place in range(2):
        for n in range(5):
            assert await one.chain.balance(_target(place * 10 + n + 1)) == 3


async def test_displaced_transaction_is_made_anew(
    grid: DevGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction whose nonce another one took in a block gets a new nonce, once."""
    monkeypatch.setattr(nonces, "RIVAL_SECONDS", 1.0)
    sender = await grid.sender(grid.operator)
    chain, calls = sender.chain, sender.chain.calls
    await grid.node.request("evm_setIntervalMining", 0)
    send = asyncio.create_task(sender.send(calls.transfer(_target(1), 4), timeout=30))
    while not sender.in_flight:
        await asyncio.sleep(0.01)
    nonce = int(
        await chain.rpc.request("eth_getTransactionCount", [grid.operator.address.lower, "latest"]),
        16,
    )
    await grid.node.request("anvil_dropAllTransactions")
    call = calls.transfer(_target(2), 8)
    market = await read_market(chain.rpc)
    signed, _ = grid.operator.sign_transaction(
        {
            "chainId": CHAIN_ID,
            "nonce": nonce,
            "to": bytes(call.to),
            "data": call.data,
            "value": 0,
            "gas": 200_000,
            **market.fees.fields(),
        }
    )
    await chain.rpc.request("eth_sendRawTransaction", ["0x" + signed.hex()])
    await grid.node.mine()
    await grid.node.request("evm_setIntervalMining", 1)
    receipt = await send
    assert receipt.event("Transfer") is not None
    assert await chain.balance(_target(1)) == 4
    assert await chain.balance(_target(2)) == 8


async def test_transaction_without_a_trace_is_not_repeated(
    grid: DevGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nonce that is used by nothing in any block: nobody can tell, and nothing is repeated."""
    monkeypatch.setattr(nonces, "RIVAL_SECONDS", 1.0)
    sender = await grid.sender(grid.operator)
    await grid.node.request("evm_setIntervalMining", 0)
    send = asyncio.create_task(sender.send(sender.chain.calls.transfer(_target(1), 4)))
    while not sender.in_flight:
        await asyncio.sleep(0.01)
    await grid.node.request("anvil_dropAllTransactions")
    account = grid.operator.address.lower
    used = await sender.chain.rpc.request("eth_getTransactionCount", [account, "latest"])
    await grid.node.request("anvil_setNonce", account, hex(int(used, 16) + 1))
    await grid.node.request("evm_setIntervalMining", 1)
    with pytest.raises(TransactionError, match="no record of transfer.*but it used its nonce"):
        await send
    assert await sender.chain.balance(_target(1)) == 0
    await sender.send(sender.chain.calls.transfer(_target(2), 5))
    assert await sender.chain.balance(_target(2)) == 5


async def test_more_is_offered_when_gas_gets_dearer(
    grid: DevGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that offers too little for a while is replaced by one that offers more."""
    monkeypatch.setattr(nonces, "RAISE_SECONDS", 0.5)
    monkeypatch.setattr(watcher, "RAISE_SECONDS", 0.5)
    sender = await grid.sender(grid.operator)
    await grid.node.request("evm_setIntervalMining", 0)
    tx_hash = await sender.submit(sender.chain.calls.transfer(_target(1), 4))
    await grid.node.request("anvil_setNextBlockBaseFeePerGas", hex(10**12))
    await grid.node.mine()
    await grid.node.request("evm_setIntervalMining", 1)
    receipt = await sender.wait(tx_hash, 20)
    assert receipt.tx_hash != tx_hash
    assert await sender.chain.balance(_target(1)) == 4


async def test_gap_of_nonces_is_filled(
    grid: DevGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nonce that nobody will ever use does not hold back the rest for ever."""
    monkeypatch.setattr(watcher, "GAP_SECONDS", 1.0)
    store = tmp_path / "sender.sqlite"
    first = await grid.sender(grid.operator, store)
    await grid.node.request("evm_setIntervalMining", 0)
    await first.submit(first.chain.calls.transfer(_target(1), 1))
    tx_hash = await first.submit(first.chain.calls.transfer(_target(2), 2))
    await first.close()
    await grid.node.request("anvil_dropAllTransactions")
    with sqlite3.connect(store) as db:
        db.execute("DELETE FROM chain_attempts WHERE tx = (SELECT min(id) FROM chain_transactions)")
        db.execute("DELETE FROM chain_transactions WHERE id NOT IN (SELECT tx FROM chain_attempts)")
    await grid.node.request("evm_setIntervalMining", 1)
    second = await grid.sender(grid.operator, store)
    await second.wait(tx_hash, 20)
    assert await second.chain.balance(_target(2)) == 2


async def test_refusal_before_sending(grid: DevGrid) -> None:
    """A call that the contract refuses is not sent: it costs no nonce and no gas."""
    customer = await grid.account(500)
    sender = await grid.sender(customer)
    coins = await sender.chain.native_balance(customer.address)
    with pytest.raises(ContractError) as caught:
        await sender.send(sender.chain.calls.request_new_job(JobDefinition(1, 1, 1), 40 * CREDIT))
    assert caught.value.name == "InsufficientFunds"
    assert caught.value.args_by_name == {"available": 40 * CREDIT, "required": 100 * CREDIT}
    assert await sender.chain.native_balance(customer.address) == coins


async def test_refusal_in_the_block_is_explained(grid: DevGrid) -> None:
    """Of two calls that pass when tried, the second fails in the block, with its reason."""
    provider = await grid.provider()
    customer = await grid.account(500, allowance=True)
    user, operator = await grid.sender(customer), await grid.sender(grid.operator)
    host = await grid.sender(provider)
    calls = user.chain.calls
    await user.send(calls.request_new_job(JobDefinition(1, 1, 1), 100 * CREDIT))
    await operator.send(calls.meta_schedule(1, provider.address))
    await grid.node.request("evm_setIntervalMining", 0)
    hashes = [await host.submit(calls.claim_next_job()) for _ in range(2)]
    await grid.node.request("evm_setIntervalMining", 1)
    assert (await host.wait(hashes[0])).event("ClaimJobEvent") is not None
    with pytest.raises(ContractError) as caught:
        await host.wait(hashes[1])
    assert caught.value.name == "NoJob"


async def test_call_that_needs_one_under_way(grid: DevGrid) -> None:
    """A call is tried on top of what the same sender has sent and what is not mined yet."""
    customer = await grid.account(500)
    sender = await grid.sender(customer)
    calls = sender.chain.calls
    await grid.node.request("evm_setIntervalMining", 0)
    await sender.submit(calls.approve_credit(None, 100 * CREDIT))
    tx_hash = await sender.submit(calls.request_new_job(JobDefinition(1, 1, 1), 100 * CREDIT))
    await grid.node.request("evm_setIntervalMining", 1)
    assert (await sender.wait(tx_hash)).event("NewJobRequestEvent") is not None


async def test_time_out_leaves_the_transaction_under_way(grid: DevGrid) -> None:
    """Waiting ends in time with a clear error; the transaction may still be mined."""
    sender = await grid.sender(grid.operator)
    await grid.node.request("evm_setIntervalMining", 0)
    with pytest.raises(
        TransactionError, match=r"transfer\(.*\) is not mined after 0.5 s"
    ) as caught:
        await sender.send(sender.chain.calls.transfer(_target(1), 2), timeout=0.5)
    assert caught.value.exit_code == 75
    assert sender.in_flight == 1
    await grid.node.request("evm_setIntervalMining", 1)
    while sender.in_flight:
        await asyncio.sleep(0.05)
    assert await sender.chain.balance(_target(1)) == 2


async def test_account_without_coins(grid: DevGrid) -> None:
    """An account that cannot pay for gas is told so."""
    sender = await grid.sender(Wallet.generate())
    with pytest.raises(CreditsError, match="too few native coins"):
        await sender.send(sender.chain.calls.approve_credit(None, 1))


async def test_value_goes_along(grid: DevGrid) -> None:
    """A call can carry native coins."""
    sender = await grid.sender(grid.operator)
    await sender.send(Call(_target(99), b"", "gift()"), value=123)
    assert await sender.chain.native_balance(_target(99)) == 123


async def test_published_key_is_refused_elsewhere(grid: DevGrid) -> None:
    """Keys that come with development chains sign for no other chain."""
    published = Wallet.from_key("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
    chain = await grid.connect()
    Sender(chain, published)
    chain.chain_id = 1
    with pytest.raises(WalletError, match="published with every development chain"):
        Sender(chain, published)


async def test_results_of_others_and_of_before(grid: DevGrid, tmp_path: Path) -> None:
    """Any transaction of the chain can be waited for; a failed one still has its reason."""
    provider = await grid.provider()
    customer = await grid.account(500, allowance=True)
    user, operator = await grid.sender(customer), await grid.sender(grid.operator)
    host = await grid.sender(provider, tmp_path / "host.sqlite")
    calls = user.chain.calls
    await user.send(calls.request_new_job(JobDefinition(1, 1, 1), 100 * CREDIT))
    await operator.send(calls.meta_schedule(1, provider.address))
    await grid.node.request("evm_setIntervalMining", 0)
    hashes = [await host.submit(calls.claim_next_job()) for _ in range(2)]
    await grid.node.request("evm_setIntervalMining", 1)
    with pytest.raises(ContractError):
        await host.wait(hashes[1])
    await host.close()
    again = await grid.sender(provider, tmp_path / "host.sqlite")
    assert (await again.wait(hashes[0])).event("ClaimJobEvent") is not None
    with pytest.raises(ContractError) as caught:
        await again.wait(hashes[1])
    assert caught.value.name == "NoJob"
    assert (await user.wait(hashes[0])).event("ClaimJobEvent") is not None
    with pytest.raises(TransactionError, match="is not mined after 0.1 s"):
        await user.wait(b"\x05" * 32, 0.1)


async def test_close_while_somebody_waits(grid: DevGrid) -> None:
    """Who waits when a sender is closed gets an error, not a cancellation."""
    sender = await grid.sender(grid.operator)
    await grid.node.request("evm_setIntervalMining", 0)
    send = asyncio.create_task(sender.send(sender.chain.calls.transfer(_target(1), 4)))
    while not sender.in_flight:
        await asyncio.sleep(0.01)
    await sender.close()
    with pytest.raises(TransactionError, match="its sender was closed"):
        await send
