"""Keys of scripts: unguessable, short, and safe in a contract's string."""

from __future__ import annotations

import uuid

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""Base 57: digits and letters without those that look alike."""

KEY_LENGTH = 22
"""Digits that 128 bits need in base 57."""

MAX_KEY_LENGTH = 256
"""Longest key that is looked up: other services of the grid may make longer ones."""


def encode_key(number: int) -> str:
    """Writes a 128-bit number as a key, most significant digit first."""
    digits = []
    for _ in range(KEY_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def new_key() -> str:
    """A new random key: a UUID of version 4, 122 bits of chance."""
    return encode_key(uuid.uuid4().int)
