"""The one writer of a wallet: transactions with local nonces, many under way at once.

Life of a transaction: tried without sending (a refusal costs nothing then), given a
nonce, signed, saved, sent; watched until a receipt is there. What the node forgot is sent
again with the same bytes; docs/chain.md draws the states. One task watches all of them
with one question a round, and one more when something was mined.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsq.core.chain.calls import Call
from dsq.core.chain.client import Chain, refusal
from dsq.core.chain.failures import OutOfGasError, explain, no_gas_money
from dsq.core.chain.fees import Market, read_market
from dsq.core.chain.nonces import Outcome, outcome_of
from dsq.core.chain.published import refuse_published_key
from dsq.core.chain.receipts import Receipt
from dsq.core.chain.rpc import RpcError, hexed, number, raw
from dsq.core.chain.txstore import Pending
from dsq.core.chain.watcher import Watcher
from dsq.core.errors import TransactionError
from dsq.core.model import Address
from dsq.core.wallet import Wallet

log = logging.getLogger("dsq.core.chain.sender")

GAS_PERCENT = 150
"""Offered gas: what a call needs depends on calls that are mined before it."""

GAS_EXTRA = 30_000

MARKET_SECONDS = 2.0
"""How long what the chain asks for gas is taken as known."""


class Sender:
    """Signs, sends and watches the transactions of one wallet.

    Only one sender may use a wallet at a time; another program that uses the key is
    noticed and worked around, but costs time.

    Args:
        chain: The connection.
        wallet: The account.
        store: SQLite file that survives a crash; None keeps transactions in memory.

    Raises:
        WalletError: The key is one of those published with development chains, and the
            chain is none.
    """

    def __init__(self, chain: Chain, wallet: Wallet, *, store: Path | None = None) -> None:
        refuse_published_key(wallet.address, chain.chain_id)
        self.chain = chain
        self.address = wallet.address
        self._watcher = Watcher(chain, wallet, store)
        self._market: tuple[float, Market] | None = None
        self._asking = asyncio.Lock()
        self._starting = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Sender({self.address})"

    async def start(self) -> None:
        """Opens the store, sends again what the chain does not know, and begins to watch.

        Called by the first :meth:`send` if it was not called before.
        """
        async with self._starting:
            await self._watcher.start()

    async def close(self) -> None:
        """Stops watching. Transactions under way stay in the store."""
        await self._watcher.close()

    async def __aenter__(self) -> Sender:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    @property
    def in_flight(self) -> int:
        """Transactions that are not mined yet."""
        return len(self._watcher.in_flight)

    def knows(self, tx_hash: bytes) -> bool:
        """Whether a transaction was sent from here, now or by an earlier process.

        Those of the last thousand nonces are known.
        """
        watcher = self._watcher
        return tx_hash in watcher.by_hash or watcher.store.find(tx_hash) is not None

    async def send(self, call: Call, *, timeout: float = 60.0, value: int = 0) -> Receipt:
        """Sends a call and waits until it is mined.

        Args:
            call: What to call.
            timeout: Seconds until the wait ends; the transaction stays under way.
            value: Native coins to send along, in wei.

        Raises:
            ContractError: The contract refuses; usually nothing was sent.
            CreditsError: The account has too few native coins for the gas.
            TransactionError: Not mined in time, or its fate cannot be known.
            UnreachableError: The node does not answer, and nothing was sent.
        """
        deadline = time.monotonic() + timeout
        tx = await self._launch(call, value, 1)
        try:
            return await self._result(tx, deadline, timeout)
        except OutOfGasError:
            # Another call was mined between the estimate and this one.
            log.warning("tx=out_of_gas call=%s retry=yes", call.label)
        tx = await self._launch(call, value, 3)
        return await self._result(tx, deadline, timeout)

    async def submit(self, call: Call, *, value: int = 0) -> bytes:
        """Sends a call and does not wait.

        Returns:
            Its hash, for :meth:`wait`. What is mined may have another hash, when the
            transaction had to be replaced; ``wait`` knows.

        Raises:
            As :meth:`send`, but for what shows only later.
        """
        return (await self._launch(call, value, 1)).hash

    async def wait(self, tx_hash: bytes, timeout: float = 60.0) -> Receipt:
        """Waits for a transaction of :meth:`submit`, or any other of the chain.

        Raises:
            ContractError: The contract refused it.
            TransactionError: It is not mined in time.
        """
        deadline = time.monotonic() + timeout
        await self.start()
        tx = self._watcher.by_hash.get(tx_hash)
        if tx is not None:
            return await self._result(tx, deadline, timeout)
        if self._watcher.store.find(tx_hash) in ("displaced", "lost"):
            raise TransactionError(
                f"Transaction 0x{tx_hash.hex()} did not get its place on the chain.",
                hint="Look what became of it before you repeat it.",
            )
        while time.monotonic() < deadline:
            receipts = await self._watcher.wire.receipts([tx_hash])
            if receipts:
                return await self._foreign(receipts[tx_hash])
            await asyncio.sleep(0.25)
        raise TransactionError(f"Transaction 0x{tx_hash.hex()} is not mined after {timeout:g} s.")

    async def _foreign(self, receipt: Mapping[str, Any]) -> Receipt:
        """The result of a transaction that was not sent by this sender, or long ago."""
        if number(receipt["status"]) == 1:
            return Receipt.from_json(receipt, self.chain.reader())
        sent = await self.chain.rpc.request(
            "eth_getTransactionByHash", [receipt["transactionHash"]]
        )
        raise await explain(
            self.chain.rpc,
            receipt,
            sender=Address(raw(sent["from"])),
            to=Address(raw(sent["to"])),
            data=raw(sent["input"]),
            value=number(sent["value"]),
            gas=number(sent["gas"]),
            label=f"transaction {receipt['transactionHash']}",
        )

    async def _result(self, tx: Pending, deadline: float, timeout: float) -> Receipt:
        left = deadline - time.monotonic()
        assert tx.result is not None
        try:
            async with asyncio.timeout(max(left, 0.0)):
                return await asyncio.shield(tx.result)
        except TimeoutError:
            # Whoever gave up may repeat the call: it must not be made anew behind his back.
            tx.wanted = False
            raise TransactionError(
                f"{tx.call.label} is not mined after {timeout:g} s"
                f" (transaction 0x{tx.hash.hex()}).",
                hint="It may still be; look before you repeat it.",
            ) from None

    async def _launch(self, call: Call, value: int, gas_factor: int) -> Pending:
        await self.start()
        gas, market = await asyncio.gather(self._estimate(call, value), self._ask_market())
        gas = gas * GAS_PERCENT * gas_factor // 100 + GAS_EXTRA
        return await self._watcher.launch(call, value, min(gas, market.gas_limit), market)

    async def _ask_market(self) -> Market:
        async with self._asking:
            now = time.monotonic()
            if self._market is None or now - self._market[0] > MARKET_SECONDS:
                self._market = now, await read_market(self.chain.rpc)
            return self._market[1]

    async def _estimate(self, call: Call, value: int) -> int:
        """Gas of a call; tries it without sending.

        Raises:
            ContractError: The contract refuses.
        """
        transaction = {
            "from": self.address.lower,
            "to": call.to.lower,
            "data": hexed(call.data),
            "value": hexed(value),
        }
        try:
            return await self._gas(transaction, "latest")
        except RpcError as error:
            with contextlib.suppress(RpcError):
                # It may need what we have sent ourselves a moment ago.
                if self.in_flight:
                    return await self._gas(transaction, "pending")
            if outcome_of(error.rpc_message) is Outcome.NO_FUNDS:
                raise no_gas_money(self.address, call.label) from error
            refused = refusal(error)
            log.debug("call=%s refused=%s", call.label, refused.message)
            raise refused from error

    async def _gas(self, transaction: dict[str, str], block: str) -> int:
        return number(await self.chain.rpc.request("eth_estimateGas", [transaction, block]))
