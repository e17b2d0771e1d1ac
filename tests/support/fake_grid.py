"""A grid in memory for tests of the console: its jobs change when the test says so."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dsq.core.chain import Head
from dsq.core.chain.health import EndpointSnapshot, EndpointState
from dsq.core.errors import (
    ContractError,
    CreditsError,
    DsqError,
    NotFoundError,
    UnreachableError,
    UsageError,
    WalletError,
)
from dsq.core.grid import Submission
from dsq.core.grid.definition import resources_of
from dsq.core.grid.history import Movement
from dsq.core.grid.overview import Overview, Scheduling
from dsq.core.model import (
    ZERO_ADDRESS,
    Address,
    Affinity,
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
    WhyNot,
)
from dsq.core.units import CREDIT, format_credits, minutes_for, wei_per_minute
from dsq.core.wallet import Wallet
from tests.support.fake_operator import FakeOperator

NOW = 1_795_000_000
"""Where frozen clocks stand: 2026-11-18 11:06:40 UTC."""

ME = Address(bytes.fromhex("9fd3" + "11" * 16 + "41ac"))
GAIA = Address(b"\x9a" * 20)
IRIS = Address(b"\x5b" * 20)
OPERATOR = Address(b"\x0e" * 20)
CONTRACT = Address(b"\x0d" * 20)
"""The MetaScheduler."""


def provider(
    address: Address,
    name: str,
    *,
    nodes: int = 2,
    gpus: int = 4,
    cpu_price: int = CREDIT // 20,
    **changes: Any,
) -> Provider:
    """A provider with plausible hardware and prices."""
    return dataclasses.replace(
        Provider(
            address,
            ProviderHardware((gpus,) * nodes, (32,) * nodes, (128_000,) * nodes),
            ProviderPrices(CREDIT // 2, cpu_price, CREDIT // 10**7),
            (Label("name", name), Label("zone", "eu"), Label("gpu", "a100" if gpus else "none")),
            is_approved=True,
            is_valid=True,
            job_count=12,
        ),
        **changes,
    )


def job(
    job_id: int,
    status: JobStatus,
    name: str = "",
    *,
    at: Address = ZERO_ADDRESS,
    locked: int = 212,
    cost: int = 0,
    submit: int = -7200,
    start: int = 0,
    end: int = 0,
    error: str = "",
    exit_status: int = 0,
    gpus: int = 0,
    **changes: Any,
) -> Job:
    """A job; times are seconds relative to :data:`NOW`, money is in hundredths of a credit."""

    def moment(offset: int) -> int:
        return NOW + offset if offset else 0

    return dataclasses.replace(
        Job(
            job_id,
            status,
            ME,
            at,
            JobDefinition(1, 8, 4000, gpus),
            JobCost(locked * CREDIT, cost * CREDIT // 100),
            JobTime(moment(submit), moment(start), moment(end), 0, 1000 + job_id),
            name,
            last_error=error,
            exit_status=exit_status,
        ),
        **changes,
    )


@dataclass(frozen=True)
class FakeHead:
    number: int
    timestamp: int
    era: int = 0

    @property
    def hash(self) -> bytes:
        return self.number.to_bytes(16) + self.era.to_bytes(16)


@dataclass(frozen=True)
class FakeEvent:
    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True)
class FakeBatch:
    events: tuple[FakeEvent, ...]
    head: FakeHead
    reset: bool = False


@dataclass(frozen=True)
class FakeBalance:
    balance_wei: int
    allowance_wei: int
    native_wei: int
    locked_wei: int = 0
    claimable_wei: int = 0
    faucet_wei: int = 0


@dataclass(frozen=True)
class FakeWhy:
    place: int
    of: int
    providers: tuple[WhyNot, ...]


@dataclass(frozen=True)
class FakeStep:
    status: JobStatus
    at: int
    block_number: int
    tx_hash: bytes = b"\x12" * 32


@dataclass(frozen=True)
class FakeLine:
    data: bytes
    timestamp_ns: int


def some_jobs() -> list[Job]:
    """One job of every kind, newest first."""
    status = JobStatus
    return [
        job(
            41, status.RUNNING, "train-llm", at=GAIA, submit=-4200, start=-4180, gpus=4, locked=400
        ),
        job(40, status.RUNNING, "sweep-lr", at=IRIS, submit=-1000, start=-980, locked=160),
        job(39, status.PENDING, "render-07", submit=-300, locked=160),
        job(38, status.SCHEDULED, "mesh-fine", at=GAIA, submit=-500),
        job(37, status.META_SCHEDULED, "mesh-coarse", at=IRIS, submit=-510),
        job(
            36,
            status.FINISHED,
            "cfd-wing",
            at=IRIS,
            submit=-9000,
            start=-8900,
            end=-5410,
            cost=5520,
        ),
        job(
            35,
            status.FAILED,
            "mpi-check",
            at=GAIA,
            submit=-9100,
            start=-9050,
            end=-9046,
            cost=190,
            error="step 'check' ended with exit code 3",
            exit_status=768,
        ),
        job(34, status.CANCELLED, "typo", submit=-9900, start=-9800, end=-9800),
        job(
            33,
            status.OUT_OF_CREDITS,
            "long-one",
            at=GAIA,
            submit=-99000,
            start=-98000,
            end=-80000,
            cost=21200,
        ),
        job(
            32,
            status.PANICKED,
            "lost",
            at=IRIS,
            submit=-99900,
            start=-99000,
            end=-98000,
            error="the provider does not answer",
        ),
    ]


def some_movements() -> list[Movement]:
    """A movement of every kind that a user has."""
    other = Address(bytes.fromhex("17aa" + "22" * 16 + "90be"))
    kinds = [
        ("minted", 2000, ZERO_ADDRESS, 0),
        ("locked", 400, other, 41),
        ("locked", 160, other, 40),
        ("topped up", 50, other, 41),
        ("returned", 157, other, 36),
        ("sent", 25, other, 0),
        ("received", 60, other, 0),
    ]
    return [
        Movement(
            NOW - 90_000 + 9_000 * n, kind, wei * CREDIT, who, job_id, 1000 + n, n, bytes([n]) * 32
        )
        for n, (kind, wei, who, job_id) in enumerate(kinds)
    ]


def _script(workflow: Mapping[str, Any]) -> str:
    """A script of a workflow's commands."""
    steps = [step.get("run") or {} for step in workflow.get("steps", ())]
    return "".join(["#!/bin/bash\n", *(f"{run.get('command', ':')}\n" for run in steps)])


@dataclass
class FakeGrid(FakeOperator):
    """Implements ``dsq.console.user.port.GridPort`` in memory.

    Attributes:
        fail: Raised by the next calls of the named methods.
        sent: What was sent: method and arguments.
        alive: False makes every call fail with ``UnreachableError``.
        named: Jobs by the keys of their submits.
        given: The secrets of each submit.
        operator: The account may approve, remove and ban providers.
        locked: There is no key: what signs is refused.
        most: So many jobs of one call are made before the chain is gone; None for all.
        era: Another number makes all blocks other blocks, as after a restart of the chain.
    """

    address: Address = ME
    known: dict[int, Job] = field(default_factory=dict)
    known_providers: list[Provider] = field(
        default_factory=lambda: [
            provider(GAIA, "gaia"),
            provider(IRIS, "iris", nodes=1, gpus=0, cpu_price=CREDIT // 16),
        ]
    )
    money: FakeBalance = FakeBalance(12_844 * CREDIT // 10, 0, 99 * CREDIT)
    minimum: int = 100 * CREDIT
    output: dict[int, list[FakeLine]] = field(default_factory=dict)
    scripts: dict[int, str] = field(default_factory=dict)
    operator: bool = False
    locked: bool = False
    proposals: dict[Address, Provider] = field(default_factory=dict)
    moved: list[Movement] = field(default_factory=lambda: some_movements())
    fail: dict[str, DsqError] = field(default_factory=dict)
    sent: list[tuple[str, Any]] = field(default_factory=list)
    alive: bool = True
    block: int = 1204
    era: int = 0
    named: dict[str, int] = field(default_factory=dict)
    given: list[dict[str, str]] = field(default_factory=list)
    most: int | None = None

    def __post_init__(self) -> None:
        self._batches: asyncio.Queue[FakeBatch] = asyncio.Queue()
        self._more_output = asyncio.Event()

    def add(self, *jobs: Job) -> FakeGrid:
        self.known |= {each.id: each for each in jobs}
        return self

    def _check(self, method: str) -> None:
        if not self.alive:
            raise UnreachableError("The chain at http://127.0.0.1:8545 does not answer.")
        if method in self.fail:
            raise self.fail[method]

    # -- what a test does ---------------------------------------------------------

    def change(self, job_id: int, **changes: Any) -> None:
        """Changes a job and says so in the feed."""
        before = self.known[job_id]
        after = dataclasses.replace(before, **changes)
        self.known[job_id] = after
        self.say(
            "JobTransitionEvent", job_id=job_id, from_status=before.status, to_status=after.status
        )

    def say(self, name: str, **args: Any) -> None:
        """Puts an event into the feed."""
        self.block += 1
        self._batches.put_nowait(
            FakeBatch((FakeEvent(name, args),), FakeHead(self.block, NOW, self.era))
        )

    def as_operator(self) -> FakeGrid:
        """The same grid through the operator's wallet."""
        other = copy.copy(self)
        other.operator, other.address = True, OPERATOR
        return other

    def report(self, job_id: int, status: JobStatus, minutes: int = 0) -> None:
        """What a provider reports; a final one settles the job."""
        found = self.known[job_id]
        if not status.is_final:
            self.change(job_id, status=status, time=dataclasses.replace(found.time, start=NOW))
            return
        prices = next(one.prices for one in self.known_providers if one.address == found.provider)
        cost = min(minutes * wei_per_minute(found.definition, prices), found.cost.max_cost)
        self._settle(found, status, cost)

    def _settle(self, found: Job, status: JobStatus, cost: int) -> None:
        """Ends a job; what it did not use comes back."""
        back = found.cost.max_cost - cost
        start = found.time.start
        # Equal times mean that it never ran.
        end = max(NOW, start + 1) if start else NOW
        self._move("returned", back, found.provider, found.id)
        self.change(
            found.id,
            status=status,
            cost=dataclasses.replace(found.cost, final_cost=cost),
            time=dataclasses.replace(found.time, start=start or NOW, end=end),
        )

    def _move(self, kind: str, wei: int, other: Address, job_id: int = 0) -> None:
        """Credits come or go."""
        tx_hash = len(self.moved).to_bytes(32)
        made = Movement(NOW, kind, wei, other, job_id, self.block + 1, 0, tx_hash)
        self.moved.append(made)
        balance = self.money.balance_wei + made.change_wei
        self.money = dataclasses.replace(self.money, balance_wei=balance)

    def _signs(self, wei: int = 0) -> None:
        if self.locked:
            raise WalletError("This needs a wallet.", hint="'dsq wallet new' makes one.")
        if wei > self.money.balance_wei:
            raise CreditsError("The wallet holds too few credits.")

    def heartbeat(self, *, reset: bool = False) -> None:
        self._batches.put_nowait(FakeBatch((), FakeHead(self.block, NOW, self.era), reset))

    def write(self, job_id: int, *lines: str, at: int = NOW) -> None:
        """Adds lines to a job's output."""
        output = self.output.setdefault(job_id, [])
        output += [FakeLine(line.encode(), at * 10**9) for line in lines]
        self._more_output.set()
        self._more_output = asyncio.Event()

    # -- GridPort -------------------------------------------------------------------

    async def close(self) -> None:
        self.sent.append(("close", None))

    async def use(self, wallet: Wallet | None) -> None:
        if wallet is not None and wallet.address != self.address:
            raise WalletError(f"This key is that of {wallet.address}, not of {self.address}.")
        self.sent.append(("use", wallet))
        self.locked = wallet is None

    async def head(self) -> FakeHead:
        self._check("head")
        return FakeHead(self.block, NOW - 1, self.era)

    async def constants(self) -> Constants:
        self._check("constants")
        return Constants(self.minimum, 20, 15, 30, 5, 0)

    async def job(self, job_id: int) -> Job:
        self._check("job")
        if job_id not in self.known:
            raise NotFoundError(f"There is no job {job_id}.")
        return self.known[job_id]

    async def job_ids(self, after: int = 0) -> list[int]:
        self._check("jobs")
        mine = [each.id for each in self.known.values() if each.customer == self.address]
        return sorted(mine)[after:]

    async def jobs_by_id(self, ids: Sequence[int]) -> list[Job]:
        self._check("jobs")
        return [await self.job(job_id) for job_id in ids]

    async def block_hash(self, number: int) -> bytes | None:
        self._check("head")
        return FakeHead(number, 0, self.era).hash if number <= self.block else None

    async def changes(self) -> AsyncIterator[FakeBatch]:
        self._check("changes")
        yield FakeBatch((), FakeHead(self.block, NOW - 1, self.era))
        while True:
            yield await self._batches.get()

    async def history(self, job: Job) -> Sequence[FakeStep]:
        self._check("history")
        path = [JobStatus.PENDING]
        if not job.provider.is_zero:
            path += [JobStatus.META_SCHEDULED, JobStatus.SCHEDULED]
        if job.time.start and job.time.end != job.time.start:
            path.append(JobStatus.RUNNING)
        path = [step for step in path if step <= job.status] + [job.status] * job.status.is_final
        times = {JobStatus.RUNNING: job.time.start, job.status: job.time.end or job.time.start}
        moments = [times.get(step) or job.time.submit + 2 * n for n, step in enumerate(path)]
        return [
            FakeStep(step, min(moments[number:]), 1000 + number) for number, step in enumerate(path)
        ]

    async def why(self, job_id: int) -> FakeWhy:
        self._check("why")
        found = await self.job(job_id)
        if found.status is not JobStatus.PENDING:
            rows = await self.estimate(found.definition, found.cost.max_cost)
            return FakeWhy(0, 1, tuple(rows))
        return FakeWhy(2, 3, tuple(self._busy()))

    def _busy(self) -> Iterable[WhyNot]:
        reasons = {
            GAIA: "all 8 GPUs are in use until 12:31",
            IRIS: "needs 4 GPUs on one node, has none",
        }
        for each in self.known_providers:
            yield WhyNot(each.address, each.name, reasons.get(each.address, "not approved"))

    async def logs(self, job_id: int, *, follow: bool = False) -> AsyncIterator[FakeLine]:
        self._check("logs")
        self._signs()
        if (await self.job(job_id)).customer != self.address:
            raise WalletError(f"Job {job_id} is another customer's.")
        sent = 0
        while True:
            lines = self.output.get(job_id, [])
            for line in lines[sent:]:
                yield line
            sent = len(lines)
            if not follow or self.known[job_id].status.is_final:
                return
            await self._more_output.wait()

    async def script(self, job_id: int) -> str:
        self._check("script")
        found = await self.job(job_id)
        self._signs()
        if found.customer != self.address:
            raise WalletError(f"Job {job_id} belongs to {found.customer}, not to this wallet.")
        if job_id not in self.scripts:
            raise NotFoundError(f"The grid keeps no script of job {job_id} any more.")
        return self.scripts[job_id]

    async def balance(self) -> FakeBalance:
        self._check("balance")
        mine = [each for each in self.known.values() if each.customer == self.address]
        locked = sum(each.cost.max_cost for each in mine if each.status.is_hot)
        return dataclasses.replace(self.money, locked_wei=locked)

    async def providers(self) -> list[Provider]:
        self._check("providers")
        return list(self.known_providers)

    async def jobs_at(self, provider: Address, *, limit: int | None = None) -> list[Job]:
        self._check("jobs_at")
        placed = [each for each in self.known.values() if each.provider == provider]
        return sorted(placed, key=lambda each: -each.id)[:limit]

    async def estimate(self, definition: JobDefinition, wei: int) -> list[WhyNot]:
        self._check("estimate")
        rows = []
        for each in self.known_providers:
            lacks = definition.gpus > sum(each.hardware.gpus_per_node)
            reason = f"needs {definition.gpus} GPUs, has none" if lacks else ""
            minutes = minutes_for(definition, each.prices, wei)
            rate = wei_per_minute(definition, each.prices)
            rows.append(WhyNot(each.address, each.name, reason, minutes, rate))
        return sorted(rows, key=lambda row: (bool(row.reason), row.wei_per_minute, row.provider))

    async def submit(
        self,
        workflow: Mapping[str, Any],
        credits: int,  # noqa: A002
        *,
        name: str = "",
        uses: Iterable[Label] = (),
        affinity: Iterable[Affinity] = (),
        approve: bool = True,
        secrets: Mapping[str, str] | None = None,
        key: str = "",
    ) -> Job:
        self._check("submit")
        self.given.append(dict(secrets or {}))
        if key and key in self.named:
            return self.known[self.named[key]]
        self._signs(credits)
        if credits < self.minimum:
            raise CreditsError(f"The grid's minimum is {format_credits(self.minimum)} credits.")
        self.sent.append(("submit", (dict(workflow), credits, name, tuple(uses), tuple(affinity))))
        number = max(self.known, default=0) + 1
        if key:
            self.named[key] = number
        made = job(number, JobStatus.PENDING, name, submit=-1)
        wanted = JobDefinition(
            **resources_of(workflow),
            batch_location_hash=f"script-{number}",
            uses=tuple(uses),
            affinity=tuple(affinity),
        )
        cost = JobCost(credits, 0)
        self.add(dataclasses.replace(made, definition=wanted, customer=self.address, cost=cost))
        self.scripts[number] = _script(workflow)
        self._move("locked", credits, CONTRACT, number)
        self.say("NewJobRequestEvent", job_id=number, customer=self.address)
        return self.known[number]

    async def submit_many(
        self,
        submissions: Sequence[Submission],
        credits: int,  # noqa: A002
        *,
        on_job: Callable[[Submission, Job], None] = lambda _submission, _job: None,
        **options: Any,
    ) -> list[Job]:
        self._check("submit_many")
        jobs = []
        for each in submissions:
            if len(jobs) == self.most:
                raise UnreachableError("The chain does not answer.")
            made = await self.submit(
                each.workflow, credits, name=each.name, key=each.key, **options
            )
            on_job(each, made)
            jobs.append(made)
        return jobs

    async def cancel(self, job_id: int) -> Job:
        self._check("cancel")
        found = await self.job(job_id)
        self._signs()
        if found.status.is_final:
            raise ContractError(f"Job {job_id} has ended already: it is {found.status.name}.")
        if found.status is JobStatus.RUNNING:
            if not found.has_cancel_request:
                self.sent.append(("cancel", job_id))
                self.change(job_id, has_cancel_request=True)
        else:
            self.sent.append(("cancel", job_id))
            self._settle(found, JobStatus.CANCELLED, 0)
        return self.known[job_id]

    async def top_up(self, job_id: int, wei: int) -> Job:
        self._check("top_up")
        found = await self.job(job_id)
        self._signs(wei)
        if found.status not in (JobStatus.SCHEDULED, JobStatus.RUNNING):
            raise ContractError(f"Job {job_id} is {found.status.name}: it takes no top-up.")
        self.sent.append(("top_up", (job_id, wei)))
        self._move("topped up", wei, CONTRACT, job_id)
        cost = found.cost
        self.change(
            job_id,
            cost=dataclasses.replace(
                cost, max_cost=cost.max_cost + wei, pending_top_up=cost.pending_top_up + wei
            ),
        )
        return self.known[job_id]

    async def transfer(self, to: Address, wei: int) -> None:
        self._check("transfer")
        self._signs()
        if to in (self.address, ZERO_ADDRESS) or to in self.contracts():
            raise UsageError(f"{to} is no account to send credits to.")
        self._signs(wei)
        self.sent.append(("transfer", (to, wei)))
        self._move("sent", wei, to)
        self.say("Transfer", sender=self.address, recipient=to, value=wei)

    async def claim_faucet(self) -> int:
        return self._collect("claim_faucet", "faucet_wei", None)

    async def withdraw_claimable(self, to: Address | None = None) -> int:
        return self._collect("withdraw_claimable", "claimable_wei", to)

    def _collect(self, method: str, field_name: str, to: Address | None) -> int:
        self._check(method)
        wei = int(getattr(self.money, field_name))
        if not wei:
            raise NotFoundError(f"Nothing waits for {self.address}.")
        self._signs()
        self.sent.append((method, wei if method == "claim_faucet" else to))
        self._move("paid out", wei, CONTRACT)
        self.money = dataclasses.replace(self.money, **{field_name: 0})
        self.say("Transfer", sender=ZERO_ADDRESS, recipient=self.address, value=wei)
        return wei

    async def movements(
        self, account: Address | None = None, *, from_block: int | None = None
    ) -> list[Movement]:
        self._check("movements")
        return [each for each in self.moved if each.block_number >= (from_block or 0)]

    def contracts(self) -> Mapping[Address, str]:
        return {Address(b"\x0c" * 20): "Credit", CONTRACT: "MetaScheduler"}

    async def overview(self) -> Overview:
        self._check("overview")
        counts = dict.fromkeys(JobStatus, 0)
        for each in self.known.values():
            counts[each.status] += 1
        nodes = (
            EndpointSnapshot(
                "http://node:8545", EndpointState.HEALTHY, True, self.block, 0, 0.004, "", 0, 0.0
            ),
            EndpointSnapshot(
                "https://far.example",
                EndpointState.LAGGING,
                False,
                self.block - 40,
                40,
                0.31,
                "it is 40 blocks behind",
                1,
                12.0,
            ),
        )
        return Overview(
            chain_id=31337,
            head=Head(self.block, b"\x01" * 32, NOW - 1),
            endpoints=nodes,
            block_seconds=1.0,
            scheduling=Scheduling("ok", 1, 5, self.block - 1),
            takes_jobs=True,
            jobs=counts,
            total_jobs=max(self.known, default=0),
            supply_wei=1_000_000 * CREDIT,
            locked_wei=1144 * CREDIT,
            contracts=dict(self.contracts()),
            providers=tuple(self.known_providers),
        )
