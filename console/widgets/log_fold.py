"""A log with its steps as headers, open or folded to that one line."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from dsq.console.steps import Key, Step, StepReader
from dsq.console.widgets.log_buffer import BufferLine, LogBuffer, Source
from dsq.console.widgets.safe import plain_line

OPEN, FOLDED = "▾", "▸"
"""Marks before the header of a step."""


@dataclass
class Folds:
    """Which steps are open, for as long as a log is open.

    Attributes:
        level: How many levels of steps are open; None for all.
        turned: Steps that are the other way round.
        revision: Grows with each change.
    """

    level: int | None = None
    turned: set[Key] = field(default_factory=set)
    revision: int = 0

    def is_open(self, key: Key, depth: int) -> bool:
        """Whether the lines of a step are shown."""
        return (self.level is None or depth < self.level) != (key in self.turned)

    def turn(self, key: Key) -> None:
        """Folds an open step, opens a folded one."""
        self.turned ^= {key}
        self.revision += 1

    def at_level(self, level: int | None) -> None:
        """Opens so many levels, all steps alike."""
        self.level = level
        self.turned.clear()
        self.revision += 1


@dataclass(slots=True)
class Head:
    """The line that stands for a step."""

    step: Step
    key: Key
    source: Source | None
    timestamp_ns: int
    is_open: bool

    def line(self) -> BufferLine:
        """Its words: name, how it ended, how long it took; how much a folded one hides."""
        step = self.step
        rest = f": {step.result}" if step.result else " …"
        if not self.is_open:
            rest += f", {step.lines:,} line{'' if step.lines == 1 else 's'}"
        mark = OPEN if self.is_open else FOLDED
        text = f"\x1b[1m{mark} {step.title}\x1b[0m{rest}"
        return BufferLine(text, self.timestamp_ns, self.source)


class FoldedLog:
    """What is shown of a log: headers of steps, and the lines of those that are open.

    Has the face of :class:`LogBuffer`, with numbers of its own.

    Args:
        base: The whole log.
        folds: Which steps are open.

    Attributes:
        depth: The deepest level that was seen.
        rewritten: Grows when a line that was shown has changed: a step has ended.
    """

    def __init__(self, base: LogBuffer, folds: Folds | None = None) -> None:
        self.base = base
        self.folds = folds if folds is not None else Folds()
        self.first = 0
        self.depth = 0
        self.rewritten = 0
        self._next = base.first
        self._shown: list[int] = []
        self._heads: dict[int, Head] = {}
        self._of: dict[int, Head] = {}
        self._readers: dict[Source | None, StepReader] = {}

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
        """The line with this number; a step's first one is its header."""
        at = self._shown[number - self.first]
        head = self._heads.get(at)
        return head.line() if head is not None else self.base.line(at)

    def find(self, needle: str, start: int, end: int) -> list[int]:
        """Numbers of the shown lines that hold ``needle``, any case."""
        folded = needle.casefold()
        numbers = range(max(start, self.first), min(end, self.end))
        return [each for each in numbers if folded and folded in self.line(each).plain.casefold()]

    # -- steps ------------------------------------------------------------------------------

    @property
    def has_steps(self) -> bool:
        """There is something to fold."""
        return bool(self._heads)

    def head(self, number: int) -> Head | None:
        """The header that stands in this line, if one does."""
        return self._heads.get(self._shown[number - self.first])

    def place_of(self, base_number: int) -> int:
        """Where a line of the whole log stands here, or the next one that is shown."""
        return self.first + bisect_left(self._shown, base_number)

    def base_of(self, number: int) -> int:
        """The number of a line in the whole log."""
        return self._shown[number - self.first]

    def next_head(self, base_number: int, step: int) -> Head | None:
        """The next shown header behind a line of the whole log, or before it."""
        shown = [at for at in self._heads if at > base_number] if step > 0 else []
        if step < 0:
            shown = [at for at in self._heads if at < base_number]
        if not shown:
            return None
        return self._heads[min(shown) if step > 0 else max(shown)]

    # -- taking over --------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Takes over what has come to the whole log."""
        self._forget()
        for number in range(max(self._next, self.base.first), self.base.end):
            self._take(number, self.base.line(number))
        self._next = self.base.end

    def _forget(self) -> None:
        """Drops what the log itself no longer keeps."""
        gone = bisect_left(self._shown, self.base.first)
        for at in self._shown[:gone]:
            self._heads.pop(at, None)
        del self._shown[:gone]
        self.first += gone

    def _take(self, number: int, line: BufferLine) -> None:
        reader = self._readers.get(line.source)
        if reader is None:
            reader = self._readers[line.source] = StepReader()
        # Every step that is open in the output has its header, shown or not.
        hidden = any(not self._of[step.begun].is_open for step in reader.open)
        text = line.text
        taken = reader.take(number, plain_line(text) if "\x1b" in text else text)
        if taken.begins is not None:
            self._begin(taken.begins, line)
            if not hidden:
                self._heads[number] = self._of[number]
                self._shown.append(number)
            return
        if taken.ends is not None:
            # What was left open in it has ended, too.
            hidden = any(not self._of[step.begun].is_open for step in reader.open)
            hidden = hidden or not self._of.pop(taken.ends.begun).is_open
            self.rewritten += taken.ends.begun in self._heads
        elif taken.names is not None:
            self.rewritten += taken.names.begun in self._heads
        if not hidden:
            self._shown.append(number)

    def _begin(self, step: Step, line: BufferLine) -> None:
        whose = line.source.label if line.source is not None else ""
        key = (whose, step.path, step.nth)
        is_open = self.folds.is_open(key, step.depth)
        self._of[step.begun] = Head(step, key, line.source, line.timestamp_ns, is_open)
        self.depth = max(self.depth, step.depth + 1)
