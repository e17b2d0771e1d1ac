"""Logs as events."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from dsq.core.chain import Addresses
from dsq.core.chain.abi import contract
from dsq.core.chain.events import EMITTERS, EventReader, argument_name
from dsq.core.errors import UsageError
from dsq.core.model import Address, JobStatus

A, B, C, D, E, F = (Address(bytes([n]) * 20) for n in range(1, 7))
ADDRESSES = Addresses(A, B, C, D, E, F)

CANONICAL = {
    "NewJobRequestEvent": ("job_id", "customer"),
    "ClaimJobEvent": ("customer", "provider", "job_id", "max_duration_minute", "definition"),
    "ClaimNextCancellingJobEvent": ("customer", "provider", "job_id"),
    "ClaimNextTopUpJobEvent": ("job_id", "provider", "max_duration_minute"),
    "JobRefusedEvent": ("job_id", "provider", "customer"),
    "BilledTooMuchEvent": ("job_id", "provider", "billing_amount"),
    "JobCreated": ("job_id",),
    "JobTransitionEvent": ("job_id", "from_status", "to_status"),
    "Transfer": ("sender", "recipient", "value"),
    "Approval": ("owner", "spender", "value"),
    "ProviderWaitingForApproval": ("provider",),
    "ProviderApproved": ("provider",),
    "ProviderRemoved": ("provider",),
    "ProviderBanChanged": ("provider", "banned"),
}


def _log(address: Address, topics: list[bytes], data: bytes, block: int = 7) -> dict[str, Any]:
    return {
        "address": address.lower,
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + data.hex(),
        "blockNumber": hex(block),
        "blockHash": "0x" + "cc" * 32,
        "transactionHash": "0x" + "dd" * 32,
        "logIndex": "0x2",
    }


def _transition(block: int = 7) -> dict[str, Any]:
    topic = keccak(text="JobTransitionEvent(bytes32,uint8,uint8)")
    data = encode(["bytes32", "uint8", "uint8"], [(41).to_bytes(32, "big"), 0, 1])
    return _log(E, [topic], data, block)


def test_arguments_have_their_plain_names() -> None:
    """Every event of the grid has the documented arguments."""
    for name in EMITTERS:
        for event in contract(name).events.values():
            if event.name in CANONICAL:
                found = tuple(argument_name(event.name, p.name) for p in event.parameters)
                assert found == CANONICAL[event.name], event.name
    known = {event.name for name in EMITTERS for event in contract(name).events.values()}
    assert set(CANONICAL) <= known


def test_page_lists_every_event() -> None:
    """docs/chain.md has the events with their arguments as they are."""
    page = (Path(__file__).parents[3] / "docs" / "chain.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| `\w+` \| ([a-z_, ]+) \|", page, re.MULTILINE))
    assert {name: tuple(args.split(", ")) for name, args in rows.items()} == CANONICAL


def test_status_and_id_are_values_of_the_model() -> None:
    """A job's id is a number and its statuses are names."""
    event = EventReader(ADDRESSES).read(_transition())
    assert event is not None
    assert event.args == {
        "job_id": 41,
        "from_status": JobStatus.PENDING,
        "to_status": JobStatus.META_SCHEDULED,
    }
    assert (event.name, event.contract) == ("JobTransitionEvent", "JobRepository")
    assert (event.block_number, event.log_index) == (7, 2)


def test_indexed_arguments() -> None:
    """Arguments in topics are read like those in the data."""
    topics = [
        keccak(text="Transfer(address,address,uint256)"),
        bytes(12) + A,
        bytes(12) + B,
    ]
    event = EventReader(ADDRESSES).read(_log(B, topics, encode(["uint256"], [5])))
    assert event is not None
    assert event.args == {"sender": A, "recipient": B, "value": 5}


def test_logs_of_others_are_none() -> None:
    """The same log from another contract, an unknown topic, cut data: no event of the grid."""
    reader = EventReader(ADDRESSES)
    assert reader.read({**_transition(), "address": A.lower}) is None
    assert reader.read({**_transition(), "topics": []}) is None
    assert reader.read({**_transition(), "data": "0x01"}) is None
    assert reader.read({**_transition(), "topics": ["0x" + "ee" * 32]}) is None
    status_of_another_version = _transition()["data"][:-2] + "63"
    assert reader.read({**_transition(), "data": status_of_another_version}) is None


def test_order_is_the_chains() -> None:
    """Events are sorted by block and place, whatever the node's order."""
    events = EventReader(ADDRESSES).read_all([_transition(9), _transition(8)])
    assert [event.block_number for event in events] == [8, 9]


def test_filter_names_only_what_is_wanted() -> None:
    """A filter by names asks for their topics at their contracts."""
    found = EventReader(ADDRESSES, ["JobCreated", "Transfer"]).filter()
    assert found["address"] == sorted([B.lower, E.lower])
    assert len(found["topics"][0]) == 2
    assert "topics" not in EventReader(ADDRESSES).filter()


def test_unknown_event() -> None:
    """A wrong name is told with the close match."""
    with pytest.raises(UsageError, match="Did you mean 'JobCreated'"):
        EventReader(ADDRESSES, ["JobCreate"])
