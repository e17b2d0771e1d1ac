"""Places in the chain, and how they are kept."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.chain.cursor import (
    FAR,
    NEAR,
    START,
    Cursor,
    FileCursor,
    MemoryCursor,
    SqliteCursor,
)


def _hash(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _walk(*numbers: int) -> Cursor:
    cursor = START
    for number in numbers:
        cursor = cursor.advance(number, _hash(number))
    return cursor


@given(st.lists(st.integers(0, 10_000), unique=True, min_size=1, max_size=400).map(sorted))
def test_marks_stay_few_and_near_ones_stay(numbers: list[int]) -> None:
    """Memory is bounded, in order, and the newest blocks are all there."""
    recent = [number for number, _ in _walk(*numbers).recent]
    assert recent[-NEAR:] == numbers[-NEAR:]
    assert recent == sorted(recent)
    assert len(recent) <= NEAR + FAR


def test_far_blocks_are_thinned_out() -> None:
    """A chain that goes back by an hour of blocks still meets a remembered one."""
    recent = [number for number, _ in _walk(*range(5_000)).recent]
    assert recent[0] < 5_000 - 3_600
    steps = [after - before for before, after in itertools.pairwise(recent)]
    assert max(steps) <= 128


def test_going_back() -> None:
    """Going back ends at the newest remembered block that is not above the limit."""
    cursor = _walk(3, 5, 9)
    assert cursor.back_to(8) == Cursor(5, _hash(5), ((3, _hash(3)), (5, _hash(5))))
    assert cursor.back_to(9) == cursor
    assert cursor.back_to(2) == START


def test_a_block_that_is_gone_is_remembered_as_such() -> None:
    """No block has its hash, also after the text; going back below it forgets it."""
    cursor = Cursor.from_json(_walk(3, 9).without(6).to_json())
    assert (cursor.number, cursor.hash) == (9, _hash(9))
    assert cursor.recent == ((3, _hash(3)), (6, b""), (9, _hash(9)))
    assert cursor.without(6) == cursor
    assert cursor.back_to(3) == _walk(3)


def test_text_round_trip() -> None:
    """A cursor is the same after it was written and read."""
    cursor = _walk(1, 2, 70)
    assert Cursor.from_json(cursor.to_json()) == cursor


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"number": 1, "hash": 5, "recent": []}'])
def test_damaged_text(text: str) -> None:
    """Something else is no cursor."""
    with pytest.raises(ValueError, match=r".*"):
        Cursor.from_json(text)


def test_stores(tmp_path: Path) -> None:
    """Each store gives back what it was given last, also to the next process."""
    path = tmp_path / "cursor.json"
    database = sqlite3.connect(tmp_path / "db.sqlite")
    for store, again in (
        (FileCursor(path), FileCursor(path)),
        (SqliteCursor(database, "a"), SqliteCursor(database, "a")),
    ):
        assert store.load() is None
        for cursor in (_walk(1), _walk(1, 2)):
            store.save(cursor)
            assert again.load() == cursor
    memory = MemoryCursor()
    assert memory.load() is None
    memory.save(_walk(4))
    assert memory.load() == _walk(4)
    assert SqliteCursor(database, "b").load() is None
    path.write_text("{")
    assert FileCursor(path).load() is None


def test_cursor_moves_with_the_consumers_transaction(tmp_path: Path) -> None:
    """Without autocommit a roll-back takes the cursor back too."""
    database = sqlite3.connect(tmp_path / "db.sqlite")
    store = SqliteCursor(database, autocommit=False)
    database.commit()
    store.save(_walk(1))
    database.rollback()
    assert store.load() is None
