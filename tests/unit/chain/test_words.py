"""Data is decoded as the general codec decodes it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.chain.abi import CODEC
from dsq.core.chain.words import decode_words, split_types
from dsq.core.model import Address

KINDS: dict[str, st.SearchStrategy[Any]] = {
    "address": st.binary(min_size=20, max_size=20).map(Address),
    "bool": st.booleans(),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes2": st.binary(min_size=2, max_size=2),
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=40),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 2**8 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "uint256": st.integers(0, 2**256 - 1),
}


def any_type(depth: int = 2) -> st.SearchStrategy[str]:
    """Types with tuples and arrays in each other."""
    plain = st.sampled_from(sorted(KINDS))
    if depth == 0:
        return plain
    inner = any_type(depth - 1)
    tuples = st.lists(inner, min_size=1, max_size=4).map(lambda parts: f"({','.join(parts)})")
    return st.one_of(plain, tuples, inner.map(lambda part: f"{part}[]"))


def values_of(kind: str) -> st.SearchStrategy[Any]:
    """Values of a type."""
    if kind.endswith("[]"):
        return st.lists(values_of(kind[:-2]), max_size=3).map(tuple)
    if kind.startswith("("):
        return st.tuples(*(values_of(part) for part in split_types(kind[1:-1])))
    return KINDS[kind]


@given(st.data(), st.lists(any_type(), max_size=5), st.binary(max_size=40))
def test_same_values(data: st.DataObject, types: list[str], behind: bytes) -> None:
    """What was encoded comes back, whatever follows it."""
    values = tuple(data.draw(values_of(kind)) for kind in types)
    encoded = CODEC.encode(types, values) + behind
    decoded = decode_words(types, encoded)
    assert decoded == CODEC.decode(types, encoded, strict=False) == values
    assert decoded is not None
    assert [type(value) for value in decoded] == [type(value) for value in values]


@given(
    st.lists(any_type(), min_size=1, max_size=4),
    st.lists(
        st.one_of(
            st.integers(0, 8).map(lambda n: (32 * n).to_bytes(32, "big")),
            st.integers(0, 5).map(lambda n: n.to_bytes(32, "big")),
            st.binary(max_size=40),
        ),
        max_size=12,
    ).map(b"".join),
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
        (["string"], (32).to_bytes(32, "big") + (9).to_bytes(32, "big") + b"short"),
        (["uint8[]"], (32).to_bytes(32, "big") + (2**200).to_bytes(32, "big")),
        (["bytes2"], b"abc" + bytes(29)),
        (["int8"], bytes(31) + b"\x80"),
        (["uint8[2]"], bytes(64)),
    ],
)
def test_what_is_left_to_the_codec(types: list[str], raw: bytes) -> None:
    """Bad padding, values out of range, too little data, types that are not ours."""
    assert decode_words(types, raw) is None
