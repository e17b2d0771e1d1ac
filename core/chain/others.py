"""Transactions of our wallet that somebody else sent: another program with the key, or its owner.

What is mined under a nonce that nothing of ours has was not sent from here. Nonces that were
used before the first look are never told one by one: who made them may have gone long ago, and
a chain that goes back mines them again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from typing import Any

from dsq.core.chain.abi import contract
from dsq.core.chain.client import Chain
from dsq.core.chain.flight import Flight
from dsq.core.chain.rpc import number, raw
from dsq.core.chain.wire import Wire

log = logging.getLogger("dsq.core.chain.others")

MARGIN_BLOCKS = 20
"""Nodes that answer in turn may be so far apart."""

LOOKS = 3
"""A transaction that its node does not show after so many looks is passed over."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A mined transaction of the wallet that was not sent from here.

    Attributes:
        function: The metascheduler's function that it calls; "" if it calls something else.
        note: What it says, if it is a transfer to the wallet itself.
    """

    hash: bytes
    function: str = ""
    note: bytes = b""


@dataclass(frozen=True, slots=True)
class Others:
    """What became known since the last look.

    Attributes:
        before: The wallet was used by somebody else since we sent something last, or we never
            did. Only the first look tells.
        seen: Transactions that were mined since the last look.
    """

    before: bool = False
    seen: tuple[Foreign, ...] = ()


class Lookout:
    """Looks for them.

    Args:
        chain: The connection.
        flight: What was sent from here.
        wire: The account's line to the node.
    """

    def __init__(self, chain: Chain, flight: Flight, wire: Wire) -> None:
        self._chain = chain
        self._flight = flight
        self._wire = wire
        self._floor = -1
        self._next = 0
        self._block = 0
        self._failed = 0

    async def look(self) -> Others:
        """What was sent by others since the last look.

        Raises:
            UnreachableError: The node does not answer.
        """
        head = await self._wire.head()
        used, pending = await self._wire.counts()
        if self._floor < 0:
            return self._begin(head, used, pending)
        # A chain that went back has used fewer for a while.
        self._next = max(self._floor, min(self._next, used))
        ours, open_ = self._flight.store.nonces_from(self._next)
        # Who gets the nonce of one under way is not clear yet.
        until = min([used, *open_])
        strange = set(range(self._next, until)) - ours
        found = await self._find(strange, head) if strange else []
        if len(found) < len(strange) and self._failed < LOOKS:
            self._failed += 1
            return Others()
        self._failed = 0
        self._next, self._block = until, head
        store = self._flight.store
        return Others(seen=tuple(one for one in found if store.find(one.hash) is None))

    def _begin(self, head: int, used: int, pending: int) -> Others:
        flight = self._flight
        known = max([flight.ended, *flight.in_flight]) + 1
        # What waits in the node's pool may have been sent by an earlier life of ours.
        self._floor = self._next = max(used, pending, known)
        self._block = head
        return Others(before=used > known)

    async def _find(self, nonces: set[int], head: int) -> list[Foreign]:
        """The transactions with these nonces, in their order."""
        mined = await self._wire.mined_in(self._block - MARGIN_BLOCKS, head)
        mined.sort(key=lambda tx: number(tx["nonce"]))
        return [self._read(tx) for tx in mined if number(tx["nonce"]) in nonces]

    def _read(self, tx: dict[str, Any]) -> Foreign:
        to, data = raw(tx.get("to") or "0x"), raw(tx["input"])
        if to == bytes(self._flight.account):
            return Foreign(raw(tx["hash"]), note=data)
        if to == bytes(self._chain.addresses.metascheduler):
            return Foreign(raw(tx["hash"]), _functions().get(data[:4], ""))
        return Foreign(raw(tx["hash"]))


@cache
def _functions() -> dict[bytes, str]:
    """Names of the metascheduler's functions by their selectors."""
    return {each.selector: name for name, each in contract("MetaScheduler").functions.items()}
