"""The one writer of a wallet: transactions with local nonces, many under way at once.

Life of a transaction: tried without sending (a refusal costs nothing then), given a
nonce, signed, saved, sent; watched until a receipt is there. What the node forgot is sent
again with the same bytes; docs/chain.md draws the states.

:mod:`~dsq.core.chain.launcher` gives nonces and sends, in batches;
:mod:`~dsq.core.chain.watcher` looks after what is under way, with one question a round;
:mod:`~dsq.core.chain.flight` holds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsq.core.chain.calls import Call
from dsq.core.chain.client import Chain, refusal
from dsq.core.chain.failures import OutOfGasError, explain, no_gas_money
from dsq.core.chain.fees import Market, read_market
from dsq.core.chain.flight import Flight
from dsq.core.chain.gasbook import GasBook
from dsq.core.chain.launcher import Launcher
from dsq.core.chain.nonces import Outcome, outcome_of
from dsq.core.chain.others import Lookout, Others
from dsq.core.chain.published import refuse_published_key
from dsq.core.chain.receipts import Receipt
from dsq.core.chain.rpc import RpcError, hexed, number, raw
from dsq.core.chain.sent import SenderSnapshot
from dsq.core.chain.together import Together
from dsq.core.chain.txstore import Pending
from dsq.core.chain.watcher import Watcher
from dsq.core.chain.wire import Wire
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
        fee_cap: The most that a unit of gas may cost, in wei of the native coin; dearer
            transactions wait. None for no limit.

    Raises:
        WalletError: The key is one of those published with development chains, and the
            chain is none.
    """

    def __init__(
        self,
        chain: Chain,
        wallet: Wallet,
        *,
        store: Path | None = None,
        fee_cap: int | None = None,
    ) -> None:
        refuse_published_key(wallet.address, chain.chain_id)
        self.chain = chain
        self.address = wallet.address
        self._path = store
        self._flight = Flight(wallet.address)
        self._wire = Wire(chain.rpc, wallet.address)
        self._gas_book = GasBook()
        self._together = Together(chain.rpc)
        self._launcher = Launcher(chain, wallet, self._flight, self._wire, fee_cap)
        self._watcher = Watcher(
            chain, self._flight, self._launcher, self._wire, self._gas_book, fee_cap
        )
        self._lookout = Lookout(chain, self._flight, self._wire)
        self._market: tuple[float, Market] | None = None
        self._asking: asyncio.Task[Market] | None = None
        self._starting = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Sender({self.address})"

    async def start(self) -> None:
        """Opens the store, sends again what the chain does not know, and begins to watch.

        Called by the first :meth:`send` if it was not called before.
        """
        if self._flight.is_open():
            return
        async with self._starting:
            if self._flight.is_open():
                return
            self._flight.open(self._path, await self._wire.identity())
            waiting = sorted(self._flight.in_flight.values(), key=lambda tx: tx.nonce)
            if waiting:
                log.info("tx=resumed count=%d account=%s", len(waiting), self.address)
            async with self._flight.lock:
                await self._launcher.resend(waiting)
            self._watcher.start()

    async def close(self) -> None:
        """Stops watching. Transactions under way stay in the store."""
        await self._watcher.close()
        await self._launcher.close()
        self._flight.close()

    async def __aenter__(self) -> Sender:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    @property
    def in_flight(self) -> int:
        """Transactions that are not mined yet."""
        return len(self._flight.in_flight)

    def snapshot(self) -> SenderSnapshot:
        """How it stands: what is under way, and what was done since the start."""
        flight = self._flight
        oldest = min((tx.made_at for tx in flight.in_flight.values()), default=None)
        age = 0.0 if oldest is None else time.monotonic() - oldest
        return SenderSnapshot(
            account=self.address,
            in_flight=len(flight.in_flight),
            next_nonce=max([flight.counted - 1, flight.ended, *flight.in_flight]) + 1,
            oldest_seconds=age,
            **dataclasses.asdict(flight.counters),
        )

    def knows(self, tx_hash: bytes) -> bool:
        """Whether a transaction was sent from here, now or by an earlier process.

        Those of the last thousand nonces are known.
        """
        flight = self._flight
        return tx_hash in flight.by_hash or flight.store.find(tx_hash) is not None

    async def others(self) -> Others:
        """Who else has used the wallet since the last time this was asked.

        Raises:
            UnreachableError: The node does not answer.
        """
        await self.start()
        return await self._lookout.look()

    async def send(
        self,
        call: Call,
        *,
        timeout: float = 60.0,
        value: int = 0,
        gas: int | None = None,
        trial: bool = True,
    ) -> Receipt:
        """Sends a call and waits until it is mined.

        Args:
            call: What to call.
            timeout: Seconds until the wait ends; the transaction stays under way.
            value: Native coins to send along, in wei.
            gas: Gas to offer; the call is not tried first then, and a refusal costs gas.
            trial: False takes the gas from calls of the same kind that were sent before,
                if there were any, instead of trying the call first.

        Raises:
            ContractError: The contract refuses; usually nothing was sent.
            CreditsError: The account has too few native coins for the gas.
            TransactionError: Not mined in time, or its fate cannot be known.
            UnreachableError: The node does not answer, and nothing was sent.
        """
        deadline = time.monotonic() + timeout
        tx = await self._launch(call, value, await self._gas_for(call, value, gas, trial))
        try:
            return await self._result(tx, deadline, timeout)
        except OutOfGasError:
            # Another call was mined between the estimate and this one.
            log.warning("tx=out_of_gas call=%s retry=yes", call.label)
        self._gas_book.forget(call)
        tx = await self._launch(call, value, 3 * await self._gas_for(call, value, None, True))
        return await self._result(tx, deadline, timeout)

    async def submit(
        self, call: Call, *, value: int = 0, gas: int | None = None, trial: bool = True
    ) -> bytes:
        """Sends a call and does not wait; the arguments are those of :meth:`send`.

        Returns:
            Its hash, for :meth:`wait`. What is mined may have another hash, when the
            transaction had to be replaced; ``wait`` knows.

        Raises:
            As :meth:`send`, but for what shows only later.
        """
        return (await self._launch(call, value, await self._gas_for(call, value, gas, trial))).hash

    async def wait(self, tx_hash: bytes, timeout: float = 60.0) -> Receipt:
        """Waits for a transaction of :meth:`submit`, or any other of the chain.

        Raises:
            ContractError: The contract refused it.
            TransactionError: It is not mined in time.
        """
        deadline = time.monotonic() + timeout
        await self.start()
        tx = self._flight.by_hash.get(tx_hash)
        if tx is not None:
            return await self._result(tx, deadline, timeout)
        if self._flight.store.find(tx_hash) in ("displaced", "lost"):
            raise TransactionError(
                f"Transaction 0x{tx_hash.hex()} did not get its place on the chain.",
                hint="Look what became of it before you repeat it.",
            )
        while time.monotonic() < deadline:
            receipts = await self._wire.receipts([tx_hash])
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
        except asyncio.CancelledError:
            tx.wanted = False
            raise
        except TimeoutError:
            # Whoever gave up may repeat the call: it must not be made anew behind his back.
            tx.wanted = False
            raise TransactionError(
                f"{tx.call.label} is not mined after {timeout:g} s"
                f" (transaction 0x{tx.hash.hex()}).",
                hint="It may still be; look before you repeat it.",
            ) from None

    async def _launch(self, call: Call, value: int, gas: int) -> Pending:
        market = await self._ask_market()
        tx = await self._launcher.launch(call, value, min(gas, market.gas_limit), market)
        self._watcher.wake()
        return tx

    async def _gas_for(self, call: Call, value: int, given: int | None, trial: bool) -> int:
        """Gas to offer for a call."""
        await self.start()
        if given is not None:
            return given
        gas = None if trial else self._gas_book.get(call)
        if gas is None:
            gas = await self._estimate(call, value)
            self._gas_book.learn(call, gas)
        return gas * GAS_PERCENT // 100 + GAS_EXTRA

    async def _ask_market(self) -> Market:
        """What the chain asks for; all who want to know at the same time ask once."""
        if self._market is not None and time.monotonic() - self._market[0] <= MARKET_SECONDS:
            return self._market[1]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(read_market(self.chain.rpc), name="chain-market")
        market = await asyncio.shield(self._asking)
        self._market = time.monotonic(), market
        return market

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
        return number(await self._together.request("eth_estimateGas", [transaction, block]))
