"""How lines lie in a log's files: a row of sealed frames.

A frame holds the lines of one append (or of a part of it) behind a small header::

    number of the first line (8 bytes) | number of lines (4) | sealed bytes (4) | sealed content

The content is what readers get: the fields ``lines`` and ``timestamps`` of a ``ReadResponse``
in protobuf's encoding, so that a log is sent without a look at each line. The top bit of the
number of lines says so; frames without it hold rows of timestamp, length and bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dsq.core.errors import DsqError
from dsq.core.model import Address
from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import ReadResponse
from dsq.sbatch.service.sealing import OVERHEAD_BYTES, Sealer

FRAME_BYTES = 256 << 10
"""A frame takes lines until it holds so many bytes: what a reader keeps in memory."""

HEADER = struct.Struct(">QII")
_LINE = struct.Struct(">qI")
_ENCODED = 1 << 31
_LINE_FIELD = b"\x28"
"""Tag of ``ReadResponse.line``."""


@dataclass(frozen=True, slots=True)
class LogId:
    """Whose log, and which: ``name`` is 0x and 64 lower-case digits, checked by the caller."""

    user: Address
    name: str


class Lines(NamedTuple):
    """Lines that belong together: bytes, and Unix nanoseconds of each."""

    data: Sequence[bytes]
    stamps: Sequence[int]

    def after(self, count: int) -> Lines:
        """Without the first ``count`` lines."""
        return Lines(self.data[count:], self.stamps[count:]) if count > 0 else self


@dataclass(frozen=True, slots=True)
class Frame:
    """Some consecutive lines, as they are sent.

    Attributes:
        first: Number of the first line; of a gap, of the first line that is gone.
        count: How many.
        content: Encoded ``lines`` and ``timestamps``; empty for a gap.
        is_gap: These lines are not kept any more.
    """

    first: int
    count: int
    content: bytes
    is_gap: bool = False

    @property
    def end(self) -> int:
        """Number of the line after the last one."""
        return self.first + self.count

    def lines(self) -> Lines:
        """The lines themselves."""
        found = ReadResponse.FromString(self.content)
        return Lines(list(found.lines), list(found.timestamps))

    def since(self, line: int) -> Frame:
        """Without the lines before a number."""
        if line <= self.first:
            return self
        if self.is_gap:
            return Frame(line, self.end - line, b"", is_gap=True)
        return Frame(line, self.end - line, encode(self.lines().after(line - self.first)))

    def message(self) -> bytes:
        """An encoded ``ReadResponse``."""
        # Written by hand: in protobuf the last of several values counts, a 0 as well.
        return self.content + _LINE_FIELD + _varint(self.first)


class DamagedLogError(DsqError):
    """A log's file does not hold what the database says."""

    code = "damaged_log"


def encode(lines: Lines) -> bytes:
    """The content of a frame."""
    return ReadResponse(lines=lines.data, timestamps=lines.stamps).SerializeToString()


def join(frames: Sequence[Frame]) -> Frame:
    """One frame with the lines of some that follow each other."""
    if len(frames) == 1:
        return frames[0]
    count = sum(frame.count for frame in frames)
    return Frame(frames[0].first, count, b"".join(frame.content for frame in frames))


def split(lines: Lines) -> Iterator[Lines]:
    """Parts of about :data:`FRAME_BYTES`, of equal numbers of lines where those are alike."""
    total, count = sum(map(len, lines.data)), len(lines.data)
    if total <= 2 * FRAME_BYTES or count < 2:
        if count:
            yield lines
        return
    step = max(1, count * FRAME_BYTES // total)
    for begin in range(0, count, step):
        part = Lines(lines.data[begin : begin + step], lines.stamps[begin : begin + step])
        yield from split(part)


def context(key: LogId, first: int, count: int | None = None) -> bytes:
    """Ties a frame to its place."""
    place = f"{key.user.lower}/{key.name}/{first}"
    return (place if count is None else f"{place}+{count}").encode()


def pack(sealer: Sealer, key: LogId, first: int, lines: Lines) -> bytes:
    """One frame with its header."""
    count = len(lines.data)
    sealed = sealer.seal(encode(lines), context(key, first, count))
    return HEADER.pack(first, count | _ENCODED, len(sealed)) + sealed


def unpack(
    sealer: Sealer, key: LogId, raw: bytes, offset: int, from_line: int
) -> tuple[list[Frame], int]:
    """The whole frames at the start of ``raw``.

    Args:
        offset: Where ``raw`` lies in the log, for errors.
        from_line: Frames that end before it are not opened.

    Returns:
        Frames, and how many bytes they took; 0 if not one is whole, then bytes of the first.

    Raises:
        DamagedLogError: There is something else.
    """
    frames: list[Frame] = []
    place = 0
    while place + HEADER.size <= len(raw):
        first, marked, length = HEADER.unpack_from(raw, place)
        count = marked & ~_ENCODED
        if length < OVERHEAD_BYTES or not count:
            raise _damaged(key, offset + place)
        begin, end = place + HEADER.size, place + HEADER.size + length
        if end > len(raw):
            break
        if first + count > from_line:
            is_encoded = bool(marked & _ENCODED)
            tied = context(key, first, count if is_encoded else None)
            try:
                content = sealer.unseal(raw[begin:end], tied)
            except DsqError as error:
                raise _damaged(key, offset + place) from error
            rows = content if is_encoded else encode(_rows(count, content))
            frames.append(Frame(first, count, rows))
        place = end
    return frames, place


def frame_bytes(raw: bytes) -> int:
    """How long the frame is whose header ``raw`` begins with."""
    return HEADER.size + int(HEADER.unpack_from(raw)[2])


def _damaged(key: LogId, offset: int) -> DamagedLogError:
    return DamagedLogError(f"The log {key.name} is damaged at byte {offset}.")


def _rows(count: int, content: bytes) -> Lines:
    data, stamps, place = [], [], 0
    for _ in range(count):
        stamp, length = _LINE.unpack_from(content, place)
        place += _LINE.size
        data.append(content[place : place + length])
        stamps.append(stamp)
        place += length
    return Lines(data, stamps)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
