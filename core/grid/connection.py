"""The connection of a grid: its settings, its chain, the wallet that sends."""

from __future__ import annotations

import asyncio
from typing import Self

from dsq.core.allowances import Allowances
from dsq.core.chain import Call, Chain, Head, Receipt, Sender
from dsq.core.chain.permit import takes_permits
from dsq.core.closing import Closing
from dsq.core.config import GridConfig
from dsq.core.errors import WalletError
from dsq.core.model import Address, Constants
from dsq.core.wallet import Wallet, key_file_address


class Connection(Closing):
    """What all parts of :class:`~dsq.core.grid.Grid` share.

    Attributes:
        config: Where the grid is.
        chain: The connection to its chain.
        wallet: Who sends and signs; None for reading only.
    """

    def __init__(self, config: GridConfig, chain: Chain, wallet: Wallet | None) -> None:
        self.config = config
        self.chain = chain
        self.wallet = wallet
        self._sender: Sender | None = None
        self._opening = asyncio.Lock()
        self._allowances = Allowances(chain, self.send)
        self._permits: bool | None = None
        self._account: Address | None = None

    @classmethod
    async def open(cls, config: GridConfig, wallet: Wallet | None = None) -> Self:
        """Connects to the chain of ``config``.

        Raises:
            UnreachableError: The endpoint does not answer.
            WrongChainError: It serves another chain.
        """
        chain = await Chain.connect(
            config.endpoints,
            chain_id=config.chain_id,
            metascheduler=config.metascheduler_address,
            ws_url=config.ws_url,
            start_block=config.start_block,
            faucet=config.faucet_address,
        )
        return cls(config, chain, wallet)

    async def close(self) -> None:
        """Closes the connections."""
        if self._sender is not None:
            await self._sender.close()
        await self.chain.close()

    @property
    def address(self) -> Address:
        """The account in use: the wallet's, else the one that the settings name.

        Raises:
            WalletError: There is neither.
        """
        if self.wallet is not None:
            return self.wallet.address
        ref = self.config.wallet
        if self._account is None and ref is not None:
            self._account = ref.address or (
                key_file_address(ref.key_file) if ref.key_file else None
            )
        if self._account is not None:
            return self._account
        raise WalletError("No account is known.", hint="'dsq wallet new' makes one.")

    async def use(self, wallet: Wallet | None) -> None:
        """Takes the account's key, or drops it: reading goes on, what signs is refused.

        Raises:
            WalletError: The key is of another account.
        """
        account = self.address
        if wallet is not None and wallet.address != account:
            raise WalletError(f"This key is that of {wallet.address}, not of {account}.")
        async with self._opening:
            sender, self._sender = self._sender, None
            self._account, self.wallet = account, wallet
        if sender is not None:
            await sender.close()

    def _opened_wallet(self) -> Wallet:
        if self.wallet is None:
            raise WalletError("This needs a wallet.", hint="'dsq wallet new' makes one.")
        return self.wallet

    async def send(self, call: Call) -> Receipt:
        """Sends a transaction of the wallet and waits until it is mined.

        Raises:
            ContractError: The contract refuses it; nothing was sent.
            TransactionError: It was not mined in time.
        """
        wallet = self._opened_wallet()
        async with self._opening:
            if self._sender is None:
                sender = Sender(self.chain, wallet)
                await sender.start()
                self._sender = sender
        return await self._sender.send(call)

    async def takes_permits(self) -> bool:
        """Whether a request can carry a permit, so that it needs no allowance before it."""
        if self._permits is None:
            self._permits = await takes_permits(self.chain)
        return self._permits

    async def head(self) -> Head:
        """The newest block."""
        return await self.chain.head()

    async def block_hash(self, number: int) -> bytes | None:
        """The hash of the block with this number; None if the chain has none."""
        block = await self.chain.block(number)
        return block.hash if block is not None else None

    async def constants(self) -> Constants:
        """The grid's parameters: the least to lock, its fee, its time limits."""
        return await self.chain.constants()

    async def takes_jobs(self) -> bool:
        """False while the grid's operator has paused new requests."""
        return await self.chain.new_jobs_enabled()
