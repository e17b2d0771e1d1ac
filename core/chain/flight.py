"""The transactions of one wallet that are not ended, and who waits for them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from dsq.core.chain.receipts import Receipt
from dsq.core.chain.txstore import Pending, TxStore
from dsq.core.errors import DsqError, TransactionError
from dsq.core.model import Address

RESULTS = 10_000
"""Results kept for those who ask late."""


@dataclass(slots=True)
class Counters:
    """What a sender did since its start."""

    sent: int = 0
    mined: int = 0
    failed: int = 0
    replaced: int = 0
    resent: int = 0
    displaced: int = 0
    lost: int = 0
    gaps_filled: int = 0
    refused: int = 0


class Flight:
    """Transactions under way, by nonce and by hash, with their file.

    Attributes:
        ended: The highest nonce of a mined transaction, or -1.
        counted: The account's nonces that the chain has used, as it said last.
        freed: Nonces that were given and taken back before anybody saw them.
        lock: Guards the order of nonces.
    """

    def __init__(self, account: Address) -> None:
        self.account = account
        self.lock = asyncio.Lock()
        self.in_flight: dict[int, Pending] = {}
        self.by_hash: dict[bytes, Pending] = {}
        self.ended = -1
        self.counted = 0
        self.freed: set[int] = set()
        self.counters = Counters()
        self._store: TxStore | None = None
        self._results: deque[Pending] = deque()

    @property
    def store(self) -> TxStore:
        """The file.

        Raises:
            TransactionError: The sender was closed.
        """
        if self._store is None:
            raise TransactionError("The sender was closed.", hint="Open it again.")
        return self._store

    def is_open(self) -> bool:
        """Whether transactions are taken."""
        return self._store is not None

    def open(self, path: Path | None, chain: str) -> None:
        """Opens the file and takes up what is in it."""
        self._store = TxStore(path, chain, self.account)
        self.ended = self.store.highest_ended()
        for tx in self.store.sent():
            self.adopt(tx)

    def close(self) -> None:
        """Closes the file; who waits gets an error."""
        if self._store is not None:
            self._store.close()
            self._store = None
        for tx in self.in_flight.values():
            error = TransactionError(
                f"{tx.call.label} is not mined yet, and its sender was closed.",
                hint="It may still be; look before you repeat it.",
            )
            self.settle(tx, error)
        self.in_flight.clear()
        self.by_hash.clear()

    def adopt(self, tx: Pending) -> None:
        """A transaction is under way."""
        if tx.result is None:
            tx.result = _future()
        self.in_flight[tx.nonce] = tx
        self.freed.discard(tx.nonce)
        for attempt in tx.attempts:
            self.by_hash[attempt.hash] = tx

    def holds(self, tx: Pending) -> bool:
        """Whether a transaction is still under way."""
        return self.in_flight.get(tx.nonce) is tx

    def leave(self, tx: Pending) -> None:
        """A transaction is not under way any more."""
        if self.holds(tx):
            del self.in_flight[tx.nonce]

    def drop(self, tx: Pending) -> None:
        """Forgets a transaction that nobody has seen, and that is not in the file (any more); it
        may get another nonce."""
        self.leave(tx)
        for attempt in tx.attempts:
            self.by_hash.pop(attempt.hash, None)
        tx.attempts.clear()
        tx.id = 0

    def remember(self, tx: Pending) -> None:
        """Keeps the newest results for those who ask late."""
        self._results.append(tx)
        while len(self._results) > RESULTS:
            for attempt in self._results.popleft().attempts:
                self.by_hash.pop(attempt.hash, None)

    @staticmethod
    def settle(tx: Pending, result: Receipt | DsqError) -> None:
        """Tells those who wait."""
        assert tx.result is not None
        if tx.result.done():
            return
        if isinstance(result, Receipt):
            tx.result.set_result(result)
        else:
            tx.result.set_exception(result)


def _future() -> asyncio.Future[Receipt]:
    future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
    # Not everyone who submits waits; an error that nobody asks for is logged already.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
