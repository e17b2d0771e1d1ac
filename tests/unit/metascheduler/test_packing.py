"""Whole-job fit over nodes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.metascheduler.packing import Space, pack
from dsq.core.model import JobDefinition

from .grids import definition


def spaces(*nodes: tuple[int, int, int]) -> list[Space]:
    return [Space(*node) for node in nodes]


@pytest.mark.parametrize(
    ("needs", "nodes", "fit"),
    [
        (definition(1, 8), [(8, 800, 0)], True),
        (definition(1, 8), [(4, 800, 0), (4, 800, 0)], False),
        (definition(2, 4), [(4, 400, 0), (4, 400, 0)], True),
        (definition(3, 4), [(8, 800, 0), (3, 800, 0)], False),
        (definition(1, 1, 1000), [(8, 999, 0)], False),
        (definition(1, 1, 100, 4), [(8, 8000, 2), (8, 8000, 2)], False),
        (definition(2, 1, 100, 4), [(8, 8000, 2), (8, 8000, 2)], True),
        (definition(2, 1, 100, 1), [(1, 8000, 1), (1, 8000, 1)], False),
        (definition(2, 1, 100, 2), [(1, 8000, 2), (8, 8000, 0)], False),
        (definition(1, 1, 100, 1), [], False),
    ],
)
def test_a_job_fits_only_as_slurm_would_place_it(
    needs: JobDefinition, nodes: list[tuple[int, int, int]], fit: bool
) -> None:
    """A task lies on one node; a node that is used gives a task and, if asked for, a GPU."""
    assert (pack(needs, spaces(*nodes)) is not None) is fit


small = st.integers(0, 5)
node_lists = st.lists(st.tuples(small, st.integers(0, 6), st.integers(0, 4)), max_size=5)
needs_lists = st.builds(
    definition, st.integers(1, 6), st.integers(1, 2), st.integers(0, 2), st.integers(0, 6)
)


def brute_force(needs: JobDefinition, nodes: list[tuple[int, int, int]]) -> bool:
    """Tries every set of nodes."""
    free = spaces(*nodes)
    for size in range(1, len(nodes) + 1):
        for chosen in itertools.combinations(free, size):
            tasks = [one.tasks(needs) for one in chosen]
            gpus = [one.gpus for one in chosen]
            if min(tasks) < 1 or sum(tasks) < needs.ntasks or size > needs.ntasks:
                continue
            if needs.gpus and (min(gpus) < 1 or sum(gpus) < needs.gpus or size > needs.gpus):
                continue
            return True
    return False


@given(needs_lists, node_lists)
def test_pack_finds_room_exactly_when_there_is_some(
    needs: JobDefinition, nodes: list[tuple[int, int, int]]
) -> None:
    """On small clusters the answer is that of trying every set of nodes."""
    assert (pack(needs, spaces(*nodes)) is not None) == brute_force(needs, nodes)


@given(needs_lists, node_lists)
def test_shares_add_up_and_fit_their_nodes(
    needs: JobDefinition, nodes: list[tuple[int, int, int]]
) -> None:
    """Shares hold all tasks and GPUs of the job, none more than its node has."""
    free = spaces(*nodes)
    shares = pack(needs, free)
    if shares is None:
        return
    assert sum(share.tasks for share in shares) == needs.ntasks
    assert sum(share.gpus for share in shares) == needs.gpus
    assert len({share.node for share in shares}) == len(shares)
    for share in shares:
        assert 1 <= share.tasks <= free[share.node].tasks(needs)
        assert share.gpus <= free[share.node].gpus
        assert share.gpus or not needs.gpus


def test_a_search_that_would_take_for_ever_gives_up() -> None:
    """A cluster made to make the search explode gets an answer at once, and it is no."""
    nodes = [(i % 37 + 1, 10**6, 40 - i % 37) for i in range(400)]
    assert pack(definition(3_900, 1, 1, 9_000), spaces(*nodes)) is None
