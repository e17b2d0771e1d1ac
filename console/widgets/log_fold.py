"""A log with its steps folded, by the markers that the script writes (docs/workflow.md).

``--> path`` begins a step, ``<-- path ok (3 s)`` ends it, and they nest. A program can print such
lines, too: then it folds its own output, no more.
"""

from __future__ import annotations

import re

from dsq.console.widgets.log_buffer import BufferLine, LogBuffer

_BEGIN = re.compile(r"(\d+│ )?--> (\S+)(.*)")
_END = re.compile(r"(\d+│ )?<-- (\S+) ((?:ok|failed with \d+)\b.*)")

DEEPEST = 64
"""Steps deeper than this are told from each other no more."""


class FoldedLog:
    """What is shown of a log when steps below a level are one line each.

    Has the face of :class:`LogBuffer`, with numbers of its own.

    Args:
        base: The whole log.
        level: How many levels of steps are open; 0 folds every step.

    Attributes:
        depth: The deepest level that was seen.
        rewritten: Grows when a line that was shown has changed: a folded step has ended.
    """

    def __init__(self, base: LogBuffer, level: int) -> None:
        self.base = base
        self.level = level
        self.first = 0
        self.depth = 0
        self.rewritten = 0
        self._next = base.first
        self._shown: list[int] = []
        self._headers: dict[int, BufferLine] = {}
        self._open: dict[str, list[tuple[str, int]]] = {}
        self._inside: dict[str, int] = {}

    @property
    def revision(self) -> int:
        """Changes when lines have come; they are taken over by asking."""
        self.catch_up()
        return self.base.revision

    @property
    def end(self) -> int:
        return self.first + len(self._shown)

    def __len__(self) -> int:
        return len(self._shown)

    def line(self, number: int) -> BufferLine:
        """The line with this number; a folded step's is its first, with how it ended."""
        at = self._shown[number - self.first]
        return self._headers.get(at) or self.base.line(at)

    def find(self, needle: str, start: int, end: int) -> list[int]:
        """Numbers of the shown lines that hold ``needle``, any case."""
        folded = needle.casefold()
        numbers = range(max(start, self.first), min(end, self.end))
        return [each for each in numbers if folded and folded in self.line(each).plain.casefold()]

    def catch_up(self) -> None:
        """Takes over what has come to the whole log."""
        self._forget()
        for number in range(max(self._next, self.base.first), self.base.end):
            self._take(number, self.base.line(number))
        self._next = self.base.end

    def _forget(self) -> None:
        """Drops what the log itself no longer keeps."""
        gone = 0
        while gone < len(self._shown) and self._shown[gone] < self.base.first:
            self._headers.pop(self._shown[gone], None)
            gone += 1
        del self._shown[:gone]
        self.first += gone

    def _take(self, number: int, line: BufferLine) -> None:
        plain = line.plain
        begin, end = _BEGIN.fullmatch(plain), _END.fullmatch(plain)
        whose = begin or end or _whose(plain)
        prefix = (whose[1] or "") if whose is not None else ""
        stack = self._open.setdefault(prefix, [])
        if begin is not None and len(stack) < DEEPEST:
            if len(stack) <= self.level:
                self._shown.append(number)
            if len(stack) == self.level:
                self._inside[prefix] = 0
                words = f"{prefix}▸ {begin[2]}{begin[3]} …"
                self._headers[number] = BufferLine(words, line.timestamp_ns)
            stack.append((begin[2], number))
            self.depth = max(self.depth, len(stack))
        elif end is not None and any(path == end[2] for path, _ in stack):
            self._end(number, prefix, stack, end)
        elif len(stack) <= self.level:
            self._shown.append(number)
        else:
            self._inside[prefix] = self._inside.get(prefix, 0) + 1

    def _end(
        self,
        number: int,
        prefix: str,
        stack: list[tuple[str, int]],
        end: re.Match[str],
    ) -> None:
        """Closes a step, and whatever in it was left open."""
        begun = number
        while stack:
            path, begun = stack.pop()
            if path == end[2]:
                break
        if len(stack) < self.level:
            self._shown.append(number)
        elif len(stack) == self.level and begun in self._headers:
            lines = self._inside.get(prefix, 0)
            words = f"{prefix}▸ {end[2]} {end[3]}, {lines:,} line{'' if lines == 1 else 's'}"
            self._headers[begun] = BufferLine(words, self._headers[begun].timestamp_ns)
            self.rewritten += 1


def deepest(base: LogBuffer) -> int:
    """How deep the steps of a log are nested; 0 without markers."""
    whole = FoldedLog(base, DEEPEST)
    whole.catch_up()
    return whole.depth


def _whose(plain: str) -> re.Match[str] | None:
    return re.match(r"(\d+│ )", plain)
