"""Cutting output into lines. The shipping itself is tested with the agent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.supervisor.logship import CHUNK, Split, split_lines


@pytest.mark.parametrize(
    ("data", "at_end", "lines", "used"),
    [
        (b"", False, (), 0),
        (b"", True, (), 0),
        (b"one\ntwo\n", False, (b"one", b"two"), 8),
        (b"one\ntw", False, (b"one",), 4),
        (b"one\ntw", True, (b"one", b"tw"), 6),
        (b"no end", False, (), 0),
        (b"no end", True, (b"no end",), 6),
        (b"\n\n", False, (b"", b""), 2),
        (b"dos\r\n", False, (b"dos",), 5),
        (b"pro\rgress\n", False, (b"pro\rgress",), 10),
        (b"\xff\xfe\x00\n", False, (b"\xff\xfe\x00",), 4),
        (b"x" * CHUNK, False, (b"x" * CHUNK,), CHUNK),
        (b"x" * (CHUNK - 1), False, (), 0),
    ],
)
def test_lines(data: bytes, at_end: bool, lines: tuple[bytes, ...], used: int) -> None:
    """Whole lines; a last one without its end waits for it, unless it is the end or too long."""
    assert split_lines(data, at_end=at_end) == Split(lines, used)


@given(st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b and b"\r" not in b)))
def test_nothing_is_lost_or_doubled_however_it_is_read(words: list[bytes]) -> None:
    """Read in pieces of any size from the offset that was used, the lines are the file's."""
    data = b"".join(word + b"\n" for word in words)
    for size in (1, 3, 7, 1000):
        offset, lines, piece = 0, [], size
        while offset < len(data):
            split = split_lines(data[offset : offset + piece], at_end=False)
            lines += split.lines
            offset += split.used
            piece = size if split.used else piece + size
        assert lines == words
