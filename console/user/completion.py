"""What can be typed next in a workflow: fields, values, modules, each with its meaning.

All of it comes from the model of the language, by which workflows are checked too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsq.console.user.yaml_place import Part, Place, field_at, place_at
from dsq.console.widgets.completer import Completion, Offer
from dsq.console.widgets.safe import one_line

if TYPE_CHECKING:
    from dsq.sbatch.model.base import FieldDescription, Model, TypeDescription

WRAPPER = "job"
"""The only field of the root below which the workflow may stand."""

_BOOLEANS = ("true", "false")


def offer_fields(
    lines: Sequence[str], row: int, column: int, modules: Sequence[tuple[str, str]] = ()
) -> Offer | None:
    """What can stand at a cursor; None where nothing is known.

    Args:
        lines: The text.
        row: The cursor's line, from 0.
        column: The cursor's column, from 0.
        modules: Sources of modules that are at hand, each with a sentence.
    """
    place = place_at(lines, row, column)
    if place is None:
        return None
    items = _values(place, modules) if place.key else _names_or_elements(place)
    begun = place.typed.casefold()
    fitting = [each for each in items if each.word.casefold().startswith(begun)]
    fitting += [each for each in items if begun in each.word.casefold() and each not in fitting]
    return Offer(place.start, place.end, tuple(fitting), place.typed) if fitting else None


def load_language() -> None:
    """Loads the model of the language, which takes a moment: the first letter must not wait."""
    _describe(_root())


def about_field(lines: Sequence[str], row: int, column: int) -> tuple[str, str]:
    """The field around a cursor, and what it means; empty where there is none."""
    path = field_at(lines, row, column)
    found = _field(path)
    if found is None:
        return "", ""
    return ".".join(path), field_words(found)


def field_words(found: FieldDescription) -> str:
    """A field's meaning, its kind and its rules in one line."""
    from dsq.sbatch.model.rules import Int32, NoNul, OneOf

    kind = {"String": "text", "Int": "number", "Boolean": "true or false"}.get(
        found.type_name, "mapping"
    )
    kind = f"list of {kind}s" if found.is_list else kind
    rules = [rule.words() for rule in found.rules if not isinstance(rule, Int32 | NoNul | OneOf)]
    head = [kind, *(["required"] if found.required else [])]
    head += [f"must {'; '.join(rules)}"] if rules else []
    head += ["deprecated"] if found.deprecated else []
    return f"{_meaning(found)} ({', '.join(head)})"


def _meaning(found: FieldDescription) -> str:
    return one_line((found.deprecated or found.text).replace("`", ""), 300)


def _root() -> type[Model]:
    from dsq.sbatch.model.job import Workflow

    return Workflow


def _describe(model: type[Model]) -> TypeDescription:
    from dsq.sbatch.model.base import describe_type

    return describe_type(model)


def _unwrapped(path: Sequence[Part]) -> Sequence[Part]:
    return path[1:] if path and path[0] == WRAPPER else path


def _field(path: Sequence[Part]) -> FieldDescription | None:
    """The field that a path leads to."""
    model: type[Model] | None = _root()
    found: FieldDescription | None = None
    for part in _unwrapped(path):
        if isinstance(part, int):
            continue
        if model is None:
            return None
        found = _describe(model).field(part)
        if found is None:
            return None
        model = found.model
    return found


def _names_or_elements(place: Place) -> list[Completion]:
    around = _field(place.path)
    if around is None and _unwrapped(place.path):
        return []
    if around is not None and around.is_list and around.model is None:
        return _choices(around, "" if place.in_item else "- ")
    model = around.model if around is not None else _root()
    if model is None:
        return []
    lacks_dash = around is not None and around.is_list and not place.in_item
    dash = "- " if lacks_dash and not place.flow else ""
    return [
        Completion(each.name, _insert(each, place, dash), _about(each), goes_on=_goes_on(each))
        for each in _describe(model).fields
        if each.name not in place.others
    ]


def _about(found: FieldDescription) -> str:
    return ("required: " if found.required else "") + _meaning(found)


def _goes_on(found: FieldDescription) -> bool:
    return bool(_words_of(found)) or found.name == "source"


def _insert(found: FieldDescription, place: Place, dash: str) -> str:
    """A field's name as it is written: its colon, and the beginning of what follows."""
    if place.named:
        return f"{dash}{found.name}"
    if place.flow or (found.model is None and not found.is_list):
        return f"{dash}{found.name}: "
    inner = " " * (place.column + len(dash) + 2)
    return f"{dash}{found.name}:\n{inner}" + ("- " if found.is_list else "")


def _values(place: Place, modules: Sequence[tuple[str, str]]) -> list[Completion]:
    found = _field((*place.path, place.key))
    if found is None:
        return []
    if found.name == "source" and found.type_name == "String" and "use" in place.path:
        shown = [(name, words) for name, words in modules if one_line(name) == name]
        return [Completion(one_line(name, 60), name, words) for name, words in shown]
    return [] if found.is_list else _choices(found, "")


def _choices(found: FieldDescription, before: str) -> list[Completion]:
    return [Completion(word, before + word, _meaning(found)) for word in _words_of(found)]


def _words_of(found: FieldDescription) -> tuple[str, ...]:
    from dsq.sbatch.model.rules import OneOf

    if found.type_name == "Boolean":
        return _BOOLEANS
    choices = next((rule.choices for rule in found.rules if isinstance(rule, OneOf)), ())
    return tuple(choice for choice in choices if choice)
