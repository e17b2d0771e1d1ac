"""What all types of the workflow language share: strictness, names, marks.

The classes are the only source of the language: checking, the GraphQL schema and
the tables of docs/workflow.md are made from them (:func:`describe`).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from dsq.sbatch.model.rules import Int32, NoNul, Rule


@dataclass(frozen=True, slots=True)
class Go:
    """The name a field has in ``namespace`` and ``field`` of validation errors."""

    name: str


@dataclass(frozen=True, slots=True)
class Secret:
    """The value may be a secret: no message ever shows it."""


@dataclass(frozen=True, slots=True)
class ClientOnly:
    """The client reads the field and takes it away; the service's API does not have it."""


@dataclass(frozen=True, slots=True)
class Deprecated:
    """The field still works; ``reason`` names what to use instead."""

    reason: str


Text = Annotated[str, NoNul()]
"""A text of any length and any characters but NUL."""

Int = Annotated[int, Int32()]
"""GraphQL's ``Int``."""


class Model(BaseModel):
    """Base of all types: no unknown field, no conversion, never changed after it was checked."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    graphql_name: ClassVar[str] = ""
    """Name of the type in GraphQL, and of the root in error namespaces."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "graphql_name" not in cls.__dict__:
            cls.graphql_name = cls.__name__

    def to_wire(self) -> dict[str, Any]:
        """The value with GraphQL's names, absent fields left out."""
        return self.model_dump(by_alias=True, exclude_none=True)


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """A field of a type, as documentation and schema generators need it.

    Attributes:
        name: Name in GraphQL, YAML and JSON.
        go_name: Name in validation errors.
        type_name: ``String``, ``Int``, ``Boolean`` or the name of a type of the language.
        is_list: True for a list; its elements are never null.
        required: True when the field must be there and not null (GraphQL ``!``).
        rules: Rules of the value, or of each element of a list.
        secret: The value is never shown.
        client_only: The client takes the field away; the service's API does not have it.
        deprecated: What to use instead, empty while the field is current.
        text: What the field means.
        model: The class behind ``type_name`` when that is a type of the language.
    """

    name: str
    attribute: str
    go_name: str
    type_name: str
    is_list: bool
    required: bool
    rules: tuple[Rule, ...]
    secret: bool
    client_only: bool
    deprecated: str
    text: str
    model: type[Model] | None

    @property
    def graphql_type(self) -> str:
        """The type in GraphQL's notation: ``[Step!]!``."""
        base = f"[{self.type_name}!]" if self.is_list else self.type_name
        return base + ("!" if self.required else "")


@dataclass(frozen=True, slots=True)
class TypeDescription:
    """A type of the language with its fields in order."""

    name: str
    text: str
    fields: tuple[FieldDescription, ...]
    model: type[Model]

    def field(self, name: str) -> FieldDescription | None:
        """The field with this GraphQL name."""
        return next((field for field in self.fields if field.name == name), None)


_SCALARS: dict[Any, str] = {str: "String", int: "Int", bool: "Boolean"}


@cache
def describe_type(model: type[Model]) -> TypeDescription:
    """Describes one type; nested types are named, not followed."""
    fields = tuple(_describe_field(name, info) for name, info in model.model_fields.items())
    return TypeDescription(model.graphql_name, (model.__doc__ or "").strip(), fields, model)


def describe(root: type[Model], *, service: bool = False) -> tuple[TypeDescription, ...]:
    """Describes ``root`` and every type that it reaches, each once, in order of first use.

    Args:
        service: Only what the service's API has: without fields that the client takes away.
    """
    found: dict[str, TypeDescription] = {}
    queue = [root]
    while queue:
        model = queue.pop(0)
        if model.graphql_name in found:
            continue
        kind = describe_type(model)
        if service:
            fields = tuple(field for field in kind.fields if not field.client_only)
            kind = dataclasses.replace(kind, fields=fields)
        found[model.graphql_name] = kind
        queue += [field.model for field in kind.fields if field.model]
    return tuple(found.values())


def _describe_field(name: str, info: FieldInfo) -> FieldDescription:
    kind, is_list, metadata = _unfold(info)
    go_names = [mark.name for mark in metadata if isinstance(mark, Go)]
    alias = info.alias or name
    return FieldDescription(
        name=alias,
        attribute=name,
        go_name=go_names[0] if go_names else alias[0].upper() + alias[1:],
        type_name=_SCALARS.get(kind) or kind.graphql_name,
        is_list=is_list,
        required=info.is_required(),
        rules=tuple(mark for mark in metadata if isinstance(mark, Rule)),
        secret=any(isinstance(mark, Secret) for mark in metadata),
        client_only=any(isinstance(mark, ClientOnly) for mark in metadata),
        deprecated=next((mark.reason for mark in metadata if isinstance(mark, Deprecated)), ""),
        text=" ".join((info.description or "").split()),
        model=kind if isinstance(kind, type) and issubclass(kind, Model) else None,
    )


def _unfold(info: FieldInfo) -> tuple[Any, bool, list[Any]]:
    """Strips None, list and Annotated off a field's type; gathers the marks on the way."""
    kind: Any = info.annotation
    metadata: list[Any] = list(info.metadata)
    is_list = False
    while True:
        origin = get_origin(kind)
        if origin is Annotated:
            kind, *marks = get_args(kind)
            metadata = [*marks, *metadata]
        elif origin in (types.UnionType, typing.Union):
            (kind,) = (part for part in get_args(kind) if part is not type(None))
        elif origin is list:
            is_list = True
            (kind,) = get_args(kind)
        else:
            return kind, is_list, metadata
