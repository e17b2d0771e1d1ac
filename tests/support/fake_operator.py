"""The part of the grid in memory about who may be a provider."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from dsq.core.errors import ContractError, NotFoundError
from dsq.core.grid.providers import Proposal
from dsq.core.model import Address, Provider


class FakeOperator:
    """Approves, bans and removes as the contracts do."""

    operator: bool
    known_providers: list[Provider]
    proposals: dict[Address, Provider]
    sent: list[tuple[str, Any]]

    def _check(self, method: str) -> None:
        raise NotImplementedError

    def say(self, name: str, **args: Any) -> None:
        """Puts an event into the feed."""
        raise NotImplementedError

    async def may_admit(self) -> bool:
        self._check("may_admit")
        return self.operator

    async def proposal(self, address: Address) -> Proposal:
        self._check("proposal")
        offer = self.proposals.get(address)
        if offer is None:
            raise NotFoundError(f"No proposal of {address} waits for approval.")
        return Proposal(offer, self._digest(offer))

    @staticmethod
    def _digest(offer: Provider) -> bytes:
        return hashlib.sha256(repr(offer).encode()).digest()

    def propose(self, offer: Provider) -> None:
        """Lets a provider register, or register anew."""
        self.proposals[offer.address] = dataclasses.replace(
            offer, is_approved=False, is_valid=False, is_waiting=True
        )
        known = self._record(offer.address)
        if known is None:
            self.known_providers.append(self.proposals[offer.address])
        elif known.is_approved:
            self._put(offer.address, is_waiting=True)
        else:
            self._replace(self.proposals[offer.address])
        self.say("ProviderWaitingForApproval", provider=offer.address)

    def _record(self, address: Address) -> Provider | None:
        return next((each for each in self.known_providers if each.address == address), None)

    def _replace(self, record: Provider) -> None:
        self.known_providers[:] = [
            record if each.address == record.address else each for each in self.known_providers
        ]

    def _put(self, address: Address, **changes: Any) -> None:
        known = self._record(address)
        assert known is not None
        self._replace(dataclasses.replace(known, **changes))

    def _admits(self, what: str, address: Address) -> None:
        self._check(what)
        if not self.operator:
            raise ContractError(f"{address} cannot be changed without METASCHEDULER_ROLE.")

    async def approve_provider(self, address: Address, *, seen: bytes = b"") -> None:
        self._admits("approve", address)
        offer = self.proposals.get(address)
        if offer is None or seen not in (b"", self._digest(offer)):
            raise ContractError("The provider's proposal has changed.")
        self.sent.append(("approve", address))
        del self.proposals[address]
        self._replace(dataclasses.replace(offer, is_waiting=False, is_approved=True, is_valid=True))
        self.say("ProviderApproved", provider=address)

    async def remove_provider(self, address: Address) -> None:
        self._admits("remove", address)
        if self._record(address) is None:
            raise ContractError("There is no such provider.")
        self.sent.append(("remove", address))
        self.known_providers[:] = [one for one in self.known_providers if one.address != address]
        self.say("ProviderRemoved", provider=address)

    async def ban(self, address: Address) -> None:
        self._bans("ban", address, banned=True)

    async def unban(self, address: Address) -> None:
        self._bans("unban", address, banned=False)

    def _bans(self, what: str, address: Address, *, banned: bool) -> None:
        self._admits(what, address)
        known = self._record(address)
        if known is None or known.is_banned == banned:
            raise ContractError("The provider is so already.")
        self.sent.append((what, address))
        self._put(address, is_banned=banned, is_valid=known.is_approved and not banned)
        self.say("ProviderBanChanged", provider=address, banned=banned)
