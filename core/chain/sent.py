"""How a sender stands, for screens and metrics."""

from __future__ import annotations

from dataclasses import dataclass

from dsq.core.model import Address


@dataclass(frozen=True, slots=True)
class SenderSnapshot:
    """How a sender stands; the counts are since its start.

    Attributes:
        in_flight: Transactions that are not mined yet.
        next_nonce: The nonce of the next transaction, as far as is known; 0 before the first.
        oldest_seconds: Since the newest attempt of the oldest one under way was made.
        sent: New transactions that went out.
        mined: Transactions that succeeded.
        failed: Transactions that were mined and refused by the contract.
        replaced: Attempts with a higher fee that the node took.
        resent: Broadcasts of bytes that the node did not know any more.
        displaced: Transactions whose nonce another one took.
        lost: Transactions of which nobody knows whether they took effect.
        gaps_filled: Nonces used up by a transfer of nothing.
        refused: Transactions that the node did not take.
    """

    account: Address
    in_flight: int
    next_nonce: int
    oldest_seconds: float
    sent: int
    mined: int
    failed: int
    replaced: int
    resent: int
    displaced: int
    lost: int
    gaps_filled: int
    refused: int
