"""A grid in memory with the face of ``dsq.core.grid.Grid``: tests look at what reached it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from dsq.core.chain import Head
from dsq.core.chain.health import EndpointSnapshot, EndpointState
from dsq.core.errors import DsqError, NotFoundError
from dsq.core.grid import Balance, Movement, Overview, Submission, WhyReport
from dsq.core.grid.overview import Scheduling
from dsq.core.grid.providers import Proposal
from dsq.core.model import (
    ZERO_ADDRESS,
    Address,
    Affinity,
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
from dsq.core.rpc.logger import LogLine
from dsq.core.units import CREDIT
from dsq.core.watching import Transition

ME = Address.parse("0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A")
"""The account of the private key 0x11…11."""
GAIA = Address(b"\x9a" * 20)
NOW = 1_795_000_000

PROVIDER = Provider(
    GAIA,
    ProviderHardware((2,), (8,), (64_000,)),
    ProviderPrices(CREDIT, CREDIT, 0),
    (Label("name", "gaia"), Label("gpu", "a100")),
    is_approved=True,
    is_valid=True,
    job_count=3,
)


def job(number: int, status: JobStatus = JobStatus.PENDING, **changes: Any) -> Job:
    """A job of :data:`ME` with 100 locked credits."""
    at = ZERO_ADDRESS if status in (JobStatus.PENDING, JobStatus.CANCELLED) else GAIA
    ended = status.is_final
    base = Job(
        number,
        status,
        ME,
        at,
        JobDefinition(1, 1, 100, batch_location_hash="key"),
        JobCost(100 * CREDIT, 3 * CREDIT // 2 if ended else 0),
        JobTime(NOW, NOW + 5 if status >= JobStatus.RUNNING else 0, NOW + 65 if ended else 0),
        "train",
    )
    return dataclasses.replace(base, **changes)


class GridDouble:
    """Holds jobs and records what is sent."""

    def __init__(self) -> None:
        self.config: Any = None
        self.wallet: Any = None
        self.known: dict[int, Job] = {}
        self.course: list[Job] = []
        self.output: list[bytes] = []
        self.sent: list[tuple[Any, ...]] = []
        self.allowed = 0
        self.waiting: dict[str, int] = {}
        self.moved: list[Movement] = []
        self.fail: DsqError | None = None
        self.chain = self

    async def __aenter__(self) -> GridDouble:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.sent.append(("close",))

    @property
    def address(self) -> Address:
        return self.wallet.address if self.wallet else ME

    @property
    def did(self) -> list[tuple[Any, ...]]:
        """What was sent, without the end of the connection."""
        return [one for one in self.sent if one != ("close",)]

    def add(self, *jobs: Job) -> None:
        self.known |= {one.id: one for one in jobs}

    def _signed(self, *what: Any) -> None:
        assert self.wallet is not None, "this needs the wallet"
        if self.fail is not None:
            raise self.fail
        self.sent.append(what)

    async def job(self, job_id: int) -> Job:
        if job_id not in self.known:
            raise NotFoundError(f"There is no job {job_id}.")
        return self.known[job_id]

    async def jobs(
        self,
        *,
        status: JobStatus | None = None,
        customer: Address | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        found = [one for one in self.known.values() if one.customer == (customer or self.address)]
        found = [one for one in found if status in (None, one.status)]
        return sorted(found, key=lambda one: -one.id)[:limit]

    async def overview(self) -> Overview:
        node = EndpointSnapshot(
            "http://node:8545", EndpointState.HEALTHY, True, 1204, 0, 0.004, "", 0, 0.0
        )
        return Overview(
            chain_id=31337,
            head=Head(1204, b"\x01" * 32, NOW),
            endpoints=(node,),
            block_seconds=1.0,
            scheduling=Scheduling("ok", 2, 5, 1204),
            takes_jobs=True,
            jobs=dict.fromkeys(JobStatus, 0) | {JobStatus.RUNNING: 3},
            total_jobs=41,
            supply_wei=10**24,
            locked_wei=212 * CREDIT,
            contracts={GAIA: "Credit"},
            providers=(PROVIDER,),
        )

    async def movements(self, account: Address) -> list[Movement]:
        return self.moved

    async def head(self) -> Any:
        return SimpleNamespace(number=7, hash=b"\x07" * 32)

    async def block_hash(self, number: int) -> bytes | None:
        return bytes([number]) * 32

    async def job_ids(self, after: int = 0, *, customer: Address | None = None) -> list[int]:
        return sorted(n for n, one in self.known.items() if one.customer == customer)[after:]

    async def jobs_by_id(self, ids: Sequence[int]) -> list[Job]:
        return [self.known[job_id] for job_id in ids]

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
        extra = [each for each in (dict(secrets or {}), key) if each]
        self._signed(
            "submit", workflow["steps"][0]["name"], credits, name, list(map(str, uses)),
            list(map(str, affinity)), approve, *extra,
        )  # fmt: skip
        self.add(job(41, name=name))
        return self.known[41]

    async def submit_many(
        self,
        submissions: Sequence[Submission],
        credits: int,  # noqa: A002
        *,
        uses: Iterable[Label] = (),
        affinity: Iterable[Affinity] = (),
        approve: bool = True,
        secrets: Mapping[str, str] | None = None,
        on_job: Callable[[Submission, Job], None] = lambda _submission, _job: None,
    ) -> list[Job]:
        made = []
        for each in submissions:
            env = {one["key"]: one["value"] for one in each.workflow["env"]}
            self._signed("submit", each.name, each.key, credits, env, dict(secrets or {}))
            number = max(self.known, default=40) + 1
            self.add(job(number, name=each.name))
            made.append(self.known[number])
            on_job(each, made[-1])
        return made

    async def changes(self) -> AsyncIterator[Any]:
        for number, one in list(self.known.items()):
            if not one.status.is_final:
                self.known[number] = dataclasses.replace(one, status=JobStatus.FINISHED)
            yield None

    async def watch(self, job_id: int) -> AsyncIterator[Job]:
        yield self.known[job_id]
        for state in self.course:
            yield state

    async def logs(self, job_id: int, *, follow: bool = False) -> AsyncIterator[LogLine]:
        self._signed("logs", job_id, follow)
        for number, data in enumerate(self.output):
            yield LogLine(data, (NOW + number) * 10**9)

    async def script(self, job_id: int) -> str:
        self._signed("script", job_id)
        return f"#!/bin/bash\n# job {job_id}\n"

    async def history(self, found: Job) -> list[Transition]:
        status = JobStatus
        path = (status.PENDING, status.META_SCHEDULED, status.SCHEDULED, found.status)
        return [
            Transition(one, NOW + 2 * number, 100 + number, bytes([number]) * 32)
            for number, one in enumerate(path)
        ]

    async def cancel(self, job_id: int) -> Job:
        self._signed("cancel", job_id)
        before = self.known[job_id]
        if before.status is JobStatus.RUNNING:
            return dataclasses.replace(before, has_cancel_request=True)
        return dataclasses.replace(before, status=JobStatus.CANCELLED)

    async def expiry(self, job_id: int) -> int | None:
        return NOW + 3600 if self.known[job_id].status is JobStatus.RUNNING else None

    async def release(self, job_id: int) -> Job:
        self._signed("release", job_id)
        before = self.known[job_id]
        running = before.status is JobStatus.RUNNING
        after = JobStatus.FAILED if running else JobStatus.PENDING
        return dataclasses.replace(before, status=after)

    async def claim_faucet(self) -> int:
        self._signed("claim_faucet")
        return 5 * CREDIT

    async def withdraw_claimable(self, to: Address | None = None) -> int:
        self._signed("withdraw_claimable", to)
        return 3 * CREDIT

    async def top_up(self, job_id: int, wei: int, *, approve: bool = True) -> Job:
        self._signed("top_up", job_id, wei, approve)
        return self.known[job_id]

    async def balance(self, address: Any = None) -> Any:
        # Also the chain's, which answers with a number.
        if address == self.address and self.wallet is not None and self.did:
            return 42 * CREDIT
        held = 9_900 * CREDIT
        return Balance(address, held, self.allowed, CREDIT, 100 * CREDIT, **self.waiting)

    async def allowance(self, owner: Address) -> int:
        return self.allowed

    async def set_allowance(self, wei: int) -> None:
        self._signed("set_allowance", wei)
        self.allowed = wei

    async def transfer(self, to: Address, wei: int) -> None:
        self._signed("transfer", to, wei)

    async def providers(self) -> list[Provider]:
        return [PROVIDER, dataclasses.replace(PROVIDER, is_banned=True, labels=())]

    async def provider(self, address: Address) -> Provider:
        if address != GAIA:
            raise NotFoundError(f"There is no provider {address}.")
        return PROVIDER

    async def proposal(self, address: Address) -> Proposal:
        return Proposal(PROVIDER, b"\x07" * 32)

    async def approve_provider(self, address: Address, *, seen: bytes = b"") -> None:
        assert seen == b"\x07" * 32
        self._signed("approve", address)

    async def jobs_at(self, provider: Address, *, limit: int | None = None) -> list[Job]:
        found = [one for one in self.known.values() if one.provider == provider]
        return sorted(found, key=lambda one: -one.id)[:limit]

    async def remove_provider(self, address: Address) -> None:
        self._signed("remove", address)

    async def ban(self, address: Address) -> None:
        self._signed("ban", address)

    async def unban(self, address: Address) -> None:
        self._signed("unban", address)

    async def estimate(self, definition: JobDefinition, wei: int) -> list[WhyNot]:
        self.sent.append(("estimate", definition, wei))
        return [
            WhyNot(GAIA, "gaia", "", 62, CREDIT),
            WhyNot(ME, "aion", "needs 4 GPUs, has 2 on all its nodes", 9, CREDIT),
        ]

    async def why(self, job_id: int) -> WhyReport:
        found = await self.job(job_id)
        place = 2 if found.status is JobStatus.PENDING else 0
        rows = (WhyNot(GAIA, "gaia", "busy: 8 of 8 CPUs in use", 100, CREDIT),)
        return WhyReport(job_id, found.status, place, 3, rows, found.provider)
