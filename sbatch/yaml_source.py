"""Reads YAML and JSON texts into nodes with positions.

YAML is read by the rules of YAML 1.2: only ``true`` and ``false`` are booleans (so
``no`` and ``on`` stay texts), ``0o17`` is octal and ``017`` is not, dates are texts.
Duplicate names, endless nesting and aliases that multiply a document are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from dsq.sbatch.json_source import read_json
from dsq.sbatch.nodes import Node, SourceError

MAX_DEPTH = 200
"""Levels of lists and mappings; the language itself allows fewer."""

MAX_ALIAS_NODES = 100_000
"""Nodes that aliases may add to a document."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+", re.ASCII)
_HEX = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII
)
_MAX_DIGITS = 100
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


def read_text(text: str | bytes) -> Node:
    """Reads one YAML or JSON document.

    Raises:
        SourceError: The text does not parse; says where.
    """
    text = _decode(text)
    if text.lstrip().startswith("{"):
        try:
            return read_json(text, max_depth=MAX_DEPTH)
        except SourceError:
            # A flow mapping of YAML begins like JSON; what is neither is told below,
            # in JSON's words when it was surely meant as JSON.
            if re.match(r'\s*\{\s*"', text) and not _parses_as_yaml(text):
                raise
    return read_yaml(text)


def read_yaml(text: str) -> Node:
    """Reads one YAML document; errors as :func:`read_text`."""
    match = _FORBIDDEN.search(text)
    if match is not None:
        line, column = _place(text, match.start())
        raise SourceError(
            f"the YAML does not parse: character U+{ord(match[0]):04X} is not allowed",
            line,
            column,
        )
    try:
        return _Builder(yaml.parse(text, Loader=_LOADER)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (None, None)
        words = _explain(error, text, place[0])
        raise SourceError(f"the YAML does not parse: {words}", *place) from None
    except yaml.YAMLError:
        raise SourceError("the YAML does not parse") from None


def _loader() -> Any:
    try:
        return yaml.CSafeLoader
    except AttributeError:  # PyYAML was built without libyaml
        return yaml.SafeLoader


_LOADER = _loader()


def _decode(text: str | bytes) -> str:
    if isinstance(text, bytes):
        try:
            return text.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            line, column = _place(text[: error.start].decode("utf-8"), error.start)
            raise SourceError("the file is not UTF-8 text", line, column) from None
    return text.removeprefix("\ufeff")


def _place(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _parses_as_yaml(text: str) -> bool:
    try:
        read_yaml(text)
    except SourceError:
        return False
    return True


def _explain(error: yaml.MarkedYAMLError, text: str, line: int | None) -> str:
    """The parser's words, with advice for the commonest slip."""
    words = error.problem or error.context or "no reason given"
    if line is not None and "cannot start any token" in words:
        lines = text.splitlines()
        at = lines[line - 1] if line <= len(lines) else ""
        if "\t" in at[: len(at) - len(at.lstrip())]:
            return "a tab stands where only blanks may indent"
    return words


class _Builder:
    """Builds nodes from the parser's events, with a stack of its own instead of recursion."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.events = iter(events)
        self.anchors: dict[str, Node] = {}
        self.open: set[str] = set()
        self.alias_nodes = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    _fail("only one document is allowed in the file", event)
                self.anchors.clear()
            elif isinstance(event, yaml.NodeEvent):
                root = self.node(event)
        if root is None or (root.value is None and root.items is None and root.fields is None):
            raise SourceError("there is no workflow in the text: it is empty")
        return root

    def node(self, event: Any) -> Node:
        """Reads the value that begins with ``event``, to its end."""
        stack: list[_Open] = []
        while True:
            done: Node | None = None
            if isinstance(event, yaml.CollectionStartEvent):
                if len(stack) >= MAX_DEPTH:
                    _fail(f"nested more than {MAX_DEPTH} deep", event)
                stack.append(_Open(event))
                if event.anchor:
                    self.open.add(event.anchor)
            elif isinstance(event, yaml.CollectionEndEvent):
                closed = stack.pop()
                done = closed.close()
                self.open.discard(closed.anchor or "")
                self._remember(closed.anchor, done)
            elif isinstance(event, yaml.AliasEvent):
                done = self._alias(event)
            else:
                done = _scalar(event)
                self._remember(event.anchor, done)
            if done is not None:
                if not stack:
                    return done
                stack[-1].add(done, event)
            event = next(self.events)

    def _remember(self, anchor: str | None, node: Node) -> None:
        if anchor:
            self.anchors[anchor] = node

    def _alias(self, event: Any) -> Node:
        target = self.anchors.get(event.anchor)
        if event.anchor in self.open:
            _fail(f"the alias '{event.anchor}' stands inside what it names", event)
        if target is None:
            _fail(f"the alias '{event.anchor}' names nothing", event)
        self.alias_nodes += target.size
        if self.alias_nodes > MAX_ALIAS_NODES:
            _fail("aliases make the document too large", event)
        return target


class _Open:
    """A list or mapping that has begun and not ended."""

    def __init__(self, event: Any) -> None:
        self.anchor: str | None = event.anchor
        self.is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.start = event
        self.node = Node(event.start_mark.line + 1, event.start_mark.column + 1)
        if self.is_mapping:
            self.node.fields = {}
        else:
            self.node.items = []
        self.key: Node | None = None
        self.merged: list[Node] = []

    def add(self, node: Node, event: Any) -> None:
        self.node.size += node.size
        self.node.depth = max(self.node.depth, node.depth + 1)
        if self.node.depth > MAX_DEPTH:
            _fail(f"nested more than {MAX_DEPTH} deep", event)
        if self.node.items is not None:
            self.node.items.append(node)
        elif self.key is None:
            if node.fields is not None or node.items is not None:
                _fail("the name of a field is not a text", event)
            # An alias may give a field its name: the name's own place is the alias.
            self.key = Node(event.start_mark.line + 1, event.start_mark.column + 1, node.value)
            if isinstance(event, yaml.ScalarEvent):
                self.key.value = event.value
        else:
            self._put(self.key, node, event)
            self.key = None

    def _put(self, key: Node, node: Node, event: Any) -> None:
        fields = self.node.fields
        assert fields is not None
        name = key.value if isinstance(key.value, str) else str(key.value)
        if name == "<<":
            for each in node.items if node.items is not None else [node]:
                if each.fields is None:
                    _fail("'<<' takes a mapping or a list of mappings", event)
                self.merged.append(each)
            return
        if name in fields:
            first = fields[name][0]
            raise SourceError(
                f"the field '{name[:60]}' is given twice (first in line {first.line})",
                key.line,
                key.column,
            )
        fields[name] = (key, node)

    def close(self) -> Node:
        fields = self.node.fields
        if fields is not None:
            for each in self.merged:
                for name, pair in (each.fields or {}).items():
                    fields.setdefault(name, pair)
        return self.node


def _scalar(event: Any) -> Node:
    node = Node(event.start_mark.line + 1, event.start_mark.column + 1, event.value)
    tag = event.tag
    if tag is None or tag == "!":
        if event.implicit[0] and not event.style:
            node.value = _resolve(event.value)
        return node
    kind = tag.removeprefix("tag:yaml.org,2002:")
    if kind == "str":
        return node
    if kind not in ("int", "bool", "null", "float"):
        _fail(f"the tag '{tag[:60]}' is not supported", event)
    node.value = _resolve(event.value)
    return node


def _resolve(text: str) -> Any:
    """The value of a plain scalar by YAML 1.2's core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _MAX_DIGITS or text[0] not in "+-.0123456789":
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    return float(text) if _FLOAT.fullmatch(text) else text


def _fail(message: str, event: Any) -> NoReturn:
    raise SourceError(message, event.start_mark.line + 1, event.start_mark.column + 1)
