"""The texts that wallets sign for the services, and how old a signature may be.

All are personal messages (EIP-191). ``read`` and ``watchList`` are the reference's,
``write`` and ``submit`` are dsq's. Clients and services build them here, so that
both sides agree (docs/sbatch-api.md).
"""

from __future__ import annotations

import hashlib

from dsq.core.model import Address

FRESH_SECONDS = 300
"""How far a signature's time may be from the service's clock, to either side."""

MILLISECONDS_FROM = 10**11
"""A timestamp from here on counts milliseconds: as seconds it is the year 5138."""

ADDRESS_HEADER = "dsq-address"
TIMESTAMP_HEADER = "dsq-timestamp"
SIGNATURE_HEADER = "dsq-signature"
SIGNATURE_METADATA = "dsq-signature-bin"
"""gRPC metadata keys that end in ``-bin`` carry bytes."""


def submit_text(address: Address, body: bytes, milliseconds: int) -> str:
    """What a customer signs to own the script of a submitted body."""
    return f"submit:{address.lower}/{hashlib.sha256(body).hexdigest()}/{milliseconds}"


def write_text(user: Address, log_name: str, milliseconds: int) -> str:
    """What a provider signs to write the log ``log_name`` of the customer ``user``."""
    return f"write:{user.lower}/{log_name}/{milliseconds}"


def read_text(address: Address, log_name: str, timestamp: int) -> str:
    """What a customer signs to read a log."""
    return f"read:{address.lower}/{log_name}/{timestamp}"


def watch_list_text(address: Address, timestamp: int) -> str:
    """What a customer signs to list his logs."""
    return f"watchList:{address.lower}/{timestamp}"


def is_fresh(timestamp: int, now: float) -> bool:
    """Tells whether a signature of that time is accepted at ``now`` (Unix seconds).

    Args:
        timestamp: Unix seconds or milliseconds; its size tells which.
        now: Unix seconds.
    """
    seconds = timestamp / 1000 if timestamp >= MILLISECONDS_FROM else float(timestamp)
    return abs(seconds - now) <= FRESH_SECONDS
