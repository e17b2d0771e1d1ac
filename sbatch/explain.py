"""Says which lines of a script come from which field of the workflow.

A line comes from a field when it is another line once the field has another value: that is
found by rendering again with other values, so it holds whatever the templates look like.
Fields that stand at the same place of several steps are changed together, and each changed
line belongs to the step that it was rendered for; so a long workflow takes no more
renderings than a short one with the same kinds of steps.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dsq.core.errors import DsqError
from dsq.sbatch.model import Workflow
from dsq.sbatch.problems import Path, show_path
from dsq.sbatch.render.script import render
from dsq.sbatch.render.templating import MARK, marking

MAX_ELEMENTS = 20
"""Elements of a list that are told apart; the further ones are taken for its last."""

SHOWN = 8
"""Places in the script that a line of the table names."""

_STEP = re.compile(r"(.*(?:steps|catch|finally)\[\d+\])")
_STEPS = ("steps", "catch", "finally")


@dataclass(frozen=True, slots=True)
class Origin:
    """A field and the lines of the script that it makes or shapes.

    Attributes:
        path: The field.
        ranges: First and last lines, from 1.
        position: Line and column in the user's file, None without one.
    """

    path: Path
    ranges: tuple[tuple[int, int], ...]
    position: tuple[int, int] | None

    @property
    def field(self) -> str:
        """The field as people write it."""
        return show_path(self.path)

    @property
    def lines(self) -> str:
        """The lines: ``12, 40-45``; of many places the first ones and how many more."""
        shown = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in self.ranges[:SHOWN])
        more = len(self.ranges) - SHOWN
        return f"{shown} and {more} more" if more > 0 else shown

    def place(self, file: str) -> str:
        """``FILE:LINE:COLUMN``, "" without a position."""
        return f"{file}:{self.position[0]}:{self.position[1]}" if self.position else ""

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        line, column = self.position or (None, None)
        return {
            "path": list(self.path),
            "field": self.field,
            "lines": [list(each) for each in self.ranges],
            "line": line,
            "column": column,
        }


def explained(workflow: Workflow) -> list[Origin]:
    """The fields of a workflow with the lines that they make, in the order of the lines.

    Raises:
        InvalidWorkflow: The workflow cannot be rendered.
    """
    data = workflow.to_wire()
    lines, owners = _owned_lines(workflow)
    found: dict[Path, list[int]] = {}
    for paths in _groups(data).values():
        changed = _changed(data, paths, lines)
        for path in paths:
            step = _step_of(path)
            # A field of the job may shape lines of any step, one of a step its own alone.
            mine = [number for number in changed if not step or owners[number] == step]
            if mine:
                found[path] = mine
    origins = [
        Origin(path, _ranges(numbers), workflow.position(path)) for path, numbers in found.items()
    ]
    return sorted(origins, key=lambda each: (each.ranges, each.field))


def _owned_lines(workflow: Workflow) -> tuple[list[str], list[str]]:
    """The script's lines, and of each the step that it was rendered for ("" for none)."""
    with marking():
        marked = render(workflow).split("\n")
    lines: list[str] = []
    owners: list[str] = []
    stack = [""]
    for line in marked:
        if line == MARK:
            stack.pop()
        elif line.startswith(MARK):
            match = _STEP.match(line[1:])
            stack.append(match[1] if match else "")
        else:
            lines.append(line)
            owners.append(stack[-1])
    return lines, owners


def _groups(data: Mapping[str, Any]) -> dict[Path, list[Path]]:
    """The workflow's values, by their place in their step: those are changed together."""
    groups: dict[Path, list[Path]] = {}
    for path in _leaves(data, ()):
        groups.setdefault(_in_step(path), []).append(path)
    return groups


def _leaves(value: Any, path: Path) -> Iterator[Path]:
    """Paths of scalars; a list of scalars counts as one."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, (*path, name))
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    elif not isinstance(value, list) or value:
        yield path


def _split(path: Path) -> int:
    """Where in a path the part inside its innermost step begins; 0 outside of steps."""
    at = 0
    for index in range(1, len(path)):
        if isinstance(path[index], int) and path[index - 1] in _STEPS:
            at = index + 1
    return at


def _step_of(path: Path) -> str:
    at = _split(path)
    return show_path(path[:at]) if at else ""


def _in_step(path: Path) -> Path:
    at = _split(path)
    inside = tuple(min(part, MAX_ELEMENTS) if isinstance(part, int) else part for part in path[at:])
    return ("steps", *inside) if at else inside


def _changed(data: Mapping[str, Any], paths: Sequence[Path], lines: Sequence[str]) -> list[int]:
    """Numbers of the lines, from 0, that are others when these fields are."""
    for alter in (_other, _nothing):
        other = copy.deepcopy(dict(data))
        for path in paths:
            alter(other, path)
        try:
            text = render(Workflow.model_validate(other))
        except (ValidationError, DsqError, KeyError, ValueError):
            continue
        matcher = difflib.SequenceMatcher(None, lines, text.split("\n"), autojunk=False)
        return [
            number
            for tag, first, last, _, _ in _opcodes(matcher, lines, text)
            if tag != "equal"
            for number in range(first, last)
        ]
    return []


def _opcodes(
    matcher: difflib.SequenceMatcher[str], lines: Sequence[str], text: str
) -> list[tuple[str, int, int, int, int]]:
    """The differences; of texts of as many lines without searching, which long ones forbid."""
    others = text.split("\n")
    if len(others) != len(lines):
        return list(matcher.get_opcodes())
    return [
        ("replace", number, number + 1, number, number + 1)
        for number, (one, other) in enumerate(zip(lines, others, strict=True))
        if one != other
    ]


def _other(data: Any, path: Path) -> None:
    """Gives a field another value of its kind."""
    for part in path[:-1]:
        data = data[part]
    value = data[path[-1]]
    if isinstance(value, bool):
        data[path[-1]] = not value
    elif isinstance(value, int):
        data[path[-1]] = value + 1
    elif isinstance(value, str):
        data[path[-1]] = value.replace("\n", "0\n") + "0"  # Each of its lines becomes another.
    elif isinstance(value, list):
        data[path[-1]] = [*value[1:], f"{value[0]}0"]


def _nothing(data: Any, path: Path) -> None:
    """Takes a field away."""
    for part in path[:-1]:
        data = data[part]
    del data[path[-1]]


def _ranges(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number + 1, number + 1))
    return tuple(found)
