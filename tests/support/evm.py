"""The contracts in an EVM inside the test: fast, no node, one transaction a block.

:class:`World` deploys and wires all of them as docs/contracts.md says, and has
one method for each step of a job's life. Money is wei, time Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils.crypto import keccak

from dsq.core.model import (
    ZERO_ADDRESS,
    Address,
    JobDefinition,
    JobStatus,
    ProviderHardware,
    ProviderPrices,
)
from tests.support.abi import Event, RevertedError, signature_of, type_of
from tests.support.evm_chain import GENESIS, Contract, EvmChain, account

CREDIT = 10**18
METASCHEDULER_ROLE = keccak(text="METASCHEDULER_ROLE")
METASCHEDULER_CONTRACT_ROLE = keccak(text="METASCHEDULER_CONTRACT_ROLE")
ADMIN_ROLE = bytes(32)


def definition_tuple(definition: JobDefinition) -> tuple[Any, ...]:
    """A definition as the contracts take it."""
    return (
        definition.gpus,
        definition.mem_per_cpu,
        definition.cpus_per_task,
        definition.ntasks,
        definition.batch_location_hash,
        int(definition.storage_type),
        [(label.key, label.value) for label in definition.uses],
        [
            ((demand.key, demand.value), demand.op.encode().ljust(2, b"\0"))
            for demand in definition.affinity
        ],
    )


def prices_tuple(prices: ProviderPrices) -> tuple[int, int, int]:
    """Prices as the contracts take them."""
    return (prices.gpu_per_min, prices.cpu_per_min, prices.mem_per_min)


@dataclass(frozen=True)
class JobView:
    """What ``JobRepository.get`` returns, with names."""

    id: int
    status: JobStatus
    customer: Address
    provider: Address
    definition: tuple[Any, ...]
    max_cost: int
    final_cost: int
    pending_top_up: int
    delegate: bool
    submit: int
    start: int
    end: int
    cancel_request: int
    block: int
    panic: int
    name: bytes
    has_cancel_request: bool
    last_error: str
    exit_code: int


DEFINITION = JobDefinition(ntasks=2, cpus_per_task=3, mem_per_cpu=100, gpus=1)
PRICES = ProviderPrices(gpu_per_min=CREDIT, cpu_per_min=CREDIT // 10, mem_per_min=CREDIT // 10_000)
RATE = CREDIT + 6 * (CREDIT // 10 + 100 * (CREDIT // 10_000))
"""Wei a minute of :data:`DEFINITION` at :data:`PRICES`: 1.66 credits."""

HARDWARE = ProviderHardware((4, 0), (64, 32), (256_000, 128_000))


class World(EvmChain):
    """All contracts, wired, with two customers and two approved providers."""

    service = account(0x5E0001)
    alice = account(0xA11CE0)
    bob = account(0xB0B000)
    p1 = account(0x900001)
    p2 = account(0x900002)

    def __init__(self) -> None:
        super().__init__()
        self.credit = self.deploy("Credit", ["uint256"], [1_000_000 * CREDIT])
        self.constants = self.deploy("Constants")
        self.jobs = self.deploy("JobRepository")
        self.providers = self.deploy("ProviderManager")
        self.queues = self.deploy("ProviderJobQueues", ["address"], [self.jobs])
        parts = [self.credit, self.constants, self.providers, self.queues, self.jobs]
        self.scheduler = self.deploy("MetaScheduler", ["address"] * 5, parts)
        self.jobs.send("grantRole", METASCHEDULER_ROLE, self.scheduler)
        self.providers.send("grantRole", METASCHEDULER_CONTRACT_ROLE, self.scheduler)
        self.queues.send("transferOwnership", self.scheduler)
        self.scheduler.send("grantRole", METASCHEDULER_ROLE, self.service)
        self.providers.send("grantRole", METASCHEDULER_ROLE, self.service)
        for customer in (self.alice, self.bob):
            self.credit.send("transfer", customer, 10_000 * CREDIT)
            self.approve(customer, 2**256 - 1)
        for provider in (self.p1, self.p2):
            self.join(provider)

    # ---- Accounts ---------------------------------------------------------------------------

    def balance(self, account: Address | Contract) -> int:
        return int(self.credit.call("balanceOf", account))

    def approve(self, customer: Address, wei: int) -> None:
        self.credit.send("approve", self.scheduler, wei, sender=customer)

    def register(
        self,
        provider: Address,
        prices: ProviderPrices = PRICES,
        hardware: ProviderHardware = HARDWARE,
        labels: Sequence[tuple[str, str]] = (("name", "one"),),
        nodes: int | None = None,
    ) -> list[Event]:
        shape = (
            hardware.nodes if nodes is None else nodes,
            list(hardware.gpus_per_node),
            list(hardware.cpus_per_node),
            list(hardware.mem_per_node),
        )
        return self.providers.send(
            "register", shape, prices_tuple(prices), list(labels), sender=provider
        )

    def join(self, provider: Address, prices: ProviderPrices = PRICES) -> None:
        """Registers a provider and approves it."""
        self.register(provider, prices)
        self.providers.send("approve", provider)

    # ---- A job's life -----------------------------------------------------------------------

    def request(
        self,
        wei: int = 200 * CREDIT,
        *,
        customer: Address | None = None,
        definition: JobDefinition = DEFINITION,
        name: bytes = b"job",
        delegate: bool = False,
    ) -> int:
        """Requests a job and returns its number."""
        job_id = int(self.jobs.call("jobIdCounter"))
        self.scheduler.send(
            "requestNewJob",
            definition_tuple(definition),
            wei,
            name.ljust(32, b"\0"),
            delegate,
            sender=customer or self.alice,
        )
        return job_id

    def place(self, job_id: int, provider: Address | None = None) -> list[Event]:
        return self.scheduler.send(
            "metaSchedule", raw_id(job_id), provider or self.p1, sender=self.service
        )

    def claim(self, provider: Address | None = None) -> list[Event]:
        return self.scheduler.send("claimNextJob", sender=provider or self.p1)

    def claim_cancelling(self, provider: Address | None = None) -> list[Event]:
        return self.scheduler.send("claimNextCancellingJob", sender=provider or self.p1)

    def claim_top_up(self, provider: Address | None = None) -> list[Event]:
        return self.scheduler.send("claimNextTopUpJob", sender=provider or self.p1)

    def report(
        self,
        job_id: int,
        status: JobStatus,
        minutes: int = 0,
        *,
        error: str = "",
        exit_status: int = 0,
        provider: Address | None = None,
    ) -> list[Event]:
        return self.scheduler.send(
            "providerSetJobStatus",
            raw_id(job_id),
            int(status),
            minutes,
            error,
            exit_status,
            sender=provider or self.p1,
        )

    def refuse(self, job_id: int, provider: Address | None = None) -> list[Event]:
        return self.scheduler.send("refuseJob", raw_id(job_id), sender=provider or self.p1)

    def time_out(self, job_id: int) -> list[Event]:
        return self.scheduler.send("timeoutJob", raw_id(job_id), sender=self.service)

    def cancel(self, job_id: int, customer: Address | None = None) -> list[Event]:
        return self.scheduler.send("cancelJob", raw_id(job_id), sender=customer or self.alice)

    def panic(self, job_id: int, reason: str = "lost") -> list[Event]:
        return self.scheduler.send("panicJob", raw_id(job_id), reason, sender=self.service)

    def top_up(self, job_id: int, wei: int, payer: Address | None = None) -> list[Event]:
        return self.scheduler.send("topUpJob", raw_id(job_id), wei, sender=payer or self.alice)

    def top_up_delegated(self, job_id: int, sender: Address | None = None) -> list[Event]:
        return self.scheduler.send("topUpJobDelegate", raw_id(job_id), sender=sender or self.p1)

    def job_at(self, status: JobStatus, *, wei: int = 200 * CREDIT, delegate: bool = False) -> int:
        """A new job of Alice's, brought to a status; from SCHEDULED on it is with ``p1``."""
        job_id = self.request(wei, delegate=delegate)
        if status == JobStatus.PENDING:
            return job_id
        self.place(job_id)
        if status == JobStatus.META_SCHEDULED:
            return job_id
        self.claim()
        if status == JobStatus.SCHEDULED:
            return job_id
        self.report(job_id, JobStatus.RUNNING)
        if status.is_final:
            self.report(job_id, status)
        return job_id

    def job(self, job_id: int) -> JobView:
        """The job as the repository tells it."""
        raw = self.jobs.call("get", raw_id(job_id))
        cost, times = raw[5], raw[6]
        return JobView(
            int.from_bytes(raw[0]),
            JobStatus(raw[1]),
            Address.parse(raw[2]),
            Address.parse(raw[3]),
            raw[4],
            *cost,
            *times,
            *raw[7:],
        )

    def expire(self, job_id: int, sender: Address | None = None) -> list[Event]:
        return self.scheduler.send("expireJob", raw_id(job_id), sender=sender or self.bob)

    def terms(self, job_id: int) -> tuple[int, ...]:
        """Escrow, rate, time of the claim, fee in percent, and the rest of JobTerms."""
        found: tuple[int, ...] = self.scheduler.call("getJobTerms", raw_id(job_id))
        return found


def raw_id(job_id: int) -> bytes:
    """A job's number as ``bytes32``."""
    return job_id.to_bytes(32)


def refusal(call: Callable[[], object]) -> tuple[str, tuple[Any, ...]] | None:
    """Why a call is refused: the error's name and values; None if it is not."""
    try:
        call()
    except RevertedError as error:
        return error.name, error.values
    return None


def names(events: Sequence[Event]) -> list[str]:
    """Names of events, in order."""
    return [event.name for event in events]


__all__ = [
    "ADMIN_ROLE",
    "CREDIT",
    "DEFINITION",
    "GENESIS",
    "HARDWARE",
    "METASCHEDULER_CONTRACT_ROLE",
    "METASCHEDULER_ROLE",
    "PRICES",
    "RATE",
    "ZERO_ADDRESS",
    "Contract",
    "Event",
    "JobView",
    "RevertedError",
    "World",
    "definition_tuple",
    "names",
    "prices_tuple",
    "raw_id",
    "refusal",
    "signature_of",
    "type_of",
]
