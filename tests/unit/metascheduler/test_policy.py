"""Who goes where: order, choice, late binding."""

from __future__ import annotations

import random
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from dsq.core.metascheduler.policy import Placement, decide, order
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT

from .grids import address, definition, grid, job, provider

NOW = 5000.0


def test_the_oldest_request_is_first() -> None:
    """Order is by the time of the request; in one second by number."""
    jobs = [job(3, at=10), job(1, at=20), job(2, at=10)]
    assert [one.id for one in order(jobs, NOW)] == [2, 3, 1]


def test_a_job_goes_to_the_cheapest_that_can_start_it() -> None:
    """Price decides among those that could start the job now."""
    state = grid(provider(1, price=2 * CREDIT), provider(2, price=CREDIT), jobs=(job(1),))
    assert decide(state, NOW) == [Placement(1, address(2))]


def test_a_full_cheap_provider_does_not_hold_a_job() -> None:
    """Starting now comes before price."""
    state = grid(
        provider(1, price=2 * CREDIT),
        provider(2),
        jobs=(job(1, definition(1, 8), status=JobStatus.RUNNING, on=address(2)), job(2)),
    )
    assert decide(state, NOW) == [Placement(2, address(1))]


def test_equal_prices_go_to_the_least_loaded_then_to_the_lowest_address() -> None:
    """Ties are broken the same way each time."""
    running = job(1, status=JobStatus.RUNNING, on=address(1))
    state = grid(provider(1), provider(2), provider(3), jobs=(running, job(2)))
    assert decide(state, NOW) == [Placement(2, address(2))]


def test_a_job_that_fits_nowhere_now_waits_and_holds_nobody_up() -> None:
    """Late binding, and no head-of-line blocking."""
    running = job(1, definition(1, 4), status=JobStatus.RUNNING, on=address(1))
    state = grid(provider(1), jobs=(running, job(2, definition(1, 8)), job(3, definition(1, 4))))
    assert decide(state, NOW) == [Placement(3, address(1))]


def test_placements_of_one_round_do_not_overlap() -> None:
    """Space given to one job is gone for the next one of the same round."""
    jobs = tuple(job(n, definition(1, 3)) for n in range(1, 6))
    state = grid(provider(1), provider(2, price=2 * CREDIT), jobs=jobs)
    placed = decide(state, NOW)
    assert [one.provider for one in placed] == [address(1)] * 2 + [address(2)] * 2
    assert state.occupations[address(1)].free.cpus == 8, "deciding changes nothing"


def test_a_refuser_is_not_asked_again_for_a_while() -> None:
    """The second provider gets the job; alone, the refuser gets it after the time."""
    state = grid(provider(1), provider(2, price=2 * CREDIT), jobs=(job(1),))
    state.backoff.refused(1, address(1), NOW)
    assert decide(state, NOW) == [Placement(1, address(2))]
    state.drop_provider(address(2))
    assert decide(state, NOW) == []
    assert decide(state, NOW + 61) == [Placement(1, address(1))]


def test_a_refusal_of_one_job_does_not_keep_its_likes_away() -> None:
    """Refused-before is remembered for the job, not for jobs that look like it."""
    state = grid(provider(1), jobs=(job(1), job(2)))
    state.backoff.refused(1, address(1), NOW)
    assert decide(state, NOW) == [Placement(2, address(1))]


def test_a_failed_placement_is_tried_again_later() -> None:
    """A transaction that failed does not come again at once."""
    state = grid(provider(1), jobs=(job(1),))
    state.backoff.failed(1, NOW)
    assert decide(state, NOW) == []
    assert decide(state, NOW + 2) == [Placement(1, address(1))]


def test_limit_is_kept() -> None:
    """No more placements than there is room for on their way."""
    state = grid(provider(1), jobs=tuple(job(n) for n in range(1, 6)))
    assert len(decide(state, NOW, limit=2)) == 2
    assert decide(state, NOW, limit=0) == []


sizes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(0, 2))


@settings(max_examples=50)
@given(
    st.lists(sizes, max_size=12),
    st.lists(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), min_size=1, max_size=3),
             max_size=3),
    st.integers(),
)  # fmt: skip
def test_nothing_is_overcommitted_and_nothing_startable_is_left(
    jobs: list[tuple[int, int, int]], clusters: list[list[tuple[int, int]]], seed: int
) -> None:
    """After a round no node is over-used, no waiting job could start, and the answer is stable."""
    providers = [
        provider(n, tuple((cpus, 10_000, gpus) for cpus, gpus in nodes))
        for n, nodes in enumerate(clusters, 1)
    ]
    waiting = [job(n, definition(t, c, 10, g)) for n, (t, c, g) in enumerate(jobs, 1)]
    state = grid(*providers, jobs=tuple(waiting))
    placed = decide(state, NOW)
    random.Random(seed).shuffle(waiting)
    assert decide(grid(*providers[::-1], jobs=tuple(waiting)), NOW) == placed
    for placement in placed:
        state.begin(placement)
    for occupation in state.occupations.values():
        assert all(min(s.cpus, s.mem, s.gpus) >= 0 for s in occupation.spaces)
    for left in state.pending.values():
        assert all(state.why_not(left, one, NOW) for one in state.providers.values())


def test_a_long_queue_on_a_full_grid_costs_little() -> None:
    """20,000 waiting jobs of different sizes and no free CPU: the round is over at once."""
    running = job(1, definition(1, 8), status=JobStatus.RUNNING, on=address(1))
    waiting = tuple(job(n, definition(1, 1 + n % 4, n)) for n in range(2, 20_002))
    state = grid(provider(1), jobs=(running, *waiting))
    begin = time.perf_counter()
    assert decide(state, NOW) == []
    assert time.perf_counter() - begin < 0.5
