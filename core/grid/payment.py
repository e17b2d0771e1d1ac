"""Whether a wallet can pay for something, and how: by its allowance, a permit, or an approval."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from dsq.core.chain.permit import Permit, sign_permit
from dsq.core.errors import AllowanceError, CreditsError
from dsq.core.grid.connection import Connection
from dsq.core.units import format_credits


class Payment(Connection):
    """Paying from the wallet."""

    async def _check_money(self, wei: int, *, approve: bool, what: str) -> None:
        balance, allowance, native = await asyncio.gather(
            self.chain.balance(self.address),
            self.chain.allowance(self.address),
            self.chain.native_balance(self.address),
        )
        if balance < wei:
            raise CreditsError(
                f"{format_credits(wei)} credits are asked for {what}, the wallet holds "
                f"{format_credits(balance)}."
            )
        if allowance < wei and not approve:
            raise AllowanceError(
                f"The grid may take {format_credits(allowance)} credits of the wallet, {what} "
                f"needs {format_credits(wei)}.",
                hint="Raise it with 'dsq credits allowance N', or leave --no-approve out.",
            )
        if native == 0:
            raise CreditsError(
                f"{self.address} has no coins to pay transaction fees with.",
                hint="Ask the grid's operator for some.",
            )

    @contextlib.asynccontextmanager
    async def _paying(
        self, wei: int, *, approve: bool, permits: bool
    ) -> AsyncIterator[Permit | None]:
        """Makes sure that the body's transaction may take ``wei``; yields a permit for it, or None.

        Args:
            approve: A permit or an approval may be made; else the allowance has to be enough.
            permits: The transaction can carry a permit, if the contracts take one.
        """

        async def sign() -> Permit:
            return await sign_permit(self.chain, self._opened_wallet(), wei)

        signs = permits and approve and await self.takes_permits()
        async with self._allowances.hold(
            self.address, wei, raise_it=approve, permit=sign if signs else None
        ) as permit:
            yield permit
