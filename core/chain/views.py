"""The views of a grid's contracts, asked in batches: jobs, money, parameters, queues."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dsq.core.chain import codec
from dsq.core.chain.abi import contract
from dsq.core.chain.addresses import Addresses
from dsq.core.chain.admin_calls import ADDED_LIMITS, CONSTANT_SETTERS
from dsq.core.chain.listing import ids_of_customer, ids_of_provider, locked_of
from dsq.core.chain.pages import HOT, ids_by_status
from dsq.core.chain.reverts import decode_revert
from dsq.core.chain.roles import role_of
from dsq.core.chain.rpc import Request, Rpc, RpcError, hexed, number, raw
from dsq.core.errors import ContractError, NotFoundError
from dsq.core.model import Address, Constants, Job

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


class Views(ABC):
    """What the contracts say. :class:`~dsq.core.chain.client.Chain` is one.

    Attributes:
        rpc: The JSON-RPC endpoint.
    """

    rpc: Rpc

    @property
    @abstractmethod
    def addresses(self) -> Addresses:
        """The grid's contracts."""

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

    # Queues and claims.

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


def refusal(error: RpcError) -> ContractError | RpcError:
    """A node's error as the contract's, if it was the contract that refused.

    Raises:
        RpcError: It was the node.
    """
    if error.data or error.rpc_code == 3 or "revert" in error.rpc_message.lower():
        return decode_revert(error.data)
    raise error
