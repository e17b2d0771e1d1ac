"""Reads JSON into nodes with positions; as strict as the standard, duplicates refused."""

from __future__ import annotations

import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NoReturn

from dsq.sbatch.nodes import Node, SourceError

_BLANK = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_WORDS = {"true": True, "false": False, "null": None}
_MAX_DIGITS = 100


def read_json(text: str, *, max_depth: int) -> Node:
    """Reads one JSON document.

    Raises:
        SourceError: The text does not parse, or is nested too deep; says where.
    """
    return _Reader(text, max_depth).document()


class _Reader:
    def __init__(self, text: str, max_depth: int) -> None:
        self.text = text
        self.at = 0
        self.max_depth = max_depth
        self.line = 1
        self.line_start = 0
        self.counted = 0

    def document(self) -> Node:
        root = self._value()
        self._blank()
        if self.at < len(self.text):
            self._fail("more text follows its end")
        return root

    def _value(self) -> Node:
        """Reads a value with a stack of its own, so that nesting costs no recursion."""
        stack: list[tuple[Node, Node | None]] = []
        while True:
            done = self._begin(stack)
            while done is not None:
                if not stack:
                    return done
                done = self._attach(stack, done)

    def _begin(self, stack: list[tuple[Node, Node | None]]) -> Node | None:
        """Reads a scalar, an empty collection, or the opening of a collection."""
        self._blank()
        node = self._node()
        sign = self.text[self.at : self.at + 1]
        if sign not in ("{", "["):
            node.value = self._scalar()
            return node
        if len(stack) >= self.max_depth:
            self._fail(f"it is nested more than {self.max_depth} deep")
        self.at += 1
        self._blank()
        if sign == "[":
            node.items = []
        else:
            node.fields = {}
        if self._take("]" if sign == "[" else "}"):
            return node
        stack.append((node, None if sign == "[" else self._key(node)))
        return None

    def _attach(self, stack: list[tuple[Node, Node | None]], done: Node) -> Node | None:
        """Puts a value where it belongs; returns the collection when that ended it."""
        node, key = stack.pop()
        node.size += done.size
        node.depth = max(node.depth, done.depth + 1)
        if node.items is not None:
            node.items.append(done)
        elif node.fields is not None and key is not None:
            node.fields[key.value] = (key, done)
        self._blank()
        close = "]" if node.items is not None else "}"
        if self._take(close):
            return node
        if not self._take(","):
            self._fail(f"',' or '{close}' is expected")
        self._blank()
        stack.append((node, None if node.items is not None else self._key(node)))
        return None

    def _key(self, mapping: Node) -> Node:
        key = self._node()
        if self.text[self.at : self.at + 1] != '"':
            self._fail("the name of a field in double quotes is expected")
        key.value = self._scalar()
        first = (mapping.fields or {}).get(key.value)
        if first is not None:
            raise SourceError(
                f"the field '{key.value[:60]}' is given twice (first in line {first[0].line})",
                key.line,
                key.column,
            )
        self._blank()
        if not self._take(":"):
            self._fail("':' is expected")
        return key

    def _scalar(self) -> Any:
        sign = self.text[self.at : self.at + 1]
        if sign == '"':
            try:
                value, self.at = scanstring(self.text, self.at + 1, True)
            except ValueError as error:
                self.at = min(getattr(error, "pos", self.at), len(self.text))
                self._fail(getattr(error, "msg", "the text is not closed").lower())
            return value
        for word, value in _WORDS.items():
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            self._fail("a value is expected")
        if len(match[0]) > _MAX_DIGITS:
            self._fail("the number is too long")
        self.at = match.end()
        return float(match[0]) if match[1] or match[2] else int(match[0])

    def _blank(self) -> None:
        match = _BLANK.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def _take(self, sign: str) -> bool:
        if self.text.startswith(sign, self.at):
            self.at += 1
            return True
        return False

    def _node(self) -> Node:
        line, column = self._place()
        return Node(line, column)

    def _place(self) -> tuple[int, int]:
        """Line and column of the reader; counts only what it has not counted before."""
        breaks = self.text.count("\n", self.counted, self.at)
        if breaks:
            self.line += breaks
            self.line_start = self.text.rfind("\n", self.counted, self.at) + 1
        self.counted = self.at
        return self.line, self.at - self.line_start + 1

    def _fail(self, why: str) -> NoReturn:
        line, column = self._place() if self.at >= self.counted else (self.line, 1)
        raise SourceError(f"the JSON does not parse: {why}", line, column)
