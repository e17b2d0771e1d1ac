"""Checks a workflow while it is typed. The only place where the console meets ``dsq.sbatch``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsq.console.widgets.editor import Mark
from dsq.console.widgets.safe import one_line
from dsq.core.errors import UsageError, WorkflowError
from dsq.core.model import Affinity, JobDefinition, Label

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
    return Checked(
        workflow.to_wire(),
        lambda uses, affinity: workflow.definition(uses=uses, affinity=affinity),
    )


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
