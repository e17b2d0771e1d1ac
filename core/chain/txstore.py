"""What the sender remembers of its transactions, in SQLite.

A transaction is saved with its signed bytes before it is sent, so that after a crash the
same bytes can be sent again. Several attempts of one transaction (a higher fee) share
its nonce; at most one of them is ever mined.

States: ``sent`` -> ``mined`` | ``failed`` (mined, but the contract refused) | ``displaced``
(another transaction took its nonce) | ``lost`` (the chain lost track of it).
``mined`` and ``failed`` return to ``sent`` when the chain went back.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dsq.core.chain.calls import Call
from dsq.core.chain.fees import Fees
from dsq.core.chain.receipts import Receipt
from dsq.core.disk import REMEDY, is_disks_fault
from dsq.core.errors import DiskError, SettingsError
from dsq.core.model import Address

KEPT = 1_000
"""Ended transactions kept an account: enough for a chain that goes back by minutes."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS chain_transactions (
    id INTEGER PRIMARY KEY,
    chain TEXT NOT NULL,
    account BLOB NOT NULL,
    nonce INTEGER NOT NULL,
    target BLOB NOT NULL,
    data BLOB NOT NULL,
    value TEXT NOT NULL,
    gas INTEGER NOT NULL,
    label TEXT NOT NULL,
    first_block INTEGER NOT NULL,
    state TEXT NOT NULL,
    changed_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS chain_transactions_by_nonce
    ON chain_transactions (chain, account, nonce);
CREATE TABLE IF NOT EXISTS chain_attempts (
    hash BLOB PRIMARY KEY,
    tx INTEGER NOT NULL REFERENCES chain_transactions (id) ON DELETE CASCADE,
    raw BLOB NOT NULL,
    max_fee TEXT NOT NULL,
    priority TEXT,
    made_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS chain_attempts_by_tx ON chain_attempts (tx);
"""


@dataclass(slots=True)
class Attempt:
    """Signed bytes of a transaction."""

    hash: bytes
    raw: bytes
    fees: Fees


@dataclass(slots=True)
class Pending:
    """A transaction under way.

    Attributes:
        first_block: The chain's head when it was signed; it is in no block before.
        raised_in: The chain's head when it was replaced last.
        wanted: It was asked for in this process, by somebody who has not given up.
        result: What callers wait for.
    """

    id: int
    nonce: int
    call: Call
    value: int
    gas: int
    first_block: int
    attempts: list[Attempt] = field(default_factory=list)
    wanted: bool = False
    made_at: float = 0.0
    raised_in: int | None = None
    used_since: float | None = None
    looked_up_at: float = 0.0
    result: asyncio.Future[Receipt] | None = None

    @property
    def hash(self) -> bytes:
        """The newest attempt's hash."""
        return self.attempts[-1].hash


class TxStore:
    """The transactions of one account on one chain.

    Args:
        path: SQLite file, or None to keep them in memory.
        chain: Identity of the chain: its id and first block. A development chain that
            was made anew is another one, and nothing of the old is sent to it.
        account: The sender.

    Raises:
        SettingsError: The file cannot be opened.
        DiskError: Its disk is full, or fails.
    """

    def __init__(self, path: Path | None, chain: str, account: Address) -> None:
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA busy_timeout = 5000")
            self._db.executescript(SCHEMA)
        except sqlite3.Error as error:
            words = f"The file of transactions {path} cannot be used: {error}."
            if is_disks_fault(error):
                raise DiskError(words, hint=REMEDY) from error
            raise SettingsError(words) from error
        self._key = (chain, bytes(account))
        self._path = path

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def together(self, *, durable: bool = True) -> Iterator[None]:
        """What is written in the ``with`` is kept as a whole, or not at all.

        Args:
            durable: It is on the disk at the end of the ``with``. What the chain can tell
                again need not be: after a power failure it is found out anew.

        Raises:
            DiskError: The disk does not take it. What the ``with`` changed in memory is for the
                caller to take back; best it changes that only behind it.
        """
        if self._db.in_transaction:
            yield
            return
        try:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            self._db.rollback()
            if isinstance(error, sqlite3.OperationalError):
                raise DiskError(
                    f"The file of transactions {self._path} takes nothing more: {error}.",
                    hint="Make room on its disk; until then nothing is sent.",
                ) from error
            raise
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    def add(self, tx: Pending) -> None:
        """Saves a transaction with its first attempt; it gets its id."""
        with self.together():
            cursor = self._db.execute(
                "INSERT INTO chain_transactions (chain, account, nonce, target, data, value, gas,"
                " label, first_block, state, changed_at) VALUES (?,?,?,?,?,?,?,?,?,'sent',?)",
                (
                    *self._key,
                    tx.nonce,
                    bytes(tx.call.to),
                    tx.call.data,
                    str(tx.value),
                    tx.gas,
                    tx.call.label,
                    tx.first_block,
                    time.time(),
                ),
            )
            tx.id = int(cursor.lastrowid or 0)
            self._add_attempt(tx)

    def add_attempt(self, tx: Pending) -> None:
        """Saves a transaction's newest attempt."""
        with self.together():
            self._add_attempt(tx)

    def _add_attempt(self, tx: Pending) -> None:
        attempt = tx.attempts[-1]
        priority = attempt.fees.priority
        self._db.execute(
            "INSERT INTO chain_attempts VALUES (?,?,?,?,?,?)",
            (
                attempt.hash,
                tx.id,
                attempt.raw,
                str(attempt.fees.max_fee),
                None if priority is None else str(priority),
                time.time(),
            ),
        )

    def set_state(self, tx: Pending, state: str) -> None:
        """Saves how a transaction stands."""
        with self.together():
            self._db.execute(
                "UPDATE chain_transactions SET state = ?, changed_at = ? WHERE id = ?",
                (state, time.time(), tx.id),
            )

    def forget(self, tx: Pending) -> None:
        """Removes a transaction that never left this process."""
        self._db.execute("DELETE FROM chain_transactions WHERE id = ?", (tx.id,))

    def sent(self) -> list[Pending]:
        """Transactions under way, in the order of their nonces."""
        return self._load("state = 'sent'", ())

    def ended_from(self, nonce: int) -> list[Pending]:
        """Mined transactions with this nonce or a higher one."""
        return self._load("state IN ('mined', 'failed') AND nonce >= ?", (nonce,))

    def highest_ended(self) -> int:
        """The highest nonce of a mined transaction, or -1."""
        row = self._db.execute(
            "SELECT max(nonce) FROM chain_transactions"
            " WHERE chain = ? AND account = ? AND state IN ('mined', 'failed')",
            self._key,
        ).fetchone()
        return -1 if row[0] is None else int(row[0])

    def find(self, tx_hash: bytes) -> str | None:
        """The state of the transaction with this hash, or None."""
        row = self._db.execute(
            "SELECT state FROM chain_transactions JOIN chain_attempts ON tx = id WHERE hash = ?",
            (tx_hash,),
        ).fetchone()
        return None if row is None else str(row[0])

    def nonces_from(self, nonce: int) -> tuple[set[int], set[int]]:
        """Nonces from this one on that our transactions have used, and those under way."""
        rows = self._db.execute(
            "SELECT nonce, state FROM chain_transactions WHERE chain = ? AND account = ?"
            " AND nonce >= ? AND state IN ('sent', 'mined', 'failed')",
            (*self._key, nonce),
        ).fetchall()
        used = {int(row[0]) for row in rows if row[1] != "sent"}
        return used, {int(row[0]) for row in rows} - used

    def prune(self) -> None:
        """Drops ended transactions beyond the newest :data:`KEPT`."""
        self._db.execute(
            "DELETE FROM chain_transactions WHERE chain = ? AND account = ? AND state != 'sent'"
            " AND nonce < (SELECT max(nonce) FROM chain_transactions"
            " WHERE chain = ? AND account = ?) - ?",
            (*self._key, *self._key, KEPT),
        )

    def _load(self, condition: str, values: tuple[object, ...]) -> list[Pending]:
        rows = self._db.execute(
            "SELECT id, nonce, target, data, value, gas, label, first_block"  # noqa: S608
            f" FROM chain_transactions WHERE chain = ? AND account = ? AND {condition}"
            " ORDER BY nonce, id",
            (*self._key, *values),
        ).fetchall()
        return [self._read(row) for row in rows]

    def _read(self, row: tuple[int, int, bytes, bytes, str, int, str, int]) -> Pending:
        tx_id, nonce, target, data, value, gas, label, first_block = row
        call = Call(Address(target), data, label)
        tx = Pending(tx_id, nonce, call, int(value), gas, first_block)
        attempts = self._db.execute(
            "SELECT hash, raw, max_fee, priority FROM chain_attempts WHERE tx = ? ORDER BY made_at",
            (tx_id,),
        )
        for tx_hash, raw, max_fee, priority in attempts:
            fees = Fees(int(max_fee), None if priority is None else int(priority))
            tx.attempts.append(Attempt(tx_hash, raw, fees))
        return tx
