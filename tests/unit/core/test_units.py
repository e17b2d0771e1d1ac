"""Credits and minutes, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.errors import UsageError
from dsq.core.model import JobDefinition, ProviderPrices
from dsq.core.units import (
    CREDIT,
    UINT64_MAX,
    billed_minutes,
    cost_of,
    format_credits,
    format_minutes,
    minutes_for,
    parse_credits,
    parse_minutes,
)

PRICES = ProviderPrices(85 * 10**17, 95 * 10**16, 8 * 10**13)


@given(st.integers(0, 10**40))
def test_credits_survive_writing_and_reading(wei: int) -> None:
    """No wei is lost on the way to text and back."""
    assert parse_credits(format_credits(wei)) == wei


@pytest.mark.parametrize(
    "text", ["", "-1", "1e3", "1,5", "1.", ".5", "nan", "1" + "." + "0" * 19, "١"]
)
def test_no_amount(text: str) -> None:
    """Signs, exponents, commas, more than 18 places and foreign digits are refused."""
    with pytest.raises(UsageError):
        parse_credits(text)


def test_cut_places_are_never_rounded_up() -> None:
    """Nobody sees more credits than there are."""
    assert format_credits(2 * CREDIT - 1, 2) == "1.99"
    assert format_credits(-CREDIT // 2) == "-0.5"


def test_the_published_example() -> None:
    """1 CPU and 200 MB cost 0.966 a minute, so 100 credits buy 103 minutes."""
    definition = JobDefinition(1, 1, 200)
    assert cost_of(definition, PRICES, 1) == 966 * 10**15
    assert minutes_for(definition, PRICES, 100 * CREDIT) == 103


def test_free_providers_and_long_times_saturate() -> None:
    """A rate of 0 buys the most that a uint64 holds; so do too many credits."""
    assert minutes_for(JobDefinition(1, 1, 1), ProviderPrices(0, 0, 0), 1) == UINT64_MAX
    assert minutes_for(JobDefinition(1, 1, 1), ProviderPrices(0, 1, 0), 2**80) == UINT64_MAX


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 1), (59, 1), (60, 1), (119, 1), (120, 2)])
def test_billing(seconds: int, minutes: int) -> None:
    """At least one minute; begun ones are free."""
    assert billed_minutes(seconds) == minutes


def test_minutes_for_people() -> None:
    """Three sizes of words."""
    assert [format_minutes(m) for m in (5, 185, 3000)] == ["5 min", "3 h 05 min", "2 d 02 h"]


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90),
        (" 90 min ", 90),
        ("1h30", 90),
        ("1 h 30 min", 90),
        ("1:30", 90),
        ("2 hours", 120),
        ("2d", 2880),
        ("2 d 04 h", 3120),
        ("1d2h3m", 1563),
    ],
)
def test_durations_as_people_write_them(text: str, minutes: int) -> None:
    """Minutes alone, or days, hours and minutes; what is shown can be typed."""
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5h", "30s", "h", "1h30x", "1:75", "٣", "soon"])
def test_no_duration(text: str) -> None:
    """Less than a minute, fractions, seconds and words are refused."""
    with pytest.raises(UsageError, match="is not a duration"):
        parse_minutes(text)


@given(st.integers(1, 10**6))
def test_shown_minutes_can_be_typed(minutes: int) -> None:
    """What is shown below a day is read back exactly."""
    shown = parse_minutes(format_minutes(minutes))
    assert shown == minutes if minutes < 1440 else minutes - shown < 60
