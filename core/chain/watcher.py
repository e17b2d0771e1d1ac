"""Watching transactions until they are ended: one task looks after all of them.

A round asks for the account's counts; only if something was mined, or waits for long,
there is more to ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dsq.core.chain.client import Chain
from dsq.core.chain.failures import explain
from dsq.core.chain.fees import read_market
from dsq.core.chain.flight import Flight
from dsq.core.chain.gasbook import GasBook
from dsq.core.chain.launcher import Launcher
from dsq.core.chain.nonces import RAISE_SECONDS, Outcome, Verdict, gaps, judge
from dsq.core.chain.receipts import Receipt
from dsq.core.chain.rpc import number
from dsq.core.chain.txstore import Pending
from dsq.core.chain.wire import Wire
from dsq.core.errors import (
    DiskError,
    DsqError,
    TransactionError,
    TryAgainError,
    UnreachableError,
    WrongChainError,
)

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

BLOCKWISE = 20
"""So many due transactions have their receipts read by whole blocks."""

BLOCKS = 8
"""Blocks whose receipts are read at most; what is in older ones is asked for singly."""


class Watcher:
    """Looks after what is under way.

    Args:
        chain: The connection.
        flight: What is under way.
        launcher: Sends again, and anew.
        wire: The account's line to the node.
        gas: Learns what calls needed.
        fee_cap: The most that a unit of gas may cost, in wei.
    """

    def __init__(
        self,
        chain: Chain,
        flight: Flight,
        launcher: Launcher,
        wire: Wire,
        gas: GasBook,
        fee_cap: int | None,
    ) -> None:
        self._chain = chain
        self._flight = flight
        self._launcher = launcher
        self._wire = wire
        self._gas = gas
        self._fee_cap = fee_cap
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._gap_since: float | None = None
        self._read_to = -1
        self._capped: set[int] = set()

    def start(self) -> None:
        """Begins to watch; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="chain-sender")

    async def close(self) -> None:
        """Stops."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def wake(self) -> None:
        """There is something to watch."""
        self._wake.set()

    async def _watch(self) -> None:
        failures = 0
        while True:
            pause = BUSY_SECONDS if self._flight.in_flight else IDLE_SECONDS
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
            except (UnreachableError, TryAgainError, WrongChainError) as error:
                failures += 1
                if failures == 1:
                    log.warning("chain=lost reason=%r", str(error))
            except DiskError as error:
                failures += 1
                log.error("transactions=not_written reason=%r", str(error))
            except Exception:
                failures += 1
                log.exception("round=failed account=%s", self._flight.account)

    async def round(self) -> None:
        """Looks once after everything that is under way."""
        flight = self._flight
        if not flight.in_flight and flight.ended < 0:
            return
        used, pending = await self._wire.counts()
        flight.counted = used
        if used <= flight.ended:
            async with flight.lock:
                await self._launcher.restore(used)
        await self._collect(used)
        await self._look_after(used, pending)
        await self._fill_gaps(used)

    # What was mined.

    async def _collect(self, used: int) -> None:
        """Ends transactions that have a receipt."""
        due = [tx for tx in self._flight.in_flight.values() if tx.nonce < used]
        if not due:
            return
        due.sort(key=lambda tx: tx.nonce)
        receipts = await self._receipts(due)
        found = [
            (tx, receipts[attempt.hash])
            for tx in due
            for attempt in tx.attempts
            if attempt.hash in receipts
        ]
        await self._end(found)

    async def _receipts(self, due: Sequence[Pending]) -> dict[bytes, dict[str, Any]]:
        """Receipts of transactions, by whole blocks if there are many of them."""
        receipts: dict[bytes, dict[str, Any]] = {}
        if len(due) >= BLOCKWISE:
            head = await self._wire.head()
            first = max(self._read_to + 1, due[0].first_block, head - BLOCKS + 1)
            receipts = await self._wire.receipts_by_block(first, head)
            self._read_to = head
        missing = [
            attempt.hash
            for tx in due
            if not any(attempt.hash in receipts for attempt in tx.attempts)
            for attempt in tx.attempts
        ]
        return {**receipts, **await self._wire.receipts(missing)}

    async def _end(self, found: Sequence[tuple[Pending, Mapping[str, Any]]]) -> None:
        errors = await asyncio.gather(*(self._failure(tx, receipt) for tx, receipt in found))
        flight, reader = self._flight, self._chain.reader()
        with flight.store.together(durable=False):
            for (tx, _), error in zip(found, errors, strict=True):
                flight.store.set_state(tx, "failed" if error else "mined")
            flight.store.prune()
        # Behind the write: while the disk takes nothing, they are looked after.
        for (tx, receipt), error in zip(found, errors, strict=True):
            flight.leave(tx)
            flight.ended = max(flight.ended, tx.nonce)
            if error is None:
                flight.counters.mined += 1
            else:
                flight.counters.failed += 1
            self._log_end(tx, receipt, error)
            self._gas.learn(tx.call, number(receipt["gasUsed"]))
            flight.settle(tx, error or Receipt.from_json(receipt, reader))
            flight.remember(tx)

    async def _failure(self, tx: Pending, receipt: Mapping[str, Any]) -> DsqError | None:
        """Why a mined transaction failed; None if it did not."""
        if number(receipt["status"]) == 1:
            return None
        return await explain(
            self._chain.rpc,
            receipt,
            sender=self._flight.account,
            to=tx.call.to,
            data=tx.call.data,
            value=tx.value,
            gas=tx.gas,
            label=tx.call.label,
        )

    @staticmethod
    def _log_end(tx: Pending, receipt: Mapping[str, Any], error: DsqError | None) -> None:
        log.info(
            "tx=%s call=%s nonce=%d block=%d gas=%d",
            "failed" if error else "mined",
            tx.call.label,
            tx.nonce,
            number(receipt["blockNumber"]),
            number(receipt["gasUsed"]),
        )

    # What waits.

    async def _look_after(self, used: int, pending: int) -> None:
        now = time.monotonic()
        waiting = sorted(self._flight.in_flight.values(), key=lambda tx: tx.nonce)[:LOOKUPS]
        base_fee, head = await self._market(waiting, now)
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
                passed_blocks=head - (tx.raised_in or tx.first_block),
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
        await self._look_up(resend, pending)

    async def _market(self, waiting: Sequence[Pending], now: float) -> tuple[int, int]:
        """What gas costs, and the head; asked only if something waits so long that it matters."""
        if not waiting or now - waiting[0].made_at < RAISE_SECONDS:
            return 0, 0
        market = await read_market(self._chain.rpc)
        return market.base_fee, market.block

    async def _look_up(self, waiting: Sequence[Pending], pending: int) -> None:
        """Sends again what the node does not know.

        Its count with the pool covers those below it; the others are looked up, and those
        that were replaced: it may have refused the replacement.
        """
        now = time.monotonic()
        for tx in waiting:
            tx.looked_up_at = now
        unsure = [tx for tx in waiting if tx.nonce >= pending or len(tx.attempts) > 1]
        if not unsure:
            return
        known = await self._wire.known([tx.hash for tx in unsure])
        async with self._flight.lock:
            await self._launcher.resend(
                [tx for tx in unsure if tx.hash not in known and self._flight.holds(tx)]
            )

    async def _raise(self, tx: Pending) -> None:
        """Replaces a transaction by one that offers more, as far as the cap allows."""
        market = await read_market(self._chain.rpc)
        before = tx.attempts[-1].fees
        fees = market.fees.at_least(before.raised()).capped(self._fee_cap)
        if not fees.replaces(before):
            if tx.nonce not in self._capped:
                self._capped.add(tx.nonce)
                log.warning("tx=fee_capped call=%s nonce=%d", tx.call.label, tx.nonce)
            tx.made_at = time.monotonic()
            return
        async with self._flight.lock:
            if not self._flight.holds(tx):
                return
            try:
                self._launcher.sign(tx, fees)
            except DiskError as error:
                # What is there already is looked after all the same.
                log.error("transactions=not_written reason=%r", str(error))
                tx.made_at = time.monotonic()
                return
            tx.raised_in = market.block
            ((outcome, _),) = await self._launcher.broadcast([tx])
        if outcome is Outcome.ACCEPTED:
            self._flight.counters.replaced += 1
            log.info("tx=replaced call=%s nonce=%d", tx.call.label, tx.nonce)

    async def _find_rival(self, tx: Pending) -> None:
        """The nonce is used, but not by what we know: did another transaction take it?"""
        tx.used_since = None
        rival = await self._wire.who_used(tx.nonce, tx.first_block)
        if rival in {attempt.hash for attempt in tx.attempts}:
            return
        flight = self._flight
        flight.store.set_state(tx, "lost" if rival is None else "displaced")
        flight.leave(tx)
        if rival is None:
            flight.counters.lost += 1
            flight.settle(
                tx,
                TransactionError(
                    f"The chain has no record of {tx.call.label}, but it used its nonce.",
                    hint="It may have taken effect; look before you repeat it.",
                ),
            )
            return
        flight.counters.displaced += 1
        log.warning("tx=displaced call=%s by=0x%s", tx.call.label, rival.hex())
        await self._again(tx)

    async def _again(self, tx: Pending) -> None:
        """Launches a displaced transaction anew, if somebody waits for it."""
        old = tx.result
        if old is None or old.done() or not tx.wanted:
            return
        market = await read_market(self._chain.rpc)
        anew = Pending(0, 0, tx.call, tx.value, tx.gas, market.block)
        anew.result, anew.wanted = old, True
        try:
            await self._launcher.again(anew, market)
        except DsqError as error:
            self._flight.settle(anew, error)
        for attempt in tx.attempts:
            self._flight.by_hash[attempt.hash] = anew

    async def _fill_gaps(self, used: int) -> None:
        """Uses up nonces that hold back what we sent, once it is clear that nobody will."""
        missing = gaps(used, list(self._flight.in_flight))
        if not missing:
            self._gap_since = None
            return
        now = time.monotonic()
        self._gap_since = self._gap_since or now
        if now - self._gap_since < GAP_SECONDS:
            return
        self._gap_since = None
        await self._launcher.fill(missing, await self._wire.pending())
