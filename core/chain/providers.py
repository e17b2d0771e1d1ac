"""Providers as several views of the ProviderManager tell them.

The contract keeps a list of the approved ones. Who only waits for approval is known
from events; what was read of them is remembered, so that each block is read once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dsq.core.chain import codec
from dsq.core.model import Address, Provider

if TYPE_CHECKING:
    from dsq.core.chain.client import Chain

PAGE = 100
"""Addresses asked for at once."""

OVERLAP = 64
"""Blocks read again each time, in case they were replaced."""

_FLAGS = ("isBanned", "isWaitingForApproval", "isValidForScheduling", "getJobCount")


class ProviderDirectory:
    """The providers of one grid."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._waiting: set[Address] = set()
        self._read_to = -1

    async def provider(self, address: Address) -> Provider:
        """The approved record, or an empty one."""
        return (await self._records("getProvider", [address]))[0]

    async def proposal(self, address: Address) -> Provider:
        """The proposed record, or an empty one."""
        return (await self._records("getWaitingForApprovalProvider", [address]))[0]

    async def providers(self) -> list[Provider]:
        """All of them in the order of their approval, those who wait behind."""
        approved = await self._approved()
        records = await self._records("getProvider", approved)
        known = set(approved)
        others = sorted(address for address in await self._seen() if address not in known)
        proposals = await self._records("getWaitingForApprovalProvider", others)
        return records + [provider for provider in proposals if provider.is_waiting]

    async def _approved(self) -> list[Address]:
        addresses: dict[Address, None] = {}
        cursor = 0
        while True:
            data, length, cursor = await self._chain.view(
                "ProviderManager", "fetchPage", cursor, PAGE
            )
            addresses |= dict.fromkeys(Address(raw[12:]) for raw in data[:length])
            if cursor == 0 or length == 0:
                return list(addresses)

    async def _seen(self) -> Iterable[Address]:
        head = (await self._chain.head()).number
        if head < self._read_to:
            self._waiting.clear()
            self._read_to = -1
        start = max(self._chain.start_block, self._read_to + 1 - OVERLAP)
        events = await self._chain.events(start, head, ["ProviderWaitingForApproval"])
        self._waiting |= {event.args["provider"] for event in events}
        self._read_to = head
        return self._waiting

    async def _records(self, view: str, addresses: Sequence[Address]) -> list[Provider]:
        functions = (view, *_FLAGS)
        answers = await self._chain.views(
            [("ProviderManager", name, [a]) for a in addresses for name in functions]
        )
        providers = []
        for place, address in enumerate(addresses):
            start = place * len(functions)
            record, banned, waiting, valid, count = answers[start : start + len(functions)]
            providers.append(
                codec.provider_from_tuple(
                    address,
                    record,
                    is_banned=banned,
                    is_approved=view == "getProvider" and not record[0].is_zero,
                    is_waiting=waiting,
                    is_valid=valid,
                    job_count=count,
                )
            )
        return providers
