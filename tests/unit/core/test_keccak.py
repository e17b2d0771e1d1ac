"""Our Keccak against the library's."""

from __future__ import annotations

import subprocess
import sys

import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.keccak import RATE, checksum_text, keccak256


@given(st.binary(max_size=3 * RATE))
def test_digests_are_the_librarys(data: bytes) -> None:
    """Any bytes have the digest that eth-utils gives them."""
    assert keccak256(data) == keccak(data)


@pytest.mark.parametrize("length", [0, 1, RATE - 1, RATE, RATE + 1, 2 * RATE - 1, 2 * RATE])
def test_the_padding_is_right_where_blocks_end(length: int) -> None:
    """A text that just fills a block gets another one, that of a byte less gets one byte."""
    assert keccak256(b"\xff" * length) == keccak(b"\xff" * length)


@given(st.binary(min_size=20, max_size=20))
def test_addresses_read_as_everywhere(raw: bytes) -> None:
    """The checksum is that of EIP-55."""
    assert checksum_text(raw) == to_checksum_address(raw)


def test_an_address_is_shown_without_the_chains_libraries() -> None:
    """They take longer to load than the console to open."""
    code = (
        "import sys; from dsq.core.model import Address; print(Address(bytes(20)));"
        "sys.exit(any(name.startswith(('eth_', 'Crypto', 'cffi')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
