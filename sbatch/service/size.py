"""Limits of a workflow's size, looked at before anything is made of it."""

from __future__ import annotations

from typing import Any

from dsq.sbatch.service.engine import DomainError
from dsq.sbatch.service.settings import ServiceSettings

STEP_LISTS = ("steps", "catch", "finally")


def limit_error(message: str) -> DomainError:
    """The workflow is larger than this service takes."""
    return DomainError([(message, {"type": "limit"})])


def check_size(job: dict[str, Any], settings: ServiceSettings) -> None:
    """Checks number of steps, depth and turns of loops.

    Whatever stands in a list under ``steps``, ``catch`` or ``finally`` counts as a step.

    Raises:
        DomainError: One is over its limit.
    """
    steps = turns = 0
    pending: list[tuple[Any, int, int]] = [(job, 0, 1)]
    while pending:
        current, depth, times = pending.pop()
        if isinstance(current, list):
            pending += [(value, depth, times) for value in current]
            continue
        if not isinstance(current, dict):
            continue
        loop = current.get("for")
        for name, value in current.items():
            inner, inside = depth, times
            if name in STEP_LISTS and isinstance(value, list):
                steps += len(value)
                inner = depth + 1
            elif value is loop and isinstance(loop, dict):
                inside = times * max(1, _turns(loop))
                turns += inside
            pending.append((value, inner, inside))
        if steps > settings.max_steps:
            raise limit_error(f"A workflow has at most {settings.max_steps} steps here.")
        if depth > settings.max_depth:
            raise limit_error(f"Steps lie at most {settings.max_depth} deep here.")
        if turns > settings.max_iterations:
            raise limit_error(
                f"All loops together turn at most {settings.max_iterations} times here, "
                "nested ones multiplied."
            )


def _turns(loop: dict[str, Any]) -> int:
    """How often a loop turns; rules of its fields are checked elsewhere."""
    between = loop.get("range")
    if isinstance(between, dict):
        begin, end = between.get("begin"), between.get("end")
        step = between.get("increment") or 1
        if isinstance(begin, int) and isinstance(end, int) and isinstance(step, int):
            return max(0, (end - begin) // step + 1)
    items = loop.get("items")
    return len(items) if isinstance(items, list) else 1
