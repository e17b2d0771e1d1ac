"""The texts that wallets sign, and their age."""

from __future__ import annotations

import hashlib

import pytest

from dsq.core.model import Address
from dsq.core.rpc.signing import (
    FRESH_SECONDS,
    is_fresh,
    read_text,
    submit_text,
    watch_list_text,
    write_text,
)

ADDRESS = Address(bytes.fromhex("Ab" * 20))
LOWER = "0x" + "ab" * 20
NOW = 1_700_000_000


def test_texts() -> None:
    """The texts are part of the wire format: address in lower case, parts by slashes."""
    assert read_text(ADDRESS, "0x01", 5) == f"read:{LOWER}/0x01/5"
    assert watch_list_text(ADDRESS, 5) == f"watchList:{LOWER}/5"
    assert write_text(ADDRESS, "0x01", 5) == f"write:{LOWER}/0x01/5"
    digest = hashlib.sha256(b"body").hexdigest()
    assert submit_text(ADDRESS, b"body", 5) == f"submit:{LOWER}/{digest}/5"


@pytest.mark.parametrize("unit", [1, 1000])
@pytest.mark.parametrize(
    ("age", "fresh"),
    [(0, True), (FRESH_SECONDS, True), (-FRESH_SECONDS, True), (FRESH_SECONDS + 1, False),
     (-FRESH_SECONDS - 1, False)],
)  # fmt: skip
def test_freshness_in_seconds_and_milliseconds(unit: int, age: int, fresh: bool) -> None:
    """Five minutes to either side of the clock are accepted, in both units of time."""
    assert is_fresh((NOW - age) * unit, float(NOW)) is fresh


@pytest.mark.parametrize("timestamp", [0, 1, -1, 2**63, 2**64 - 1])
def test_absurd_times_are_stale(timestamp: int) -> None:
    """Numbers that are no time near now are refused, whatever unit they mean."""
    assert not is_fresh(timestamp, float(NOW))
