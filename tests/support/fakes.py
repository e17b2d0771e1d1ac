"""A small grid in memory: chain, cluster, script and log service, with faults on demand.

The fake chain keeps the rules of the contracts that a supervisor can run into (who may
do what in which status, billing, refunds, the three queues); the fake cluster those of
Slurm (one accepted sbatch a submission, limits, records forgotten after a while).
:class:`World` counts boundaries, the moments just before and after each effect and each
write of the journal, and can let the process die at any of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dsq.core.chain import Batch, Cursor, Event, Head, Receipt
from dsq.core.errors import (
    ContractError,
    NotFoundError,
    TransactionError,
    UnreachableError,
)
from dsq.core.model import (
    ZERO_ADDRESS,
    Address,
    Constants,
    Job,
    JobCost,
    JobDefinition,
    JobStatus,
    JobTime,
    Label,
    Provider,
    ProviderHardware,
    ProviderPrices,
)
from dsq.core.rpc.logger import LogLine
from dsq.core.rpc.sbatch import Script
from dsq.core.units import CREDIT, cost_of, minutes_for
from dsq.supervisor.journal import JobRecord, Journal
from dsq.supervisor.scheduler.port import (
    ENDED_STATES,
    ClusterInfo,
    Free,
    JobSpec,
    Node,
    NodeFree,
    NotPermitted,
    SlurmJob,
    SlurmJobId,
    SubmitRefused,
)
from tests.support.virtual import VirtualClock

ME = Address(b"\x11" * 20)
OTHER = Address(b"\x22" * 20)
CUSTOMER = Address(b"\x99" * 20)
PRICES = ProviderPrices(CREDIT, CREDIT, CREDIT // 10_000)
CONSTANTS = Constants(100 * CREDIT, 20, 15, 30, 5, 10)


class Crash(BaseException):
    """The process died here."""


@dataclass
class World:
    """What both sides of a fake grid share.

    Attributes:
        crash_at: Number of the boundary at which the process dies; 0 for never.
        random: Makes replies late by chance; None has each take its usual time.
    """

    clock: VirtualClock = field(default_factory=VirtualClock)
    crash_at: int = 0
    random: random.Random | None = None
    boundaries: list[str] = field(default_factory=list)
    is_dead: bool = False
    died: asyncio.Event = field(default_factory=asyncio.Event)

    def boundary(self, name: str) -> None:
        """A moment at which a crash would matter; a dead process gets no further."""
        if self.is_dead:
            raise Crash(name)
        self.boundaries.append(name)
        if self.crash_at and len(self.boundaries) == self.crash_at:
            self.is_dead = True
            self.died.set()
            raise Crash(name)

    async def delay(self, seconds: float) -> None:
        """A reply takes its time: with ``random``, now less, now much more."""
        if self.random is not None:
            seconds *= self.random.choice((0.0, 0.5, 1.0, 3.0, 20.0))
        await asyncio.sleep(seconds)

    def revive(self) -> None:
        """The process is started again, and does not die any more."""
        self.is_dead = False
        self.crash_at = 0
        self.died = asyncio.Event()


class CrashingJournal(Journal):
    """A journal whose every write is two boundaries."""

    def __init__(self, path: Path, world: World) -> None:
        self._world = world
        super().__init__(path, now=world.clock.now)

    def save_all(self, records: Sequence[tuple[JobRecord, str]]) -> list[JobRecord]:
        names = ",".join(f"{r.job_id}:{e or r.phase}" for r, e in records)
        self._world.boundary(f"before journal {names}")
        done = super().save_all(records)
        self._world.boundary(f"after journal {names}")
        return done

    def top_up(self, job_id: int, minutes: int, tx_hash: bytes) -> JobRecord | None:
        self._world.boundary(f"before journal top-up {job_id}")
        done = super().top_up(job_id, minutes, tx_hash)
        self._world.boundary(f"after journal top-up {job_id}")
        return done


# --- the chain -----------------------------------------------------------------------------


@dataclass(frozen=True)
class FakeCall:
    """A call of the fake contracts."""

    label: str
    run: Callable[[], list[tuple[str, dict[str, Any]]]]
    check: Callable[[], None]


class FakeCalls:
    """Builders of calls, as :class:`dsq.core.chain.Calls`."""

    def __init__(self, chain: FakeChain) -> None:
        self._chain = chain

    def _call(self, label: str, function: Callable[..., Any], *args: Any) -> FakeCall:
        return FakeCall(label, lambda: function(True, *args), lambda: function(False, *args))

    def claim_next_job(self) -> FakeCall:
        return self._call("claimNextJob()", self._chain.on_claim)

    def claim_next_cancelling_job(self) -> FakeCall:
        return self._call("claimNextCancellingJob()", self._chain.on_claim_cancelling)

    def claim_next_top_up_job(self) -> FakeCall:
        return self._call("claimNextTopUpJob()", self._chain.on_claim_top_up)

    def refuse_job(self, job_id: int) -> FakeCall:
        return self._call(f"refuseJob({job_id})", self._chain.on_refuse, job_id)

    def provider_set_job_status(
        self,
        job_id: int,
        status: JobStatus,
        minutes: int,
        last_error: str = "",
        exit_status: int = 0,
    ) -> FakeCall:
        return self._call(
            f"providerSetJobStatus({job_id}, {status.name}, {minutes})",
            self._chain.on_set_status,
            job_id,
            status,
            minutes,
            last_error,
            exit_status,
        )

    def register(
        self, hardware: ProviderHardware, prices: ProviderPrices, labels: Sequence[Label]
    ) -> FakeCall:
        return self._call("register()", self._chain.on_register, hardware, prices, labels)


class FakeChain:
    """The contracts as one provider (:data:`ME`) meets them, with a block each second."""

    def __init__(self, world: World, *, block_seconds: float = 1.0) -> None:
        self.world = world
        self.chain_id = 31337
        self.block_seconds = block_seconds
        self.calls = FakeCalls(self)
        self._jobs: dict[int, Job] = {}
        self._claimable: list[int] = []
        self._cancelling: list[int] = []
        self._top_up: list[int] = []
        self.log: list[Event] = []
        self.block = 1
        self.is_down = False
        self.provider_record = Provider(
            ME,
            ProviderHardware((0, 0), (4, 4), (8000, 8000)),
            PRICES,
            is_approved=True,
            is_valid=True,
        )
        self.proposal_record = Provider(ME, ProviderHardware(), ProviderPrices(0, 0, 0))
        self.balances: dict[Address, int] = {}
        self.bills: dict[int, int] = {}
        self.ends: dict[int, list[tuple[JobStatus, int, str, int]]] = {}
        self.registrations = 0

    # what customers and the meta-scheduler do

    def request(
        self,
        *,
        credits: int = 1000,  # noqa: A002 - as users say it
        definition: JobDefinition | None = None,
        script: str = "h",
    ) -> int:
        """A customer asks for a job."""
        job_id = len(self._jobs) + 1
        definition = definition or JobDefinition(1, 1, 1000, 0, script)
        now = self.now()
        self._jobs[job_id] = Job(
            job_id,
            JobStatus.PENDING,
            CUSTOMER,
            ZERO_ADDRESS,
            definition,
            JobCost(credits * CREDIT),
            JobTime(submit=now, block_number_state_change=self.block),
        )
        return job_id

    def offer(self, job_id: int, provider: Address = ME) -> None:
        """The meta-scheduler places a job."""
        self._jobs[job_id] = replace(self._jobs[job_id], provider=provider)
        if provider == ME:
            self._claimable.append(job_id)
        self._move(job_id, JobStatus.META_SCHEDULED)

    def cancel(self, job_id: int) -> None:
        """The customer cancels a job."""
        job = self._jobs[job_id]
        if job.status.is_final:
            raise refused("JobHotStatusOnly")
        self._jobs[job_id] = replace(job, has_cancel_request=True)
        if job.status is JobStatus.RUNNING:
            self._cancelling.append(job_id)
        else:
            self._settle(job_id, 0)
            self._move(job_id, JobStatus.CANCELLED)

    def top_up(self, job_id: int, wei: int) -> None:
        """The customer pays for more time."""
        job = self._jobs[job_id]
        cost = replace(
            job.cost,
            max_cost=job.cost.max_cost + wei,
            pending_top_up=job.cost.pending_top_up + wei,
        )
        self._jobs[job_id] = replace(job, cost=cost)
        self._top_up.append(job_id)

    def timeout(self, job_id: int) -> None:
        """The meta-scheduler takes a job back."""
        self._jobs[job_id] = replace(self._jobs[job_id], provider=ZERO_ADDRESS)
        self._move(job_id, JobStatus.PENDING)

    def force(self, job_id: int, **changes: Any) -> None:
        """Sets a job's fields, as a reorganisation might."""
        self._jobs[job_id] = replace(self._jobs[job_id], **changes)

    # what the provider's transactions do; ``commit`` False only checks

    def on_claim(self, commit: bool) -> list[tuple[str, dict[str, Any]]]:
        eligible = [i for i in self._claimable if self._is(i, JobStatus.META_SCHEDULED)]
        if not eligible:
            raise refused("NoJob")
        if not commit:
            return []
        job_id = eligible[0]
        self._claimable = self._claimable[self._claimable.index(job_id) + 1 :]
        job = self._jobs[job_id]
        self._move(job_id, JobStatus.SCHEDULED)
        minutes = minutes_for(job.definition, self.provider_record.prices, job.cost.max_cost)
        return [
            (
                "ClaimJobEvent",
                {
                    "customer": job.customer,
                    "provider": ME,
                    "job_id": job_id,
                    "max_duration_minute": minutes,
                    "definition": job.definition,
                },
            )
        ]

    def on_claim_cancelling(self, commit: bool) -> list[tuple[str, dict[str, Any]]]:
        eligible = [i for i in self._cancelling if self._is(i, JobStatus.RUNNING)]
        if not eligible:
            raise refused("NoJob")
        if not commit:
            return []
        self._cancelling = self._cancelling[self._cancelling.index(eligible[0]) + 1 :]
        return [
            (
                "ClaimNextCancellingJobEvent",
                {"customer": CUSTOMER, "provider": ME, "job_id": eligible[0]},
            )
        ]

    def on_claim_top_up(self, commit: bool) -> list[tuple[str, dict[str, Any]]]:
        eligible = [i for i in self._top_up if self._jobs[i].status.is_hot and self._mine(i)]
        if not eligible:
            raise refused("NoJob")
        if not commit:
            return []
        job_id = eligible[0]
        self._top_up = self._top_up[self._top_up.index(job_id) + 1 :]
        job = self._jobs[job_id]
        minutes = minutes_for(job.definition, self.provider_record.prices, job.cost.pending_top_up)
        self._jobs[job_id] = replace(job, cost=replace(job.cost, pending_top_up=0))
        return [
            (
                "ClaimNextTopUpJobEvent",
                {"job_id": job_id, "provider": ME, "max_duration_minute": minutes},
            )
        ]

    def on_refuse(self, commit: bool, job_id: int) -> list[tuple[str, dict[str, Any]]]:
        if not self._mine(job_id):
            raise refused("JobProviderOnly")
        if self._jobs[job_id].status not in (JobStatus.META_SCHEDULED, JobStatus.SCHEDULED):
            raise refused("MetaScheduledScheduledStatusOnly")
        if not commit:
            return []
        self._jobs[job_id] = replace(self._jobs[job_id], provider=ZERO_ADDRESS)
        self._move(job_id, JobStatus.PENDING)
        return [("JobRefusedEvent", {"job_id": job_id, "provider": ME, "customer": CUSTOMER})]

    def on_set_status(
        self,
        commit: bool,
        job_id: int,
        status: JobStatus,
        minutes: int,
        last_error: str,
        exit_status: int,
    ) -> list[tuple[str, dict[str, Any]]]:
        job = self._jobs[job_id]
        if not self._mine(job_id):
            raise refused("JobProviderOnly")
        if job.status is status:
            raise refused("SameStatusError")
        if job.status.is_final:
            raise refused("JobHotStatusOnly")
        if status not in ALLOWED[job.status]:
            raise refused("InvalidTransition")
        if not commit:
            return []
        if status.is_final:
            self.ends.setdefault(job_id, []).append((status, minutes, last_error, exit_status))
            ran = job.status is JobStatus.RUNNING and status is not JobStatus.PANICKED
            self._settle(job_id, max(1, minutes) if ran else 0)
            self._jobs[job_id] = replace(
                self._jobs[job_id], last_error=last_error, exit_status=exit_status
            )
        self._move(job_id, status)
        return []

    def on_register(
        self,
        commit: bool,
        hardware: ProviderHardware,
        prices: ProviderPrices,
        labels: Sequence[Label],
    ) -> list[tuple[str, dict[str, Any]]]:
        if not commit:
            return []
        self.registrations += 1
        self.proposal_record = Provider(ME, hardware, prices, tuple(labels), is_waiting=True)
        return [("ProviderWaitingForApproval", {"provider": ME})]

    def approve(self) -> None:
        """The grid's operator approves what waits."""
        self.provider_record = replace(
            self.proposal_record, is_waiting=False, is_approved=True, is_valid=True
        )
        self.proposal_record = Provider(ME, ProviderHardware(), ProviderPrices(0, 0, 0))

    # inside

    def now(self) -> int:
        return int(self.world.clock.now())

    def _is(self, job_id: int, status: JobStatus) -> bool:
        return self._mine(job_id) and self._jobs[job_id].status is status

    def _mine(self, job_id: int) -> bool:
        return self._jobs[job_id].provider == ME

    def _settle(self, job_id: int, minutes: int) -> None:
        job = self._jobs[job_id]
        final = min(
            cost_of(job.definition, self.provider_record.prices, minutes), job.cost.max_cost
        )
        fee = final * CONSTANTS.deepsquare_cut // 100
        self.balances[ME] = self.balances.get(ME, 0) + final - fee
        self.balances[CUSTOMER] = self.balances.get(CUSTOMER, 0) + job.cost.max_cost - final
        self.bills[job_id] = minutes
        self._jobs[job_id] = replace(job, cost=replace(job.cost, final_cost=final))

    def _move(self, job_id: int, status: JobStatus) -> None:
        job = self._jobs[job_id]
        time = replace(job.time, block_number_state_change=self.block)
        if status is JobStatus.RUNNING:
            time = replace(time, start=self.now())
        if status.is_final:
            time = replace(time, end=self.now(), start=time.start or self.now())
        self._jobs[job_id] = replace(job, status=status, time=time)
        args = {"job_id": job_id, "from_status": job.status, "to_status": status}
        self.emit("JobTransitionEvent", args)

    def emit(self, name: str, args: dict[str, Any], tx_hash: bytes = b"") -> Event:
        """Writes an event into the block that is being made."""
        event = Event(
            name, "Fake", args, self.block, self.block_hash(self.block), tx_hash, len(self.log)
        )
        self.log.append(event)
        return event

    @staticmethod
    def block_hash(number: int) -> bytes:
        return hashlib.sha256(str(number).encode()).digest()

    async def mine(self) -> None:
        """A block every so often, for ever."""
        while True:
            await asyncio.sleep(self.block_seconds)
            self.block += 1

    # the port

    def _answer(self) -> None:
        if self.world.is_dead:
            raise Crash("chain")
        if self.is_down:
            raise UnreachableError("The node does not answer.")

    async def head(self) -> Head:
        self._answer()
        return Head(self.block, self.block_hash(self.block), self.now())

    async def job(self, job_id: int) -> Job:
        return (await self.jobs([job_id]))[0]

    async def jobs(self, ids: Sequence[int]) -> list[Job]:
        await self.world.delay(0.005)
        self._answer()
        if missing := [i for i in ids if i not in self._jobs]:
            raise NotFoundError(f"There is no job {missing[0]}.")
        return [self._jobs[i] for i in ids]

    def peek(self, job_id: int) -> Job:
        """The job, for assertions."""
        return self._jobs[job_id]

    async def job_count(self) -> int:
        self._answer()
        return len(self._jobs)

    async def queues(self, provider: Address) -> tuple[bool, bool, bool]:
        await self.world.delay(0.005)
        self._answer()
        return (
            any(self._is(i, JobStatus.META_SCHEDULED) for i in self._claimable),
            any(self._is(i, JobStatus.RUNNING) for i in self._cancelling),
            any(self._jobs[i].status.is_hot and self._mine(i) for i in self._top_up),
        )

    async def events(
        self, from_block: int, to_block: int, names: Collection[str] | None = None
    ) -> list[Event]:
        self._answer()
        return [
            event
            for event in self.log
            if from_block <= event.block_number <= to_block
            and (names is None or event.name in names)
        ]

    async def provider(self, address: Address) -> Provider:
        self._answer()
        return self.provider_record

    async def proposal(self, address: Address) -> Provider:
        self._answer()
        return self.proposal_record

    async def constants(self) -> Constants:
        self._answer()
        return CONSTANTS

    async def balance(self, account: Address) -> int:
        return self.balances.get(account, 0)

    async def native_balance(self, account: Address) -> int:
        return CREDIT


ALLOWED = {
    JobStatus.SCHEDULED: {
        JobStatus.RUNNING,
        JobStatus.CANCELLED,
        JobStatus.FAILED,
        JobStatus.PANICKED,
    },
    JobStatus.RUNNING: {
        JobStatus.CANCELLED,
        JobStatus.FINISHED,
        JobStatus.FAILED,
        JobStatus.OUT_OF_CREDITS,
        JobStatus.PANICKED,
    },
    JobStatus.PENDING: set(),
    JobStatus.META_SCHEDULED: {JobStatus.CANCELLED, JobStatus.PANICKED},
}


def refused(name: str) -> ContractError:
    """What a contract's refusal looks like."""
    return ContractError(f"The contract refuses: {name}.", name=name)


class FakeSender:
    """Sends to the fake chain. What was sent is mined, whatever becomes of the process."""

    def __init__(self, chain: FakeChain) -> None:
        self.chain = chain
        self.sent: list[str] = []
        self._count = 0
        self._mined: dict[bytes, asyncio.Task[Receipt]] = {}

    async def send(self, call: Any, *, timeout: float = 60.0) -> Receipt:
        return await self.wait(await self.submit(call), timeout)

    async def submit(self, call: Any) -> bytes:
        world, chain = self.chain.world, self.chain
        await world.delay(0.005)
        chain._answer()
        try:
            call.check()
        except ContractError:
            # It may need what was sent a moment ago; its block will tell.
            if not self._under_way():
                raise
        world.boundary(f"before tx {call.label}")
        self.sent.append(call.label)
        self._count += 1
        tx_hash = hashlib.sha256(f"tx{self._count}".encode()).digest()
        # The transaction lives on in the mempool: mined by the world, not by this process.
        mining = self._mine(call, tx_hash)
        self._mined[tx_hash] = asyncio.get_running_loop().create_task(mining)
        world.boundary(f"sent tx {call.label}")
        return tx_hash

    async def wait(self, tx_hash: bytes, timeout: float = 60.0) -> Receipt:
        try:
            async with asyncio.timeout(timeout):
                receipt = await asyncio.shield(self._mined[tx_hash])
        except TimeoutError:
            raise TransactionError("Not mined in time.") from None
        self.chain.world.boundary(f"mined tx {tx_hash.hex()[:4]}")
        return receipt

    def _under_way(self) -> bool:
        return any(not task.done() for task in self._mined.values())

    async def _mine(self, call: Any, tx_hash: bytes) -> Receipt:
        chain = self.chain
        target = chain.block + 1
        while chain.block < target or chain.is_down:
            await asyncio.sleep(0.05)
        # In the order in which they were sent, as nonces have it.
        before = list(self._mined)[: list(self._mined).index(tx_hash)]
        while any(not self._mined[earlier].done() for earlier in before):
            await asyncio.sleep(0.001)
        events = tuple(chain.emit(name, args, tx_hash) for name, args in call.run())
        return Receipt(tx_hash, chain.block, 100_000, events)


class FakeFeed:
    """The follower over the fake chain: every event at least once, the cursor in the journal."""

    def __init__(self, chain: FakeChain, journal: Journal, start: int) -> None:
        self._chain = chain
        self._journal = journal
        self._start = start
        self.reset_next = False

    async def __aiter__(self) -> AsyncIterator[Batch]:
        saved = self._journal.get_meta("cursor")
        place = int(saved) if saved is not None else self._start - 1
        while True:
            await asyncio.sleep(0.2)
            if self._chain.is_down:
                continue
            head = await self._chain.head()
            last = head.number - 1  # the block that is being made is not there yet
            if last <= place and not self.reset_next:
                continue
            events = tuple(await self._chain.events(place + 1, last))
            reset, self.reset_next = self.reset_next, False
            place = max(place, last)
            yield Batch(events, head, reset, Cursor(place, head.hash))

    async def commit(self, batch: Batch) -> None:
        self._chain.world.boundary("before cursor")
        self._journal.set_meta("cursor", str(batch.cursor.number))


# --- the cluster ---------------------------------------------------------------------------


@dataclass
class FakeSlurmJob:
    """One job in the fake cluster; what it does is in its script: ``seconds=90 exit=3``."""

    id: str
    submit_time: int
    spec: JobSpec
    seconds: float
    exit_code: int
    output: bytes
    state: str = "PENDING"
    reason: str = "Priority"
    start: int = 0
    end: int = 0
    code: int = 0
    signal: int = 0
    limit: int = 0
    node: str = ""
    gone_at: float | None = None


class FakeScheduler:
    """A cluster of two nodes with four CPUs each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.jobs_by_id: dict[str, FakeSlurmJob] = {}
        self.tokens: dict[str, str] = {}
        self.is_down = False
        self.refuses = ""
        self.lose_replies = 0
        self.lose_requests = 0
        self.may_raise = True
        self.min_job_age = 3600.0
        self.max_minutes: int | None = None
        self.start_delay = 0.3
        self.latency = 0.02
        self.polls = 0
        self.given_up: set[str] = set()

    # the world's side

    async def live(self) -> None:
        """Starts, ends and forgets jobs, for ever."""
        while True:
            await asyncio.sleep(0.1)
            now = self.world.clock.now()
            for job in self.jobs_by_id.values():
                self._advance(job, now)

    def _advance(self, job: FakeSlurmJob, now: float) -> None:
        if job.state == "PENDING" and now >= job.submit_time + self.start_delay:
            node = next((n for n in ("n1", "n2") if self._free_cpus(n) >= job.spec.ntasks), "")
            if node:
                job.state, job.reason, job.node, job.start = "RUNNING", "", node, int(now)
        elif job.state == "RUNNING":
            if now >= job.start + job.seconds:
                self._end(job, "FAILED" if job.exit_code else "COMPLETED", job.start + job.seconds)
                job.code = job.exit_code
            elif now >= job.start + 60 * job.limit:
                self._end(job, "TIMEOUT", job.start + 60 * job.limit)

    def _end(self, job: FakeSlurmJob, state: str, at: float) -> None:
        job.state, job.end = state, int(at)
        job.gone_at = at + self.min_job_age

    def _free_cpus(self, node: str) -> int:
        used = sum(
            job.spec.ntasks * job.spec.cpus_per_task
            for job in self.jobs_by_id.values()
            if job.node == node and job.state == "RUNNING"
        )
        return 4 - used

    def kill(self, slurm_id: str, state: str = "CANCELLED", signal: int = 15) -> None:
        """The operator, or the cluster itself, ends a job."""
        job = self.jobs_by_id[slurm_id]
        job.signal = signal if job.state == "RUNNING" else 0
        self._end(job, state, self.world.clock.now())

    def accepted(self, job_id: str) -> list[FakeSlurmJob]:
        """All submissions that Slurm took for one job of the grid."""
        return [job for job in self.jobs_by_id.values() if job.spec.name == job_id]

    # the port

    async def _answer(self) -> None:
        await self.world.delay(self.latency)
        if self.world.is_dead:
            raise Crash("cluster")
        if self.is_down:
            raise UnreachableError("The cluster does not answer.")

    async def check(self) -> str:
        await self._answer()
        return "slurm 22.05"

    async def discover(self) -> ClusterInfo:
        await self._answer()
        nodes = tuple(Node(name, 4, 8000, state="IDLE") for name in ("n1", "n2"))
        return ClusterInfo(nodes, "main", self.max_minutes, "slurm 22.05")

    async def submit(self, spec: JobSpec, script: str) -> SlurmJobId:
        self.world.boundary(f"before sbatch {spec.name[-3:]}")
        await self._answer()
        if self.refuses:
            raise SubmitRefused(self.refuses)
        if self.lose_requests:
            self.lose_requests -= 1
            raise UnreachableError("The line broke.")
        slurm_id = str(1000 + len(self.jobs_by_id))
        words = dict(word.split("=", 1) for word in script.split() if "=" in word)
        self.jobs_by_id[slurm_id] = FakeSlurmJob(
            slurm_id,
            int(self.world.clock.now()),
            spec,
            float(words.get("seconds", 90)),
            int(words.get("exit", 0)),
            words.get("output", "hello").replace("\\n", "\n").encode(),
            limit=spec.minutes,
        )
        self.tokens[spec.token] = slurm_id
        if self.lose_replies:
            self.lose_replies -= 1
            raise UnreachableError("The line broke.")
        self.world.boundary(f"after sbatch {spec.name[-3:]}")
        return SlurmJobId(slurm_id, int(self.world.clock.now()))

    async def find(self, name: str, token: str, since: int) -> SlurmJob | None:
        await self._answer()
        if token in self.tokens:
            return self._show(self.jobs_by_id[self.tokens[token]])
        self.given_up.add(token)
        return None

    async def poll(self, jobs: Sequence[SlurmJobId]) -> dict[str, SlurmJob]:
        self.polls += 1
        await self._answer()
        found: dict[str, SlurmJob] = {}
        for wanted in jobs:
            job = self.jobs_by_id.get(wanted.id)
            if job is None or (job.gone_at is not None and self.world.clock.now() >= job.gone_at):
                continue
            found[wanted.id] = self._show(job)
        return found

    def _show(self, job: FakeSlurmJob) -> SlurmJob:
        return SlurmJob(
            job.id,
            job.submit_time,
            job.spec.name,
            "grid",
            job.state,
            job.reason,
            job.start,
            job.end,
            job.code,
            job.signal,
            job.node,
            job.limit,
        )

    async def cancel(self, job: SlurmJobId) -> None:
        self.world.boundary(f"before scancel {job.id}")
        await self._answer()
        found = self.jobs_by_id.get(job.id)
        if found is not None and found.state not in ENDED_STATES:
            self.kill(job.id)
        self.world.boundary(f"after scancel {job.id}")

    async def set_time_limit(self, job: SlurmJobId, minutes: int) -> None:
        self.world.boundary(f"before limit {job.id}")
        await self._answer()
        found = self.jobs_by_id[job.id]
        if found.state in ENDED_STATES:
            raise NotFoundError("The job has ended.")
        if not self.may_raise and found.state == "RUNNING":
            raise NotPermitted("The account may not raise limits.")
        found.limit = minutes
        self.world.boundary(f"after limit {job.id}")

    async def can_raise_limit(self) -> bool:
        await self._answer()
        return self.may_raise

    async def read_output(
        self, spec_name: str, token: str, offset: int, limit: int = 65536
    ) -> bytes:
        await self._answer()
        job = self.jobs_by_id.get(self.tokens.get(token, ""))
        if job is None or not job.start:
            return b""
        return job.output[offset : offset + limit]

    async def free(self) -> Free:
        await self._answer()
        return Free(tuple(NodeFree(n, self._free_cpus(n), 8000, 0) for n in ("n1", "n2")))

    async def close(self) -> None:
        pass


# --- the services --------------------------------------------------------------------------


class FakeScripts:
    """The sbatch service: the job's batch location hash is its script."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.error: Exception | None = None
        self.fetched: list[int] = []

    async def fetch(self, job: Job) -> Script:
        if self.world.is_dead:
            raise Crash("sbatch service")
        await self.world.delay(0.01)
        if self.error is not None:
            raise self.error
        self.fetched.append(job.id)
        text = f"#!/bin/bash\n# dsq: enable-logging\n# {job.definition.batch_location_hash}\n"
        return Script(text, "logger:1", {})


class FakeLogs:
    """The log service: keeps lines, skips those that come again."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lines: dict[str, list[bytes]] = {}
        self.complete: set[str] = set()
        self.is_down = False

    async def append(
        self,
        customer: Address,
        log_name: str,
        lines: Sequence[LogLine],
        *,
        first_index: int,
        end: bool = False,
    ) -> int:
        self.world.boundary(f"before log {log_name[-3:]}")
        await self.world.delay(0.01)
        if self.is_down:
            raise UnreachableError("The log service does not answer.")
        kept = self.lines.setdefault(log_name, [])
        assert first_index <= len(kept), "lines were left out"
        for index, line in enumerate(lines, first_index):
            if index < len(kept):
                assert kept[index] == line.data, "a line came again with other words"
            else:
                kept.append(line.data)
        if end:
            self.complete.add(log_name)
        self.world.boundary(f"after log {log_name[-3:]}")
        return len(kept)
