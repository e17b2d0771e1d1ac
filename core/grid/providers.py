"""Providers: who is on the grid, and who may be."""

from __future__ import annotations

from dsq.core.errors import NotFoundError
from dsq.core.grid.connection import Connection
from dsq.core.model import Address, Provider


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

    async def approve_provider(self, address: Address) -> None:
        """Lets a provider's proposal take effect (operators)."""
        await self.send(self.chain.calls.approve_provider(address))

    async def remove_provider(self, address: Address) -> None:
        """Takes a provider off the grid (operators)."""
        await self.send(self.chain.calls.remove_provider(address))

    async def ban(self, address: Address) -> None:
        """Keeps a provider from jobs (operators)."""
        await self.send(self.chain.calls.ban(address))

    async def unban(self, address: Address) -> None:
        """Ends a ban (operators)."""
        await self.send(self.chain.calls.unban(address))
