"""What became of a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsq.core.chain.events import Event, EventReader
from dsq.core.chain.rpc import number, raw


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction that succeeded.

    Attributes:
        events: What the grid's contracts said in it, in order.
    """

    tx_hash: bytes
    block_number: int
    gas_used: int
    events: tuple[Event, ...]

    def event(self, name: str) -> Event | None:
        """The first event of that name, or None."""
        return next((event for event in self.events if event.name == name), None)

    @classmethod
    def from_json(cls, receipt: Mapping[str, Any], reader: EventReader) -> Receipt:
        """Reads a receipt of the node."""
        return cls(
            tx_hash=raw(receipt["transactionHash"]),
            block_number=number(receipt["blockNumber"]),
            gas_used=number(receipt["gasUsed"]),
            events=tuple(reader.read_all(receipt["logs"])),
        )
