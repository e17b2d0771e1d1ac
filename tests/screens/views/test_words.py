"""How values read."""

from __future__ import annotations

from datetime import UTC

import pytest
from rich.cells import cell_len

from dsq.console.widgets.words import (
    STATUS_WORDS,
    Moment,
    age_text,
    bar_spans,
    compact_credits,
    credits_text,
    duration_text,
    exact_credits,
    status_text,
    time_text,
)
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT
from tests.support.fake_grid import NOW, job


def test_every_state_has_its_own_glyph_and_word() -> None:
    """No two states look alike without colour, and each glyph is one cell."""
    assert set(STATUS_WORDS) == set(JobStatus)
    assert len({shown.glyph for shown in STATUS_WORDS.values()}) == len(JobStatus)
    assert len({shown.word for shown in STATUS_WORDS.values()}) == len(JobStatus)
    assert all(cell_len(shown.glyph) == 1 for shown in STATUS_WORDS.values())


def test_a_failed_job_shows_its_exit_code() -> None:
    """The process's exit code, not the wait status, stands behind FAILED."""
    assert status_text(job(1, JobStatus.FAILED, exit_status=768)) == "× FAILED 3"
    assert status_text(job(1, JobStatus.FAILED, exit_status=9)) == "× FAILED 137"
    asked = job(1, JobStatus.RUNNING, has_cancel_request=True)
    assert status_text(asked) == "▶ RUNNING (cancelling)"


@pytest.mark.parametrize(
    ("wei", "text"),
    [
        (0, "0.00"),
        (1, "<0.01"),
        (1_284_400 * CREDIT // 1000, "1,284.40"),
        (CREDIT * 2 - 1, "1.99"),
        (-5 * CREDIT, "-5.00"),
    ],
)
def test_credits_are_cut_not_rounded_up(wei: int, text: str) -> None:
    """Nobody is shown more than there is, and dust is not shown as nothing."""
    assert credits_text(wei) == text


def test_exact_credits_keep_all_places() -> None:
    """The confirm page shows what is locked to the wei."""
    assert exact_credits(12_345 * CREDIT + 1) == "12,345.000000000000000001"


@pytest.mark.parametrize("power", range(40))
def test_compact_credits_fit_six_cells(power: int) -> None:
    """Any amount fits into its column."""
    assert len(compact_credits(10**power * CREDIT // 1000)) <= 6
    assert len(compact_credits((10**power - 1) * CREDIT)) <= 6


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0:00"), (4, "0:04"), (2162, "36:02"), (11051, "3:04:11"), (10**9, ">999 d")],
)
def test_durations(seconds: int, text: str) -> None:
    """Seconds, minutes, hours and days, never wider than the column."""
    assert duration_text(seconds) == text
    assert len(duration_text(seconds)) <= 8


def test_times_say_the_day_when_it_is_another() -> None:
    """A time of today is a time of day, an older one a date."""
    assert time_text(NOW - 60, NOW, UTC) == "11:05"
    assert time_text(NOW - 3 * 86400, NOW, UTC) == "15 Nov"
    assert time_text(NOW - 400 * 86400, NOW, UTC) == "2025-10-14"
    assert time_text(0, NOW, UTC) == "–"
    assert Moment(NOW, UTC).at(NOW - 86400) == "17 Nov 11:06"


@pytest.mark.parametrize("seconds", [2**256, -(10**20), 10**15])
def test_impossible_times_do_not_break_the_screen(seconds: int) -> None:
    """A chain with an absurd time stamp shows some date."""
    assert time_text(seconds, NOW, UTC)


def test_ages() -> None:
    """The age of a block in one short word."""
    assert [age_text(s) for s in (-1, 1, 61, 3700, 90000)] == ["0s", "1s", "1m", "1h", "1d"]


@pytest.mark.parametrize("part", [-1.0, 0.0, 0.01, 0.5, 0.99, 1.0, 7.0])
def test_bars_keep_their_width(part: float) -> None:
    """A bar is as wide as it should be and reads without colour."""
    spans = bar_spans(part, 10, "primary")
    assert sum(len(text) for text, _ in spans) == 10
    assert set("".join(text for text, _ in spans)) <= set("━╸─")
