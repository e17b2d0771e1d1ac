"""The connection to one grid on one chain: every view, every event.

One HTTP connection pool carries everything; what belongs together goes as one batch.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dsq.core.chain.abi import contract
from dsq.core.chain.addresses import GETTERS, Addresses
from dsq.core.chain.calls import Calls
from dsq.core.chain.events import Event, EventReader
from dsq.core.chain.jsonrpc import quiet_libraries
from dsq.core.chain.logs import get_logs
from dsq.core.chain.pages import block_timestamps
from dsq.core.chain.providers import ProviderDirectory
from dsq.core.chain.rpc import Head, Rpc, RpcError, hexed, raw
from dsq.core.chain.views import ClaimTerms, Views, refusal
from dsq.core.closing import Closing
from dsq.core.errors import (
    NotFoundError,
    SettingsError,
)
from dsq.core.model import Address, Provider

if TYPE_CHECKING:
    from web3 import AsyncWeb3

log = logging.getLogger("dsq.core.chain.client")

__all__ = ["Chain", "ClaimTerms", "refusal"]


class Chain(Views, Closing):
    """A grid on its chain. Use :meth:`connect`.

    Attributes:
        rpc: The JSON-RPC endpoint.
        chain_id: Number of the chain.
        ws_url: WebSocket endpoint for news of blocks, if there is one.
        start_block: Where the grid's history begins; 0 when that is not known.
    """

    def __init__(
        self,
        rpc: Rpc,
        chain_id: int,
        addresses: Addresses | None,
        *,
        ws_url: str | None = None,
        start_block: int = 0,
    ) -> None:
        self.rpc = rpc
        self.chain_id = chain_id
        self.ws_url = ws_url
        self.start_block = start_block
        self._addresses = addresses
        self._calls = Calls(addresses) if addresses else None
        self._readers: dict[frozenset[str] | None, EventReader] = {}
        self._directory = ProviderDirectory(self)
        self._w3: AsyncWeb3[Any] | None = None

    @classmethod
    async def connect(
        cls,
        rpc_url: str | Sequence[str],
        *,
        chain_id: int | None = None,
        metascheduler: Address | None = None,
        ws_url: str | None = None,
        start_block: int = 0,
        faucet: Address | None = None,
    ) -> Chain:
        """Connects, and makes sure that it is the right chain with the right contracts.

        Args:
            rpc_url: HTTP endpoint of a node; of several, the first ones are preferred.
            chain_id: The chain that is meant; None takes whichever answers.
            metascheduler: The grid; None for calls that need no grid.
            ws_url: WebSocket endpoint of the same node.
            start_block: The block of the grid's deployment.
            faucet: The grid's faucet, which no contract names.

        Raises:
            UnreachableError: The node does not answer.
            WrongChainError: It serves another chain.
            SettingsError: There is no MetaScheduler at that address.
        """
        rpc = Rpc(rpc_url)
        try:
            served = await rpc.join(chain_id)
            addresses = await _resolve(rpc, metascheduler, faucet) if metascheduler else None
        except BaseException:
            await rpc.close()
            raise
        return cls(rpc, served, addresses, ws_url=ws_url, start_block=start_block)

    async def close(self) -> None:
        """Closes the connections."""
        await self.rpc.close()

    @property
    def addresses(self) -> Addresses:
        """The grid's contracts.

        Raises:
            SettingsError: The connection names no grid.
        """
        if self._addresses is None:
            raise SettingsError(
                "No grid is named on this chain.", hint="Set the metascheduler's address."
            )
        return self._addresses

    @property
    def calls(self) -> Calls:
        """Builders of calls for this grid."""
        return self._calls or Calls(self.addresses)

    @property
    def w3(self) -> AsyncWeb3[Any]:
        """The node through web3.py, for what this client has no method for.

        It is imported on first use: that takes a second, more than most commands do.
        """
        if self._w3 is None:
            from web3 import AsyncHTTPProvider, AsyncWeb3

            quiet_libraries()
            self._w3 = AsyncWeb3(AsyncHTTPProvider(self.rpc.url))
        return self._w3

    # Blocks.

    async def head(self) -> Head:
        """The newest block."""
        return Head.from_json(await self.rpc.request("eth_getBlockByNumber", ["latest", False]))

    async def block(self, block_number: int) -> Head | None:
        """A block by its number, or None if the chain has no such block."""
        block = await self.rpc.request("eth_getBlockByNumber", [hex(block_number), False])
        return Head.from_json(block) if block else None

    async def block_timestamp(self, block_number: int) -> int:
        """Unix seconds of a block.

        Raises:
            NotFoundError: The chain has no such block.
        """
        block = await self.block(block_number)
        if block is None:
            raise NotFoundError(f"The chain has no block {block_number}.")
        return block.timestamp

    async def block_timestamps(self, numbers: Iterable[int]) -> dict[int, int]:
        """Unix seconds of blocks by number, in one batch; blocks that are gone are left out."""
        return await block_timestamps(self, numbers)

    # Providers.

    async def provider(self, address: Address) -> Provider:
        """A provider's approved record; an empty one if it has none."""
        return await self._directory.provider(address)

    async def proposal(self, address: Address) -> Provider:
        """What a provider proposed and nobody has approved yet; an empty record if nothing."""
        return await self._directory.proposal(address)

    async def providers(self) -> list[Provider]:
        """Every provider, approved or waiting; of both, the approved record."""
        return await self._directory.providers()

    # Events.

    def reader(self, names: Collection[str] | None = None) -> EventReader:
        """A decoder of the grid's events; None for all of them."""
        key = None if names is None else frozenset(names)
        if key not in self._readers:
            self._readers[key] = EventReader(self.addresses, key)
        return self._readers[key]

    async def events(
        self, from_block: int, to_block: int, names: Collection[str] | None = None
    ) -> list[Event]:
        """The grid's events of some blocks, both ends included, in order.

        Ranges that are too large for the node are halved.
        """
        reader = self.reader(names)
        return reader.read_all(await get_logs(self.rpc, reader.filter(), from_block, to_block))


async def _resolve(rpc: Rpc, metascheduler: Address, faucet: Address | None) -> Addresses:
    functions = contract("MetaScheduler").functions
    getters = [functions[getter] for getter in GETTERS.values()]
    code, *answers = await rpc.batch(
        [
            ("eth_getCode", [metascheduler.lower, "latest"]),
            *(
                ("eth_call", [{"to": metascheduler.lower, "data": hexed(f.encode())}, "latest"])
                for f in getters
            ),
        ]
    )
    if isinstance(code, RpcError):
        raise code
    found: dict[str, Address] = {}
    for field, answer in zip(GETTERS, answers, strict=True):
        if code != "0x" and isinstance(answer, str) and len(answer) == 66:
            found[field] = Address(raw(answer)[12:])
    if len(found) < len(GETTERS):
        what = "no contract" if code == "0x" else "a contract, but no MetaScheduler,"
        raise SettingsError(
            f"There is {what} at {metascheduler} on the chain of {rpc.where}.",
            hint="Check the metascheduler's address and the chain.",
        )
    return Addresses(metascheduler=metascheduler, faucet=faucet, **found)
