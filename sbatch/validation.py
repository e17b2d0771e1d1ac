"""Checks data against the model and says what is wrong, where, and what was meant."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from dsq.sbatch.crosscheck import cross_check
from dsq.sbatch.model import Module, Workflow
from dsq.sbatch.model.base import FieldDescription, Model, TypeDescription, describe_type
from dsq.sbatch.model.rules import OneOf, Rule
from dsq.sbatch.problems import HIDDEN, Path, Problem, did_you_mean, show_path

MAX_DEPTH = 100
"""Lists and mappings inside each other: about 30 steps in steps."""

_SHOWN = 200

M = TypeVar("M", bound=Model)


class Positions(Protocol):
    """Finds where a value stands in the user's text."""

    def position(self, path: Path, *, key: bool = False) -> tuple[int, int] | None:
        """Line and column (from 1) of the value at ``path``, or of its key."""


def check(
    root: type[M], data: object, positions: Positions | None = None
) -> tuple[M | None, list[Problem]]:
    """Checks ``data`` against ``root``.

    Returns:
        The checked value and no problem, or None and all problems, in the text's order
        when there are positions. Of each field the first broken rule is named.
    """
    too_deep = _too_deep(data)
    if too_deep is not None:
        problem = _Finder(root, data).problem(
            too_deep, "type", f"{show_path(too_deep[:6])}… is nested more than {MAX_DEPTH} deep"
        )
        return None, _placed([problem], positions)
    try:
        model = root.model_validate(data)
    except ValidationError as error:
        finder = _Finder(root, data)
        found = [finder.explain(each) for each in error.errors(include_url=False)]
        return None, _placed(_without_echoes(found), positions)
    finder = _Finder(root, data)
    found = [
        finder.problem(each.path, each.tag, each.message, param=each.param)
        for each in cross_check(model)
    ]
    return (None, _placed(found, positions)) if found else (model, [])


def make_problem(
    root: type[Model],
    data: object,
    path: Path,
    tag: str,
    message: str,
    *,
    positions: Positions | None = None,
) -> Problem:
    """Makes a problem of what was found outside the model's own rules."""
    return _placed([_Finder(root, data).problem(path, tag, message)], positions)[0]


def validate(data: object) -> list[Problem]:
    """Returns everything that is wrong with a workflow given as data; empty when it is valid."""
    return check(Workflow, data)[1]


def validate_module(data: object) -> list[Problem]:
    """Returns everything that is wrong with a module given as data; empty when it is valid."""
    return check(Module, data)[1]


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    """Drops "field 'command' is missing" where 'comand' beside it is already complained about."""
    advice: dict[Path, str] = {}
    for each in problems:
        if each.tag == "unknown_field":
            advice[each.path[:-1]] = advice.get(each.path[:-1], "") + each.message

    def is_echo(each: Problem) -> bool:
        told = advice.get(each.path[:-1], "") if each.tag == "missing" else ""
        return f"did you mean '{each.path[-1]}'" in told if told else False

    return [each for each in problems if not is_echo(each)]


def _placed(problems: list[Problem], positions: Positions | None) -> list[Problem]:
    if positions is None:
        return problems
    placed = []
    for problem in problems:
        at_key = problem.tag == "unknown_field"
        path = problem.path[:-1] if problem.tag == "missing" else problem.path
        line, column = positions.position(path, key=at_key) or (None, None)
        placed.append(dataclasses.replace(problem, line=line, column=column))
    return sorted(placed, key=lambda each: (each.line or 0, each.column or 0))


def _too_deep(data: object) -> Path | None:
    """The path of a value that lies deeper than :data:`MAX_DEPTH`, without recursion."""
    pending: list[tuple[Path, object]] = [((), data)]
    while pending:
        path, value = pending.pop()
        if not isinstance(value, dict | list | tuple):
            continue
        if len(path) >= MAX_DEPTH:
            return path
        items: Any = value.items() if isinstance(value, dict) else enumerate(value)
        pending += [
            ((*path, key), item) for key, item in items if isinstance(item, dict | list | tuple)
        ]
    return None


class _Finder:
    """Turns the checker's findings into problems of one document."""

    def __init__(self, root: type[Model], data: object) -> None:
        self.root = root
        self.data = data

    def explain(self, error: Mapping[str, Any]) -> Problem:
        path: Path = tuple(error["loc"])
        kind = error["type"]
        if kind == "rule":
            return self._broken_rule(path, error["ctx"]["rule"])
        if kind == "extra_forbidden":
            return self._unknown(path)
        if kind == "invalid_key":
            return self.problem(
                path, "unknown_field", f"every field of {show_path(path[:-1])} needs a text as name"
            )
        if kind == "missing":
            message = f"field '{path[-1]}' is missing in {show_path(path[:-1])}"
            return self.problem(path, "missing", message)
        if self._value(path) is None:
            return self.problem(path, "null", f"{show_path(path)} must not be null")
        return self._wrong_type(path, kind)

    def problem(self, path: Path, tag: str, message: str, *, param: str = "") -> Problem:
        namespace = _namespace(self.root, path)
        return Problem(
            path=path,
            go_namespace=namespace,
            go_field=namespace.rpartition(".")[2],
            tag=tag,
            param=param,
            value_shown=self._shown(path),
            message=message,
        )

    def _unknown(self, path: Path) -> Problem:
        name, where = str(path[-1]), show_path(path[:-1])
        kind = _type_at(self.root, path[:-1])
        hint = ""
        if kind is not None:
            hint = did_you_mean(name, [field.name for field in kind.fields])
            hint = hint or did_you_mean_inside(name, kind)
        message = f"unknown field '{_cut(name, 60)}' in {where}{hint}"
        return dataclasses.replace(self.problem(path, "unknown_field", message), value_shown=HIDDEN)

    def _broken_rule(self, path: Path, rule: Rule) -> Problem:
        field, value = _field_at(self.root, path), self._value(path)
        message = f"{show_path(path)} must {rule.words()}"
        if field is None or not field.secret:
            shown = f"'{_cut(value, 60)}'" if isinstance(value, str) else str(value)
            message += f", not {shown}"
            if isinstance(rule, OneOf) and isinstance(value, str):
                message += did_you_mean(value, [choice for choice in rule.choices if choice])
        return self.problem(path, rule.tag, message, param=rule.param)

    def _wrong_type(self, path: Path, kind: str) -> Problem:
        field, value = _field_at(self.root, path), self._value(path)
        secret = field is not None and field.secret
        wanted = _WANTED.get(kind, "of another type")
        message = f"{show_path(path)} must be {wanted}, not {_name_of(value, secret=secret)}"
        return self.problem(path, "type", message + _advice(kind, value))

    def _value(self, path: Path) -> Any:
        value: Any = self.data
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _shown(self, path: Path) -> str:
        field, value = _field_at(self.root, path), self._value(path)
        if value is None:
            return ""
        if field is None or field.secret or isinstance(value, dict | list):
            return HIDDEN
        return _cut(value if isinstance(value, str) else str(value), _SHOWN)


_WANTED = {
    "string_type": "a text",
    "string_unicode": "a text of valid Unicode",
    "int_type": "a whole number",
    "int_parsing_size": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "model_type": "a mapping of fields",
    "dict_type": "a mapping of fields",
}


def _name_of(value: object, *, secret: bool) -> str:
    if isinstance(value, bool):
        return "a boolean" if secret else str(value).lower()
    if isinstance(value, int | float):
        return "a number" if secret else f"the number {value}"
    if isinstance(value, str):
        return "a text" if secret else f"the text '{_cut(value, 60)}'"
    return "a list" if isinstance(value, list | tuple) else "a mapping"


def _advice(kind: str, value: object) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return " (put it in quotes)"
    if kind == "int_type" and isinstance(value, str):
        digits = value.strip().lstrip("+-")
        if digits.isdecimal():
            leading = len(digits) > 1 and digits.startswith("0")
            return " (leave out the leading zero)" if leading else " (leave out the quotes)"
    if kind == "bool_type" and isinstance(value, str):
        word = value.strip().lower()
        for meant, words in (("true", ("yes", "y", "on", "true")), ("false", _NO_WORDS)):
            if word in words:
                return f" (write {meant})"
    if kind == "list_type" and isinstance(value, str | dict):
        return " (begin each element with '- ')"
    return ""


_NO_WORDS = ("no", "n", "off", "false")


def did_you_mean_inside(name: str, kind: TypeDescription) -> str:
    """Returns " (did you mean 'run.network'?)" when ``name`` belongs to a part of ``kind``."""
    for field in kind.fields:
        if field.model is not None and describe_type(field.model).field(name) is not None:
            return f" (did you mean '{field.name}.{name}'?)"
    return ""


def _walk(root: type[Model], path: Path) -> Iterator[tuple[str, FieldDescription | None]]:
    """Yields, for each part of ``path``, its name on the wire and its field."""
    kind: TypeDescription | None = describe_type(root)
    field: FieldDescription | None = None
    for part in path:
        if isinstance(part, int):
            yield f"[{part}]", field
            continue
        field = kind.field(part) if kind is not None else None
        yield "." + (field.go_name if field is not None else part), field
        kind = describe_type(field.model) if field is not None and field.model else None


def _namespace(root: type[Model], path: Path) -> str:
    return root.graphql_name + "".join(name for name, _ in _walk(root, path))


def _field_at(root: type[Model], path: Path) -> FieldDescription | None:
    """The field a path leads to: for an element of a list, the list's."""
    fields = [field for _, field in _walk(root, path)]
    return fields[-1] if fields else None


def _type_at(root: type[Model], path: Path) -> TypeDescription | None:
    if not path:
        return describe_type(root)
    field = _field_at(root, path)
    return describe_type(field.model) if field is not None and field.model else None


def _cut(text: str, length: int) -> str:
    """Shortens a text and keeps it on one line."""
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text[: length + 1])
    return shown if len(text) <= length else shown[:length] + "…"


def first_sentences(problems: Sequence[Problem], limit: int = 20) -> list[str]:
    """The sentences of the first ``limit`` problems, and how many more there are."""
    shown = [str(problem) for problem in problems[:limit]]
    if len(problems) > limit:
        shown.append(f"and {len(problems) - limit} more")
    return shown
