"""Static types are decoded as the general codec decodes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.chain.abi import CODEC
from dsq.core.chain.words import decode_words
from dsq.core.model import Address

KINDS: dict[str, st.SearchStrategy[Any]] = {
    "address": st.binary(min_size=20, max_size=20).map(Address),
    "bool": st.booleans(),
    "bytes32": st.binary(min_size=32, max_size=32),
    "uint8": st.integers(0, 2**8 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "uint256": st.integers(0, 2**256 - 1),
}


@given(st.data(), st.lists(st.sampled_from(sorted(KINDS)), max_size=6), st.binary(max_size=40))
def test_same_values(data: st.DataObject, types: list[str], behind: bytes) -> None:
    """What was encoded comes back, whatever follows it."""
    values = tuple(data.draw(KINDS[kind]) for kind in types)
    encoded = CODEC.encode(types, values) + behind
    decoded = decode_words(types, encoded)
    assert decoded == CODEC.decode(types, encoded, strict=False) == values
    assert decoded is not None
    assert [type(value) for value in decoded] == [type(value) for value in values]


@given(
    st.lists(st.sampled_from([*KINDS, "string", "uint8[]"]), min_size=1, max_size=4),
    st.binary(max_size=160),
)
def test_any_bytes_are_read_alike_or_left(types: list[str], raw: bytes) -> None:
    """Of arbitrary bytes it never makes another value than the codec, nor one where that has none."""
    decoded = decode_words(types, raw)
    if decoded is not None:
        assert decoded == CODEC.decode(types, raw, strict=False)


@pytest.mark.parametrize(
    ("types", "raw"),
    [
        (["address"], b"\x01" + bytes(31)),
        (["bool"], bytes(31) + b"\x02"),
        (["uint8"], bytes(30) + b"\x01\x00"),
        (["uint256"], bytes(31)),
        (["string"], bytes(64)),
        (["(uint256,bool)"], bytes(64)),
    ],
)
def test_what_is_left_to_the_codec(types: list[str], raw: bytes) -> None:
    """Bad padding, values out of range, too little data, types that are no single word."""
    assert decode_words(types, raw) is None
