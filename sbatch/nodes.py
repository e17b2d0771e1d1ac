"""A document as a tree of nodes that know where they stand in the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dsq.sbatch.problems import Path, Problem


@dataclass(slots=True)
class Node:
    """A value of the document.

    Attributes:
        line: Line where it begins, from 1.
        column: Column where it begins, from 1.
        value: The value of a scalar.
        items: The elements of a list.
        fields: The fields of a mapping: name to (node of the name, node of the value).
        size: Nodes below it and itself, those of aliases counted each time.
        depth: Levels below it and itself.
    """

    line: int
    column: int
    value: Any = None
    items: list[Node] | None = None
    fields: dict[str, tuple[Node, Node]] | None = None
    size: int = 1
    depth: int = 1
    _data: Any = field(default=None, repr=False)

    def data(self) -> Any:
        """The value as plain data: dicts, lists, texts, numbers, booleans, None."""
        if self.fields is not None:
            if self._data is None:
                self._data = {name: node.data() for name, (_, node) in self.fields.items()}
            return self._data
        if self.items is not None:
            if self._data is None:
                self._data = [node.data() for node in self.items]
            return self._data
        return self.value

    def child(self, part: str | int) -> Node | None:
        """The value of a field, or an element of a list."""
        if isinstance(part, str):
            found = (self.fields or {}).get(part)
            return found[1] if found else None
        return self.items[part] if self.items is not None and part < len(self.items) else None

    def position(self, path: Path, *, key: bool = False) -> tuple[int, int] | None:
        """Line and column of the value at ``path``; with ``key``, of the field's name.

        A path that leads nowhere gives the position of its last part that is there.
        """
        node = self
        for index, part in enumerate(path):
            if key and index == len(path) - 1 and isinstance(part, str):
                found = (node.fields or {}).get(part)
                if found:
                    return found[0].line, found[0].column
            below = node.child(part)
            if below is None:
                break
            node = below
        return node.line, node.column


class SourceError(Exception):
    """The text is no document that can be read."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column

    def problem(self) -> Problem:
        """The same as a problem of the workflow."""
        return Problem(
            path=(),
            go_namespace="Job",
            go_field="Job",
            tag="syntax",
            param="",
            value_shown="",
            message=self.message,
            line=self.line,
            column=self.column,
        )
