"""A run's times on the chain's clock: what is billed is kept, and the contract takes it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsq.core.units import billed_minutes
from dsq.supervisor.chaintime import HOLD_SECONDS, Span, span_on_chain, start_on_chain

TIMES = st.integers(min_value=0, max_value=10**6)


@given(start=TIMES, length=TIMES, claimed=TIMES, age=TIMES)
def test_the_contract_takes_it(start: int, length: int, claimed: int, age: int) -> None:
    """claim <= start <= end <= now, whatever the clocks say; the minutes are those of the run
    wherever the chain has seen so much time pass."""
    now = claimed + age
    span = span_on_chain(start, start + length, claimed, now)
    if span is None:
        assert length > age
        return
    assert claimed <= span.start <= span.end <= now
    if length <= age:
        assert span.end - span.start == length
    if span.end - span.start < age - HOLD_SECONDS:
        assert billed_minutes(span.end - span.start) == billed_minutes(length)
    assert claimed <= start_on_chain(start, claimed, now) <= now


def test_true_times_stay_as_they_are() -> None:
    """Clocks that agree move nothing."""
    assert span_on_chain(120, 300, 100, 400) == Span(120, 300)
    assert start_on_chain(120, 100, 400) == 120


def test_a_cluster_that_is_ahead_or_behind_moves_the_run() -> None:
    """The run lies between claim and now, with its length."""
    assert span_on_chain(520, 700, 100, 400) == Span(220, 400)
    assert span_on_chain(20, 200, 100, 400) == Span(100, 280)


def test_what_the_chain_has_not_seen_yet_waits() -> None:
    """The newest block is a bit old: another one will do; seconds beyond whole minutes go."""
    assert span_on_chain(100, 220, 100, 215) is None
    assert span_on_chain(100, 165, 100, 161) == Span(101, 161)


def test_what_the_chain_will_never_see_is_cut() -> None:
    """Half an hour in three minutes of the chain: what fits is billed."""
    assert span_on_chain(100, 1900, 100, 280) == Span(100, 280)


def test_an_unknown_start_is_now() -> None:
    """RUNNING without a start in Slurm's words."""
    assert start_on_chain(0, 100, 400) == 400
