"""The steps of a job in its output, by the markers that the script writes (docs/workflow.md).

``--> path`` begins a step, ``Running: name`` behind it names it, ``<-- path ok (3 s)`` ends it, and
they nest. A program can print such lines, too: then it folds its own output, no more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_BEGIN = re.compile(r"--> (\S+)(.*)")
_END = re.compile(r"<-- (\S+) ((?:ok|failed with \d+)\b.*)")
_RESULT = re.compile(r"(?:ok|failed with (\d{1,9})) \((\d{1,12}) s\)", re.ASCII)
_NAME = re.compile(r"Running: (.*)")

DEEPEST = 64
"""Steps deeper than this are told from each other no more."""

Key = tuple[str, str, int]
"""Whose output it is, the step's path, and which one of that path, from 0."""


@dataclass(slots=True)
class Step:
    """One run of a step.

    Attributes:
        path: Its place in the workflow, as in ``steps[1].for.steps[0]``.
        depth: How many steps it is in.
        begun: Number of the line that began it.
        nth: How many runs of the same path came before it.
        name: What the workflow calls it.
        result: How it ended and how long it took (``failed with 3 (0 s)``); "" before its end.
        lines: Lines of output in it, markers left out.
    """

    path: str
    depth: int
    begun: int
    nth: int
    name: str = ""
    result: str = ""
    lines: int = 0

    @property
    def title(self) -> str:
        """Its path and name."""
        return f"{self.path} {self.name}".rstrip()

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None before its end, or where that was not told."""
        found = _RESULT.fullmatch(self.result)
        return int(found[1] or 0) if found else None

    @property
    def seconds(self) -> int | None:
        """How long it took; None where that was not told."""
        found = _RESULT.fullmatch(self.result)
        return int(found[2]) if found else None


@dataclass(slots=True)
class Taken:
    """What a line is.

    Attributes:
        begins: The step that it begins.
        ends: The step that it ends.
        names: The step whose name it tells.
    """

    begins: Step | None = None
    ends: Step | None = None
    names: Step | None = None


_PLAIN = Taken()


@dataclass(slots=True)
class StepReader:
    """Reads the output of one job, a line at a time.

    Attributes:
        open: The steps that the next line is in, the outermost first.
    """

    open: list[Step] = field(default_factory=list)
    _runs: dict[str, int] = field(default_factory=dict)
    _unnamed: Step | None = None

    def take(self, number: int, plain: str) -> Taken:
        """Takes the next line: its number, and its text without colours."""
        unnamed, self._unnamed = self._unnamed, None
        if plain.startswith("--> ") and len(self.open) < DEEPEST:
            found = _BEGIN.fullmatch(plain)
            if found is not None:
                return Taken(begins=self._begin(number, found))
        if plain.startswith("<-- "):
            found = _END.fullmatch(plain)
            if found is not None and any(step.path == found[1] for step in self.open):
                return Taken(ends=self._end(found))
        for step in self.open:
            step.lines += 1
        if unnamed is not None and (name := _NAME.fullmatch(plain)):
            unnamed.name = name[1]
            return Taken(names=unnamed)
        return _PLAIN

    def _begin(self, number: int, found: re.Match[str]) -> Step:
        path = found[1]
        nth = self._runs.get(path, 0)
        self._runs[path] = nth + 1
        step = Step(path, len(self.open), number, nth, name=found[2].strip())
        self._unnamed = None if step.name else step
        self.open.append(step)
        return step

    def _end(self, found: re.Match[str]) -> Step:
        """Closes a step, and whatever in it was left open."""
        while True:
            step = self.open.pop()
            if step.path == found[1]:
                step.result = found[2]
                return step
            step.result = "ended with the step around it"
