"""What batches cost in gas, learnt from those that were mined.

A batch that is tried before it is sent has the node run it a dozen times over, which takes
longer than all the rest of sending it. What an entry needed the last time is known from the
receipts; if that was too little, the sender tries the call and offers more.
"""

from __future__ import annotations

from dsq.core.errors import DsqError, TransactionError, TryAgainError

MARGIN_PERCENT = 150
"""Entries differ (a longer text, another's balance touched first)."""

BASE = 150_000
"""For the transaction itself, and for entries that turn out dearer than the last ones."""

FIRST_ENTRIES = 4
"""A batch below this tells little of what an entry costs: most of it is the rest."""


class BatchGas:
    """Gas of batches of one kind."""

    def __init__(self) -> None:
        self._each: int | None = None

    def offer(self, entries: int) -> int | None:
        """What to offer for a batch; None if it should be tried first.

        Args:
            entries: Claims or reports in it.
        """
        if self._each is None:
            return None
        return self._each * entries * MARGIN_PERCENT // 100 + BASE

    def learn(self, entries: int, used: int) -> None:
        """A batch was mined.

        Args:
            entries: How many entries of it took effect.
            used: Gas that it used.
        """
        if entries >= FIRST_ENTRIES:
            self._each = used // entries

    def forget(self) -> None:
        """A batch was refused: the next one is tried first."""
        self._each = None


def is_too_large_for_a_block(error: DsqError) -> bool:
    """The node would not have a transaction of this size; a smaller one may do."""
    from dsq.core.chain.failures import OutOfGasError

    if isinstance(error, TransactionError):
        return isinstance(error, OutOfGasError)
    return isinstance(error, TryAgainError)
