"""Reads templates of modules: the part of Go's ``text/template`` that modules use.

Understood are texts, comments, ``{{-`` and ``-}}``, pipelines, variables, ``if``, ``with``
and ``range`` with ``else``. What is not (``define``, ``template``, ``block``, ``break``) is an
error that names it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn

from dsq.core.errors import WorkflowError

MAX_DEPTH = 50
"""Most blocks, or brackets, inside each other."""


class TemplateError(WorkflowError):
    """The template of a module cannot be read or filled in."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, a number, true, false or nil."""

    value: object


@dataclass(frozen=True, slots=True)
class Access:
    """``.A.B``, ``$x.A``, ``(…).A``: fields of the dot, a variable or a value.

    Attributes:
        base: None for the dot, the name of a variable, or a pipeline.
    """

    base: str | Pipeline | None
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or with ``name`` None a value that stands alone."""

    name: str | None
    args: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Calls, each of which gets the result of the one before as its last argument."""

    calls: tuple[Call, ...]
    line: int


Operand = Literal | Access | Pipeline | Call


@dataclass(frozen=True, slots=True)
class Output:
    """Writes a value, or with ``variable`` remembers it."""

    pipeline: Pipeline
    variable: str = ""


@dataclass(slots=True)
class Block:
    """``if``, ``with`` or ``range``, with what belongs to it."""

    kind: str
    pipeline: Pipeline
    variables: tuple[str, ...]
    body: list[Part] = field(default_factory=list)
    other: list[Part] = field(default_factory=list)


Part = str | Output | Block

_TOKEN = re.compile(
    r"""(?P<blank>\s+)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<raw>`[^`]*`)
      | (?P<number>[-+]?[0-9]+(?:\.[0-9]+)?(?![\w.]))
      | (?P<variable>\$\w*)
      | (?P<field>\.[A-Za-z_]\w*)
      | (?P<dot>\.)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>:=|[=|(),])""",
    re.VERBOSE | re.ASCII,
)
_COMMENT = re.compile(r"\{\{(- )?/\*.*?\*/( -)?\}\}", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'"}
_UNKNOWN = frozenset({"define", "template", "block", "break", "continue"})


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    spaced: bool
    """Blanks stand before it: ``a .B`` are two operands, ``a.B`` is one."""


_ACTION_END = re.compile(r"\s-\}\}|\}\}")
_TRIM_LEFT = re.compile(r"\{\{-\s")


def parse(text: str) -> list[Part]:
    """Reads a template.

    Raises:
        TemplateError: It does not parse; says in which line.
    """
    return _Parser(text).document()


class _Parser:
    """Reads by descending; :data:`MAX_DEPTH` bounds how deep."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.trim = False
        self.tokens: list[_Token] = []
        self.depth = 0

    # -- texts and actions ---------------------------------------------------------

    def document(self) -> list[Part]:
        parts = self._parts()
        if self.tokens:
            self._fail(f"'{self.tokens[0].text}' belongs to nothing")
        return parts

    def _parts(self) -> list[Part]:
        """Reads up to an ``else`` or ``end``, left in ``tokens``, or to the text's end."""
        parts: list[Part] = []
        while self._to_action(parts):
            word = self._word()
            if word in ("end", "else"):
                return parts
            if word in _UNKNOWN:
                self._fail(f"'{word}' is not supported in modules")
            parts.append(self._block() if word in ("if", "with", "range") else self._output())
            self._done()
        self.tokens = []
        return parts

    def _to_action(self, parts: list[Part]) -> bool:
        """Takes the text up to the next action and the action's tokens; False at the end."""
        while True:
            begin = self.text.find("{{", self.at)
            plain = self.text[self.at :] if begin < 0 else self.text[self.at : begin]
            self.line += plain.count("\n")
            left = begin >= 0 and _TRIM_LEFT.match(self.text, begin) is not None
            shown = plain.lstrip() if self.trim else plain
            shown = shown.rstrip() if left else shown
            if shown:
                parts.append(shown)
            if begin < 0:
                return False
            comment = _COMMENT.match(self.text, begin)
            if comment is None:
                self.at = begin + (3 if left else 2)
                self._tokenize()
                return True
            self.trim = comment[2] is not None
            self.at = comment.end()
            self.line += comment[0].count("\n")

    def _tokenize(self) -> None:
        self.tokens = []
        spaced = False
        while True:
            end = _ACTION_END.match(self.text, self.at)
            if end is not None:
                self.at = end.end()
                self.trim = len(end[0]) > 2
                self.line += end[0].count("\n")
                return
            match = _TOKEN.match(self.text, self.at)
            if match is None:
                self._fail("an action cannot be read")
            self.at = match.end()
            self.line += match[0].count("\n")
            kind = match.lastgroup or ""
            if kind != "blank":
                self.tokens.append(_Token(kind, match[0], spaced))
            spaced = kind == "blank"

    def _block(self) -> Block:
        self._enter()
        kind = self.tokens.pop(0).text
        variables: list[str] = []
        if self.tokens and self.tokens[0].kind == "variable":
            signs = [token.text for token in self.tokens]
            if ":=" in signs:
                head = self.tokens[: signs.index(":=")]
                del self.tokens[: len(head) + 1]
                variables = [token.text for token in head if token.kind == "variable"]
                if len(variables) > (2 if kind == "range" else 1):
                    self._fail(f"'{kind}' has too many variables")
        block = Block(kind, self._pipeline(), tuple(variables))
        self._done()
        block.body = self._parts()
        if self._word() == "else":
            self.tokens.pop(0)
            if self._word() in ("if", "with"):
                block.other = [self._block()]
                self.depth -= 1
                return block
            self._done()
            block.other = self._parts()
        if self._word() != "end":
            self._fail(f"'{kind}' has no 'end'")
        self.tokens.pop(0)
        self.depth -= 1
        return block

    def _output(self) -> Output:
        variable = ""
        first = self.tokens[:2]
        if len(first) == 2 and first[0].kind == "variable" and first[1].text in (":=", "="):
            variable = first[0].text
            del self.tokens[:2]
        return Output(self._pipeline(), variable)

    # -- pipelines -----------------------------------------------------------------

    def _pipeline(self) -> Pipeline:
        self._enter()
        line = self.line
        calls = [self._call()]
        while self.tokens and self.tokens[0].text == "|":
            self.tokens.pop(0)
            calls.append(self._call())
        self.depth -= 1
        return Pipeline(tuple(calls), line)

    def _call(self) -> Call:
        name: str | None = None
        if self.tokens and self.tokens[0].kind == "word" and not _is_literal(self.tokens[0]):
            name = self.tokens.pop(0).text
        args: list[Operand] = []
        while self.tokens and self.tokens[0].text not in ("|", ")"):
            args.append(self._operand())
        if name is None and len(args) != 1:
            self._fail("a value is missing" if not args else "a value is no function")
        return Call(name, tuple(args))

    def _operand(self) -> Operand:
        token = self.tokens.pop(0)
        if token.kind == "string":
            return Literal(_unescape(token.text[1:-1]))
        if token.kind == "raw":
            return Literal(token.text[1:-1])
        if token.kind == "number":
            return Literal(float(token.text) if "." in token.text else int(token.text))
        if token.kind == "word":
            if _is_literal(token):
                return Literal({"true": True, "false": False, "nil": None}[token.text])
            return Call(token.text, ())
        if token.kind == "dot":
            return Access(None, ())
        if token.kind == "field":
            return Access(None, (token.text[1:], *self._fields()))
        if token.kind == "variable":
            return Access(token.text, self._fields())
        if token.text != "(":
            self._fail(f"'{token.text}' is not expected")
        inner = self._pipeline()
        if not self.tokens or self.tokens.pop(0).text != ")":
            self._fail("a bracket is not closed")
        return Access(inner, self._fields())

    def _fields(self) -> tuple[str, ...]:
        found = []
        while self.tokens and self.tokens[0].kind == "field" and not self.tokens[0].spaced:
            found.append(self.tokens.pop(0).text[1:])
        return tuple(found)

    # -- small things --------------------------------------------------------------

    def _word(self) -> str:
        return self.tokens[0].text if self.tokens and self.tokens[0].kind == "word" else ""

    def _done(self) -> None:
        if self.tokens:
            self._fail(f"'{self.tokens[0].text}' is not expected")

    def _enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail(f"more than {MAX_DEPTH} blocks or brackets stand inside each other")

    def _fail(self, why: str) -> NoReturn:
        raise TemplateError(f"line {self.line} of the module's template: {why}.")


def _is_literal(token: _Token) -> bool:
    return token.text in ("true", "false", "nil")


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text)
