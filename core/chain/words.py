"""Static ABI types, a word of 32 bytes each, decoded without the general codec.

Most events consist of them, and a long history has many events. What is not exactly as
the ABI wants it (padding, range, length) is left to the codec, which knows what to say.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from dsq.core.model import Address

WORD = 32

_NO_PADDING = bytes(12)


def _address(word: bytes) -> Address:
    if word[:12] != _NO_PADDING:
        raise ValueError("padding")
    return Address(word[12:])


def _bool(word: bytes) -> bool:
    value = int.from_bytes(word, "big")
    if value > 1:
        raise ValueError("range")
    return value == 1


def _unsigned(bits: int, word: bytes) -> int:
    value = int.from_bytes(word, "big")
    if value >> bits:
        raise ValueError("range")
    return value


_READERS: dict[str, Callable[[bytes], Any]] = {
    "address": _address,
    "bool": _bool,
    "bytes32": bytes,
    **{f"uint{bits}": functools.partial(_unsigned, bits) for bits in range(8, 264, 8)},
}


def decode_words(types: Sequence[str], data: bytes) -> tuple[Any, ...] | None:
    """Decodes data of static types; None if the codec must look at it."""
    if len(data) < WORD * len(types):
        return None
    values = []
    for place, kind in enumerate(types):
        reader = _READERS.get(kind)
        if reader is None:
            return None
        try:
            values.append(reader(data[WORD * place : WORD * (place + 1)]))
        except ValueError:
            return None
    return tuple(values)
