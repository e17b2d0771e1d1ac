"""The picture of the grid follows views and events, in any order they come."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dsq.core.metascheduler.backoff import LONGEST_SECONDS, BackOff
from dsq.core.metascheduler.policy import Placement
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT

from .grids import address, definition, grid, hardware, job, provider


def free(state: object, number: int = 1) -> int:
    return state.occupations[address(number)].free.cpus  # type: ignore[attr-defined]


def test_a_placement_is_followed_from_decision_to_end() -> None:
    """Space is reserved with the decision, kept through every status, freed at the end."""
    state = grid(provider(), jobs=(job(1, definition(1, 3)),))
    state.begin(Placement(1, address(1)))
    assert free(state) == 5
    assert [one.id for one in state.waiting(0)] == [1], "on chain it still waits"
    assert state.advance(1, JobStatus.META_SCHEDULED, 10)
    assert state.advance(1, JobStatus.SCHEDULED, 20)
    assert state.tracked[1].since == 20
    assert not state.advance(1, JobStatus.RUNNING, 30), "its start must be read"
    state.observe(job(1, definition(1, 3), status=JobStatus.RUNNING, on=address(1), start=29), 30)
    assert free(state) == 5
    assert state.max_end(state.tracked[1]) == 29 + 60 * 33
    state.ended(1)
    assert free(state) == 8
    assert state.hot_ids() == []


def test_a_view_from_before_the_placement_does_not_undo_it() -> None:
    """While its transaction is on the way the job is seen PENDING; the reservation stays."""
    waiting = job(1)
    state = grid(provider(), jobs=(waiting,))
    state.begin(Placement(1, address(1)))
    state.observe(waiting, 0)
    assert free(state) == 7
    assert not state.pending


def test_a_failed_placement_gives_space_and_job_back() -> None:
    """After a failed transaction the job waits again."""
    state = grid(provider(), jobs=(job(1),))
    state.begin(Placement(1, address(1)))
    state.abandon(1)
    assert free(state) == 8
    assert list(state.pending) == [1]


def test_a_job_handed_back_waits_again() -> None:
    """A transition to PENDING frees the provider; the view puts the job in the queue."""
    placed = job(1, status=JobStatus.SCHEDULED, on=address(1))
    state = grid(provider(), jobs=(placed,))
    state.handed_back(1)
    assert free(state) == 8
    state.observe(job(1), 0)
    assert list(state.pending) == [1]


def test_an_old_hand_back_does_not_undo_a_new_placement() -> None:
    """The transition is older than the placement that is on its way."""
    state = grid(provider(), jobs=(job(1),))
    state.begin(Placement(1, address(1)))
    state.handed_back(1)
    assert free(state) == 7


def test_another_schedulers_placement_is_seen() -> None:
    """A transition of a job that we did not place asks for its view."""
    state = grid(provider(), jobs=(job(1),))
    assert not state.advance(1, JobStatus.META_SCHEDULED, 10)
    state.observe(job(1, status=JobStatus.META_SCHEDULED, on=address(1)), 10)
    assert free(state) == 7
    assert not state.pending


def test_a_view_that_shows_another_provider_moves_the_job() -> None:
    """The chain is the truth about who has a job."""
    at_first = job(1, status=JobStatus.META_SCHEDULED, on=address(1))
    state = grid(provider(1), provider(2), jobs=(at_first,))
    state.observe(job(1, status=JobStatus.META_SCHEDULED, on=address(2)), 10)
    assert (free(state, 1), free(state, 2)) == (8, 7)


def test_new_hardware_packs_the_jobs_anew() -> None:
    """A provider that registered again keeps its jobs on its new nodes."""
    at = provider()
    state = grid(at, jobs=(job(1, definition(1, 3), status=JobStatus.RUNNING, on=address(1)),))
    state.set_provider(replace(at, hardware=hardware((4, 16_000, 0))))
    assert free(state) == 1
    state.ended(1)
    assert free(state) == 4


def test_a_provider_that_comes_back_finds_its_jobs() -> None:
    """Removing a provider does not lose what it runs."""
    at = provider()
    state = grid(at, jobs=(job(1, definition(1, 3), status=JobStatus.RUNNING, on=address(1)),))
    state.drop_provider(address(1))
    state.set_provider(at)
    assert free(state) == 5


def test_what_does_not_fit_is_counted_all_the_same() -> None:
    """A job that the provider has beyond our reckoning leaves no room for others."""
    big = job(1, definition(1, 12), status=JobStatus.RUNNING, on=address(1))
    state = grid(provider(), jobs=(big,))
    assert free(state) == 0
    state.ended(1)
    assert free(state) == 8


def test_a_rebuild_keeps_the_reservations_of_placements_on_their_way() -> None:
    """Views read anew show the job PENDING; its space stays taken."""
    waiting = job(1)
    state = grid(provider(), jobs=(waiting,))
    state.begin(Placement(1, address(1)))
    state.clear()
    state.set_provider(provider())
    state.observe(waiting, 0)
    assert free(state) == 7
    assert not state.pending


steps = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from(["view", "begin", "abandon", "advance", "back", "end"]),
        st.sampled_from(list(JobStatus)),
        st.integers(1, 2),
    ),
    max_size=40,
)


@given(steps)
def test_space_is_always_that_of_the_jobs_it_holds(
    steps: list[tuple[int, str, JobStatus, int]],
) -> None:
    """In whatever order views and events come, no space is lost or counted twice."""
    state = grid(provider(1), provider(2))
    for number, what, status, at in steps:
        one = job(number, definition(1, 2), status=status, on=address(at))
        match what:
            case "view":
                state.observe(one, 0)
            case "begin" if number in state.pending:
                state.begin(Placement(number, address(at)))
            case "abandon":
                state.abandon(number)
            case "advance" if status.is_hot and status is not JobStatus.PENDING:
                state.advance(number, status, 0)
            case "back":
                state.handed_back(number)
            case "end":
                state.ended(number)
        held = [*state.tracked.values(), *state.placing.values()]
        for n in (1, 2):
            mine = [h for h in held if h.provider == address(n)]
            assert free(state, n) == 8 - 2 * len(mine)
        assert state.unclaimed == {
            n for n, h in state.tracked.items() if h.status is JobStatus.META_SCHEDULED
        }
        groups = (state.pending, state.placing, state.tracked)
        assert sum(len(g) for g in groups) == len({i for g in groups for i in g})


def test_faults_double_up_to_a_bound_and_pass() -> None:
    """60 s, 120 s, 240 s … an hour at most; the sentence says when it is asked again."""
    backoff, waits = BackOff(), []
    for _ in range(10):
        backoff.refused(1, address(1), 0)
        waits.append(backoff.next_end(0))
    assert waits[:3] == [60, 120, 240]
    assert waits[-1] == LONGEST_SECONDS
    reason = backoff.reason(1, address(1), 0)
    assert reason == "refused this job: it is asked again at 01:00:00 UTC"
    assert backoff.reason(1, address(1), LONGEST_SECONDS) == ""
    assert backoff.reason(2, address(1), 0) == ""
    backoff.forget(1)
    assert backoff.reason(1, address(1), 0) == ""


def test_who_lets_jobs_lie_gets_none_until_he_claims_again() -> None:
    """A late claim counts against the provider for all jobs; a claim clears it."""
    backoff = BackOff()
    backoff.unclaimed(1, address(1), 0)
    assert backoff.reason(2, address(1), 1).startswith("did not claim a job in time")
    backoff.claimed(address(1))
    assert backoff.reason(2, address(1), 1) == ""
    assert backoff.reason(1, address(1), 1), "this job it does not get so soon"


def test_back_off_survives_a_restart() -> None:
    """What is written is read back."""
    backoff = BackOff()
    backoff.refused(7, address(1), 100)
    backoff.unclaimed(8, address(2), 100)
    again = BackOff.from_json(backoff.to_json())
    assert again.to_json() == backoff.to_json()
    assert again.reason(7, address(1), 101) == backoff.reason(7, address(1), 101)


def test_free_providers_have_no_end_of_credits() -> None:
    """A price of zero buys the most minutes there are."""
    running = job(1, status=JobStatus.RUNNING, on=address(1), start=5)
    state = grid(provider(price=0), jobs=(running,))
    end = state.max_end(state.tracked[1])
    assert end is not None
    assert end > CREDIT
