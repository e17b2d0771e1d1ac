"""Decisions about transactions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.chain.fees import Fees
from dsq.core.chain.nonces import Outcome, Verdict, gaps, judge, next_nonce, outcome_of

WORDS = [
    ("already known", Outcome.ACCEPTED),
    ("transaction already imported", Outcome.ACCEPTED),
    ("ALREADY_EXISTS: already exists", Outcome.ACCEPTED),
    ("nonce too low: next nonce 5, tx nonce 4", Outcome.NONCE_TAKEN),
    ("replacement transaction underpriced", Outcome.NONCE_TAKEN),
    ("transaction underpriced: tip needed 1", Outcome.UNDERPRICED),
    ("max fee per gas less than block base fee", Outcome.UNDERPRICED),
    ("Insufficient funds for gas * price + value", Outcome.NO_FUNDS),
    ("txpool is full: pool limit reached", Outcome.UNKNOWN),
    ("Too Many Requests", Outcome.UNKNOWN),
    ("intrinsic gas too low", Outcome.REFUSED),
    ("invalid sender", Outcome.REFUSED),
]


@pytest.mark.parametrize(("words", "outcome"), WORDS)
def test_refusals_of_nodes(words: str, outcome: Outcome) -> None:
    """Words of geth, anvil and others are understood."""
    assert outcome_of(words) is outcome


def _judge(**given: object) -> Verdict:
    facts: dict[str, object] = {
        "nonce": 5,
        "used": 5,
        "is_lowest": True,
        "dearer": False,
        "since_broadcast": 0.0,
        "since_used": 0.0,
        "since_lookup": 0.0,
    }
    return judge(**{**facts, **given})  # type: ignore[arg-type]


def test_verdicts() -> None:
    """Each state of a transaction has one answer."""
    assert _judge() is Verdict.WAIT
    assert _judge(since_lookup=3.0) is Verdict.RESEND
    assert _judge(used=6) is Verdict.RECEIPT
    assert _judge(used=6, since_used=5.0) is Verdict.RIVAL
    assert _judge(dearer=True, since_broadcast=60.0) is Verdict.RAISE
    assert _judge(dearer=True, since_broadcast=1.0) is Verdict.WAIT
    assert _judge(dearer=True, since_broadcast=60.0, is_lowest=False) is Verdict.WAIT
    assert _judge(dearer=False, since_broadcast=60.0) is Verdict.WAIT


@given(
    nonce=st.integers(0, 20),
    used=st.integers(0, 20),
    times=st.tuples(*[st.floats(0, 100)] * 3),
    lowest=st.booleans(),
    dearer=st.booleans(),
)
def test_used_nonce_is_never_sent_again(
    nonce: int, used: int, times: tuple[float, float, float], lowest: bool, dearer: bool
) -> None:
    """Bytes are repeated or replaced only while their nonce is free."""
    verdict = judge(
        nonce=nonce,
        used=used,
        is_lowest=lowest,
        dearer=dearer,
        since_broadcast=times[0],
        since_used=times[1],
        since_lookup=times[2],
    )
    if nonce < used:
        assert verdict in (Verdict.RECEIPT, Verdict.RIVAL)
    else:
        assert verdict in (Verdict.WAIT, Verdict.RESEND, Verdict.RAISE)


@given(st.integers(0, 50), st.lists(st.integers(0, 50)))
def test_next_nonce_is_free(pending: int, in_flight: list[int]) -> None:
    """A new nonce is above all that the node or we have used."""
    nonce = next_nonce(pending, in_flight)
    assert nonce >= pending
    assert nonce not in in_flight
    assert nonce == pending or nonce - 1 in in_flight


def test_gaps() -> None:
    """Only nonces below our highest one, that the chain has not used, hold us back."""
    assert gaps(3, [3, 4, 5]) == []
    assert gaps(3, [4, 6]) == [3, 5]
    assert gaps(7, [4, 6]) == []
    assert gaps(3, []) == []


@given(st.integers(0, 10**15), st.one_of(st.none(), st.integers(0, 10**12)))
def test_raised_fees_replace(max_fee: int, priority: int | None) -> None:
    """A raised offer is a tenth higher in every field, as nodes want it of a replacement."""
    fees = Fees(max_fee, priority)
    raised = fees.raised()
    assert raised.max_fee * 10 >= max_fee * 11
    if priority is not None:
        assert raised.priority is not None
        assert raised.priority * 10 >= priority * 11
    assert raised.at_least(fees) == raised == fees.at_least(raised)
    assert set(raised.fields()) == (
        {"gasPrice"} if priority is None else {"type", "maxFeePerGas", "maxPriorityFeePerGas"}
    )
