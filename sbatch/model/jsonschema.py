"""The JSON Schema of workflow files, made from the model, for editors.

It says what the model says: names, types, rules that JSON Schema can say, and meanings.
Rules between fields, and those that no pattern holds, are found by ``dsq validate``.
"""

from __future__ import annotations

import json
from typing import Any

from dsq.sbatch.model.base import FieldDescription, Model, TypeDescription, describe
from dsq.sbatch.model.job import Workflow
from dsq.sbatch.model.rules import (
    EndsNotWith,
    Gte,
    Int32,
    Lt,
    NotEmpty,
    NotEqual,
    OneOf,
    Pattern,
    Required,
    Rule,
    StartsWith,
)
from dsq.sbatch.model.steps import Module

FILE_NAME = "workflow.schema.json"
DIALECT = "http://json-schema.org/draft-07/schema#"
"""The dialect that editors' YAML support reads best."""

_TYPES = {"String": "string", "Int": "integer", "Boolean": "boolean"}


def json_schema(root: type[Model] = Workflow) -> dict[str, Any]:
    """The schema of a file that holds a ``root``: a workflow, or a :class:`Module`."""
    kinds = {kind.name: kind for each in (root, Module) for kind in describe(each)}
    definitions = {name: _type(kind) for name, kind in kinds.items()}
    top = definitions.pop(root.graphql_name) if root is Module else definitions[root.graphql_name]
    title = "A workflow of dsq" if root is Workflow else f"A {root.graphql_name} of dsq"
    if root is Workflow:
        # The job stands at the root, or below the only field `job`.
        top = {"if": _WRAPPED, "then": _wrapper(root), "else": {"$ref": _ref(root.graphql_name)}}
    return {"$schema": DIALECT, "title": title, **top, "definitions": definitions}


def schema_text() -> str:
    """The schema of workflows as a file's text."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


_WRAPPED = {"type": "object", "required": ["job"], "maxProperties": 1}


def _wrapper(root: type[Model]) -> dict[str, Any]:
    return {"properties": {"job": {"$ref": _ref(root.graphql_name)}}}


def _ref(name: str) -> str:
    return f"#/definitions/{name}"


def _type(kind: TypeDescription) -> dict[str, Any]:
    return {
        "type": "object",
        "description": " ".join(kind.text.split()),
        "properties": {field.name: _field(field) for field in kind.fields},
        "required": [field.name for field in kind.fields if field.required],
        "additionalProperties": False,
    }


def _field(field: FieldDescription) -> dict[str, Any]:
    element: dict[str, Any] = (
        {"$ref": _ref(field.type_name)} if field.model else {"type": _TYPES[field.type_name]}
    )
    rules = [rule for rule in field.rules if not isinstance(rule, NotEmpty)]
    if field.type_name == "Int":
        element |= {"minimum": -(2**31), "maximum": 2**31 - 1}
    for rule in rules:
        _add(element, rule)
    # Beside a reference nothing else counts in this dialect.
    made: dict[str, Any] = {"type": "array", "items": element} if field.is_list else element
    if field.is_list and any(isinstance(rule, NotEmpty) for rule in field.rules):
        made["minItems"] = 1
    if not field.required:
        made = {"anyOf": [made, {"type": "null"}]}
    elif "$ref" in made:
        made = {"allOf": [made]}
    words = [rule.words() for rule in rules if not isinstance(rule, Int32) and rule.tag != "no_nul"]
    text = field.text + (f" Must {'; '.join(words)}." if words else "")
    made["description"] = text
    if field.deprecated:
        made["deprecationMessage"] = field.deprecated
    return made


def _add(element: dict[str, Any], rule: Rule) -> None:
    """Adds a rule; those that JSON Schema has no words for stand in the description alone."""
    match rule:
        case OneOf():
            element["enum"] = list(rule.choices)
        case Gte():
            element["minimum"] = rule.least
        case Lt():
            element["maximum"] = rule.bound - 1
        case Required():
            element["minLength"] = 1
        case StartsWith():
            _pattern(element, "^" + _escaped(rule.prefix))
        case EndsNotWith():
            element.setdefault("allOf", []).append(
                {"not": {"pattern": _escaped(rule.suffix) + "$"}}
            )
        case NotEqual():
            element.setdefault("not", {"enum": []})["enum"].append(rule.word)
        case Pattern():
            _pattern(element, f"^(?:{rule.pattern.pattern})$")


def _pattern(element: dict[str, Any], pattern: str) -> None:
    element.setdefault("allOf", []).append({"pattern": pattern})


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "/.*+?^$()[]{}|\\" else sign for sign in text)
