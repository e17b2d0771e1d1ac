"""Checks a workflow while it is typed, as ``dsq submit`` does before it sends it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsq.console.widgets.editor import Mark
from dsq.console.widgets.safe import one_line
from dsq.core.errors import DsqError, UnreachableError, WorkflowError
from dsq.core.model import Affinity, JobDefinition, Label

if TYPE_CHECKING:
    from dsq.sbatch.workflow import Workflow

_PLACE = re.compile(r"line (\d+), column (\d+): ")
_USE = re.compile(r"\buse\b")


@dataclass(frozen=True)
class Checked:
    """The outcome of a check.

    Attributes:
        workflow: The workflow with its modules; None if it is not valid.
        problems: What is wrong, with places.
        empty: There is no text at all.
        away: Why modules are not looked at yet; they are fetched before the last page.
        jobs: How many jobs it makes: more than one for a sweep.
        modules: Modules that it may use: those that are at hand, with what they do.
    """

    workflow: Workflow | None = None
    problems: tuple[Mark, ...] = ()
    empty: bool = False
    away: str = ""
    jobs: int = 1
    modules: tuple[tuple[str, str], ...] = ()

    def definition(self, uses: Sequence[Label], affinity: Sequence[Affinity]) -> JobDefinition:
        """What the contract takes; the workflow must be valid."""
        assert self.workflow is not None
        return self.workflow.definition(uses=uses, affinity=affinity)


def check_workflow(
    text: str, source: str, *, path: Path | None = None, fetch: bool = False
) -> Checked:
    """Checks the text of a workflow; runs in a thread, it may take a while the first time.

    Args:
        text: The text.
        source: What problems call it.
        path: The file it is from: paths of modules are relative to it, else to where we are.
        fetch: Ask other hosts for modules that are neither files nor in the cache.
    """
    if not text.strip():
        return Checked(empty=True)
    from dsq.console.workflow_files import completed, known_modules
    from dsq.sbatch.workflow import load_workflow

    folder = path.absolute().parent if path is not None else Path.cwd()
    modules = tuple(known_modules(folder)) if _USE.search(text) else ()
    try:
        workflow = load_workflow(text, source=source)
    except WorkflowError as error:
        return Checked(problems=_marks(error), modules=modules)
    away = ""
    try:
        file = str(path) if path is not None else "-"
        workflow = asyncio.run(completed(workflow, file, fetch=fetch))
    except UnreachableError as error:
        if fetch:
            return Checked(problems=_module_marks(workflow, error), modules=modules)
        away = error.message
    except WorkflowError as error:
        problems = _marks(error) if error.problems else _module_marks(workflow, error)
        return Checked(problems=problems, modules=modules)
    except DsqError as error:
        return Checked(problems=_module_marks(workflow, error), modules=modules)
    return Checked(workflow, away=away, jobs=_jobs(workflow), modules=modules)


def _jobs(workflow: Workflow) -> int:
    from dsq.sbatch.expand import count

    return count(workflow.sweep) if workflow.sweep is not None else 1


def module_sources(workflow: Workflow) -> list[str]:
    """The modules that a workflow itself names, in order."""
    from dsq.sbatch.crosscheck import all_steps

    return [placed.step.use.source for placed in all_steps(workflow) if placed.step.use is not None]


def _module_marks(workflow: Workflow, error: DsqError) -> tuple[Mark, ...]:
    """What is wrong with a module, at the line that names it."""
    from dsq.sbatch.crosscheck import all_steps

    uses = [placed for placed in all_steps(workflow) if placed.step.use is not None]
    named = [each for each in uses if each.step.use and _stem(each.step.use.source) in str(error)]
    path = (*(named or uses)[0].path, "use", "source")
    return (Mark(*(workflow.position(path) or (0, 0)), one_line(error.message, 300)),)


def _stem(source: str) -> str:
    return source.partition("@")[0].removeprefix("./").removeprefix("../")


def _marks(error: WorkflowError) -> tuple[Mark, ...]:
    marks = []
    for problem in error.problems or (error.message,):
        place = _PLACE.match(problem)
        if place:
            line, column = int(place.group(1)), int(place.group(2))
            marks.append(Mark(line, column, one_line(problem[place.end() :], 300)))
        else:
            marks.append(Mark(0, 0, one_line(problem, 300)))
    return tuple(marks)
