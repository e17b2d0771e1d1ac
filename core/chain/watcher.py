"""Transactions under way: launching them with the right nonce, and watching them.

One lock guards the order of nonces; one task looks after everything that was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsq.core.chain.calls import Call
from dsq.core.chain.client import Chain
from dsq.core.chain.failures import explain, no_gas_money
from dsq.core.chain.fees import Fees, Market, read_market
from dsq.core.chain.nonces import RAISE_SECONDS, Outcome, Verdict, gaps, judge, next_nonce
from dsq.core.chain.receipts import Receipt
from dsq.core.chain.rpc import number
from dsq.core.chain.txstore import Attempt, Pending, TxStore
from dsq.core.chain.wire import Wire
from dsq.core.errors import (
    DsqError,
    TransactionError,
    TryAgainError,
    UnreachableError,
)
from dsq.core.wallet import Wallet

log = logging.getLogger("dsq.core.chain.sender")

BUSY_SECONDS = 0.2
"""Pause between rounds while something is under way."""

IDLE_SECONDS = 3.0
"""Pause between rounds otherwise: a chain that goes back is noticed then."""

MAX_BACKOFF = 10.0

GAP_SECONDS = 6.0
"""A nonce that nobody uses for so long is used up by a transfer of nothing to ourselves."""

LOOKUPS = 100
"""Transactions looked up in one round, lowest nonces first."""

RESULTS = 1_000
"""Results kept for those who ask late."""

TRIES = 5
"""Attempts to get a new transaction into the pool."""


class Watcher:
    """The transactions of one wallet that are not ended."""

    def __init__(self, chain: Chain, wallet: Wallet, store: Path | None) -> None:
        self._chain = chain
        self._wallet = wallet
        self._path = store
        self._store: TxStore | None = None
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._gap_since: float | None = None
        self._ended = -1
        self._results: deque[Pending] = deque()
        self.address = wallet.address
        self.wire = Wire(chain.rpc, wallet.address)
        self.in_flight: dict[int, Pending] = {}
        self.by_hash: dict[bytes, Pending] = {}

    @property
    def store(self) -> TxStore:
        assert self._store is not None
        return self._store

    async def start(self) -> None:
        """Opens the store and sends again what is in it; a second call does nothing."""
        if self._task is not None:
            return
        if self._store is None:
            self._store = TxStore(self._path, await self.wire.identity(), self.address)
            self._ended = self._store.highest_ended()
            for tx in self._store.sent():
                self._adopt(tx)
            if self.in_flight:
                log.info("tx=resumed count=%d account=%s", len(self.in_flight), self.address)
        async with self._lock:
            await self._resend(sorted(self.in_flight.values(), key=lambda tx: tx.nonce))
        self._task = asyncio.create_task(self._watch(), name="chain-sender")

    async def close(self) -> None:
        """Stops the task and closes the store."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._store is not None:
            self._store.close()
            self._store = None
        for tx in self.in_flight.values():
            error = TransactionError(
                f"{tx.call.label} is not mined yet, and its sender was closed.",
                hint="It may still be; look before you repeat it.",
            )
            self._settle(tx, error)
        self.in_flight.clear()
        self.by_hash.clear()

    # Launching.

    async def launch(self, call: Call, value: int, gas: int, market: Market) -> Pending:
        """Signs, saves and sends a new transaction.

        Raises:
            CreditsError: The account cannot pay for the gas.
            TransactionError: The node does not take it.
        """
        async with self._lock:
            tx = Pending(0, 0, call, value, gas, market.block)
            tx.wanted = True
            await self._place(tx, market.fees)
        self._wake.set()
        return tx

    async def _place(self, tx: Pending, fees: Fees) -> None:
        """Gives a transaction a nonce that is free and gets it into the pool."""
        refusal = ""
        fresh = False
        for _ in range(TRIES):
            tx.nonce = await self._free_nonce(ask=fresh)
            self._sign(tx, fees)
            outcome, refusal = await self._broadcast(tx)
            if outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN):
                return
            if outcome is Outcome.NONCE_TAKEN and await self.wire.known([tx.hash]):
                # Taken by itself: the first answer was lost with its connection.
                return
            # Nobody has seen it: the nonce is free again.
            self._drop(tx)
            if outcome is Outcome.NO_FUNDS:
                raise no_gas_money(self.address, tx.call.label)
            if outcome is Outcome.REFUSED:
                break
            if outcome is Outcome.UNDERPRICED:
                fees = (await read_market(self._chain.rpc)).fees.at_least(fees.raised())
            fresh = True
        raise TransactionError(f"The node does not take {tx.call.label}: {refusal}.")

    async def _free_nonce(self, *, ask: bool) -> int:
        if self.in_flight and not ask:
            return next_nonce(0, list(self.in_flight))
        pending = await self.wire.pending()
        if pending <= self._ended:
            await self._restore(await self.wire.used())
        return next_nonce(pending, list(self.in_flight))

    def _sign(self, tx: Pending, fees: Fees) -> None:
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
        if tx.id:
            self.store.add_attempt(tx)
        else:
            self.store.add(tx)
        tx.made_at = tx.looked_up_at = time.monotonic()
        self._adopt(tx)

    async def _broadcast(self, tx: Pending) -> tuple[Outcome, str]:
        outcome, words = await self.wire.broadcast(tx.attempts[-1].raw)
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
        return outcome, words

    def _adopt(self, tx: Pending) -> None:
        if tx.result is None:
            tx.result = _future()
        self.in_flight[tx.nonce] = tx
        for attempt in tx.attempts:
            self.by_hash[attempt.hash] = tx

    def _leave(self, tx: Pending) -> None:
        if self.in_flight.get(tx.nonce) is tx:
            del self.in_flight[tx.nonce]

    def _drop(self, tx: Pending) -> None:
        self._leave(tx)
        self.store.forget(tx)
        for attempt in tx.attempts:
            self.by_hash.pop(attempt.hash, None)
        tx.attempts.clear()
        tx.id = 0

    # Watching.

    async def _watch(self) -> None:
        failures = 0
        while True:
            pause = BUSY_SECONDS if self.in_flight else IDLE_SECONDS
            pause = min(pause * 2**failures, MAX_BACKOFF)
            # Not wait_for: before Python 3.12 it may swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
                await asyncio.sleep(min(pause, BUSY_SECONDS))
            self._wake.clear()
            try:
                await self.round()
                failures = 0
            except (UnreachableError, TryAgainError) as error:
                failures += 1
                if failures == 1:
                    log.warning("chain=lost reason=%r", str(error))
            except Exception:
                failures += 1
                log.exception("round=failed account=%s", self.address)

    async def round(self) -> None:
        """Looks once after everything that is under way."""
        if not self.in_flight and self._ended < 0:
            return
        used = await self.wire.used()
        if used <= self._ended:
            async with self._lock:
                await self._restore(used)
        await self._collect(used)
        await self._look_after(used)
        await self._fill_gaps(used)

    async def _restore(self, used: int) -> None:
        """Takes up again what was mined, after the chain went back."""
        lost = self.store.ended_from(used)
        log.warning("chain=went_back account=%s transactions=%d", self.address, len(lost))
        self._ended = used - 1
        for tx in lost:
            if tx.nonce not in self.in_flight:
                self.store.set_state(tx, "sent")
                self._adopt(tx)
        await self._resend([tx for tx in lost if self.in_flight.get(tx.nonce) is tx])

    async def _collect(self, used: int) -> None:
        """Ends transactions that have a receipt."""
        due = [tx for tx in self.in_flight.values() if tx.nonce < used]
        if not due:
            return
        hashes = [attempt.hash for tx in due for attempt in tx.attempts]
        receipts = await self.wire.receipts(hashes)
        for tx in sorted(due, key=lambda tx: tx.nonce):
            found = [receipts[a.hash] for a in tx.attempts if a.hash in receipts]
            if found:
                await self._end(tx, found[0])

    async def _end(self, tx: Pending, receipt: Mapping[str, Any]) -> None:
        succeeded = number(receipt["status"]) == 1
        error: DsqError | None = None
        if not succeeded:
            error = await explain(
                self._chain.rpc,
                receipt,
                sender=self.address,
                to=tx.call.to,
                data=tx.call.data,
                value=tx.value,
                gas=tx.gas,
                label=tx.call.label,
            )
        self._leave(tx)
        self._ended = max(self._ended, tx.nonce)
        self.store.set_state(tx, "mined" if succeeded else "failed")
        self.store.prune()
        log.info(
            "tx=%s call=%s nonce=%d block=%d gas=%d",
            "mined" if succeeded else "failed",
            tx.call.label,
            tx.nonce,
            number(receipt["blockNumber"]),
            number(receipt["gasUsed"]),
        )
        self._settle(tx, error or Receipt.from_json(receipt, self._chain.reader()))
        self._remember(tx)

    def _remember(self, tx: Pending) -> None:
        """Keeps the newest results for those who ask late."""
        self._results.append(tx)
        while len(self._results) > RESULTS:
            for attempt in self._results.popleft().attempts:
                self.by_hash.pop(attempt.hash, None)

    def _settle(self, tx: Pending, result: Receipt | DsqError) -> None:
        """Tells those who wait."""
        assert tx.result is not None
        if tx.result.done():
            return
        if isinstance(result, Receipt):
            tx.result.set_result(result)
        else:
            tx.result.set_exception(result)

    async def _look_after(self, used: int) -> None:
        now = time.monotonic()
        waiting = sorted(self.in_flight.values(), key=lambda tx: tx.nonce)[:LOOKUPS]
        base_fee = await self._base_fee(waiting, now)
        resend: list[Pending] = []
        for tx in waiting:
            if tx.nonce < used and tx.used_since is None:
                tx.used_since = now
            elif tx.nonce >= used:
                tx.used_since = None
            verdict = judge(
                nonce=tx.nonce,
                used=used,
                is_lowest=tx is waiting[0],
                dearer=base_fee > tx.attempts[-1].fees.max_fee,
                since_broadcast=now - tx.made_at,
                since_used=now - (tx.used_since or now),
                since_lookup=now - tx.looked_up_at,
            )
            if verdict is Verdict.RESEND:
                resend.append(tx)
            elif verdict is Verdict.RAISE:
                await self._raise(tx)
            elif verdict is Verdict.RIVAL:
                await self._find_rival(tx)
        await self._look_up(resend)

    async def _base_fee(self, waiting: list[Pending], now: float) -> int:
        """What gas costs; asked only if something waits so long that it matters."""
        if not waiting or now - waiting[0].made_at < RAISE_SECONDS:
            return 0
        return (await read_market(self._chain.rpc)).base_fee

    async def _look_up(self, waiting: list[Pending]) -> None:
        if not waiting:
            return
        known = await self.wire.known([tx.hash for tx in waiting])
        for tx in waiting:
            tx.looked_up_at = time.monotonic()
        async with self._lock:
            await self._resend(
                [
                    tx
                    for tx in waiting
                    if tx.hash not in known and self.in_flight.get(tx.nonce) is tx
                ]
            )

    async def _resend(self, transactions: list[Pending]) -> None:
        for tx in transactions:
            tx.looked_up_at = time.monotonic()
            await self._broadcast(tx)

    async def _raise(self, tx: Pending) -> None:
        market = await read_market(self._chain.rpc)
        async with self._lock:
            if self.in_flight.get(tx.nonce) is tx:
                self._sign(tx, market.fees.at_least(tx.attempts[-1].fees.raised()))
                await self._broadcast(tx)

    async def _find_rival(self, tx: Pending) -> None:
        """The nonce is used, but not by what we know: did another transaction take it?"""
        tx.used_since = None
        rival = await self.wire.who_used(tx.nonce, tx.first_block)
        if rival in {attempt.hash for attempt in tx.attempts}:
            return
        self._leave(tx)
        if rival is None:
            self.store.set_state(tx, "lost")
            self._settle(
                tx,
                TransactionError(
                    f"The chain has no record of {tx.call.label}, but it used its nonce.",
                    hint="It may have taken effect; look before you repeat it.",
                ),
            )
            return
        log.warning("tx=displaced call=%s by=0x%s", tx.call.label, rival.hex())
        self.store.set_state(tx, "displaced")
        await self._again(tx)

    async def _again(self, tx: Pending) -> None:
        """Launches a displaced transaction anew, if somebody waits for it."""
        old = tx.result
        if old is None or old.done() or not tx.wanted:
            return
        market = await read_market(self._chain.rpc)
        async with self._lock:
            anew = Pending(0, 0, tx.call, tx.value, tx.gas, market.block)
            anew.result, anew.wanted = old, True
            try:
                await self._place(anew, market.fees)
            except DsqError as error:
                self._settle(anew, error)
        for attempt in tx.attempts:
            self.by_hash[attempt.hash] = anew

    async def _fill_gaps(self, used: int) -> None:
        """Uses up nonces that hold back what we sent, once it is clear that nobody will."""
        missing = gaps(used, list(self.in_flight))
        if not missing:
            self._gap_since = None
            return
        now = time.monotonic()
        self._gap_since = self._gap_since or now
        if now - self._gap_since < GAP_SECONDS:
            return
        self._gap_since = None
        taken = await self.wire.pending()
        market = await read_market(self._chain.rpc)
        async with self._lock:
            for nonce in missing:
                if nonce >= taken and nonce not in self.in_flight:
                    log.warning("nonce=%d filled=yes account=%s", nonce, self.address)
                    filler = Call(self.address, b"", "nothing()")
                    tx = Pending(0, nonce, filler, 0, 21_000, market.block)
                    self._sign(tx, market.fees)
                    await self._broadcast(tx)


def _future() -> asyncio.Future[Receipt]:
    future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
    # Not everyone who submits waits; an error that nobody asks for is logged already.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
