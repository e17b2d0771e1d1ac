"""Providers: who is on the grid, and who may be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from dsq.core.errors import ContractError, NotFoundError
from dsq.core.grid.connection import Connection
from dsq.core.model import Address, Provider


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a provider proposed, for an operator to look at.

    Attributes:
        offer: The record as it would be.
        digest: The contract's hash of it; empty where the contracts have none.
    """

    offer: Provider
    digest: bytes = b""


class Providers(Connection):
    """The part of a grid about providers."""

    async def providers(self) -> list[Provider]:
        """All providers, approved and waiting ones."""
        return await self.chain.providers()

    async def provider(self, address: Address) -> Provider:
        """One provider's approved record, else its proposal.

        Raises:
            NotFoundError: It has neither.
        """
        approved = await self.chain.provider(address)
        if approved.is_approved or approved.is_banned:
            return approved
        waiting = await self.chain.proposal(address)
        if not waiting.is_waiting:
            raise NotFoundError(
                f"There is no provider {address}.", hint="'dsq providers list' shows them."
            )
        return waiting

    async def may_admit(self) -> bool:
        """Whether this account may approve, remove, ban and unban providers."""
        roles = ("METASCHEDULER_ROLE", "DEFAULT_ADMIN_ROLE")
        has = [self.chain.has_role("ProviderManager", role, self.address) for role in roles]
        return any(await asyncio.gather(*has))

    async def proposal(self, address: Address) -> Proposal:
        """What waits for approval.

        Raises:
            NotFoundError: The provider has proposed nothing.
        """
        # The hash first: what is proposed after it makes the approval fail, not pass unseen.
        try:
            digest = bytes(await self.chain.view("ProviderManager", "proposalHash", address))
        except ContractError:
            digest = b""  # The published contracts have no such view.
        offer = await self.chain.proposal(address)
        if not offer.is_waiting:
            raise NotFoundError(f"No proposal of {address} waits for approval.")
        return Proposal(offer, digest)

    async def approve_provider(self, address: Address, *, seen: bytes = b"") -> None:
        """Lets a provider's proposal take effect (operators).

        Args:
            seen: The hash of the proposal that was looked at: another one is refused. Empty
                takes whatever is proposed now.

        Raises:
            ContractError: The proposal has changed since, or nothing is proposed.
        """
        calls = self.chain.calls
        await self.send(
            calls.approve_proposal(address, seen) if seen else calls.approve_provider(address)
        )

    async def remove_provider(self, address: Address) -> None:
        """Takes a provider off the grid (operators)."""
        await self.send(self.chain.calls.remove_provider(address))

    async def ban(self, address: Address) -> None:
        """Keeps a provider from jobs (operators)."""
        await self.send(self.chain.calls.ban(address))

    async def unban(self, address: Address) -> None:
        """Ends a ban (operators)."""
        await self.send(self.chain.calls.unban(address))
