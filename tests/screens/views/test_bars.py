"""Bars of one line: what is cut when there is no room."""

from __future__ import annotations

import pytest

from dsq.console.widgets.bars import fit_note


@pytest.mark.parametrize(
    ("note", "room", "shown"),
    [
        ("read-only  locked  2 jobs", 25, "read-only  locked  2 jobs"),
        ("read-only  locked  2 jobs", 24, "read-only locked 2 jobs"),
        ("read-only  locked  2 jobs", 20, "read-only locked"),
        ("read-only  locked  2 jobs", 10, "read-only"),
        ("read-only  locked  2 jobs", 5, ""),
        ("locked  /status:running gpu gaia  3 of 10", 30, "locked …nning gpu gaia 3 of 10"),
        ("/status:running  1,234 of 100,000", 20, "1,234 of 100,000"),
        ("", 10, ""),
    ],
)
def test_a_note_keeps_whole_words(note: str, room: int, shown: str) -> None:
    """What changes the keys stays longest; of a filter its end."""
    assert fit_note(note, room) == shown
