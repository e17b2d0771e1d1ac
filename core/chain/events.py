"""Logs of the chain as events with plain names and types.

An argument's name is that of the ABI in snake case without underscores before and
"Addr" behind it (``_customerAddr`` -> ``customer``); :data:`RENAMED` holds the exceptions.
Job ids are numbers, statuses :class:`~dsq.core.model.JobStatus`, job definitions values of
the model. docs/chain.md lists every event with its arguments.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dsq.core.chain import codec
from dsq.core.chain.abi import EventType, contract
from dsq.core.chain.addresses import Addresses
from dsq.core.chain.rpc import number, raw
from dsq.core.errors import DsqError, UsageError, close_matches
from dsq.core.model import Address, JobStatus

EMITTERS = ("MetaScheduler", "JobRepository", "ProviderManager", "Credit")
"""Contracts whose events are read."""

RENAMED = {
    ("JobTransitionEvent", "_from"): "from_status",
    ("JobTransitionEvent", "_to"): "to_status",
    ("Transfer", "from"): "sender",
    ("Transfer", "to"): "recipient",
    ("ProviderWaitingForApproval", "addr"): "provider",
    ("ProviderApproved", "addr"): "provider",
    ("ProviderRemoved", "addr"): "provider",
    ("ProviderBanChanged", "addr"): "provider",
    ("ProviderBanChanged", "status"): "banned",
    ("ClaimJobEvent", "jobDefinition"): "definition",
}

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on chain.

    Attributes:
        name: As in the contract: ``JobTransitionEvent``.
        contract: Which contract said it: ``JobRepository``.
        args: Its arguments under their plain names.
    """

    name: str
    contract: str
    args: Mapping[str, Any]
    block_number: int
    block_hash: bytes
    tx_hash: bytes
    log_index: int


def argument_name(event: str, name: str) -> str:
    """The plain name of an event's argument."""
    if (event, name) in RENAMED:
        return RENAMED[event, name]
    return _HUMP.sub("_", name.lstrip("_").removesuffix("Addr")).lower()


def _value(name: str, kind: str, value: Any) -> Any:
    if name == "job_id" and kind == "bytes32":
        return codec.job_id_from_bytes(value)
    if name in ("from_status", "to_status") or (name == "status" and kind == "uint8"):
        return JobStatus(value)
    if name == "definition":
        return codec.definition_from_tuple(value)
    return value


class EventReader:
    """Decodes the logs of one grid's contracts.

    Args:
        addresses: The grid's contracts.
        names: Events to read; None reads all that are known.

    Raises:
        UsageError: There is no event of such a name.
    """

    def __init__(self, addresses: Addresses, names: Collection[str] | None = None) -> None:
        self._types: dict[tuple[Address, bytes], EventType] = {}
        known: set[str] = set()
        for emitter in EMITTERS:
            for event in contract(emitter).events.values():
                known.add(event.name)
                if names is None or event.name in names:
                    self._types[addresses.of(emitter), event.topic] = event
        for name in names or ():
            if name not in known:
                raise UsageError(f"There is no event '{name}'.{close_matches(name, known)}")
        self._all = names is None

    def filter(self) -> dict[str, Any]:
        """The part of an ``eth_getLogs`` filter that selects these events."""
        emitters = sorted({address.lower for address, _ in self._types})
        if self._all:
            return {"address": emitters}
        topics = sorted({"0x" + topic.hex() for _, topic in self._types})
        return {"address": emitters, "topics": [topics]}

    def read(self, log: Mapping[str, Any]) -> Event | None:
        """One log; None if it is none of these events."""
        if not log["topics"]:
            return None
        topics = [raw(topic) for topic in log["topics"]]
        event = self._types.get((Address(raw(log["address"])), topics[0]))
        if event is None:
            return None
        try:
            values = event.decode(topics, raw(log["data"]))
            args = {}
            for parameter in event.parameters:
                name = argument_name(event.name, parameter.name)
                args[name] = _value(name, parameter.type, values[parameter.name])
        except (DsqError, ValueError):
            # A contract of another version: its log is none that we know.
            return None
        return Event(
            name=event.name,
            contract=event.contract,
            args=args,
            block_number=number(log["blockNumber"]),
            block_hash=raw(log["blockHash"]),
            tx_hash=raw(log["transactionHash"]),
            log_index=number(log["logIndex"]),
        )

    def read_all(self, logs: Collection[Mapping[str, Any]]) -> list[Event]:
        """Many logs, in the order of the chain."""
        found = [event for event in map(self.read, logs) if event is not None]
        return sorted(found, key=lambda event: (event.block_number, event.log_index))
