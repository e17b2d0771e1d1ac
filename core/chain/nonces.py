"""Decisions about transactions, without I/O.

How a transaction can end, and what is certain about it:

* The node refused its first broadcast because the nonce is taken: nobody else ever saw
  it. Certain: it gets a new nonce.
* It was broadcast, the account's nonce went past it, and the chain has no receipt. If a
  block holds another transaction of the account with this nonce, ours can never be
  mined: it gets a new nonce. If no block does (a development chain that lost blocks but
  kept its state), nobody can tell: the caller is told so.
* Its nonce is not used yet: whatever happened, sending the same bytes again is safe.
"""

from __future__ import annotations

import enum
from collections.abc import Collection


class Outcome(enum.Enum):
    """What a node's answer to a broadcast means."""

    ACCEPTED = "accepted"
    NONCE_TAKEN = "nonce taken"
    UNDERPRICED = "underpriced"
    NO_FUNDS = "no funds"
    UNKNOWN = "unknown"
    REFUSED = "refused"


_WORDS: tuple[tuple[str, Outcome], ...] = (
    ("already known", Outcome.ACCEPTED),
    ("alreadyknown", Outcome.ACCEPTED),
    ("already imported", Outcome.ACCEPTED),
    ("already exists", Outcome.ACCEPTED),
    ("known transaction", Outcome.ACCEPTED),
    ("nonce too low", Outcome.NONCE_TAKEN),
    ("nonce is too low", Outcome.NONCE_TAKEN),
    ("oldnonce", Outcome.NONCE_TAKEN),
    ("invalid nonce", Outcome.NONCE_TAKEN),
    ("replacement", Outcome.NONCE_TAKEN),
    ("another transaction with same nonce", Outcome.NONCE_TAKEN),
    ("insufficient funds", Outcome.NO_FUNDS),
    ("insufficient balance", Outcome.NO_FUNDS),
    ("insufficient_funds", Outcome.NO_FUNDS),
    ("underpriced", Outcome.UNDERPRICED),
    ("fee too low", Outcome.UNDERPRICED),
    ("feetoolow", Outcome.UNDERPRICED),
    ("gas price too low", Outcome.UNDERPRICED),
    ("less than block base fee", Outcome.UNDERPRICED),
    ("max fee per gas", Outcome.UNDERPRICED),
    ("gas price below", Outcome.UNDERPRICED),
    ("maxfeepergas", Outcome.UNDERPRICED),
    ("pool is full", Outcome.UNKNOWN),
    ("pool overflow", Outcome.UNKNOWN),
    ("pool limit", Outcome.UNKNOWN),
    ("rate limit", Outcome.UNKNOWN),
    ("too many requests", Outcome.UNKNOWN),
    ("timeout", Outcome.UNKNOWN),
    ("timed out", Outcome.UNKNOWN),
)


def outcome_of(words: str) -> Outcome:
    """Reads a node's refusal of ``eth_sendRawTransaction``.

    A replacement that offers too little is ``NONCE_TAKEN``: for a new transaction it
    means that another one of the account waits with this nonce.
    """
    folded = words.lower()
    for part, outcome in _WORDS:
        if part in folded:
            return outcome
    return Outcome.REFUSED


class Step(enum.Enum):
    """What becomes of a transaction after its first broadcast."""

    UNDER_WAY = "under way"
    NEW_NONCE = "new nonce"
    OFFER_MORE = "offer more"
    NO_FUNDS = "no funds"
    REFUSED = "refused"


STEPS: dict[Outcome, Step] = {
    Outcome.ACCEPTED: Step.UNDER_WAY,
    # It may have arrived: the same bytes are sent again until it is clear.
    Outcome.UNKNOWN: Step.UNDER_WAY,
    Outcome.NONCE_TAKEN: Step.NEW_NONCE,
    Outcome.UNDERPRICED: Step.OFFER_MORE,
    Outcome.NO_FUNDS: Step.NO_FUNDS,
    Outcome.REFUSED: Step.REFUSED,
}


def after_broadcast(outcome: Outcome, *, is_known: bool) -> Step:
    """What becomes of a transaction.

    Args:
        outcome: The node's answer.
        is_known: The node knows these very bytes: an earlier answer was lost, and what
            took the nonce is the transaction itself.
    """
    if outcome is Outcome.NONCE_TAKEN and is_known:
        return Step.UNDER_WAY
    return STEPS[outcome]


class Verdict(enum.Enum):
    """What to do about a transaction under way."""

    WAIT = "wait"
    RECEIPT = "read the receipt"
    RESEND = "send the same bytes again"
    RAISE = "offer more for gas"
    RIVAL = "look for what took its nonce"


RESEND_SECONDS = 2.0
"""A transaction that waits so long is looked up, and sent again if it is not known."""

RAISE_SECONDS = 20.0
"""A transaction that waits so long offers more, if gas has become dearer than its offer."""

PASSED_BLOCKS = 10
"""A transaction that so many blocks passed by offers more, whatever the base fee is."""

RIVAL_SECONDS = 3.0
"""A used nonce without a receipt: nodes may need a moment to show the receipt."""


def judge(
    *,
    nonce: int,
    used: int,
    is_lowest: bool,
    dearer: bool,
    passed_blocks: int = 0,
    since_broadcast: float,
    since_used: float,
    since_lookup: float,
) -> Verdict:
    """Decides about a transaction.

    Args:
        nonce: Its nonce.
        used: How many nonces of the account the chain has used.
        is_lowest: No other transaction of ours waits before it.
        dearer: Gas costs more than it offers.
        passed_blocks: Blocks made since its last attempt.
        since_broadcast: Seconds since its last attempt was made.
        since_used: Seconds since its nonce was first seen used.
        since_lookup: Seconds since the node was last asked whether it knows it.
    """
    if nonce < used:
        return Verdict.RIVAL if since_used >= RIVAL_SECONDS else Verdict.RECEIPT
    passed = dearer or passed_blocks >= PASSED_BLOCKS
    if is_lowest and passed and since_broadcast >= RAISE_SECONDS:
        return Verdict.RAISE
    if since_lookup >= RESEND_SECONDS:
        return Verdict.RESEND
    return Verdict.WAIT


def new_nonces(
    count: int, pending: int, in_flight: Collection[int], freed: Collection[int] = ()
) -> list[int]:
    """Nonces of new transactions, lowest first.

    Args:
        count: How many.
        pending: The account's transaction count, with those in the node's pool; 0 if it
            was not asked, for ours are above it.
        in_flight: Nonces of our transactions under way.
        freed: Nonces that we gave and took back: nobody has seen them used.
    """
    top = max([pending, *(nonce + 1 for nonce in in_flight)])
    again = sorted(n for n in set(freed) if pending <= n < top and n not in in_flight)
    return (again + list(range(top, top + count)))[:count]


def gaps(used: int, in_flight: Collection[int]) -> list[int]:
    """Nonces below our highest one that nothing of ours will use: they hold back the rest."""
    ours = set(in_flight)
    return [nonce for nonce in range(used, max(in_flight, default=used)) if nonce not in ours]
