"""The contracts as one provider meets them: blocks, a pool of transactions, reorganisations.

What people and the meta-scheduler do counts at once, in the block that is being made; a
provider's transactions are mined with the next one, in the order in which they were sent.
Every block keeps the state before it and what happened in it, so that the chain can go
back some blocks and take another way.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dsq.core.chain import Event, Head, Receipt
from dsq.core.chain.calls import Report
from dsq.core.chain.client import ClaimTerms
from dsq.core.errors import ContractError, NotFoundError, UnreachableError
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
from dsq.core.units import CREDIT, UINT64_MAX, wei_per_minute
from tests.support.world import Crash, World

ME = Address(b"\x11" * 20)
OTHER = Address(b"\x22" * 20)
CUSTOMER = Address(b"\x99" * 20)
PRICES = ProviderPrices(CREDIT, CREDIT, CREDIT // 10_000)
CONSTANTS = Constants(100 * CREDIT, 20, 15, 30, 5, 10)
KEPT_BLOCKS = 40
"""Blocks whose state is kept, for reorganisations."""

Said = tuple[str, dict[str, Any]]

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


def refused(name: str, **args: Any) -> ContractError:
    """What a contract's refusal looks like."""
    return ContractError(f"The contract refuses: {name}.", name=name, args_by_name=args)


@dataclass(frozen=True)
class FakeCall:
    """A call of the fake contracts; ``run`` changes their state or refuses."""

    label: str
    run: Callable[[], list[Said]]


class FakeCalls:
    """Builders of calls, as :class:`dsq.core.chain.Calls`."""

    def __init__(self, chain: FakeChain) -> None:
        self._chain = chain

    def _call(self, label: str, function: Callable[..., list[Said]], *args: Any) -> FakeCall:
        return FakeCall(label, lambda: function(*args))

    def note(self, account: Address, words: bytes) -> FakeCall:
        return FakeCall(f"note({words.decode()})", list)

    def claim_next_job(self) -> FakeCall:
        return self._call("claimNextJob()", self._chain.on_claim, 1)

    def claim_next_jobs(self, most: int) -> FakeCall:
        return self._call(f"claimNextJobs({most})", self._chain.on_claim, most)

    def claim_next_cancelling_job(self) -> FakeCall:
        return self._call("claimNextCancellingJob()", self._chain.on_claim_cancelling)

    def claim_next_top_up_job(self) -> FakeCall:
        return self._call("claimNextTopUpJob()", self._chain.on_claim_top_up)

    def refuse_job(self, job_id: int) -> FakeCall:
        return self._call(f"refuseJob({job_id})", self._chain.on_refuse, job_id)

    def report_jobs(self, reports: Sequence[Report]) -> FakeCall:
        shown = " ".join(f"{r.job_id}:{r.status.name}" for r in reports)
        return self._call(f"reportJobs({shown})", self._chain.on_report, list(reports))

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


@dataclass
class State:
    """What the contracts store."""

    jobs: dict[int, Job] = field(default_factory=dict)
    claimable: list[int] = field(default_factory=list)
    cancelling: list[int] = field(default_factory=list)
    top_up: list[int] = field(default_factory=list)
    terms: dict[int, ClaimTerms] = field(default_factory=dict)
    proved: dict[int, int] = field(default_factory=dict)
    balances: dict[Address, int] = field(default_factory=dict)
    fees: int = 0
    bills: dict[int, int] = field(default_factory=dict)
    ends: dict[int, list[tuple[JobStatus, int, str, int]]] = field(default_factory=dict)
    claims: dict[int, int] = field(default_factory=dict)
    claim_blocks: dict[int, int] = field(default_factory=dict)

    def copied(self) -> State:
        """A state that changes by itself. Values are frozen, but for the lists of ends."""
        made = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict | list):
                setattr(made, name, value.copy())
        made.ends = {job_id: list(ends) for job_id, ends in self.ends.items()}
        return made


_FORGOTTEN = State()
"""Before blocks to which no reorganisation goes back any more."""


@dataclass
class Action:
    """Something that happened on chain and can happen again on another way.

    Attributes:
        tx: The provider's transaction; None for what people do.
        is_optional: A reorganisation may drop it.
    """

    run: Callable[[], list[Said]]
    tx: Tx | None = None
    is_optional: bool = False


@dataclass
class Tx:
    """A transaction of a provider in the pool."""

    call: FakeCall
    hash: bytes
    result: asyncio.Future[Receipt]


@dataclass
class Block:
    """A block, and the state before it."""

    number: int
    hash: bytes
    time: int
    before: State
    actions: list[Action] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class FakeChain:
    """The contracts as one provider (:data:`ME`) meets them, with a block each second.

    Attributes:
        batches: False has the published contract, without claims and reports of many jobs.
        is_down: The node does not answer; blocks are made all the same.
        is_stalled: No transaction of the provider is mined.
        forks: How often the chain went back.
        lost_events: What the node left out of its answers.
    """

    def __init__(self, world: World, *, block_seconds: float = 1.0, batches: bool = True) -> None:
        self.world = world
        self.chain_id = 31337
        self.block_seconds = block_seconds
        self.batches = batches
        self.calls = FakeCalls(self)
        self.state = State()
        self.is_down = False
        self.is_stalled = False
        self.pool: list[Tx] = []
        self.is_true_bill: Callable[[int, int], str] = lambda _job_id, _minutes: ""
        self.provider_record = Provider(
            ME,
            ProviderHardware((0, 0), (4, 4), (8000, 8000)),
            PRICES,
            is_approved=True,
            is_valid=True,
        )
        self.proposal_record = Provider(ME, ProviderHardware(), ProviderPrices(0, 0, 0))
        self.registrations = 0
        self.forks = 0
        self.lost_events: list[Event] = []
        self._event_count = 0
        self._news: asyncio.Future[None] | None = None
        self.blocks = [Block(1, self._hash(1), 0, self.state.copied())]

    # shorthands of tests

    @property
    def block(self) -> int:
        """Number of the block that is being made."""
        return self.blocks[-1].number

    @property
    def log(self) -> list[Event]:
        return [event for block in self.blocks for event in block.events]

    @property
    def balances(self) -> dict[Address, int]:
        return self.state.balances

    @property
    def bills(self) -> dict[int, int]:
        return self.state.bills

    @property
    def ends(self) -> dict[int, list[tuple[JobStatus, int, str, int]]]:
        return self.state.ends

    @property
    def _claimable(self) -> list[int]:
        return self.state.claimable

    @property
    def job_ids(self) -> list[int]:
        return list(self.state.jobs)

    def peek(self, job_id: int) -> Job:
        """The job, for assertions."""
        return self.state.jobs[job_id]

    # what customers and the meta-scheduler do: at once, in the block that is being made

    def _act(self, run: Callable[[], list[Said]], *, is_optional: bool = False) -> None:
        self._apply(Action(run, is_optional=is_optional))

    def request(
        self,
        *,
        credits: int = 1000,  # noqa: A002 - as users say it
        definition: JobDefinition | None = None,
        script: str = "h",
    ) -> int:
        """A customer asks for a job."""
        job_id = len(self.state.jobs) + 1
        wanted = definition or JobDefinition(1, 1, 1000, 0, script)

        def run() -> list[Said]:
            self.state.jobs[job_id] = Job(
                job_id,
                JobStatus.PENDING,
                CUSTOMER,
                ZERO_ADDRESS,
                wanted,
                JobCost(credits * CREDIT),
                JobTime(submit=self.now(), block_number_state_change=self.block),
            )
            return []

        self._act(run)
        return job_id

    def offer(self, job_id: int, provider: Address = ME) -> None:
        """The meta-scheduler places a job."""

        def run() -> list[Said]:
            job = self.state.jobs[job_id]
            if job.status is not JobStatus.PENDING:
                raise refused("InvalidTransition")
            self.state.jobs[job_id] = replace(job, provider=provider)
            rate = wei_per_minute(job.definition, self.provider_record.prices)
            self.state.terms[job_id] = ClaimTerms(0, rate)
            if provider == ME:
                self.state.claimable.append(job_id)
            return [self._move(job_id, JobStatus.META_SCHEDULED)]

        self._act(run)

    def cancel(self, job_id: int) -> None:
        """The customer cancels a job."""

        def run() -> list[Said]:
            job = self.state.jobs[job_id]
            if job.status.is_final:
                raise refused("JobHotStatusOnly")
            self.state.jobs[job_id] = replace(job, has_cancel_request=True)
            if job.status in (JobStatus.RUNNING, JobStatus.SCHEDULED):
                self.state.cancelling.append(job_id)
            if job.status is JobStatus.RUNNING:
                args = {"job_id": job_id, "customer": CUSTOMER, "provider": job.provider}
                return [("JobCancelRequested", args)]
            self._settle(job_id, 0)
            return [self._move(job_id, JobStatus.CANCELLED)]

        self._act(run, is_optional=True)

    def top_up(self, job_id: int, wei: int) -> None:
        """The customer pays for more time."""

        def run() -> list[Said]:
            job = self.state.jobs[job_id]
            if job.status not in (JobStatus.SCHEDULED, JobStatus.RUNNING):
                raise refused("RunningScheduledStatusOnly")
            if job.cost.pending_top_up == 0:
                self.state.top_up.append(job_id)
            cost = replace(
                job.cost,
                max_cost=job.cost.max_cost + wei,
                pending_top_up=job.cost.pending_top_up + wei,
            )
            self.state.jobs[job_id] = replace(job, cost=cost)
            return []

        self._act(run, is_optional=True)

    def expire(self, job_id: int) -> None:
        """Somebody ends a job whose provider is silent; paid is what was proved."""

        def run() -> list[Said]:
            job, state = self.state.jobs[job_id], self.state
            if job.status is JobStatus.RUNNING:
                proved = state.proved.get(job_id, job.time.start) - job.time.start
                self._settle(job_id, max(1, proved // 60))
                return [self._move(job_id, JobStatus.FAILED)]
            return self._hand_back(job_id)

        self._act(run)

    def timeout(self, job_id: int) -> None:
        """The meta-scheduler takes a job back."""
        self._act(lambda: self._hand_back(job_id))

    def force(self, job_id: int, **changes: Any) -> None:
        """Sets a job's fields, as a reorganisation might."""
        self.state.jobs[job_id] = replace(self.state.jobs[job_id], **changes)

    def emit(self, name: str, args: dict[str, Any]) -> None:
        """Writes an event into the block that is being made."""
        self._act(lambda: [(name, args)])

    def approve(self) -> None:
        """The grid's operator approves what waits."""
        self.provider_record = replace(
            self.proposal_record, is_waiting=False, is_approved=True, is_valid=True
        )
        self.proposal_record = Provider(ME, ProviderHardware(), ProviderPrices(0, 0, 0))

    # what the provider's transactions do

    def on_claim(self, most: int) -> list[Said]:
        said: list[Said] = []
        queue = self.state.claimable
        while queue and len(said) < 2 * most:
            job_id = queue.pop(0)
            if not self._is(job_id, JobStatus.META_SCHEDULED):
                continue
            job = self.state.jobs[job_id]
            terms = self.state.terms[job_id] = replace(
                self.state.terms[job_id], claimed_at=self.now()
            )
            minutes = min(job.cost.max_cost // terms.rate, UINT64_MAX)
            self.state.claims[job_id] = self.state.claims.get(job_id, 0) + 1
            self.state.claim_blocks[job_id] = self.block
            self.state.jobs[job_id] = replace(job, cost=replace(job.cost, pending_top_up=0))
            args = {
                "customer": job.customer,
                "provider": ME,
                "job_id": job_id,
                "max_duration_minute": minutes,
                "definition": job.definition,
            }
            said += [("ClaimJobEvent", args), self._move(job_id, JobStatus.SCHEDULED)]
        if not said:
            raise refused("NoJob")
        return said

    def on_claim_cancelling(self) -> list[Said]:
        job_id = self._next(
            self.state.cancelling, {JobStatus.RUNNING, JobStatus.CANCELLED}, needs_claim=True
        )
        self._prove(job_id)
        args = {"customer": CUSTOMER, "provider": ME, "job_id": job_id}
        return [("ClaimNextCancellingJobEvent", args)]

    def on_claim_top_up(self) -> list[Said]:
        job_id = self._next(self.state.top_up, {JobStatus.SCHEDULED, JobStatus.RUNNING})
        job = self.state.jobs[job_id]
        minutes = job.cost.pending_top_up // self.state.terms[job_id].rate
        self.state.jobs[job_id] = replace(job, cost=replace(job.cost, pending_top_up=0))
        self._prove(job_id)
        args = {"job_id": job_id, "provider": ME, "max_duration_minute": minutes}
        return [("ClaimNextTopUpJobEvent", args)]

    def on_refuse(self, job_id: int) -> list[Said]:
        if not self._mine(job_id):
            raise refused("JobProviderOnly")
        if self.state.jobs[job_id].status not in (JobStatus.META_SCHEDULED, JobStatus.SCHEDULED):
            raise refused("MetaScheduledScheduledStatusOnly")
        return self._hand_back(job_id)

    def on_report(self, reports: Sequence[Report]) -> list[Said]:
        said: list[Said] = []
        for report in reports:
            job = self.state.jobs[report.job_id]
            is_running = job.status is JobStatus.RUNNING
            if self._mine(job.id) and is_running and report.status is JobStatus.RUNNING:
                self._prove(job.id)
                continue
            if not self._mine(job.id) or report.status not in ALLOWED.get(job.status, ()):
                args = {"job_id": job.id, "provider": ME, "status": job.status}
                said.append(("ReportSkipped", args))
                continue
            minutes = 0
            if is_running or report.status is JobStatus.RUNNING:
                end = self.now() if report.status is JobStatus.RUNNING else report.end
                self._check_times(job.id, report.start, end)
                time = replace(job.time, start=report.start)
                if is_running:
                    time = replace(time, end=end)
                    minutes = (end - report.start) // 60
                self.state.jobs[job.id] = replace(job, time=time)
            said += self._report(
                job.id, report.status, minutes, report.last_error, report.exit_status
            )
        return said

    def _check_times(self, job_id: int, start: int, end: int) -> None:
        claimed = self.state.terms[job_id].claimed_at
        if not claimed <= start <= end <= self.now():
            raw = job_id.to_bytes(32, "big")
            raise refused("InvalidReportTimes", jobId=raw, start=start, end=end, claimedAt=claimed)

    def on_set_status(
        self, job_id: int, status: JobStatus, minutes: int, last_error: str, exit_status: int
    ) -> list[Said]:
        job = self.state.jobs[job_id]
        if not self._mine(job_id):
            raise refused("JobProviderOnly")
        if job.status is status:
            raise refused("SameStatusError")
        if job.status.is_final:
            raise refused("JobHotStatusOnly")
        if status not in ALLOWED[job.status]:
            raise refused("InvalidTransition")
        return self._report(job_id, status, minutes, last_error, exit_status)

    def _report(
        self, job_id: int, status: JobStatus, minutes: int, last_error: str, exit_status: int
    ) -> list[Said]:
        said: list[Said] = []
        job = self.state.jobs[job_id]
        if status is JobStatus.RUNNING:
            self._prove(job_id)
        if status.is_final:
            ran = job.status is JobStatus.RUNNING and status is not JobStatus.PANICKED
            billed = max(1, minutes) if ran else 0
            bound = (self.now() - self.state.terms[job_id].claimed_at) // 60 + 1
            if billed > bound:
                args = {"job_id": job_id, "provider": ME, "billing_amount": billed}
                said.append(("BilledTooMuchEvent", args))
                billed = bound
            self.state.ends.setdefault(job_id, []).append(
                (status, billed if ran else minutes, last_error, exit_status)
            )
            self._settle(job_id, billed)
            self.state.jobs[job_id] = replace(
                self.state.jobs[job_id], last_error=last_error, exit_status=exit_status
            )
        return [*said, self._move(job_id, status)]

    def on_register(
        self, hardware: ProviderHardware, prices: ProviderPrices, labels: Sequence[Label]
    ) -> list[Said]:
        self.registrations += 1
        self.proposal_record = Provider(ME, hardware, prices, tuple(labels), is_waiting=True)
        return [("ProviderWaitingForApproval", {"provider": ME})]

    # inside

    def now(self) -> int:
        """The chain's clock."""
        return int(self.world.true_time() + self.world.chain_skew)

    def _is(self, job_id: int, status: JobStatus) -> bool:
        return self._mine(job_id) and self.state.jobs[job_id].status is status

    def _mine(self, job_id: int) -> bool:
        return self.state.jobs[job_id].provider == ME

    def _served(self, job_id: int, statuses: set[JobStatus], *, needs_claim: bool) -> bool:
        claimed = not needs_claim or bool(self.state.terms[job_id].claimed_at)
        return self._mine(job_id) and self.state.jobs[job_id].status in statuses and claimed

    def _next(
        self, queue: list[int], statuses: set[JobStatus], *, needs_claim: bool = False
    ) -> int:
        while queue:
            job_id = queue.pop(0)
            if self._served(job_id, statuses, needs_claim=needs_claim):
                return job_id
        raise refused("NoJob")

    def _prove(self, job_id: int) -> None:
        if self.state.jobs[job_id].status in (JobStatus.RUNNING, JobStatus.SCHEDULED):
            self.state.proved[job_id] = self.now()

    def _hand_back(self, job_id: int) -> list[Said]:
        job = self.state.jobs[job_id]
        self.state.jobs[job_id] = replace(job, provider=ZERO_ADDRESS)
        args = {"job_id": job_id, "provider": job.provider, "customer": CUSTOMER}
        return [("JobRefusedEvent", args), self._move(job_id, JobStatus.PENDING)]

    def _settle(self, job_id: int, minutes: int) -> None:
        job = self.state.jobs[job_id]
        terms = self.state.terms.get(job_id)
        final = min(terms.rate * minutes, job.cost.max_cost) if terms else 0
        fee = final * CONSTANTS.deepsquare_cut // 100
        balances = self.state.balances
        balances[ME] = balances.get(ME, 0) + final - fee
        balances[CUSTOMER] = balances.get(CUSTOMER, 0) + job.cost.max_cost - final
        self.state.fees += fee
        self.state.bills[job_id] = minutes
        self.state.jobs[job_id] = replace(job, cost=replace(job.cost, final_cost=final))

    def _move(self, job_id: int, status: JobStatus) -> Said:
        job = self.state.jobs[job_id]
        time = replace(job.time, block_number_state_change=self.block)
        if status is JobStatus.RUNNING:
            time = replace(time, start=time.start or self.now())
        if status.is_final:
            time = replace(time, end=self.now(), start=time.start or self.now())
        self.state.jobs[job_id] = replace(job, status=status, time=time)
        args = {"job_id": job_id, "from_status": job.status, "to_status": status}
        return "JobTransitionEvent", args

    # blocks

    def _hash(self, number: int) -> bytes:
        return b"%16d%16d" % (self.forks, number)

    def _apply(self, action: Action) -> list[Event]:
        """Lets something happen in the block that is being made, wholly or not at all."""
        block, kept = self.blocks[-1], self.state
        self.state = kept.copied()
        try:
            said = action.run()
        except BaseException:
            self.state = kept
            raise
        block.actions.append(action)
        tx_hash = action.tx.hash if action.tx else b""
        events = []
        for name, args in said:
            self._event_count += 1
            event = Event(name, "Fake", args, block.number, block.hash, tx_hash, self._event_count)
            events.append(event)
        block.events += events
        return events

    def tried(self, call: FakeCall) -> None:
        """Tries a call without effect.

        Raises:
            ContractError: It would be refused.
        """
        kept, record, proposal = self.state, self.provider_record, self.proposal_record
        registrations = self.registrations
        self.state = kept.copied()
        try:
            call.run()
        finally:
            self.state = kept
            self.provider_record, self.proposal_record = record, proposal
            self.registrations = registrations

    async def mine(self) -> None:
        """A block every so often, for ever."""
        while True:
            await asyncio.sleep(self.block_seconds)
            self.next_block()

    async def news(self) -> None:
        """Waits until there is another block."""
        if self._news is None or self._news.done():
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def next_block(self) -> None:
        """Ends the block that was being made, and begins the next with what waits in the pool."""
        number = self.blocks[-1].number + 1
        # Whatever changes the state makes another one (`_apply`): this one stays as it is.
        self.blocks.append(Block(number, self._hash(number), self.now(), self.state))
        for block in self.blocks[-KEPT_BLOCKS - 1 : -KEPT_BLOCKS]:
            block.actions.clear()
            block.before = _FORGOTTEN
        pool, self.pool = ([], self.pool) if self.is_stalled else (self.pool, [])
        for tx in pool:
            self._mine_one(tx)
        self._tell()
        self.world.watch(f"block {number}")

    def _mine_one(self, tx: Tx) -> None:
        # A transaction that is refused is mined as well, without effect.
        try:
            events = self._apply(Action(tx.call.run, tx))
        except ContractError as error:
            self.world.say(f"refused {tx.call.label}: {error.name}")
            self.blocks[-1].actions.append(Action(tx.call.run, tx))
            if not tx.result.done():
                tx.result.set_exception(error)
                tx.result.exception()
            return
        self.world.say(f"block {self.block} {tx.call.label}")
        if not tx.result.done():
            tx.result.set_result(Receipt(tx.hash, self.block, 100_000, tuple(events)))

    def reorganise(self, depth: int, drops: Callable[[], bool] = lambda: False) -> None:
        """Goes back some blocks and takes another way.

        Args:
            depth: Blocks that are undone, the one that is being made not counted.
            drops: Asked for each optional action: True leaves it out for good.
        """
        kept = sum(block.before is not _FORGOTTEN for block in self.blocks)
        depth = min(depth, kept - 2)
        if depth < 1:
            return
        undone = self.blocks[-depth - 1 :]
        self.world.say(f"reorganised from block {self.block} to {undone[0].number}")
        del self.blocks[-depth - 1 :]
        self.forks += 1
        first = undone[0]
        self.state = first.before.copied()
        self.blocks.append(Block(first.number, self._hash(first.number), self.now(), first.before))
        back: list[Tx] = []
        for action in (action for block in undone for action in block.actions):
            if action.tx is not None:
                back.append(action.tx)
            elif action.is_optional and drops():
                self.world.say("an action of a customer was dropped")
            else:
                try:
                    self._apply(action)
                except ContractError as error:
                    self.world.say(f"not repeated after the reorganisation: {error.name}")
        self.pool[:0] = back
        self._tell()
        self.world.watch(f"reorganised {first.number}")

    # the port

    def answer(self) -> None:
        """Raises if the node does not answer."""
        if self.world.has_died():
            raise Crash("chain")
        if self.is_down:
            raise UnreachableError("The node does not answer.")

    def _head(self) -> Head:
        """The newest block that is complete: nobody sees the one that is being made."""
        block = self.blocks[-1]
        return Head(block.number, block.hash, block.time or self.now())

    def block_at(self, number: int) -> Block | None:
        """A block by its number."""
        index = number - self.blocks[0].number
        return self.blocks[index] if 0 <= index < len(self.blocks) else None

    async def head(self) -> Head:
        self.answer()
        return self._head()

    async def block_timestamp(self, block_number: int) -> int:
        self.answer()
        block = self.block_at(block_number)
        if block is None:
            raise NotFoundError(f"The chain has no block {block_number}.")
        return block.time

    async def has_batches(self) -> bool:
        self.answer()
        return self.batches

    async def claim_terms(self, ids: Sequence[int]) -> dict[int, ClaimTerms]:
        self.answer()
        if not self.batches:
            return {}
        terms = {i: self.state.terms[i] for i in ids if i in self.state.terms}
        return {i: held for i, held in terms.items() if held.claimed_at}

    async def job(self, job_id: int) -> Job:
        return (await self.jobs([job_id]))[0]

    async def jobs(self, ids: Sequence[int]) -> list[Job]:
        await self.world.delay(0.005)
        self.answer()
        if missing := [i for i in ids if i not in self.state.jobs]:
            raise NotFoundError(f"There is no job {missing[0]}.")
        return [self.state.jobs[i] for i in ids]

    async def job_count(self) -> int:
        self.answer()
        return len(self.state.jobs)

    async def queues(self, provider: Address) -> tuple[bool, bool, bool]:
        await self.world.delay(0.005)
        self.answer()
        cancelling = {JobStatus.RUNNING, JobStatus.CANCELLED}
        top_up = {JobStatus.SCHEDULED, JobStatus.RUNNING}
        return (
            any(self._is(i, JobStatus.META_SCHEDULED) for i in self.state.claimable),
            any(self._served(i, cancelling, needs_claim=True) for i in self.state.cancelling),
            any(self._served(i, top_up, needs_claim=False) for i in self.state.top_up),
        )

    async def events(
        self, from_block: int, to_block: int, names: Collection[str] | None = None
    ) -> list[Event]:
        self.answer()
        first = self.blocks[0].number
        asked = self.blocks[max(0, from_block - first) : max(0, to_block - first + 1)]
        return [
            event
            for block in asked
            for event in block.events
            if names is None or event.name in names
        ]

    async def provider(self, address: Address) -> Provider:
        self.answer()
        return self.provider_record

    async def proposal(self, address: Address) -> Provider:
        self.answer()
        return self.proposal_record

    async def constants(self) -> Constants:
        self.answer()
        return CONSTANTS

    async def balance(self, account: Address) -> int:
        return self.state.balances.get(account, 0)

    async def native_balance(self, account: Address) -> int:
        return CREDIT
