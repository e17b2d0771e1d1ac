"""The connection to one grid on one chain: every view, every event.

One HTTP connection pool carries everything; what belongs together goes as one batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dsq.core.chain import codec
from dsq.core.chain.abi import contract
from dsq.core.chain.addresses import GETTERS, Addresses
from dsq.core.chain.admin_calls import ADDED_LIMITS, CONSTANT_SETTERS
from dsq.core.chain.calls import Calls
from dsq.core.chain.events import Event, EventReader
from dsq.core.chain.jsonrpc import quiet_libraries
from dsq.core.chain.listing import ids_of_customer, ids_of_provider, locked_of
from dsq.core.chain.logs import get_logs
from dsq.core.chain.pages import HOT, block_timestamps, ids_by_status
from dsq.core.chain.providers import ProviderDirectory
from dsq.core.chain.reverts import decode_revert
from dsq.core.chain.roles import role_of
from dsq.core.chain.rpc import Head, Request, Rpc, RpcError, hexed, number, raw
from dsq.core.errors import (
    ContractError,
    NotFoundError,
    SettingsError,
)
from dsq.core.model import Address, Constants, Job, Provider

if TYPE_CHECKING:
    from web3 import AsyncWeb3

log = logging.getLogger("dsq.core.chain.client")

CHUNKS_AT_ONCE = 4
"""Such parts that are on their way at once."""

CHUNK = 500
"""Jobs fetched at once, so that a long list does not fill the memory twice."""


@dataclass(frozen=True, slots=True)
class ClaimTerms:
    """What holds for a job from its claim on.

    Attributes:
        claimed_at: Unix seconds of the chain.
        rate: Wei a minute.
    """

    claimed_at: int
    rate: int


class Chain:
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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

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

    # Views.

    async def view(self, name: str, function: str, *args: Any) -> Any:
        """Calls a view of one of the grid's contracts.

        Raises:
            ContractError: The contract refused.
        """
        return (await self.views([(name, function, args)]))[0]

    async def views(self, calls: Sequence[tuple[str, str, Sequence[Any]]]) -> list[Any]:
        """Calls views (contract, function, arguments) as one batch; the first refusal is raised."""
        results = await self._try_views(calls)
        for result in results:
            if isinstance(result, ContractError):
                raise result
        return results

    async def _try_views(self, calls: Sequence[tuple[str, str, Sequence[Any]]]) -> list[Any]:
        functions = [contract(name).functions[function] for name, function, _ in calls]
        requests: list[Request] = [
            (
                "eth_call",
                [
                    {
                        "to": self.addresses.of(name).lower,
                        "data": hexed(function.encode(*args)),
                    },
                    "latest",
                ],
            )
            for function, (name, _, args) in zip(functions, calls, strict=True)
        ]
        results: list[Any] = []
        for function, answer in zip(functions, await self.rpc.batch(requests), strict=True):
            if isinstance(answer, RpcError):
                results.append(refusal(answer))
            else:
                results.append(function.decode(raw(answer)))
        return results

    async def job(self, job_id: int) -> Job:
        """A job.

        Raises:
            NotFoundError: There is no such job.
        """
        return (await self.jobs([job_id]))[0]

    async def jobs(self, ids: Sequence[int]) -> list[Job]:
        """Jobs in the order of their ids, fetched in batches.

        Raises:
            NotFoundError: One of them does not exist.
        """
        parts = [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
        jobs: list[Job] = []
        # While one part is decoded the next ones are on their way.
        for start in range(0, len(parts), CHUNKS_AT_ONCE):
            for part in await asyncio.gather(
                *(self._jobs(part) for part in parts[start : start + CHUNKS_AT_ONCE])
            ):
                jobs += part
        return jobs

    async def _jobs(self, ids: Sequence[int]) -> list[Job]:
        answers = await self._try_views(
            [("JobRepository", "get", [codec.job_id_to_bytes(i)]) for i in ids]
        )
        jobs: list[Job] = []
        for job_id, answer in zip(ids, answers, strict=True):
            if isinstance(answer, ContractError):
                if answer.name != "InvalidJob":
                    raise answer
                raise NotFoundError(f"There is no job {job_id}.", hint="'dsq jobs' lists yours.")
            jobs.append(codec.job_from_tuple(answer))
        return jobs

    async def job_count(self) -> int:
        """The highest job id; 0 when there is no job yet."""
        return int(await self.view("JobRepository", "jobIdCounter")) - 1

    async def open_job_ids(self, first: int, last: int) -> list[int]:
        """Numbers between ``first`` and ``last`` of the jobs that have not ended, sorted.

        Contracts without paged views: every number of the range.
        """
        return await ids_by_status(self, HOT, first, last)

    async def job_ids_of(self, customer: Address, after: int = 0) -> list[int]:
        """A customer's jobs, oldest first, without the first ``after``; read in pages."""
        return await ids_of_customer(self, customer, after)

    async def job_ids_at(self, provider: Address) -> list[int]:
        """Jobs that were placed with a provider, in that order, each once.

        Raises:
            ContractError: The contract has no such list (the published version).
        """
        return await ids_of_provider(self, provider)

    async def locked_of(self, customer: Address) -> int:
        """Wei that are locked in a customer's open jobs; only those are read."""
        return await locked_of(self, customer)

    async def balance(self, account: Address) -> int:
        """Credits of an account in wei."""
        return int(await self.view("Credit", "balanceOf", account))

    async def allowance(self, owner: Address, spender: Address | None = None) -> int:
        """Wei that ``spender`` (None: the MetaScheduler) may take from ``owner``."""
        spender = spender or self.addresses.metascheduler
        return int(await self.view("Credit", "allowance", owner, spender))

    async def expiry_of(self, job_id: int) -> int:
        """Unix seconds from which on anyone may release a job; 2**256 - 1 for never."""
        return int(await self.view("MetaScheduler", "expiryOf", codec.job_id_to_bytes(job_id)))

    async def claimable_of(self, account: Address) -> int:
        """Wei of payments to an account that did not go through."""
        return int(await self.view("MetaScheduler", "claimable", account))

    async def faucet_entitlement(self, account: Address) -> int:
        """Wei that the faucet has promised to an account."""
        return int(await self.view("FaucetCredit", "addressToUserCredit", account))

    async def total_supply(self) -> int:
        """All credits there are, in wei."""
        return int(await self.view("Credit", "totalSupply"))

    async def has_role(self, name: str, role: str | bytes, account: Address) -> bool:
        """Whether an account has a role on a contract, by names: ``METASCHEDULER_ROLE``."""
        return bool(await self.view(name, "hasRole", role_of(role), account))

    async def native_balance(self, account: Address) -> int:
        """Native coins of an account in wei; they pay for gas."""
        return number(await self.rpc.request("eth_getBalance", [account.lower, "latest"]))

    async def constants(self) -> Constants:
        """The grid's parameters; a limit that the contract does not have is 0."""
        names = [setter[3].lower() + setter[4:] for setter in CONSTANT_SETTERS.values()]
        answers = await self._try_views([("Constants", name, ()) for name in names])
        values = dict(zip(CONSTANT_SETTERS, answers, strict=True))
        for field, value in values.items():
            if isinstance(value, ContractError):
                if field not in ADDED_LIMITS:
                    raise value
                values[field] = 0
        return Constants(**values)

    async def new_jobs_enabled(self) -> bool:
        """False when the grid takes no new jobs."""
        return bool(await self.view("MetaScheduler", "enableRequestNewJob"))

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

    async def has_claimable(self, provider: Address) -> bool:
        """A job waits to be claimed by the provider."""
        return bool(await self.view("ProviderJobQueues", "hasNextClaimableJob", provider))

    async def has_cancelling(self, provider: Address) -> bool:
        """A running job of the provider is to be cancelled."""
        return bool(await self.view("ProviderJobQueues", "hasCancellingJob", provider))

    async def has_top_up(self, provider: Address) -> bool:
        """A job of the provider has been topped up."""
        return bool(await self.view("ProviderJobQueues", "hasTopUpJob", provider))

    async def queues(self, provider: Address) -> tuple[bool, bool, bool]:
        """What waits for a provider, in one batch: claimable, cancelling, top-up."""
        claimable, cancelling, top_up = await self.views(
            [
                ("ProviderJobQueues", "hasNextClaimableJob", [provider]),
                ("ProviderJobQueues", "hasCancellingJob", [provider]),
                ("ProviderJobQueues", "hasTopUpJob", [provider]),
            ]
        )
        return bool(claimable), bool(cancelling), bool(top_up)

    async def has_batches(self) -> bool:
        """Whether a provider can claim and report many jobs in one transaction here.

        Read from the contract's code: the published version has no such functions.
        """
        code = raw(
            await self.rpc.request("eth_getCode", [self.addresses.metascheduler.lower, "latest"])
        )
        functions = contract("MetaScheduler").functions
        return all(functions[name].selector in code for name in ("claimNextJobs", "reportJobs"))

    async def claim_terms(self, ids: Sequence[int]) -> dict[int, ClaimTerms]:
        """What the contract holds on to for each job that was claimed.

        A contract without ``getJobTerms`` (the published version) tells of none.
        """
        answers = await self._try_views(
            [("MetaScheduler", "getJobTerms", [codec.job_id_to_bytes(i)]) for i in ids]
        )
        found: dict[int, ClaimTerms] = {}
        for job_id, answer in zip(ids, answers, strict=True):
            if not isinstance(answer, ContractError):
                _, rate, claimed_at, *_ = answer
                if claimed_at:
                    found[job_id] = ClaimTerms(int(claimed_at), int(rate))
        return found

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


def refusal(error: RpcError) -> ContractError | RpcError:
    """A node's error as the contract's, if it was the contract that refused.

    Raises:
        RpcError: It was the node.
    """
    if error.data or error.rpc_code == 3 or "revert" in error.rpc_message.lower():
        return decode_revert(error.data)
    raise error


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
