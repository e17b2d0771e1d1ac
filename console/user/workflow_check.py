"""Checks a workflow while it is typed. The only place where the console meets ``dsq.sbatch``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsq.console.widgets.editor import Mark
from dsq.console.widgets.safe import one_line
from dsq.core.errors import UsageError, WorkflowError
from dsq.core.model import Affinity, JobDefinition, Label

if TYPE_CHECKING:
    from dsq.sbatch.workflow import Workflow

_PLACE = re.compile(r"line (\d+), column (\d+): ")
_PLAIN_LABEL = re.compile(r"[^=!<>:]+=[^=].*|[^=!<>:]+=")


@dataclass(frozen=True)
class Checked:
    """The outcome of a check.

    Attributes:
        wire: The workflow as the grid takes it; None if it is not valid.
        definition: Makes what the contract takes, from labels and affinities.
        problems: What is wrong, with places.
        empty: There is no text at all.
    """

    wire: Mapping[str, Any] | None = None
    definition: Callable[[Sequence[Label], Sequence[Affinity]], JobDefinition] | None = None
    problems: tuple[Mark, ...] = ()
    empty: bool = False


def check_workflow(text: str, source: str) -> Checked:
    """Checks the text of a workflow; runs in a thread, it may take a while the first time."""
    if not text.strip():
        return Checked(empty=True)
    from dsq.sbatch.workflow import load_workflow

    try:
        workflow = load_workflow(text, source=source)
    except WorkflowError as error:
        return Checked(problems=_marks(error))
    elsewhere = _for_the_command(workflow)
    if elsewhere:
        return Checked(problems=elsewhere)
    return Checked(
        workflow.to_wire(),
        lambda uses, affinity: workflow.definition(uses=uses, affinity=affinity),
    )


def _for_the_command(workflow: Workflow) -> tuple[Mark, ...]:
    """What only ``dsq submit`` can submit: more than one job, values, files of other places."""
    from dsq.sbatch.crosscheck import all_steps

    found: list[tuple[tuple[str | int, ...], str]] = []
    if workflow.sweep is not None:
        found.append(
            (("sweep",), "a sweep is many jobs: 'dsq submit FILE' submits them as a group")
        )
    if workflow.secrets:
        words = "values of secrets are given with 'dsq submit FILE --secret NAME=@FILE'"
        found.append((("secrets",), words))
    for placed in all_steps(workflow):
        if placed.step.use is not None and placed.step.use.module is None:
            path = (*placed.path, "use", "source")
            found.append((path, "modules are fetched by 'dsq submit FILE'"))
    return tuple(Mark(*(workflow.position(path) or (0, 0)), words) for path, words in found)


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


def parse_demands(text: str) -> tuple[tuple[Label, ...], tuple[Affinity, ...]]:
    """Reads ``gpu=a100 mem>=64000``: labels that must be there, and demands on labels.

    Raises:
        UsageError: A word is neither.
    """
    labels: list[Label] = []
    demands: list[Affinity] = []
    for word in text.replace(",", " ").split():
        if _PLAIN_LABEL.fullmatch(word):
            labels.append(Label.parse(word))
        else:
            try:
                demands.append(Affinity.parse(word))
            except UsageError:
                raise UsageError(
                    f"'{one_line(word, 40)}' is no label.",
                    hint="Write key=value, or an operator (!= < <= > >= :in:).",
                ) from None
    return tuple(labels), tuple(demands)
