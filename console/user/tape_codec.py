"""What the grid answers, as JSON and back: for recordings.

The project's own values come back as themselves; a class that is not known here comes back as
a plain object with the same attributes, which is all that the console asks of it.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
from collections.abc import Mapping
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from dsq.core import errors, model
from dsq.core.errors import DsqError
from dsq.core.model import Address

TAG = "!"
MODULES = ("dsq.core.grid.overview", "dsq.core.grid.history", "dsq.core.chain.health")
"""Where, besides the model, classes come from that can do more than hold values."""


@lru_cache(maxsize=1)
def _classes() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in (model, *(importlib.import_module(name) for name in MODULES)):
        for name, value in vars(module).items():
            known = isinstance(value, type) and value.__module__.startswith("dsq.core.")
            if known and (dataclasses.is_dataclass(value) or issubclass(value, enum.Enum)):
                found[name] = value
    return found


def encode(value: Any) -> Any:
    """A value as JSON has it.

    Raises:
        TypeError: There is no way to write it.
    """
    if isinstance(value, enum.Enum):
        return {TAG: "enum", "of": type(value).__name__, "name": value.name}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Address):
        return {TAG: "address", "hex": bytes(value).hex()}
    if isinstance(value, bytes):
        return {TAG: "bytes", "hex": value.hex()}
    if isinstance(value, tuple):
        return {TAG: "tuple", "of": [encode(each) for each in value]}
    if isinstance(value, list):
        return [encode(each) for each in value]
    if isinstance(value, Mapping):
        return {TAG: "map", "of": [[encode(key), encode(each)] for key, each in value.items()]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {TAG: "object", "of": type(value).__name__, "has": _attributes(value)}
    raise TypeError(f"a {type(value).__name__} cannot be recorded")


def _attributes(value: Any) -> dict[str, Any]:
    names = [each.name for each in dataclasses.fields(value) if each.init]
    if type(value).__name__ not in _classes():
        for owner in type(value).__mro__:
            names += [name for name, kind in vars(owner).items() if isinstance(kind, property)]
    return {name: encode(getattr(value, name)) for name in dict.fromkeys(names)}


def decode(value: Any) -> Any:
    """The value that :func:`encode` wrote.

    Raises:
        ValueError: Nothing that it writes looks so.
    """
    if isinstance(value, list):
        return [decode(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind, of = value.get(TAG), value.get("of")
    if kind == "address":
        return Address(bytes.fromhex(value["hex"]))
    if kind == "bytes":
        return bytes.fromhex(value["hex"])
    if kind == "tuple" and isinstance(of, list):
        return tuple(decode(each) for each in of)
    if kind == "map" and isinstance(of, list):
        return {decode(key): decode(each) for key, each in of}
    if kind == "enum" and of in _classes():
        return _classes()[of][value["name"]]
    if kind == "object":
        has = {name: decode(each) for name, each in value["has"].items()}
        known = _classes().get(str(of))
        return known(**has) if known is not None else SimpleNamespace(**has)
    raise ValueError(f"a recording does not hold a '{kind}'")


def encode_error(error: BaseException) -> dict[str, str]:
    """An error, with its sentence and hint."""
    if isinstance(error, DsqError):
        return {"type": type(error).__name__, "text": error.message, "hint": error.hint}
    return {"type": "DsqError", "text": str(error) or type(error).__name__, "hint": ""}


def decode_error(data: Mapping[str, str]) -> DsqError:
    """The error that was recorded; one of an unknown class is a plain one."""
    kind = getattr(errors, data["type"], DsqError)
    simple = isinstance(kind, type) and issubclass(kind, DsqError)
    try:
        made = kind(data["text"], hint=data["hint"]) if simple else None
    except TypeError:
        made = None
    return made if made is not None else DsqError(data["text"], hint=data["hint"])
