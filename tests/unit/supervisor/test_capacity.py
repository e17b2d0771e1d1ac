"""What fits now, and what never does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.model import JobDefinition
from dsq.supervisor.capacity import Room, claimable, never_runs
from dsq.supervisor.scheduler.port import ClusterInfo, Free, Node, NodeFree


def free(*nodes: tuple[int, int, int]) -> Free:
    return Free(tuple(NodeFree(f"n{i}", *node) for i, node in enumerate(nodes)))


def job(ntasks: int = 1, cpus: int = 1, mem: int = 100, gpus: int = 0) -> JobDefinition:
    return JobDefinition(ntasks, cpus, mem, gpus)


@pytest.mark.parametrize(
    ("nodes", "wanted", "fits"),
    [
        ([(4, 4000, 0)], job(4), True),
        ([(4, 4000, 0)], job(5), False),
        ([(4, 4000, 0), (4, 4000, 0)], job(2, cpus=4), True),
        ([(4, 4000, 0), (4, 4000, 0)], job(1, cpus=8), False),
        ([(4, 100, 0)], job(1, mem=200), False),
        ([(4, 4000, 1), (4, 4000, 1)], job(1, gpus=2), True),
        ([(4, 4000, 1)], job(1, gpus=2), False),
        ([], job(), False),
    ],
)
def test_what_fits_now(
    nodes: list[tuple[int, int, int]], wanted: JobDefinition, fits: bool
) -> None:
    """Tasks do not span nodes; memory counts for each CPU; GPUs count for the whole job."""
    assert Room.of_free(free(*nodes)).put(wanted) is fits


def test_jobs_with_gpus_do_not_lose_their_place_to_others() -> None:
    """A job without GPUs is put where there are none."""
    room = Room.of_free(free((2, 1000, 2), (2, 1000, 0)))
    assert room.put(job(2))
    assert room.put(job(2, gpus=2))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (job(cpus=5), "a task needs 5 CPUs on one node, the largest has 4"),
        (job(cpus=4, mem=2000), "a task needs 8000 MB on one node, the largest has 4000"),
        (job(9), "it has 9 tasks, 8 of them fit on the cluster"),
        (job(gpus=3), "it needs 3 GPUs, the cluster has 2"),
        (job(8, gpus=2), ""),
    ],
)
def test_what_never_fits(wanted: JobDefinition, words: str) -> None:
    """Only what Slurm itself could never do, with the number that is too high."""
    assert Room([(4, 4000, 2), (4, 4000, 0)]).never_fits(wanted) == words


def test_an_empty_cluster_says_nothing() -> None:
    """All nodes down is no reason to refuse for ever."""
    assert Room([]).never_fits(job()) == ""


@pytest.mark.parametrize(
    ("waiting", "offered", "ahead", "count"),
    [
        ([], [job(4), job(4), job(4)], 0, 2),
        ([job(4)], [job(4), job(4)], 0, 1),
        ([job(4), job(4)], [job(1)], 0, 0),
        ([], [job(4), job(4), job(4), job(4)], 1, 3),
        ([job(4), job(4), job(4)], [job(4)], 1, 0),
        ([], [], 5, 0),
    ],
)
def test_how_many_to_claim(
    waiting: list[JobDefinition], offered: list[JobDefinition], ahead: int, count: int
) -> None:
    """What fits beside the jobs on their way, and ``claim_ahead`` more in all."""
    assert claimable(free((4, 4000, 0), (4, 4000, 0)), waiting, offered, ahead) == count


@given(
    nodes=st.lists(
        st.tuples(st.integers(0, 8), st.integers(0, 4000), st.integers(0, 2)), max_size=4
    ),
    jobs=st.lists(
        st.builds(
            job, st.integers(1, 4), st.integers(1, 4), st.integers(1, 500), st.integers(0, 2)
        ),
        max_size=8,
    ),
)
def test_room_is_never_given_twice(
    nodes: list[tuple[int, int, int]], jobs: list[JobDefinition]
) -> None:
    """Whatever is put in, the sums stay within what there was."""
    room = Room(nodes)
    taken = [wanted for wanted in jobs if room.put(wanted)]
    assert sum(wanted.cpus for wanted in taken) <= sum(node[0] for node in nodes)
    assert sum(wanted.mem for wanted in taken) <= sum(node[1] for node in nodes)
    assert sum(wanted.gpus for wanted in taken) <= sum(node[2] for node in nodes)
    for wanted in taken:
        assert Room(nodes).never_fits(wanted) == ""


def partition(**limits: int) -> ClusterInfo:
    """Two nodes of four CPUs, of which one is down."""
    both = (Node("n1", 4, 4000, 1), Node("n2", 4, 4000, 1))
    return ClusterInfo(both[:1], "main", 60, "slurm", configured=both, **limits)


@pytest.mark.parametrize(
    ("wanted", "limits", "words"),
    [
        (job(8), {}, ""),
        (job(9), {}, "it has 9 tasks, 8 of them fit on the cluster"),
        (job(8), {"max_nodes": 1}, "it needs 2 nodes, a job can have 1 here"),
        (job(2, gpus=2), {"max_nodes": 1}, "it needs 2 nodes, a job can have 1 here"),
        (job(4), {"max_nodes": 1}, ""),
        (job(cpus=4), {"max_cpus_per_node": 3}, "a task needs 4 CPUs on one node, the largest"),
        (job(mem=3000), {"max_mem_per_node": 2000}, "a task needs 3000 MB on one node"),
    ],
)
def test_what_a_partition_can_never_run(
    wanted: JobDefinition, limits: dict[str, int], words: str
) -> None:
    """Nodes that are down now count, the partition's limits too."""
    why = never_runs(wanted, partition(**limits))
    assert why.startswith(words) if words else why == ""


def test_a_partition_that_starts_nothing_gets_no_claims() -> None:
    """However many the settings let wait ahead."""
    assert claimable(Free(closed="the partition main is DOWN"), [], [job()], 5) == 0
    assert claimable(Free(), [], [job()], 5) == 1
