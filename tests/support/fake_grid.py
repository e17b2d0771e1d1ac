"""A grid in memory for tests of the console: its jobs change when the test says so."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dsq.core.errors import (
    DsqError,
    NotFoundError,
    UnreachableError,
    WalletError,
)
from dsq.core.grid.history import Movement
from dsq.core.grid.overview import Overview
from dsq.core.model import (
    Address,
    Constants,
    Job,
    JobDefinition,
    JobStatus,
    Provider,
    WhyNot,
)
from dsq.core.units import CREDIT, minutes_for, wei_per_minute
from dsq.core.wallet import Wallet
from tests.support.fake_answers import (
    FakeBalance,
    FakeBatch,
    FakeEvent,
    FakeHead,
    FakeLine,
    FakeStep,
    FakeWhy,
    fake_overview,
)
from tests.support.fake_jobs import (
    CONTRACT,
    GAIA,
    IRIS,
    ME,
    NOW,
    OPERATOR,
    job,
    provider,
    some_jobs,
    some_movements,
)
from tests.support.fake_operator import FakeOperator
from tests.support.fake_orders import FakeOrders

__all__ = [
    "CONTRACT",
    "GAIA",
    "IRIS",
    "ME",
    "NOW",
    "OPERATOR",
    "FakeBalance",
    "FakeBatch",
    "FakeEvent",
    "FakeGrid",
    "FakeHead",
    "FakeLine",
    "FakeStep",
    "FakeWhy",
    "job",
    "provider",
    "some_jobs",
    "some_movements",
]


@dataclass
class FakeGrid(FakeOrders, FakeOperator):
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
    money: FakeBalance = field(
        default_factory=lambda: FakeBalance(12_844 * CREDIT // 10, 0, 99 * CREDIT)
    )
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

    async def overview(self) -> Overview:
        self._check("overview")
        counts = dict.fromkeys(JobStatus, 0)
        for each in self.known.values():
            counts[each.status] += 1
        providers = tuple(self.known_providers)
        newest = max(self.known, default=0)
        return fake_overview(self.block, counts, newest, self.contracts(), providers)
