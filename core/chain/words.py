"""ABI data decoded without the general codec, from readers that are built once a type.

Every view and every event goes through here, and a long history has many of them; the general
codec takes twenty times as long. What is not exactly as the ABI wants it (padding, range,
length), and types that the grid's contracts do not use, are left to the codec, which knows
what to say.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dsq.core.model import Address

WORD = 32

_NO_PADDING = bytes(12)

Reader = Callable[[bytes, int], Any]
"""Reads a value of some data at a place; ValueError if the codec must look at it."""


@dataclass(frozen=True, slots=True)
class _Type:
    """How a type is read.

    Attributes:
        size: Bytes in the head of what it is part of.
        is_dynamic: The head holds the offset of the value.
    """

    read: Reader
    size: int = WORD
    is_dynamic: bool = False


def _word(data: bytes, at: int) -> bytes:
    word = data[at : at + WORD]
    if len(word) != WORD:
        raise ValueError("length")
    return word


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(_word(data, at), "big")


def _address(data: bytes, at: int) -> Address:
    word = _word(data, at)
    if word[:12] != _NO_PADDING:
        raise ValueError("padding")
    return Address(word[12:])


def _bool(data: bytes, at: int) -> bool:
    value = _number(data, at)
    if value > 1:
        raise ValueError("range")
    return value == 1


def _unsigned(bits: int, data: bytes, at: int) -> int:
    value = _number(data, at)
    if value >> bits:
        raise ValueError("range")
    return value


def _signed(bits: int, data: bytes, at: int) -> int:
    value = int.from_bytes(_word(data, at), "big", signed=True)
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise ValueError("range")
    return value


def _fixed_bytes(size: int, data: bytes, at: int) -> bytes:
    word = _word(data, at)
    if any(word[size:]):
        raise ValueError("padding")
    return word[:size]


def _bytes(data: bytes, at: int) -> bytes:
    size = _number(data, at)
    found = data[at + WORD : at + WORD + size]
    if len(found) != size:
        raise ValueError("length")
    return found


def _text(data: bytes, at: int) -> str:
    return _bytes(data, at).decode("utf-8", "replace")


def _values(parts: Sequence[_Type], head: int, data: bytes, base: int) -> tuple[Any, ...]:
    """The parts of a tuple that begins at ``base`` with a head of so many bytes."""
    values, place = [], base
    for part in parts:
        at = place
        if part.is_dynamic:
            at = base + _number(data, place)
            if not base + head <= at < len(data):
                raise ValueError("offset")
        values.append(part.read(data, at))
        place += part.size
    return tuple(values)


def _array(part: _Type, data: bytes, at: int) -> tuple[Any, ...]:
    count = _number(data, at)
    head = count * part.size
    if head > len(data):
        raise ValueError("length")
    return _values([part] * count, head, data, at + WORD)


_PLAIN: dict[str, _Type] = {
    "address": _Type(_address),
    "bool": _Type(_bool),
    "bytes": _Type(_bytes, is_dynamic=True),
    "string": _Type(_text, is_dynamic=True),
    **{f"bytes{n}": _Type(functools.partial(_fixed_bytes, n)) for n in range(1, 33)},
    **{f"uint{n}": _Type(functools.partial(_unsigned, n)) for n in range(8, 264, 8)},
    **{f"int{n}": _Type(functools.partial(_signed, n)) for n in range(8, 264, 8)},
}


@functools.cache
def _type(text: str) -> _Type | None:
    """How a canonical type is read; None if the codec must do it."""
    if text.endswith("[]"):
        part = _type(text[:-2])
        return part and _Type(functools.partial(_array, part), is_dynamic=True)
    if text.startswith("(") and text.endswith(")"):
        return _tuple(tuple(split_types(text[1:-1])))
    return _PLAIN.get(text)


@functools.cache
def _tuple(types: tuple[str, ...]) -> _Type | None:
    parts = [_type(text) for text in types]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    is_dynamic = any(part.is_dynamic for part in known)
    head = sum(part.size for part in known)
    read = functools.partial(_values, known, head)
    return _Type(read, WORD if is_dynamic else head, is_dynamic)


def split_types(text: str) -> list[str]:
    """The types between the brackets of a tuple."""
    parts, depth = [""], 0
    for piece in re.findall(r"[(),]|[^(),]+", text):
        depth += (piece == "(") - (piece == ")")
        if piece == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def decode_words(types: Sequence[str], data: bytes) -> tuple[Any, ...] | None:
    """Decodes data of some types; None if the codec must look at it."""
    whole = _tuple(tuple(types))
    if whole is None:
        return None
    try:
        values: tuple[Any, ...] = whole.read(data, 0)
    except ValueError:
        return None
    return values
