"""The contracts' ABIs as encoders and decoders.

Built once a contract from its artifact (``dsq.contracts.load``) on the codec of eth_abi.
Addresses are decoded to :class:`~dsq.core.model.Address`, text that is no UTF-8 with
replacement characters: what a stranger wrote on chain must not stop a client.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi import decoding, encoding
from eth_abi.codec import ABICodec
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.registry import BaseEquals
from eth_abi.registry import registry as default_registry
from eth_utils.crypto import keccak

from dsq.core.chain.words import decode_words
from dsq.core.errors import DsqError, UsageError
from dsq.core.model import Address


class _AddressDecoder(decoding.AddressDecoder):
    decoder_fn = staticmethod(Address)  # type: ignore[assignment]


class _TextDecoder(decoding.StringDecoder):
    def __init__(self) -> None:
        super().__init__(handle_string_errors="replace")  # type: ignore[no-untyped-call]


def _build_codec() -> ABICodec:
    any_of: Any = BaseEquals
    registry: Any = default_registry
    registry = registry.copy()
    registry.unregister("address")
    registry.register(any_of("address"), encoding.AddressEncoder, _AddressDecoder, label="address")
    registry.unregister("string")
    registry.register(
        any_of("string", with_sub=False), encoding.TextStringEncoder, _TextDecoder, "string"
    )
    return ABICodec(registry)


CODEC = _build_codec()


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Decodes ABI data.

    Raises:
        DsqError: The data does not have these types.
    """
    words = decode_words(types, data)
    if words is not None:
        return words
    try:
        return CODEC.decode(types, data, strict=False)
    except (DecodingError, OverflowError, ValueError) as error:
        raise DsqError(
            f"The chain's answer is not of the type ({','.join(types)}): {error}.",
            hint="Is the contract of another version?",
        ) from error


@dataclass(frozen=True, slots=True)
class Parameter:
    """An input or output: its name in the ABI and its canonical type."""

    name: str
    type: str
    indexed: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a contract."""

    name: str
    selector: bytes
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]

    def encode(self, *args: Any) -> bytes:
        """The call's data.

        Raises:
            UsageError: An argument does not fit its type (negative, too large, ...).
        """
        try:
            return self.selector + CODEC.encode([i.type for i in self.inputs], args)
        except (EncodingError, OverflowError, TypeError, ValueError) as error:
            raise UsageError(f"{self.name}(): an argument does not fit: {error}") from error

    def decode(self, data: bytes) -> Any:
        """The result of a call: a value, or a tuple when there are several."""
        values = decode([o.type for o in self.outputs], data)
        return values[0] if len(values) == 1 else values


@dataclass(frozen=True, slots=True)
class EventType:
    """An event of a contract."""

    name: str
    contract: str
    topic: bytes
    parameters: tuple[Parameter, ...]

    def decode(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """The arguments of a log, by their names in the ABI."""
        plain = [p for p in self.parameters if not p.indexed]
        values = dict(
            zip((p.name for p in plain), decode([p.type for p in plain], data), strict=True)
        )
        indexed = [p for p in self.parameters if p.indexed]
        for parameter, topic in zip(indexed, topics[1:], strict=True):
            values[parameter.name] = decode([parameter.type], topic)[0]
        return {p.name: values[p.name] for p in self.parameters}


@dataclass(frozen=True, slots=True)
class ErrorType:
    """A custom error of a contract."""

    name: str
    selector: bytes
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class ContractAbi:
    """A contract's functions, events and errors."""

    name: str
    constructor: tuple[Parameter, ...]
    functions: Mapping[str, Function]
    events: Mapping[bytes, EventType]
    errors: Mapping[bytes, ErrorType]

    def event(self, name: str) -> EventType | None:
        """The event of that name, if the contract has it."""
        return next((event for event in self.events.values() if event.name == name), None)

    def encode_constructor(self, *args: Any) -> bytes:
        """The data that follows the bytecode in a deployment."""
        return bytes(CODEC.encode([p.type for p in self.constructor], args))


def canonical_type(entry: Mapping[str, Any]) -> str:
    """The canonical type of an ABI entry: tuples written out."""
    kind = str(entry["type"])
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(canonical_type(part) for part in entry["components"])
    return f"({inner}){kind.removeprefix('tuple')}"


def _parameters(entries: Sequence[Mapping[str, Any]]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(str(e.get("name", "")), canonical_type(e), bool(e.get("indexed")))
        for e in entries
    )


def _signature(name: str, parameters: Sequence[Parameter]) -> bytes:
    return bytes(keccak(text=f"{name}({','.join(p.type for p in parameters)})"))


def parse_abi(name: str, entries: Sequence[Mapping[str, Any]]) -> ContractAbi:
    """Reads an ABI as the compiler writes it. Of overloaded functions the first is kept."""
    functions: dict[str, Function] = {}
    events: dict[bytes, EventType] = {}
    errors: dict[bytes, ErrorType] = {}
    constructor: tuple[Parameter, ...] = ()
    for entry in entries:
        inputs = _parameters(entry.get("inputs", ()))
        label = str(entry.get("name", ""))
        match entry["type"]:
            case "constructor":
                constructor = inputs
            case "function":
                outputs = _parameters(entry.get("outputs", ()))
                selector = _signature(label, inputs)[:4]
                functions.setdefault(label, Function(label, selector, inputs, outputs))
            case "event":
                topic = _signature(label, inputs)
                events[topic] = EventType(label, name, topic, inputs)
            case "error":
                selector = _signature(label, inputs)[:4]
                errors[selector] = ErrorType(label, selector, inputs)
            case _:
                pass
    return ContractAbi(name, constructor, functions, events, errors)


@functools.cache
def contract(name: str) -> ContractAbi:
    """The ABI of one of the grid's contracts, by its name (``MetaScheduler``, ``Credit``, ...)."""
    from dsq import contracts

    return parse_abi(name, contracts.load(name).abi)
