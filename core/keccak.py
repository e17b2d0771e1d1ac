"""Keccak-256 of short texts without a library: what shows an address needs nothing else.

The library that the chain client uses takes longer to load than a console to open. The
algorithm is FIPS 202's permutation with the padding from before the standard, as Ethereum has it.
"""

from __future__ import annotations

from functools import lru_cache

RATE = 136
"""Bytes taken in at once: 1,600 bits of state less twice the 256 of the digest."""

_MASK = (1 << 64) - 1


def _constants() -> tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]]:
    """What each round adds, and per lane where it goes and by how many bits it is turned."""
    rounds, register = [], 1
    for _ in range(24):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << ((1 << power) - 1)
            register <<= 1
            if register & 0x100:
                register ^= 0x171
        rounds.append(constant)
    lanes, x, y = [(0, 0, 0)], 1, 0
    for step in range(24):
        source, turned = x + 5 * y, (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
        lanes.append((source, x + 5 * y, turned))
    return tuple(rounds), tuple(lanes)


_ROUNDS, _LANES = _constants()


def _permute(lanes: list[int]) -> list[int]:
    for constant in _ROUNDS:
        sums = [
            lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]
            for x in range(5)
        ]
        mixed = [
            sums[x - 1] ^ ((sums[(x + 1) % 5] << 1 | sums[(x + 1) % 5] >> 63) & _MASK)
            for x in range(5)
        ]
        moved = [0] * 25
        for source, target, turned in _LANES:
            lane = lanes[source] ^ mixed[source % 5]
            moved[target] = (lane << turned | lane >> (64 - turned)) & _MASK
        lanes = [
            moved[row + x] ^ (~moved[row + (x + 1) % 5] & moved[row + (x + 2) % 5])
            for row in range(0, 25, 5)
            for x in range(5)
        ]
        lanes[0] ^= constant
    return lanes


def keccak256(data: bytes) -> bytes:
    """The digest, 32 bytes. Meant for short data: it takes a fraction of a millisecond a block."""
    room = RATE - len(data) % RATE
    padded = bytearray(data) + bytes(room)
    padded[len(data)] ^= 0x01
    padded[-1] ^= 0x80
    lanes = [0] * 25
    for start in range(0, len(padded), RATE):
        for lane in range(RATE // 8):
            at = start + 8 * lane
            lanes[lane] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


@lru_cache(maxsize=4096)
def checksum_text(raw: bytes) -> str:
    """An address as people read it: ``0x`` and its digits, their case being a checksum (EIP-55)."""
    digits = raw.hex()
    digest = keccak256(digits.encode()).hex()
    cased = (
        digit.upper() if int(nibble, 16) > 7 else digit
        for digit, nibble in zip(digits, digest, strict=False)
    )
    return "0x" + "".join(cased)
