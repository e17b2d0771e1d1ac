"""Sweeps: the jobs that one workflow makes.

The client expands a sweep before it submits; the service and the chain know single jobs
only, and their names show that they are one group (:mod:`dsq.core.groups`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dsq.sbatch.model import EnvVar, ForRange, Sweep, SweepParameter, Workflow
from dsq.sbatch.model.sweep import ZIP

MAX_JOBS = 1000
"""Most jobs of one sweep."""

INDEX = "SWEEP_INDEX"
COUNT = "SWEEP_COUNT"


@dataclass(frozen=True, slots=True)
class Point:
    """One job of a sweep.

    Attributes:
        index: Its number, from 1.
        count: How many jobs the sweep has.
        values: The parameters' values, by name.
        workflow: The job: without the sweep, the values at the end of its ``env``.
    """

    index: int
    count: int
    values: dict[str, str]
    workflow: Workflow


def range_values(span: ForRange) -> range:
    """The numbers of a range, both ends included (reference, section 2)."""
    step = span.increment or 1
    return range(span.begin, span.end + (1 if step > 0 else -1), step)


def sizes(sweep: Sweep) -> list[int]:
    """How many values each parameter has."""
    return [len(_values(parameter)) for parameter in sweep.parameters]


def count(sweep: Sweep) -> int:
    """How many jobs the sweep makes."""
    numbers = sizes(sweep)
    return min(numbers) if sweep.combine == ZIP else math.prod(numbers)


def expand(workflow: Workflow) -> Iterator[Point]:
    """Yields the jobs of a checked workflow: one for each point of its sweep, or itself alone."""
    sweep = workflow.sweep
    if sweep is None:
        yield Point(1, 1, {}, workflow)
        return
    names = [parameter.name for parameter in sweep.parameters]
    columns = [_values(parameter) for parameter in sweep.parameters]
    rows = zip(*columns, strict=True) if sweep.combine == ZIP else itertools.product(*columns)
    total = count(sweep)
    for index, row in enumerate(rows, start=1):
        values = {name: str(value) for name, value in zip(names, row, strict=True)}
        added = {**values, INDEX: str(index), COUNT: str(total)}
        env = [*(workflow.env or ()), *(EnvVar(key=key, value=added[key]) for key in added)]
        job = workflow.model_copy(update={"env": env, "sweep": None})
        yield Point(index, total, values, job)


def _values(parameter: SweepParameter) -> Sequence[str] | range:
    if parameter.range is not None:
        return range_values(parameter.range)
    return parameter.values or ()
