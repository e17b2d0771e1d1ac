"""Credits: what an account holds, allows, sends, and may still collect."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from dsq.core.errors import ContractError, CreditsError, NotFoundError, UsageError
from dsq.core.grid.connection import Connection
from dsq.core.model import Address
from dsq.core.units import format_credits


@dataclass(frozen=True, slots=True)
class Balance:
    """Money of one account, in wei.

    Attributes:
        balance_wei: Credits it holds.
        allowance_wei: Credits the grid's contract may take from it.
        native_wei: Coins for transaction fees.
        locked_wei: Credits locked in its open jobs.
        claimable_wei: Credits of payments that did not go through and wait for it.
        faucet_wei: Credits that the grid's faucet has promised to it.
    """

    address: Address
    balance_wei: int
    allowance_wei: int
    native_wei: int
    locked_wei: int
    claimable_wei: int = 0
    faucet_wei: int = 0


class Money(Connection):
    """The part of a grid about credits."""

    async def balance(self, address: Address | None = None) -> Balance:
        """What an account holds, may lose, has locked and may collect.

        Only the account's open jobs are read, however many it ever had.
        """
        account = address or self.address
        return Balance(
            account,
            *await asyncio.gather(
                self.chain.balance(account),
                self.chain.allowance(account),
                self.chain.native_balance(account),
                self.chain.locked_of(account),
                self.claimable(account),
                self.faucet_entitlement(account),
            ),
        )

    async def set_allowance(self, wei: int) -> None:
        """Sets what the grid's contract may take from the wallet."""
        await self.send(self.chain.calls.approve_credit(None, wei))

    async def transfer(self, to: Address, wei: int) -> None:
        """Sends credits to another account.

        Raises:
            UsageError: The recipient is the wallet itself, the zero address or one of the
                grid's contracts.
            CreditsError: The wallet holds too few.
        """
        self._check_recipient(to)
        if to == self.address:
            raise UsageError(f"{to} is this wallet's own address.")
        held = await self.chain.balance(self.address)
        if held < wei:
            raise CreditsError(
                f"The wallet holds {format_credits(held)} credits, not {format_credits(wei)}."
            )
        await self.send(self.chain.calls.transfer(to, wei))

    def contracts(self) -> dict[Address, str]:
        """The grid's contracts and their names: credits sent to one are lost."""
        return self.chain.addresses.named()

    def _check_recipient(self, to: Address) -> None:
        contracts = self.contracts()
        if to.is_zero or to in contracts:
            what = "the zero address" if to.is_zero else f"the grid's {contracts[to]} contract"
            raise UsageError(f"{to} is {what}: credits sent there are lost.")

    # -- payments that wait --------------------------------------------------------

    async def claimable(self, address: Address | None = None) -> int:
        """Wei of payments to an account that did not go through; 0 on grids that keep none."""
        try:
            return await self.chain.claimable_of(address or self.address)
        except ContractError:
            return 0

    async def withdraw_claimable(self, to: Address | None = None) -> int:
        """Pays what waits for the wallet, to itself or to another account; returns the wei.

        Raises:
            NotFoundError: Nothing waits.
            UsageError: The recipient is the zero address or one of the grid's contracts.
        """
        target = to or self.address
        self._check_recipient(target)
        waiting = await self.claimable()
        if not waiting:
            raise NotFoundError(f"No payment waits for {self.address}.")
        await self.send(self.chain.calls.withdraw_claimable(target))
        return waiting

    # -- the faucet ----------------------------------------------------------------

    @property
    def has_faucet(self) -> bool:
        """The settings name a faucet."""
        return self.chain.addresses.faucet is not None

    async def faucet_entitlement(self, address: Address | None = None) -> int:
        """Wei that the grid's faucet has promised to an account; 0 without a faucet."""
        if not self.has_faucet:
            return 0
        return await self.chain.faucet_entitlement(address or self.address)

    async def claim_faucet(self) -> int:
        """Collects what the faucet has promised to the wallet; returns the wei.

        Raises:
            SettingsError: The grid has no faucet.
            NotFoundError: The faucet has promised nothing to the wallet.
        """
        call = self.chain.calls.claim_faucet()
        promised = await self.faucet_entitlement()
        if not promised:
            raise NotFoundError(
                f"The faucet has promised nothing to {self.address}.",
                hint="Ask the grid's operator for credits.",
            )
        await self.send(call)
        return promised
