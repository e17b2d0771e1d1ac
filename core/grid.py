"""The grid as a user of the library sees it: submit, watch, pay.

    >>> async with await Grid.open(load_grid(home=home), wallet) as grid:
    ...     job = await grid.submit(workflow, parse_credits("100"), name="hello")
    ...     async for state in grid.watch(job.id):
    ...         print(state.status.name)

Amounts are integer wei (1e-18 credit). Reading needs no wallet; everything that
spends or signs does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dsq.core.allowances import Allowances
from dsq.core.chain import Call, Chain, Head, Receipt, Sender
from dsq.core.chain.follower import Batch
from dsq.core.config import GridConfig
from dsq.core.errors import (
    AllowanceError,
    CreditsError,
    NotFoundError,
    TransactionError,
    UnreachableError,
    UsageError,
    WalletError,
    WorkflowError,
)
from dsq.core.metascheduler.matching import estimate
from dsq.core.model import (
    Address,
    Affinity,
    Constants,
    Job,
    JobDefinition,
    JobStatus,
    Label,
    Provider,
    StorageType,
    WhyNot,
    encode_job_name,
)
from dsq.core.units import format_credits
from dsq.core.wallet import Wallet, key_file_address
from dsq.core.watching import Transition, follow_from_now, history, watch

if TYPE_CHECKING:
    from dsq.core.rpc.logger import LogLine


IDS_AT_ONCE = 5000
"""Job numbers asked for in one call."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Money of one account, in wei.

    Attributes:
        balance_wei: Credits it holds.
        allowance_wei: Credits the grid's contract may take from it.
        native_wei: Coins for transaction fees.
        locked_wei: Credits locked in its open jobs.
    """

    address: Address
    balance_wei: int
    allowance_wei: int
    native_wei: int
    locked_wei: int


@dataclass(frozen=True, slots=True)
class WhyReport:
    """Why a job waits, or where it was placed (the oracle's answer).

    Attributes:
        place: Place among the waiting jobs, from 1; 0 when it does not wait.
        of: How many jobs wait.
    """

    job_id: int
    status: JobStatus
    place: int
    of: int
    providers: tuple[WhyNot, ...]


class Grid:
    """One grid, through one wallet. Open with :meth:`open`, use as a context manager."""

    def __init__(self, config: GridConfig, chain: Chain, wallet: Wallet | None) -> None:
        self.config = config
        self.chain = chain
        self.wallet = wallet
        self._sender: Sender | None = None
        self._opening = asyncio.Lock()
        self._allowances = Allowances(chain, self.send)

    @classmethod
    async def open(cls, config: GridConfig, wallet: Wallet | None = None) -> Grid:
        """Connects to the chain of ``config``.

        Raises:
            UnreachableError: The endpoint does not answer.
            WrongChainError: It serves another chain.
        """
        chain = await Chain.connect(
            config.rpc_url,
            chain_id=config.chain_id,
            metascheduler=config.metascheduler_address,
            ws_url=config.ws_url,
        )
        return cls(config, chain, wallet)

    async def close(self) -> None:
        if self._sender is not None:
            await self._sender.close()
        await self.chain.close()

    async def __aenter__(self) -> Grid:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def address(self) -> Address:
        """The account in use: the wallet's, else the one that the settings name.

        Raises:
            WalletError: There is neither.
        """
        if self.wallet is not None:
            return self.wallet.address
        ref = self.config.wallet
        if ref is not None:
            address = ref.address or (key_file_address(ref.key_file) if ref.key_file else None)
            if address is not None:
                return address
        raise WalletError("No account is known.", hint="'dsq wallet new' makes one.")

    # -- sending -----------------------------------------------------------------

    async def send(self, call: Call) -> Receipt:
        """Sends a transaction of the wallet and waits until it is mined.

        Raises:
            ContractError: The contract refuses it; nothing was sent.
            TransactionError: It was not mined in time.
        """
        if self.wallet is None:
            raise WalletError("This needs a wallet.", hint="'dsq wallet new' makes one.")
        async with self._opening:
            if self._sender is None:
                sender = Sender(self.chain, self.wallet)
                await sender.start()
                self._sender = sender
        return await self._sender.send(call)

    # -- jobs --------------------------------------------------------------------

    async def submit(
        self,
        workflow: Mapping[str, Any],
        credits: int,  # noqa: A002 - the word of the trade
        *,
        name: str = "",
        uses: Iterable[Label] = (),
        affinity: Iterable[Affinity] = (),
        approve: bool = True,
        delegate: bool = False,
    ) -> Job:
        """Submits a workflow: the script to the sbatch service, then the request on chain.

        Args:
            workflow: The job as a mapping with the names of the sbatch API.
            credits: Wei to lock. At least the grid's minimum.
            name: At most 32 bytes.
            uses: Labels the provider must have.
            affinity: Demands on labels.
            approve: Approve exactly what is missing; else refuse when it is missing.
            delegate: Let the grid top the job up from the allowance.

        Raises:
            WorkflowError: The service refuses the workflow; no credits were touched.
            CreditsError: Too few credits, or fewer than the minimum.
            AllowanceError: The allowance is too small and ``approve`` is False.
        """
        encode_job_name(name)
        resources = _resources(workflow)
        await self._check_money(credits, approve=approve, what="this job")
        minimum = (await self.chain.constants()).minimum_amount
        if credits < minimum:
            raise CreditsError(
                f"{format_credits(credits)} credits are too few: the grid's minimum is "
                f"{format_credits(minimum)}.",
                hint="Lock more with --credits; what a job does not use comes back.",
            )
        key = await self._store_script(workflow)
        definition = JobDefinition(
            **resources,
            batch_location_hash=key,
            storage_type=_storage_type(workflow),
            uses=tuple(uses),
            affinity=tuple(affinity),
        )
        call = self.chain.calls.request_new_job(definition, credits, name, delegate)
        async with self._allowances.hold(self.address, credits, raise_it=approve):
            receipt = await self.send(call)
        event = receipt.event("NewJobRequestEvent")
        if event is None:
            raise TransactionError("The request was mined without its event; 'dsq jobs' shows it.")
        return await self.chain.job(int(event.args["job_id"]))

    async def _store_script(self, workflow: Mapping[str, Any]) -> str:
        # Late, as the other clients: most commands need none, and HTTP and gRPC load slowly.
        from dsq.core.rpc.graphql import GraphQLClient

        client = GraphQLClient(self.config.sbatch_url, self.wallet)
        try:
            return await client.submit(workflow, idempotency_key=uuid.uuid4().hex)
        finally:
            await client.close()

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

    async def job(self, job_id: int) -> Job:
        """One job.

        Raises:
            NotFoundError: There is none with this number.
        """
        return await self.chain.job(job_id)

    async def jobs(
        self,
        *,
        status: JobStatus | None = None,
        customer: Address | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """Jobs of ``customer`` (this wallet's by default), newest first."""
        ids = (await self.chain.job_ids_of(customer or self.address))[::-1]
        if status is None:
            return await self.chain.jobs(ids[:limit])
        found = [job for job in await self.chain.jobs(ids) if job.status == status]
        return found[:limit]

    async def job_ids(self, after: int = 0) -> list[int]:
        """Numbers of this account's jobs, oldest first, without the first ``after``."""
        total = await self.chain.view("JobRepository", "jobCountByCustomer", self.address)
        found: list[int] = []
        for start in range(after, total, IDS_AT_ONCE):
            view = ("JobRepository", "getByCustomerPaged", self.address, start, IDS_AT_ONCE)
            found += [int.from_bytes(job_id) for job_id in await self.chain.view(*view)]
        return found

    async def jobs_by_id(self, ids: Sequence[int]) -> list[Job]:
        """These jobs, in this order.

        Raises:
            NotFoundError: One of them does not exist.
        """
        return await self.chain.jobs(ids)

    async def block_hash(self, number: int) -> bytes | None:
        """The hash of the block with this number; None if the chain has none."""
        block = await self.chain.block(number)
        return block.hash if block is not None else None

    def watch(self, job_id: int) -> AsyncIterator[Job]:
        """Yields the job now and after each change, every status once; ends with the final one."""
        return watch(self.chain, job_id)

    async def changes(self) -> AsyncIterator[Batch]:
        """The live feed: batches of the grid's events from now on, empty ones as a heartbeat."""
        async for batch in await follow_from_now(self.chain, None):
            yield batch

    async def history(self, job: Job) -> list[Transition]:
        """Each status change of a job with its time and transaction, oldest first."""
        return await history(self.chain, job)

    async def cancel(self, job_id: int) -> Job:
        """Asks for a job's end: at once while it waits, by its provider once it runs."""
        await self.send(self.chain.calls.cancel_job(job_id))
        return await self.chain.job(job_id)

    async def top_up(self, job_id: int, wei: int, *, approve: bool = True) -> Job:
        """Adds credits to a job, which its provider turns into time.

        Raises:
            CreditsError: The wallet holds too few.
            ContractError: The job is not scheduled or running.
        """
        await self.chain.job(job_id)
        await self._check_money(wei, approve=approve, what="this top-up")
        async with self._allowances.hold(self.address, wei, raise_it=approve):
            await self.send(self.chain.calls.top_up_job(job_id, wei))
        return await self.chain.job(job_id)

    # -- logs --------------------------------------------------------------------

    async def logs(self, job_id: int, *, follow: bool = False) -> AsyncIterator[LogLine]:
        """The output of one of this wallet's jobs, a line at a time.

        With ``follow`` it goes on until the job has ended and its log is complete.

        Raises:
            NotFoundError: There is no such job, or it ended and left no log.
            WalletError: The job is another customer's.
        """
        job = await self.chain.job(job_id)
        if self.wallet is None:
            raise WalletError("Logs are for the job's customer only.", hint="Open the wallet.")
        if job.customer != self.wallet.address:
            raise WalletError(f"Job {job_id} belongs to {job.customer}, not to this wallet.")
        from dsq.core.rpc.logger import LogReader

        reader = LogReader(self.config.logger_grpc, self.wallet)
        seen = 0
        try:
            async for line in reader.read(job.hex_id, follow=follow):
                seen += 1
                yield line
        finally:
            await reader.close()
        if not seen and follow and (await self.chain.job(job_id)).status.is_final:
            raise NotFoundError(
                f"Job {job_id} has no log in the grid.",
                hint="Its workflow needs 'enableLogging: true'; else the output stays on the "
                "provider's cluster.",
            )

    # -- money -------------------------------------------------------------------

    async def balance(self, address: Address | None = None) -> Balance:
        """What an account holds, may lose and has locked."""
        account = address or self.address
        credit, allowance, native, ids = await asyncio.gather(
            self.chain.balance(account),
            self.chain.allowance(account),
            self.chain.native_balance(account),
            self.chain.job_ids_of(account),
        )
        jobs = await self.chain.jobs(ids)
        locked = sum(job.cost.max_cost for job in jobs if job.status.is_hot)
        return Balance(account, credit, allowance, native, locked)

    async def set_allowance(self, wei: int) -> None:
        """Sets what the grid's contract may take from the wallet."""
        await self.send(self.chain.calls.approve_credit(None, wei))

    async def transfer(self, to: Address, wei: int) -> None:
        """Sends credits to another account.

        Raises:
            UsageError: The recipient is the zero address or one of the grid's contracts.
            CreditsError: The wallet holds too few.
        """
        contracts = {getattr(self.chain.addresses, f.name): f.name
                     for f in dataclasses.fields(self.chain.addresses)}  # fmt: skip
        if to.is_zero or to in contracts:
            what = "the zero address" if to.is_zero else f"the grid's {contracts[to]} contract"
            raise UsageError(f"{to} is {what}: credits sent there are lost.")
        held = await self.chain.balance(self.address)
        if held < wei:
            raise CreditsError(
                f"The wallet holds {format_credits(held)} credits, not {format_credits(wei)}."
            )
        await self.send(self.chain.calls.transfer(to, wei))

    # -- providers ---------------------------------------------------------------

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

    async def estimate(self, definition: JobDefinition, wei: int) -> list[WhyNot]:
        """What each provider would make of such a job: its minutes and rate, or why not."""
        return estimate(definition, wei, await self.chain.providers())

    async def why(self, job_id: int) -> WhyReport:
        """Why a job waits: its place in the queue and each provider's sentence.

        Raises:
            UnreachableError: The meta-scheduler's oracle does not answer.
        """
        import httpx

        await self.chain.job(job_id)
        url = f"{self.config.oracle_url.rstrip('/')}/jobs/{job_id}"
        try:
            async with httpx.AsyncClient(timeout=10) as client:
                response = await client.get(url)
                response.raise_for_status()
                data = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise UnreachableError(
                f"The meta-scheduler at {self.config.oracle_url} does not answer.",
                hint="Is it running? 'dsq metascheduler run' starts one.",
            ) from error
        providers = tuple(
            WhyNot(
                Address.parse(row["address"]),
                row["name"],
                row["reason"],
                int(row["minutes"]),
                int(row["wei_per_minute"]),
            )
            for row in data["providers"]
        )
        status = JobStatus.parse(data["status"])
        return WhyReport(job_id, status, data["place"], data["of"], providers)

    async def head(self) -> Head:
        """The newest block."""
        return await self.chain.head()

    async def constants(self) -> Constants:
        """The grid's parameters: the least to lock, its fee, the slices of a top-up."""
        return await self.chain.constants()


def _resources(workflow: Mapping[str, Any]) -> dict[str, int]:
    names = {
        "ntasks": "tasks",
        "cpus_per_task": "cpusPerTask",
        "mem_per_cpu": "memPerCpu",
        "gpus": "gpus",
    }
    resources = workflow.get("resources")
    if not isinstance(resources, Mapping):
        raise WorkflowError("The workflow has no 'resources'.")
    values = {field: resources.get(name) for field, name in names.items()}
    for field, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise WorkflowError(f"resources.{names[field]} is not a whole number from 0.")
    return {field: int(value or 0) for field, value in values.items()}


def _storage_type(workflow: Mapping[str, Any]) -> StorageType:
    output = workflow.get("output")
    if not isinstance(output, Mapping):
        return StorageType.NONE
    return StorageType.HTTP if output.get("http") else StorageType.S3
