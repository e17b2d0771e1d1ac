"""Decisions about transactions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.chain.fees import Fees
from dsq.core.chain.nonces import (
    PASSED_BLOCKS,
    Outcome,
    Step,
    Verdict,
    after_broadcast,
    gaps,
    judge,
    new_nonces,
    outcome_of,
)

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
    ("OldNonce", Outcome.NONCE_TAKEN),
    ("Transaction nonce is too low. Try incrementing the nonce.", Outcome.NONCE_TAKEN),
    ("could not replace existing tx: replacement fee too low", Outcome.NONCE_TAKEN),
    ("err: max fee per gas less than block base fee: maxFeePerGas: 1", Outcome.UNDERPRICED),
    ("FeeTooLow, MaxFeePerGas too low", Outcome.UNDERPRICED),
    ("Gas price below configured minimum gas price", Outcome.UNDERPRICED),
    ("INSUFFICIENT_FUNDS: sender balance", Outcome.NO_FUNDS),
    ("AlreadyKnown", Outcome.ACCEPTED),
    ("Known transaction", Outcome.ACCEPTED),
    ("txpool overflow", Outcome.UNKNOWN),
    ("request timed out", Outcome.UNKNOWN),
    ("intrinsic gas too low", Outcome.REFUSED),
    ("exceeds block gas limit", Outcome.REFUSED),
    ("invalid sender", Outcome.REFUSED),
]


@pytest.mark.parametrize(("words", "outcome"), WORDS)
def test_refusals_of_nodes(words: str, outcome: Outcome) -> None:
    """Words of geth, anvil and others are understood."""
    assert outcome_of(words) is outcome


ROWS = [
    (Outcome.ACCEPTED, False, Step.UNDER_WAY),
    (Outcome.ACCEPTED, True, Step.UNDER_WAY),
    (Outcome.UNKNOWN, False, Step.UNDER_WAY),
    (Outcome.UNKNOWN, True, Step.UNDER_WAY),
    (Outcome.NONCE_TAKEN, False, Step.NEW_NONCE),
    (Outcome.NONCE_TAKEN, True, Step.UNDER_WAY),
    (Outcome.UNDERPRICED, False, Step.OFFER_MORE),
    (Outcome.UNDERPRICED, True, Step.OFFER_MORE),
    (Outcome.NO_FUNDS, False, Step.NO_FUNDS),
    (Outcome.NO_FUNDS, True, Step.NO_FUNDS),
    (Outcome.REFUSED, False, Step.REFUSED),
    (Outcome.REFUSED, True, Step.REFUSED),
]


@pytest.mark.parametrize(("outcome", "known", "step"), ROWS)
def test_after_each_answer_there_is_one_step(outcome: Outcome, known: bool, step: Step) -> None:
    """The table of docs/chain.md, cell by cell."""
    assert after_broadcast(outcome, is_known=known) is step


def test_the_table_has_every_cell() -> None:
    """No answer is without a rule."""
    assert {(row[0], row[1]) for row in ROWS} == {(o, k) for o in Outcome for k in (False, True)}


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
    # A tip that is too small shows only by the blocks that pass.
    assert _judge(passed_blocks=PASSED_BLOCKS, since_broadcast=60.0) is Verdict.RAISE
    assert _judge(passed_blocks=PASSED_BLOCKS, since_broadcast=1.0) is Verdict.WAIT
    assert _judge(passed_blocks=PASSED_BLOCKS - 1, since_broadcast=60.0) is Verdict.WAIT


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


@given(
    st.integers(0, 20),
    st.integers(0, 50),
    st.sets(st.integers(0, 50)),
    st.sets(st.integers(0, 50)),
)
def test_new_nonces_are_free(count: int, pending: int, ours: set[int], freed: set[int]) -> None:
    """Above what the node has; none of ours; what we took back is used first; no new gaps."""
    nonces = new_nonces(count, pending, ours, freed)
    assert len(nonces) == len(set(nonces)) == count
    assert not set(nonces) & ours
    assert all(nonce >= pending for nonce in nonces)
    assert nonces == sorted(nonces)
    top = max([pending, *(nonce + 1 for nonce in ours)])
    again = [nonce for nonce in nonces if nonce < top]
    assert set(again) <= freed
    assert [nonce for nonce in nonces if nonce >= top] == list(range(top, top + count - len(again)))


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
    assert raised.replaces(fees)
    assert not fees.replaces(raised) or max_fee == 0
    assert set(raised.fields()) == (
        {"gasPrice"} if priority is None else {"type", "maxFeePerGas", "maxPriorityFeePerGas"}
    )


def test_cap_of_fees() -> None:
    """No field goes above the cap; what the cap leaves is no replacement any more."""
    fees = Fees(100, 30)
    assert fees.capped(None) == fees
    assert fees.capped(50) == Fees(50, 30)
    assert fees.capped(20) == Fees(20, 20)
    assert Fees(100, None).capped(50) == Fees(50, None)
    assert fees.raised().capped(200).replaces(fees)
    assert not fees.raised().capped(105).replaces(fees)
