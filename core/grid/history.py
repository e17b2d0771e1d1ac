"""What came into an account and what left it, read from the chain's log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dsq.core.chain import Event
from dsq.core.chain.abi import contract
from dsq.core.chain.logs import get_logs
from dsq.core.grid.connection import Connection
from dsq.core.model import Address, JobStatus

EVENTS = ("Transfer", "JobSettled", "JobToppedUp", "JobUpdated")

KINDS = {
    "minted": "made for the account",
    "received": "from another account",
    "sent": "to another account",
    "locked": "for a new job",
    "topped up": "for a job that ran",
    "returned": "what a job did not use",
    "earned": "for another's job, less the grid's fee",
    "paid out": "from the grid's contract",
}
"""Kinds of movements, and what each means."""

INCOMING = frozenset({"minted", "received", "returned", "earned", "paid out"})
"""Kinds that add to the balance; the others take from it."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Credits that came or went.

    Attributes:
        at: Unix seconds of the block.
        kind: One of :data:`KINDS`.
        wei: How much, always positive.
        other: Who the other side was.
        job_id: The job it was for; 0 if it was for none, or none is named.
    """

    at: int
    kind: str
    wei: int
    other: Address
    job_id: int
    block_number: int
    log_index: int
    tx_hash: bytes

    @property
    def incoming(self) -> bool:
        """It added to the balance."""
        return self.kind in INCOMING

    @property
    def change_wei(self) -> int:
        """What it did to the balance."""
        return self.wei if self.incoming else -self.wei


class History(Connection):
    """The part of a grid about the past of an account."""

    async def movements(
        self, account: Address | None = None, *, from_block: int | None = None
    ) -> list[Movement]:
        """Credits that came to an account or left it, oldest first.

        Args:
            account: Whose; this wallet's by default.
            from_block: The first block to look at; the grid's first by default.
        """
        owner = account or self.address
        first = self.config.start_block if from_block is None else from_block
        head = await self.chain.head()
        reader = self.chain.reader(EVENTS)
        logs: dict[tuple[int, int], dict[str, Any]] = {}
        for query in _queries(reader.filter()["address"], owner):
            for log in await get_logs(self.chain.rpc, query, first, head.number):
                logs[int(log["blockNumber"], 16), int(log["logIndex"], 16)] = log
        events = reader.read_all(list(logs.values()))
        blocks = {event.block_number for event in events if event.name == "Transfer"}
        times = await self.chain.block_timestamps(blocks)
        return movements(events, owner, self.chain.addresses.metascheduler, times)


def _queries(addresses: Sequence[str], owner: Address) -> list[dict[str, Any]]:
    """Log filters that select what concerns an account, by indexed topics."""
    me = "0x" + bytes(owner).rjust(32, b"\0").hex()

    def topic(emitter: str, name: str) -> str:
        known = contract(emitter).events.values()
        return "0x" + next(event.topic for event in known if event.name == name).hex()

    transfer, settled = topic("Credit", "Transfer"), topic("MetaScheduler", "JobSettled")
    jobs = [settled, topic("MetaScheduler", "JobToppedUp"), topic("JobRepository", "JobUpdated")]
    wanted: list[list[Any]] = [
        [transfer, me],
        [transfer, None, me],
        [jobs, None, me],
        [settled, None, None, me],
    ]
    return [{"address": list(addresses), "topics": topics} for topics in wanted]


def movements(
    events: Iterable[Event], owner: Address, metascheduler: Address, times: dict[int, int]
) -> list[Movement]:
    """Makes movements of an account out of its events. Pure.

    Args:
        events: Of :data:`EVENTS`, in the order of the chain.
        times: Unix seconds of the blocks with transfers.
    """
    found: list[Movement] = []
    transactions: dict[bytes, list[Event]] = {}
    for event in events:
        transactions.setdefault(event.tx_hash, []).append(event)
    for tx_hash, together in transactions.items():
        requested = [
            event.args["job_id"]
            for event in together
            if event.name == "JobUpdated"
            and event.args["from_status"] == event.args["to_status"] == JobStatus.PENDING
        ]
        settled: Event | None = None
        topped: Event | None = None
        for event in together:
            if event.name == "JobSettled":
                settled = event
            elif event.name == "JobToppedUp":
                topped = event
            elif event.name == "Transfer" and event.args["value"]:
                kind, job_id = _kind(event, owner, metascheduler, requested, settled, topped)
                topped = None if kind == "topped up" else topped
                outgoing = event.args["sender"] == owner and kind not in INCOMING
                other = event.args["recipient" if outgoing else "sender"]
                found.append(
                    Movement(
                        times[event.block_number], kind, event.args["value"], other, job_id,
                        event.block_number, event.log_index, tx_hash,
                    )
                )  # fmt: skip
    return found


def _kind(
    event: Event,
    owner: Address,
    metascheduler: Address,
    requested: list[int],
    settled: Event | None,
    topped: Event | None,
) -> tuple[str, int]:
    sender, recipient = event.args["sender"], event.args["recipient"]
    value = event.args["value"]
    if sender == owner and recipient == metascheduler:
        if topped is not None and topped.args["amount"] == value:
            return "topped up", topped.args["job_id"]
        # Of several requests in one transaction each transfer belongs to the next one.
        return "locked", requested.pop(0) if requested else 0
    if sender == owner:
        return "sent", 0
    if sender.is_zero:
        return "minted", 0
    if sender != metascheduler:
        return "received", 0
    if settled is not None:
        args = settled.args
        if args["customer"] == owner and args["refund"] == value:
            return "returned", args["job_id"]
        if args["provider"] == owner and args["paid"] == value:
            return "earned", args["job_id"]
    return "paid out", 0
