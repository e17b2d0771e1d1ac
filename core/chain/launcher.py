"""Launching transactions: the right nonce, signed, saved, sent, in batches.

Whoever launches in the same moment shares one write to the disk and one request. While a
batch is on its way the next one gathers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio import CancelledError
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dsq.core.chain.calls import Call
from dsq.core.chain.client import Chain
from dsq.core.chain.failures import no_gas_money
from dsq.core.chain.fees import Fees, Market, read_market
from dsq.core.chain.flight import Flight
from dsq.core.chain.nonces import Outcome, Step, after_broadcast, gaps, new_nonces
from dsq.core.chain.txstore import Attempt, Pending
from dsq.core.chain.wire import Wire
from dsq.core.errors import DiskError, DsqError, TransactionError
from dsq.core.wallet import Wallet

log = logging.getLogger("dsq.core.chain.sender")

BATCH = 100
"""Transactions that are signed, saved and sent at once: one request."""

ON_THE_WIRE = 4
"""Batches that are on their way at once."""

TRIES = 5
"""Attempts to get a new transaction into the pool."""


@dataclass(slots=True)
class Order:
    """A transaction that wants a nonce.

    Attributes:
        done: Ends when it is under way, or with the reason why it is not.
        tries: How often it was signed.
        refusal: What the node said last.
    """

    tx: Pending
    fees: Fees
    done: asyncio.Future[None]
    tries: int = 0
    refusal: str = ""


class Launcher:
    """Gives nonces and sends.

    Args:
        chain: The connection.
        wallet: The account.
        flight: What is under way.
        wire: The account's line to the node.
        fee_cap: The most that a unit of gas may cost, in wei; None for no limit.
    """

    def __init__(
        self, chain: Chain, wallet: Wallet, flight: Flight, wire: Wire, fee_cap: int | None
    ) -> None:
        self._chain = chain
        self._wallet = wallet
        self._flight = flight
        self._wire = wire
        self._fee_cap = fee_cap
        self._orders: list[Order] = []
        self._task: asyncio.Task[None] | None = None
        self._sends: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stops; orders that are not under way fail."""
        tasks = [task for task in (self._task, *self._sends) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None
        orders, self._orders = self._orders, []
        for order in orders:
            _refuse(order, TransactionError(f"{order.tx.call.label} was not sent: closed."))

    async def launch(self, call: Call, value: int, gas: int, market: Market) -> Pending:
        """Signs, saves and sends a new transaction.

        Raises:
            CreditsError: The account cannot pay for the gas.
            TransactionError: The node does not take it.
        """
        tx = Pending(0, 0, call, value, gas, market.block)
        tx.wanted = True
        await self.again(tx, market)
        return tx

    async def again(self, tx: Pending, market: Market) -> None:
        """Sends a transaction under a new nonce; see :meth:`launch`."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._orders.append(Order(tx, market.fees.capped(self._fee_cap), done))
        self._begin()
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            # It may be on its way; but whoever gave up may repeat the call.
            tx.wanted = False
            raise

    def _begin(self) -> None:
        if self._orders and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work(), name="chain-launcher")

    async def _work(self) -> None:
        """Signs batch after batch; up to :data:`ON_THE_WIRE` are on their way meanwhile."""
        while self._orders:
            while len(self._sends) >= ON_THE_WIRE:
                await asyncio.wait(self._sends, return_when=asyncio.FIRST_COMPLETED)
            # Whoever launches in the same moment comes along.
            await asyncio.sleep(0)
            orders, self._orders = self._orders[:BATCH], self._orders[BATCH:]
            try:
                async with self._flight.lock:
                    await self._sign_all(orders)
            except BaseException as error:
                self._take_back(orders, error)
                if not isinstance(error, Exception):
                    raise
                continue
            task = asyncio.create_task(self._send(orders), name="chain-send")
            self._sends.add(task)
            task.add_done_callback(self._sends.discard)
            # The request goes out before the next batch is signed.
            await asyncio.sleep(0)

    def _take_back(self, orders: Sequence[Order], error: BaseException) -> None:
        """Nothing of these orders was sent, and nothing of them is in the file."""
        if isinstance(error, DiskError):
            log.error("launch=not_written transactions=%d reason=%r", len(orders), str(error))
        for order in orders:
            self._flight.drop(order.tx)
            if isinstance(error, DsqError):
                _refuse(order, error)
                continue
            reason = "its sender was closed" if isinstance(error, CancelledError) else f"{error}"
            _refuse(order, TransactionError(f"{order.tx.call.label} was not sent: {reason}."))
        if not isinstance(error, DsqError | CancelledError):
            log.error("launch=failed account=%s", self._flight.account, exc_info=error)

    async def _sign_all(self, orders: Sequence[Order]) -> None:
        """Gives orders free nonces, signs and saves them; the lock is held."""
        flight = self._flight
        ask = not flight.in_flight or any(order.tries for order in orders)
        pending = await self._pending() if ask else 0
        nonces = new_nonces(len(orders), pending, flight.in_flight, flight.freed)
        with flight.store.together():
            for order, nonce in zip(orders, nonces, strict=True):
                order.tries += 1
                order.tx.nonce = nonce
                self.sign(order.tx, order.fees)

    async def _pending(self) -> int:
        """The account's count at the node; notices a chain that went back."""
        used, pending = await self._wire.counts()
        self._flight.counted = used
        if max(used, pending) <= self._flight.ended:
            await self.restore(used)
        return max(used, pending)

    async def _send(self, orders: Sequence[Order]) -> None:
        """Sends what is signed and saved; those that want another nonce or fee wait again."""
        again: list[Order] = []
        try:
            answers = await self.broadcast([order.tx for order in orders])
            again = await self._sort(orders, await self._steps(orders, answers))
            async with self._flight.lock:
                await self._fill(self._gaps())
        except BaseException as error:
            if isinstance(error, DiskError):
                log.error("launch=not_written reason=%r", str(error))
            elif isinstance(error, Exception):
                log.exception("launch=failed account=%s", self._flight.account)
            # They may be on their way, and are in the file: the watcher, or the next start,
            # looks after them. Nobody must think that they were not sent.
            for order in orders:
                if order not in again:
                    _release(order)
            if not isinstance(error, Exception):
                raise
        for order in again:
            if order.tries >= TRIES:
                self._give_up(order)
            else:
                self._orders.append(order)
        self._begin()

    async def _steps(
        self, orders: Sequence[Order], answers: Sequence[tuple[Outcome, str]]
    ) -> list[Step]:
        """What follows from the node's answers."""
        taken = [
            order.tx.hash
            for order, (outcome, _) in zip(orders, answers, strict=True)
            if outcome is Outcome.NONCE_TAKEN
        ]
        try:
            known = await self._wire.known(taken) if taken else set()
        except DsqError:
            # What took the nonce may be the transaction itself: the watcher finds out.
            known = set(taken)
        steps = []
        for order, (outcome, words) in zip(orders, answers, strict=True):
            order.refusal = words
            steps.append(after_broadcast(outcome, is_known=order.tx.hash in known))
        return steps

    async def _sort(self, orders: Sequence[Order], steps: Sequence[Step]) -> list[Order]:
        """Ends the orders that are under way or refused; returns the others."""
        flight = self._flight
        pairs = list(zip(orders, steps, strict=True))
        with flight.store.together():
            for order, step in pairs:
                if step is not Step.UNDER_WAY:
                    flight.store.forget(order.tx)
        for order, step in pairs:
            if step is Step.UNDER_WAY:
                continue
            # Nobody has seen it. Its nonce is free again, unless it is another's.
            flight.drop(order.tx)
            if step is not Step.NEW_NONCE:
                flight.freed.add(order.tx.nonce)
        again: list[Order] = []
        for order, step in pairs:
            match step:
                case Step.UNDER_WAY:
                    flight.counters.sent += 1
                    _release(order)
                case Step.NO_FUNDS:
                    flight.counters.refused += 1
                    _refuse(order, no_gas_money(flight.account, order.tx.call.label))
                case Step.REFUSED:
                    self._give_up(order)
                case Step.OFFER_MORE:
                    order.fees = order.fees.raised().capped(self._fee_cap)
                    again.append(order)
                case Step.NEW_NONCE:
                    again.append(order)
        if Step.OFFER_MORE in steps:
            await self._follow_market(again)
        return again

    async def _follow_market(self, orders: Sequence[Order]) -> None:
        """Offers at least what the chain asks now."""
        try:
            fees = (await read_market(self._chain.rpc)).fees
        except DsqError as error:
            log.info("market=unknown reason=%r", str(error))
            return
        for order in orders:
            order.fees = fees.at_least(order.fees).capped(self._fee_cap)

    def _give_up(self, order: Order) -> None:
        self._flight.counters.refused += 1
        label, words = order.tx.call.label, order.refusal
        _refuse(order, TransactionError(f"The node does not take {label}: {words}."))

    def _gaps(self) -> list[int]:
        """Nonces that we took back and that now hold back later ones."""
        freed, flying = self._flight.freed, self._flight.in_flight
        if not freed or not flying:
            freed.clear()
            return []
        return [nonce for nonce in gaps(min(freed), flying) if nonce in freed]

    async def _fill(self, nonces: Sequence[int]) -> None:
        """Uses nonces up with transfers of nothing to the account itself."""
        if not nonces:
            return
        try:
            market = await read_market(self._chain.rpc)
        except DsqError as error:
            # The watcher sees the gap too.
            log.info("gap=left reason=%r", str(error))
            return
        call = Call(self._flight.account, b"", "nothing()")
        fillers = [Pending(0, nonce, call, 0, 21_000, market.block) for nonce in nonces]
        try:
            with self._flight.store.together():
                for tx in fillers:
                    log.warning("nonce=%d filled=yes account=%s", tx.nonce, self._flight.account)
                    self.sign(tx, market.fees.capped(self._fee_cap))
        except BaseException:
            for tx in fillers:
                self._flight.drop(tx)
            raise
        self._flight.counters.gaps_filled += len(fillers)
        await self.broadcast(fillers)

    # What the watcher uses too.

    async def fill(self, nonces: Sequence[int], taken: int) -> None:
        """Uses up nonces that nobody will use; the lock must not be held.

        Args:
            nonces: The gaps.
            taken: Nonces below are used, by the chain or in the node's pool.
        """
        async with self._flight.lock:
            flying = self._flight.in_flight
            await self._fill([n for n in nonces if n >= taken and n not in flying])

    def sign(self, tx: Pending, fees: Fees) -> None:
        """Signs an attempt of a transaction and saves it, before it can be sent.

        Raises:
            DiskError: It cannot be saved: then there is no such attempt.
        """
        fields: dict[str, Any] = {
            "chainId": self._chain.chain_id,
            "nonce": tx.nonce,
            "to": bytes(tx.call.to),
            "data": tx.call.data,
            "value": tx.value,
            "gas": tx.gas,
            **fees.fields(),
        }
        signed, tx_hash = self._wallet.sign_transaction(fields)
        tx.attempts.append(Attempt(tx_hash, signed, fees))
        try:
            if tx.id:
                self._flight.store.add_attempt(tx)
            else:
                self._flight.store.add(tx)
        except BaseException:
            # What is under way may be sent at any time, and only what is in the file may.
            tx.attempts.pop()
            raise
        tx.made_at = tx.looked_up_at = time.monotonic()
        self._flight.adopt(tx)

    async def broadcast(self, transactions: Sequence[Pending]) -> list[tuple[Outcome, str]]:
        """Sends the newest attempts; says what the node thinks of each."""
        answers = await self._wire.broadcast_all([tx.attempts[-1].raw for tx in transactions])
        for tx, (outcome, words) in zip(transactions, answers, strict=True):
            level = logging.DEBUG if outcome is Outcome.ACCEPTED else logging.INFO
            log.log(
                level,
                "tx=sent call=%s nonce=%d hash=0x%s answer=%s %s",
                tx.call.label,
                tx.nonce,
                tx.hash.hex(),
                outcome.name,
                words,
            )
        return answers

    async def resend(self, transactions: Sequence[Pending]) -> None:
        """Sends the same bytes again; the lock is held."""
        if not transactions:
            return
        for tx in transactions:
            tx.looked_up_at = time.monotonic()
        self._flight.counters.resent += len(transactions)
        await self.broadcast(transactions)

    async def restore(self, used: int) -> None:
        """Takes up again what was mined, after the chain went back; the lock is held."""
        flight = self._flight
        lost = flight.store.ended_from(used)
        log.warning("chain=went_back account=%s transactions=%d", flight.account, len(lost))
        lost = [tx for tx in lost if tx.nonce not in flight.in_flight]
        with flight.store.together():
            for tx in lost:
                flight.store.set_state(tx, "sent")
        # Behind the write: while the disk takes nothing, the next round comes here again.
        flight.ended = used - 1
        for tx in lost:
            flight.adopt(tx)
        await self.resend([tx for tx in lost if flight.holds(tx)])


def _release(order: Order) -> None:
    if not order.done.done():
        order.done.set_result(None)


def _refuse(order: Order, error: DsqError) -> None:
    if not order.done.done():
        order.done.set_exception(error)
