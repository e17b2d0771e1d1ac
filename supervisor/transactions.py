"""The provider's transactions: sent, waited for, and the last ones kept for the screen."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dsq.core.clock import Clock
from dsq.core.errors import DsqError
from dsq.supervisor.ports import SenderPort
from dsq.supervisor.snapshot import TxRow
from dsq.supervisor.waiting import bounded

if TYPE_CHECKING:
    from dsq.core.chain import Call, Receipt

log = logging.getLogger("dsq.supervisor.transactions")

TX_SECONDS = 60.0
"""Wait for a transaction to be mined; after it the job is looked at anew."""


@dataclass(slots=True)
class Sent:
    """A transaction on its way, and its row on the screen."""

    tx_hash: bytes
    row: TxRow


class Transactions:
    """Sends calls, and remembers the last ones for the screen."""

    def __init__(self, sender: SenderPort, clock: Clock, *, keep: int = 200) -> None:
        self._sender = sender
        self._clock = clock
        self._rows: deque[TxRow] = deque(maxlen=keep)

    async def send(self, call: Call, *, gas: int | None = None) -> Receipt:
        """Sends a call and waits until it is mined.

        Args:
            call: What to call.
            gas: Gas to offer (:class:`~dsq.supervisor.gas.BatchGas`); None has the call tried
                first, so that a refusal costs nothing.

        Raises:
            ContractError: The contract refuses.
            TransactionError: It was not mined in time.
            UnreachableError: The chain does not answer.
        """
        sent = Sent(b"", TxRow(self._clock.now(), call.label, "sending"))
        self._rows.append(sent.row)
        with self._watched(sent):
            if gas is None:
                receipt = await self._sender.send(call, timeout=TX_SECONDS)
            else:
                receipt = await self._sender.send(call, timeout=TX_SECONDS, gas=gas)
        return self._mined(sent, receipt)

    async def submit(self, call: Call) -> Sent:
        """Sends a call; errors as in :meth:`send`, but for what shows only in a block."""
        sent = Sent(b"", TxRow(self._clock.now(), call.label, "sending"))
        self._rows.append(sent.row)
        with self._watched(sent):
            sent.tx_hash = await bounded(self._sender.submit(call), "The chain", TX_SECONDS)
        self._change(sent, state="sent", tx_hash="0x" + sent.tx_hash.hex())
        return sent

    async def confirm(self, sent: Sent) -> Receipt:
        """Waits until what was submitted is mined; errors as in :meth:`send`."""
        with self._watched(sent):
            receipt = await self._sender.wait(sent.tx_hash, TX_SECONDS)
        return self._mined(sent, receipt)

    def _mined(self, sent: Sent, receipt: Receipt) -> Receipt:
        self._change(
            sent,
            state="mined",
            tx_hash="0x" + receipt.tx_hash.hex(),
            block_number=receipt.block_number,
            gas_used=receipt.gas_used,
        )
        log.debug("tx=%s block=%d", sent.row.label, receipt.block_number)
        return receipt

    @contextlib.contextmanager
    def _watched(self, sent: Sent) -> Iterator[None]:
        try:
            yield
        except DsqError as error:
            self._change(sent, state="failed", error=str(error))
            log.info("tx=%s failed=%r", sent.row.label, str(error))
            raise
        except BaseException:
            self._change(sent, state="abandoned")
            raise

    def _change(self, sent: Sent, **changes: Any) -> None:
        old, sent.row = sent.row, replace(sent.row, **changes)
        self._put(old, sent.row)

    def _put(self, old: TxRow, new: TxRow) -> None:
        for index, row in enumerate(self._rows):
            if row is old:
                self._rows[index] = new
                return

    def rows(self) -> tuple[TxRow, ...]:
        """The last transactions, newest first."""
        return tuple(reversed(self._rows))
