"""The lines of one log, bounded in number and size, safe to show."""

from __future__ import annotations

from dataclasses import dataclass

from dsq.console.widgets.safe import plain_line, terminal_line

MAX_LINES = 100_000
MAX_CHARACTERS = 32_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """Whose line it is, where several logs are shown in one.

    Attributes:
        label: Printable words before each line.
        colour: Name of their style.
    """

    label: str
    colour: str = "foreground"


@dataclass(frozen=True, slots=True)
class BufferLine:
    """One kept line: cleaned text with its colours, when it was written, and whose it is."""

    text: str
    timestamp_ns: int
    source: Source | None = None

    @property
    def plain(self) -> str:
        """The text without colours, as it is shown."""
        text = plain_line(self.text)
        return text if self.source is None else f"{self.source.label}│ {text}"


class LogBuffer:
    """The newest lines of a log.

    Lines are numbered from 0 for the first that ever came; the buffer holds those from
    ``first`` to ``end`` (exclusive) and forgets the oldest when it is full.
    """

    rewritten = 0
    """Lines never change once they are here."""

    def __init__(self, max_lines: int = MAX_LINES, max_characters: int = MAX_CHARACTERS) -> None:
        self.max_lines = max_lines
        self.max_characters = max_characters
        self._lines: list[BufferLine] = []
        self._characters = 0
        self._carry = ""
        self.first = 0
        self.revision = 0

    @property
    def end(self) -> int:
        """Number after the newest line."""
        return self.first + len(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def append(self, data: bytes, timestamp_ns: int) -> None:
        """Adds what a program wrote: one line, or several."""
        text = data.decode("utf-8", "replace").removesuffix("\n")
        for raw in text.split("\n"):
            shown, self._carry = terminal_line(raw, self._carry)
            self._lines.append(BufferLine(shown, timestamp_ns))
            self._characters += len(shown)
        self._grown()

    def add(self, line: BufferLine) -> None:
        """Adds a line that was cleaned already."""
        self._lines.append(line)
        self._characters += len(line.text)
        self._grown()

    def _grown(self) -> None:
        self.revision += 1
        # Trimmed a tenth at a time: dropping single lines from a list would be quadratic.
        if len(self._lines) > self.max_lines * 1.1 or self._characters > self.max_characters * 1.1:
            self._trim()

    def _trim(self) -> None:
        drop = max(0, len(self._lines) - self.max_lines)
        kept = self._characters - sum(len(line.text) for line in self._lines[:drop])
        while kept > self.max_characters and drop < len(self._lines) - 1:
            kept -= len(self._lines[drop].text)
            drop += 1
        del self._lines[:drop]
        self._characters = kept
        self.first += drop

    def line(self, number: int) -> BufferLine:
        """The line with this number; it must be kept still."""
        return self._lines[number - self.first]

    def clear(self) -> None:
        """Forgets all lines; numbering starts again."""
        self._lines.clear()
        self._characters, self._carry, self.first = 0, "", 0
        self.revision += 1

    def find(self, needle: str, start: int, end: int) -> list[int]:
        """Numbers of the lines from ``start`` to ``end`` that hold ``needle``, any case."""
        folded = needle.casefold()
        if not folded:
            return []
        return [
            number
            for number in range(max(start, self.first), min(end, self.end))
            if folded in self.line(number).plain.casefold()
        ]
