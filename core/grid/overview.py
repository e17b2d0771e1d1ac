"""The whole grid at a glance: chain, nodes, meta-scheduler, totals."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dsq.core.chain import Head
from dsq.core.chain.health import EndpointSnapshot
from dsq.core.errors import ContractError
from dsq.core.grid.connection import Connection
from dsq.core.model import Address, JobStatus, Provider

SCAN = 4000
"""Jobs that one question counts."""

MOST = 200_000
"""Jobs that are counted; of more only the newest."""


@dataclass(frozen=True, slots=True)
class Scheduling:
    """The meta-scheduler, as it tells of itself.

    Attributes:
        status: ``ok``, ``standby``, ``waiting for the chain``, or ``silent``.
        waiting: Jobs that wait for a provider.
        placed: Jobs on providers.
        block: The newest block it has seen; None if it has not said so.
        error: Why it is silent, else "".
    """

    status: str
    waiting: int = 0
    placed: int = 0
    block: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole grid.

    Attributes:
        head: The newest block.
        endpoints: The chain's nodes, and how they are.
        block_seconds: Seconds between blocks lately; None on a chain with one block.
        takes_jobs: New jobs may be requested.
        jobs: How many jobs there are by status.
        total_jobs: How many there ever were.
        supply_wei: All credits there are.
        locked_wei: Credits that the MetaScheduler holds: of open jobs, fees, deferred payments.
        contracts: Names of the contracts by address.
        providers: Everyone who ever registered.
    """

    chain_id: int
    head: Head
    endpoints: tuple[EndpointSnapshot, ...]
    block_seconds: float | None
    scheduling: Scheduling
    takes_jobs: bool
    jobs: dict[JobStatus, int]
    total_jobs: int
    supply_wei: int
    locked_wei: int
    contracts: dict[Address, str]
    providers: tuple[Provider, ...] = field(repr=False)

    def approved(self) -> list[Provider]:
        """Providers that may be given jobs."""
        return [each for each in self.providers if each.is_valid]

    def hardware(self) -> tuple[int, int, int, int]:
        """Nodes, hardware threads, GPUs and MB of memory of all approved providers."""
        found = [each.hardware for each in self.approved()]
        return (
            sum(each.nodes for each in found),
            sum(sum(each.cpus_per_node) for each in found),
            sum(sum(each.gpus_per_node) for each in found),
            sum(sum(each.mem_per_node) for each in found),
        )


class Look(Connection):
    """The part of a grid about the grid itself."""

    async def overview(self) -> Overview:
        """How the whole grid is.

        Raises:
            UnreachableError: The chain does not answer; a silent meta-scheduler is no error.
        """
        chain = self.chain
        head = await chain.head()
        seconds, scheduling, counted, providers = await asyncio.gather(
            self._block_seconds(head),
            self._scheduling(),
            self._count_jobs(),
            chain.providers(),
        )
        takes, supply, held = await asyncio.gather(
            chain.new_jobs_enabled(),
            chain.total_supply(),
            chain.balance(chain.addresses.metascheduler),
        )
        jobs, total = counted
        return Overview(
            chain_id=self.config.chain_id,
            head=head,
            endpoints=chain.rpc.endpoints(),
            block_seconds=seconds,
            scheduling=scheduling,
            takes_jobs=takes,
            jobs=jobs,
            total_jobs=total,
            supply_wei=supply,
            locked_wei=held,
            contracts=chain.addresses.named(),
            providers=tuple(providers),
        )

    async def _block_seconds(self, head: Head) -> float | None:
        back = min(20, head.number)
        if not back:
            return None
        earlier = await self.chain.block_timestamp(head.number - back)
        return (head.timestamp - earlier) / back

    async def _count_jobs(self) -> tuple[dict[JobStatus, int], int]:
        total = await self.chain.job_count()
        counts = dict.fromkeys(JobStatus, 0)
        at = max(1, total - MOST + 1)
        while 0 < at <= total:
            try:
                found, at = await self.chain.view("JobRepository", "countByStatus", at, SCAN)
            except ContractError:
                return {}, total  # a grid of the published contracts cannot count
            for status, count in zip(JobStatus, found, strict=False):
                counts[status] += count
        return counts, total

    async def _scheduling(self) -> Scheduling:
        import httpx

        url = self.config.oracle_url.rstrip("/")
        if not url:
            return Scheduling("silent", error="The settings name no oracle.")
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                data: Any = (await client.get(f"{url}/health")).json()
            return Scheduling(
                str(data["status"]), int(data["waiting"]), int(data["placed"]), data["block"]
            )
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            why = str(error) or type(error).__name__
            return Scheduling("silent", error=f"The meta-scheduler does not answer: {why}.")


def states(overview: Overview) -> Sequence[tuple[JobStatus, int]]:
    """The statuses that some job has, with how many."""
    return [(status, count) for status, count in overview.jobs.items() if count]
