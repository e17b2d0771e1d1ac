"""What the artifacts say of calls, events and errors, for the embedded EVM of the tests."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_utils.crypto import keccak

from dsq import contracts


class RevertedError(Exception):
    """A call was refused.

    Attributes:
        name: The custom error, ``Error`` for a string, ``Panic`` for one of the compiler's,
            "" for no data (also out of gas).
        values: Its arguments.
    """

    def __init__(self, name: str, values: tuple[Any, ...]) -> None:
        super().__init__(name, values)
        self.name = name
        self.values = values


@dataclass(frozen=True)
class Event:
    """A decoded log: its contract, its name and its arguments by name."""

    contract: str
    name: str
    values: dict[str, Any]


def type_of(entry: Mapping[str, Any]) -> str:
    """The canonical type of an ABI parameter, tuples spelled out."""
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(type_of(part) for part in entry["components"])
    return f"({inner}){kind.removeprefix('tuple')}"


def signature_of(entry: Mapping[str, Any]) -> str:
    """``name(type,...)`` of a function, event or error."""
    return f"{entry['name']}({','.join(type_of(part) for part in entry['inputs'])})"


@functools.cache
def errors() -> dict[bytes, tuple[str, list[str]]]:
    """All custom errors by selector: name and types."""
    found = {
        keccak(text="Error(string)")[:4]: ("Error", ["string"]),
        keccak(text="Panic(uint256)")[:4]: ("Panic", ["uint256"]),
    }
    for artifact in map(contracts.load, contracts.ARTIFACTS):
        for entry in artifact.abi:
            if entry["type"] == "error":
                selector = keccak(text=signature_of(entry))[:4]
                found[selector] = (entry["name"], [type_of(part) for part in entry["inputs"]])
    return found


@functools.cache
def functions(name: str) -> dict[str, tuple[bytes, list[str], list[str]]]:
    """Functions of a contract: selector, types of inputs, types of outputs."""
    return {
        entry["name"]: (
            keccak(text=signature_of(entry))[:4],
            [type_of(part) for part in entry["inputs"]],
            [type_of(part) for part in entry["outputs"]],
        )
        for entry in contracts.load(name).abi
        if entry["type"] == "function"
    }


@functools.cache
def events(name: str) -> dict[bytes, dict[str, Any]]:
    """Events of a contract by topic."""
    return {
        keccak(text=signature_of(entry)): entry
        for entry in contracts.load(name).abi
        if entry["type"] == "event"
    }
