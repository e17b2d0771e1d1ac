"""What the grid's contract may take from a wallet: exactly what a request needs, for its time.

Several requests of one wallet may be on their way at once. Each has its part of the
allowance reserved; one that needs more goes alone, so that no other takes its part: with a
permit that travels in its own transaction, or, where the contracts know none, by raising
the allowance first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from dsq.core.chain import Call, Chain, Receipt
from dsq.core.chain.permit import Permit
from dsq.core.errors import TransactionError, UnreachableError
from dsq.core.model import Address

Send = Callable[[Call], Awaitable[Receipt]]

Sign = Callable[[], Awaitable[Permit]]
"""Signs a permit for what a request needs."""


class Allowances:
    """Holds allowances for requests of one wallet.

    Args:
        chain: Where the allowance is read.
        send: Sends a transaction of the wallet and waits until it is mined.
    """

    def __init__(self, chain: Chain, send: Send) -> None:
        self._chain = chain
        self._send = send
        self._entry = asyncio.Lock()
        self._reserved = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.asynccontextmanager
    async def hold(
        self, owner: Address, wei: int, *, raise_it: bool, permit: Sign | None = None
    ) -> AsyncIterator[Permit | None]:
        """Keeps ``wei`` of the allowance for the body.

        Yields None where the allowance is enough, was raised by what is missing, or may not
        be raised; else the permit that the body's transaction has to carry. When the body
        fails, what was added is taken back; not after an unknown outcome, because then the
        request may still need it.

        Args:
            owner: Whose credits.
            wei: How many.
            raise_it: Add what is missing.
            permit: Signs a permit; None where the contracts do not take one.
        """
        async with self._entry:
            if await self._chain.allowance(owner) - self._reserved < wei:
                # What others are about to use is told from what is free once they are done.
                await self._idle.wait()
                missing = wei - await self._chain.allowance(owner)
                if missing > 0 and raise_it and permit is not None:
                    yield await permit()
                    return
                if missing > 0:
                    async with self._added(owner, missing if raise_it else 0):
                        yield None
                    return
            self._reserve(wei)
        try:
            yield None
        finally:
            self._reserve(-wei)

    @contextlib.asynccontextmanager
    async def _added(self, owner: Address, wei: int) -> AsyncIterator[None]:
        await self._add(owner, wei)
        try:
            yield
        except BaseException as error:
            if not isinstance(error, TransactionError | UnreachableError):
                with contextlib.suppress(Exception):
                    await asyncio.shield(self._add(owner, -wei))
            raise

    def _reserve(self, wei: int) -> None:
        self._reserved += wei
        if self._reserved:
            self._idle.clear()
        else:
            self._idle.set()

    async def _add(self, owner: Address, wei: int) -> None:
        if wei:
            now = await self._chain.allowance(owner)
            await self._send(self._chain.calls.approve_credit(None, max(0, now + wei)))
