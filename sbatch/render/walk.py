"""Walking over all steps of a workflow, those of its modules included."""

from __future__ import annotations

from collections.abc import Iterator

from dsq.sbatch.model import Step, Workflow
from dsq.sbatch.problems import Path


def every_step(workflow: Workflow) -> Iterator[Step]:
    """Yields every step that is rendered, outer before inner, in order."""
    return (step for _, step in placed_steps(workflow))


def placed_steps(workflow: Workflow) -> Iterator[tuple[Path, Step]]:
    """Yields every step that is rendered, with its path from the root."""
    pending = list(reversed(_placed(("steps",), workflow.steps)))
    while pending:
        path, step = pending.pop()
        yield path, step
        inside = _placed((*path, "steps"), step.steps)
        if step.for_ is not None:
            inside += _placed((*path, "for", "steps"), step.for_.steps)
        if step.launch is not None:
            inside += _placed((*path, "launch", "steps"), step.launch.steps)
        if step.use is not None and step.use.module is not None:
            inside += _placed((*path, "use", "module", "steps"), step.use.module.steps)
        inside += _placed((*path, "catch"), step.catch)
        inside += _placed((*path, "finally"), step.finally_)
        pending += reversed(inside)


def _placed(path: Path, steps: list[Step] | None) -> list[tuple[Path, Step]]:
    return [((*path, index), step) for index, step in enumerate(steps or ())]
