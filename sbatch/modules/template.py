"""Fills in templates of modules, within limits, and with nothing but what a module may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dsq.core.errors import close_matches
from dsq.sbatch.model import Model, describe_type
from dsq.sbatch.modules.functions import FUNCTIONS, is_empty, show
from dsq.sbatch.modules.parser import (
    Access,
    Block,
    Call,
    Literal,
    Operand,
    Output,
    Part,
    Pipeline,
    TemplateError,
    parse,
)

MAX_OUTPUT = 1 << 20
"""Longest text that a template makes, in characters."""

MAX_ACTIONS = 100_000
"""Most actions that are run; loops count each round."""


def fill_in(text: str, values: Mapping[str, object]) -> str:
    """Fills in a template of a module.

    Args:
        values: What stands below the dot. Types of the language are seen with the names that
            they have in Go: ``.Job.Resources.MemPerCPU``.

    Raises:
        TemplateError: It does not parse, asks for what is not there, or does too much.
    """
    filler = _Filler(values)
    filler.run(parse(text), values)
    return "".join(filler.written)


class _Filler:
    def __init__(self, root: object) -> None:
        self.root = root
        self.written: list[str] = []
        self.length = 0
        self.actions = 0
        self.scopes: list[dict[str, object]] = [{"$": root}]
        self.line = 1

    def run(self, parts: Sequence[Part], dot: object) -> None:
        for part in parts:
            if isinstance(part, str):
                self._write(part)
            elif isinstance(part, Output):
                self._output(part, dot)
            else:
                self._block(part, dot)

    def _write(self, text: str) -> None:
        self.length += len(text)
        if self.length > MAX_OUTPUT:
            raise self._error(f"it makes more than {MAX_OUTPUT} characters")
        self.written.append(text)

    def _output(self, part: Output, dot: object) -> None:
        value = self._value(part.pipeline, dot)
        if not part.variable:
            self._write(self._shown(value))
            return
        for scope in reversed(self.scopes):
            if part.variable in scope:
                scope[part.variable] = value
                return
        self.scopes[-1][part.variable] = value

    def _shown(self, value: object) -> str:
        if isinstance(value, Model):
            raise self._error(f"a {value.graphql_name} has no text; use toYaml or its fields")
        return show(value)

    def _block(self, block: Block, dot: object) -> None:
        value = self._value(block.pipeline, dot)
        self.scopes.append({})
        if block.kind == "range":
            self._range(block, value, dot)
        elif is_empty(value):
            self.run(block.other, dot)
        else:
            self.scopes[-1].update(dict.fromkeys(block.variables, value))
            self.run(block.body, value if block.kind == "with" else dot)
        self.scopes.pop()

    def _range(self, block: Block, value: object, dot: object) -> None:
        if isinstance(value, int) and not isinstance(value, bool):
            value = range(value)
        if isinstance(value, Mapping):
            pairs: Any = sorted(value.items())
        elif value is None or (isinstance(value, Sequence) and not isinstance(value, str)):
            pairs = enumerate(value or ())
        else:
            raise self._error("'range' goes over a list")
        empty = True
        for key, item in pairs:
            empty = False
            self._count()
            names = block.variables[-2:]
            self.scopes[-1].update(zip(names, (key, item)[-len(names) :], strict=False))
            self.run(block.body, item)
        if empty:
            self.run(block.other, dot)

    # -- values --------------------------------------------------------------------

    def _value(self, pipeline: Pipeline, dot: object) -> object:
        self.line = pipeline.line
        value: object = None
        for number, call in enumerate(pipeline.calls):
            value = self._call(call, dot, (value,) if number else ())
        return value

    def _call(self, call: Call, dot: object, piped: tuple[object, ...]) -> object:
        self._count()
        args = [self._operand(each, dot) for each in call.args]
        if call.name is None:
            if piped:
                raise self._error("a value follows '|' where a function is expected")
            return args[0]
        function = FUNCTIONS.get(call.name)
        if function is None:
            hint = close_matches(call.name, FUNCTIONS).strip()
            raise self._error(f"there is no function '{call.name}' in modules. {hint}".strip(" ."))
        try:
            value = function(*args, *piped)
        except (TypeError, ValueError, IndexError, KeyError, OverflowError, AttributeError):
            raise self._error(f"'{call.name}' cannot be used with these values") from None
        if isinstance(value, str) and len(value) > MAX_OUTPUT:
            raise self._error(f"'{call.name}' makes more than {MAX_OUTPUT} characters")
        return value

    def _operand(self, operand: Operand, dot: object) -> object:
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Call):
            return self._call(operand, dot, ())
        if isinstance(operand, Pipeline):
            return self._value(operand, dot)
        return self._access(operand, dot)

    def _access(self, access: Access, dot: object) -> object:
        if access.base is None:
            value = dot
        elif isinstance(access.base, str):
            scope = next((each for each in reversed(self.scopes) if access.base in each), None)
            if scope is None:
                raise self._error(f"there is no variable '{access.base}'")
            value = scope[access.base]
        else:
            value = self._value(access.base, dot)
        for name in access.fields:
            value = self._field(value, name)
        return value

    def _field(self, value: object, name: str) -> object:
        if isinstance(value, Mapping):
            if name in value:
                return value[name]
            raise self._error(f"there is no '.{name}'.{close_matches(name, value)}")
        if isinstance(value, Model):
            kind = describe_type(type(value))
            fields = {field.go_name: field.attribute for field in kind.fields}
            if name in fields:
                return getattr(value, fields[name])
            raise self._error(f"a {kind.name} has no '.{name}'.{close_matches(name, fields)}")
        raise self._error(f"there is no '.{name}' of what is not there or has no fields")

    def _count(self) -> None:
        self.actions += 1
        if self.actions > MAX_ACTIONS:
            raise self._error(f"it runs more than {MAX_ACTIONS} actions")

    def _error(self, why: str) -> TemplateError:
        return TemplateError(f"line {self.line} of the module's template: {why.rstrip('.')}.")
