"""Where the cursor is in a YAML text that is being typed, and so need not parse.

The block structure of YAML is in the columns of its lines; they are read, not the document. What
stands in braces or brackets is understood within one line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

Part = str | int
"""A field's name, or a position in a list."""

_NAME = re.compile(r"([A-Za-z_][\w.-]*|\"[^\"]*\"|'[^']*')\s*:(?=\s|$)")
_BLOCK = re.compile(r"(?::|-)\s+[|>][+-]?\d?[+-]?\s*(?:#.*)?$")
_WORD = re.compile(r"[\w.-]*$")
_REST = re.compile(r"[\w.-]*")
_FLOW = re.compile(r"\"(?:\\.|[^\"\\])*\"?|'(?:''|[^'])*'?|[{}\[\],]|[^{}\[\],\"']+")


@dataclass(frozen=True, slots=True)
class Named:
    """The name of a field in the text: its line from 0, its columns, and its path."""

    row: int
    start: int
    end: int
    path: tuple[Part, ...]

    @property
    def name(self) -> str:
        return str(self.path[-1])


@dataclass(frozen=True, slots=True)
class Place:
    """What is being typed.

    Attributes:
        path: Fields and positions around it.
        key: The field whose value is typed; "" when a field's name, or an element, is.
        typed: What is there of it up to the cursor.
        start, end: Columns of the whole word.
        column: Column of the fields of the mapping around it.
        in_item: It begins, or is in, an element of a list.
        named: The word is followed by its colon already.
        flow: It is in braces or brackets.
        others: Names that the mapping around it has already.
    """

    path: tuple[Part, ...]
    key: str
    typed: str
    start: int
    end: int
    column: int
    in_item: bool = False
    named: bool = False
    flow: bool = False
    others: frozenset[str] = field(default=frozenset())


def names(lines: Sequence[str]) -> list[Named]:
    """The names of all fields of the block structure."""
    found: list[Named] = []
    scanner = _Scanner()
    for row, line in enumerate(lines):
        found += scanner.line(row, line)
    return found


def place_at(lines: Sequence[str], row: int, column: int) -> Place | None:
    """What is typed at a cursor; None in a comment or a block of text."""
    scanner = _Scanner()
    found: list[Named] = []
    before: _Scanner | None = None
    for number, line in enumerate(lines):
        if number == row:
            before = scanner.copy()
        found += scanner.line(number, line)
    if before is None or before.in_block(lines[row], column):
        return None
    place = before.place(lines[row], column)
    if place is None or place.key or place.flow:
        return place
    others = {each.name for each in found if each.path[:-1] == place.path and each.row != row}
    return replace(place, others=frozenset(others))


def field_at(lines: Sequence[str], row: int, column: int) -> tuple[str, ...]:
    """Names of the fields around a cursor, the innermost last."""
    place = place_at(lines, row, column)
    known = [each for each in names(lines) if each.row <= row]
    here = [each for each in known if each.row == row]
    if place is not None and place.flow:
        return _fields((*place.path, place.key) if place.key else place.path)
    if here:
        return _fields(here[-1].path)
    if place is not None:
        return _fields(place.path)
    return _fields(known[-1].path) if known else ()


def _fields(path: Sequence[Part]) -> tuple[str, ...]:
    return tuple(part for part in path if isinstance(part, str))


def _comment(line: str) -> int:
    """Column where a comment begins, else the line's end."""
    quote = ""
    for at, sign in enumerate(line):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'" and (at == 0 or line[at - 1] in " ,[{:"):
            quote = sign
        elif sign == "#" and (at == 0 or line[at - 1].isspace()):
            return at
    return len(line)


class _Scanner:
    """Reads lines from the top; knows what is around the next one."""

    def __init__(self) -> None:
        self.stack: list[tuple[int, Part]] = []
        self.counts: Counter[tuple[Part, ...]] = Counter()
        self.block: int | None = None

    def copy(self) -> _Scanner:
        made = _Scanner()
        made.stack, made.counts, made.block = list(self.stack), Counter(self.counts), self.block
        return made

    @property
    def path(self) -> tuple[Part, ...]:
        return tuple(part for _, part in self.stack)

    def in_block(self, line: str, column: int) -> bool:
        """A line belongs to the text of a ``|`` or ``>`` before it."""
        if self.block is None:
            return False
        indent = len(line) - len(line.lstrip(" "))
        return (column if not line.strip() else indent) > self.block

    def line(self, row: int, line: str) -> Iterator[Named]:
        """Takes a line in; yields the names in it."""
        if not line.strip():
            return
        if self.in_block(line, 0):
            return
        self.block = None
        text = line[: _comment(line)]
        at = self._items(text)
        match = _NAME.match(text, at)
        if match is not None:
            self._leave(at)
            self.stack.append((at, match[1].strip("\"'")))
            yield Named(row, at, match.end(1), self.path)
        if _BLOCK.search(text):
            self.block = self.stack[-1][0] if self.stack else 0

    def _leave(self, column: int) -> None:
        while self.stack and self.stack[-1][0] >= column:
            self.stack.pop()

    def _items(self, text: str) -> int:
        """Enters the ``- `` at a line's beginning; the column of what follows them."""
        at = len(text) - len(text.lstrip(" "))
        while text[at : at + 1] == "-" and text[at + 1 : at + 2] in ("", " "):
            while self.stack and (
                self.stack[-1][0] > at
                or (self.stack[-1][0] == at and isinstance(self.stack[-1][1], int))
            ):
                self.stack.pop()
            around = self.path
            self.stack.append((at, self.counts[around]))
            self.counts[around] += 1
            at += 1
            while text[at : at + 1] == " ":
                at += 1
        return at

    def place(self, line: str, column: int) -> Place | None:
        if column > _comment(line):
            return None
        text = line[:column]
        if text.endswith("-") and not text.strip(" -"):
            return None
        at = self._items(text)
        item = text.lstrip(" ").startswith("-")
        match = _NAME.match(text, at)
        self._leave(at)
        if match is not None:
            self.stack.append((at, match[1].strip("\"'")))
            start = match.end() + len(text[match.end() :]) - len(text[match.end() :].lstrip())
            return self._value(line, column, start, at)
        if text[at:].startswith(("{", "[")):
            return self._flow(line, column, at)
        word = text[at:]
        if _WORD.fullmatch(word) is None:
            return None
        rest = _REST.match(line, column)
        end = rest.end() if rest is not None else column
        named = line[end:].lstrip().startswith(":")
        inside = item or (bool(self.stack) and isinstance(self.stack[-1][1], int))
        return Place(self.path, "", word, at, end, at, in_item=inside, named=named)

    def _value(self, line: str, column: int, start: int, at: int) -> Place | None:
        if start > column or line[start - 1] == ":":
            return None
        text = line[start:column]
        if text.startswith(("{", "[")):
            return self._flow(line, column, start)
        key = str(self.stack[-1][1])
        end = _comment(line)
        end = start + len(line[start:end].rstrip())
        return Place(self.path[:-1], key, text, start, max(end, column), at)

    def _flow(self, line: str, column: int, start: int) -> Place | None:
        """What is typed in braces: the names and values since they opened."""
        levels: list[tuple[str, tuple[Part, ...], set[str]]] = []
        path, key, begin = self.path, "", start
        for match in _FLOW.finditer(line[:column], start):
            sign = match[0]
            if sign in "{[":
                inner = path if not key else (*path, key)
                levels.append((sign, path, set()))
                path, key, begin = (inner if sign == "{" else (*inner, 0)), "", match.end()
            elif sign in "}]":
                if not levels:
                    return None
                _, path, _ = levels.pop()
                key, begin = "", match.end()
            elif sign == ",":
                key, begin = "", match.end()
            elif levels:
                name, colon, value = sign.partition(":")
                if colon and not key and (not value or value[0].isspace()):
                    key, begin = name.strip(), match.end() - len(value)
                    levels[-1][2].add(key)
        if not levels:
            return None
        typed = line[begin:column]
        first = begin + len(typed) - len(typed.lstrip())
        rest = _REST.match(line, column)
        end = rest.end() if rest is not None else column
        others = frozenset(levels[-1][2] - {key})
        named = line[end:].lstrip().startswith(":")
        inside = isinstance(path[-1], int) if path else False
        return Place(path, key, line[first:column], first, end, first, inside, named, True, others)
