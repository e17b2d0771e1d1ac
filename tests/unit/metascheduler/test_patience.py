"""Who is late, and who only seems so because the chain was away."""

from __future__ import annotations

from dsq.core.metascheduler.patience import (
    GRACE_SECONDS,
    LOST_SECONDS,
    QUIET_SECONDS,
    Patience,
)
from dsq.core.metascheduler.policy import Placement
from dsq.core.metascheduler.state import GridState
from dsq.core.model import JobStatus

from .grids import address, grid, job, provider

CLAIM = 600.0
START = 1000.0
"""When :func:`grid` sees its jobs come to their status."""


def placed(*numbers: int) -> GridState:
    """A grid whose one provider was given these jobs and has claimed none."""
    status = JobStatus.META_SCHEDULED
    return grid(provider(), jobs=tuple(job(n, status=status, on=address(1)) for n in numbers))


def late(patience: Patience, state: GridState, now: float, *but: int) -> list[int]:
    return [one.job.id for one in patience.overdue(state, now, claim_seconds=CLAIM, but=but)]


def test_a_job_is_overdue_after_the_time_to_claim_it() -> None:
    """Not a second before, and not while it is being taken back already."""
    state, patience = placed(2, 1), Patience()
    assert late(patience, state, START + CLAIM) == []
    assert late(patience, state, START + CLAIM + 1) == [1, 2]
    assert late(patience, state, START + CLAIM + 1, 2) == [1]


def test_nobody_is_blamed_in_the_grace_after_a_start() -> None:
    """What the providers did while nobody looked is not yet known."""
    state, patience = placed(1), Patience()
    start = START + 2 * CLAIM
    patience.restarted(start)
    assert late(patience, state, start + GRACE_SECONDS) == []
    assert late(patience, state, start + GRACE_SECONDS + 1) == [1]


def test_a_silence_of_the_chain_begins_a_grace_and_a_short_gap_does_not() -> None:
    """Providers cannot claim while the chain is away."""
    state, patience = placed(1), Patience()
    patience.restarted(START)
    patience.heard(START + QUIET_SECONDS)
    now = START + CLAIM + 1
    assert late(patience, state, now) == [1]
    assert not patience.is_hearing(now)
    patience.heard(now)
    assert patience.is_hearing(now)
    assert late(patience, state, now + GRACE_SECONDS) == []


def test_a_provider_that_may_not_claim_any_more_is_not_waited_for() -> None:
    """A banned one, or one that left, whatever the grace."""
    patience = Patience()
    patience.restarted(START)
    banned, left = placed(1), placed(1)
    banned.set_provider(provider(banned=True))
    left.drop_provider(address(1))
    assert late(patience, banned, START + 1) == [1]
    assert late(patience, left, START + 1) == [1]


def test_a_failed_attempt_to_take_a_job_back_is_not_repeated_at_once() -> None:
    """Its back-off holds."""
    state, patience = placed(1), Patience()
    now = START + CLAIM + 1
    state.backoff.failed(1, now)
    assert late(patience, state, now) == []
    assert late(patience, state, now + 2) == [1]


def test_a_placement_is_undone_when_it_was_mined_and_its_event_does_not_come() -> None:
    """One that is not yet mined is waited for, however long."""
    state = grid(provider(), jobs=(job(1), job(2)))
    for number in (1, 2):
        state.begin(Placement(number, address(1)))
    state.placing[1].mined_at = START
    assert Patience.undone(state, START + LOST_SECONDS) == set()
    assert Patience.undone(state, START + LOST_SECONDS + 1) == {1}
