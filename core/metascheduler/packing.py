"""Whole-job fit: tasks and GPUs of one job, packed over the nodes of a provider.

The rules are those of Slurm for ``--ntasks --cpus-per-task --mem-per-cpu --gpus``: a
task lies on one node with all its CPUs and memory, a node that is used holds at least
one task and, if the job wants GPUs, gives at least one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsq.core.model import JobDefinition

SEARCH_LIMIT = 20_000
"""Steps the exact search may take before it gives up and answers "does not fit"."""


@dataclass(slots=True)
class Space:
    """What is free on one node (memory in MB). Negative where more is used than there is."""

    cpus: int
    mem: int
    gpus: int

    def tasks(self, definition: JobDefinition) -> int:
        """How many tasks of a job this node could hold."""
        mem_per_task = definition.cpus_per_task * definition.mem_per_cpu
        by_cpus = self.cpus // max(definition.cpus_per_task, 1)
        by_mem = self.mem // mem_per_task if mem_per_task else by_cpus
        return max(0, min(by_cpus, by_mem))


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a job that lies on one node."""

    node: int
    tasks: int
    gpus: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    node: int
    tasks: int
    gpus: int


def pack(definition: JobDefinition, spaces: Sequence[Space]) -> tuple[Share, ...] | None:
    """Finds room for a whole job.

    Nodes are chosen greedily, those first that cover most of the job; where that fails
    although there would be enough in sum, every choice is searched (up to a limit).

    Args:
        definition: What the job needs.
        spaces: What is free, one entry a node.

    Returns:
        The job's shares, or None when it does not fit.
    """
    candidates = _candidates(definition, spaces)
    if not _enough(definition, candidates):
        return None
    chosen = _greedy(definition, candidates)
    if chosen is None:
        chosen = _search(definition, candidates)
    return None if chosen is None else _shares(definition, chosen)


def fits(definition: JobDefinition, spaces: Sequence[Space]) -> bool:
    """Whether :func:`pack` finds room."""
    return pack(definition, spaces) is not None


def _candidates(definition: JobDefinition, spaces: Sequence[Space]) -> list[_Candidate]:
    """Nodes that could hold at least one task, with what of them the job could use."""
    found = []
    for node, space in enumerate(spaces):
        gpus = min(max(space.gpus, 0), definition.gpus)
        if definition.gpus and not gpus:
            continue
        tasks = min(space.tasks(definition), definition.ntasks)
        if tasks:
            found.append(_Candidate(node, tasks, gpus))
    return found


def _enough(definition: JobDefinition, chosen: Sequence[_Candidate]) -> bool:
    return (
        sum(one.tasks for one in chosen) >= definition.ntasks
        and sum(one.gpus for one in chosen) >= definition.gpus
    )


def _most_nodes(definition: JobDefinition) -> int:
    """A used node holds a task, and a GPU if the job wants any: no more nodes than those."""
    return min(definition.ntasks, definition.gpus) if definition.gpus else definition.ntasks


def _greedy(definition: JobDefinition, candidates: Sequence[_Candidate]) -> list[_Candidate] | None:
    """The roomiest nodes first, which keeps a job together."""

    def score(one: _Candidate) -> float:
        gpus = one.gpus / definition.gpus if definition.gpus else 0.0
        return one.tasks / definition.ntasks + gpus

    chosen: list[_Candidate] = []
    tasks, gpus = definition.ntasks, definition.gpus
    for one in sorted(candidates, key=lambda one: (-score(one), one.node)):
        chosen.append(one)
        tasks -= one.tasks
        gpus -= one.gpus
        if tasks <= 0 and gpus <= 0:
            return chosen
        if len(chosen) == _most_nodes(definition):
            break
    return None


def _search(definition: JobDefinition, candidates: Sequence[_Candidate]) -> list[_Candidate] | None:
    """Exact choice of at most :func:`_most_nodes` nodes, by (nodes, GPUs) -> most tasks."""
    most = _most_nodes(definition)
    table: dict[tuple[int, int], tuple[int, tuple[_Candidate, ...]]] = {(0, 0): (0, ())}
    steps = 0
    for one in candidates:
        for (count, gpus), (tasks, chosen) in list(table.items()):
            steps += 1
            if steps > SEARCH_LIMIT:
                return None
            if count == most:
                continue
            key = (count + 1, min(gpus + one.gpus, definition.gpus))
            held = min(tasks + one.tasks, definition.ntasks)
            if key not in table or table[key][0] < held:
                table[key] = (held, (*chosen, one))
                if held == definition.ntasks and key[1] == definition.gpus:
                    return [*chosen, one]
    return None


def _shares(definition: JobDefinition, chosen: Sequence[_Candidate]) -> tuple[Share, ...]:
    """Deals tasks and GPUs out: one of each a node, the rest node by node."""
    least_gpu = 1 if definition.gpus else 0
    tasks_left = definition.ntasks - len(chosen)
    gpus_left = definition.gpus - least_gpu * len(chosen)
    shares = []
    for one in chosen:
        tasks = min(one.tasks - 1, tasks_left)
        gpus = min(one.gpus - least_gpu, gpus_left)
        tasks_left -= tasks
        gpus_left -= gpus
        shares.append(Share(one.node, tasks + 1, gpus + least_gpu))
    return tuple(shares)
