"""A small grid in memory: chain, cluster, script and log service, with faults on demand.

The fake chain keeps the rules of the contracts that a supervisor can run into (who may
do what in which status, billing, refunds, the three queues); the fake cluster those of
Slurm (one accepted sbatch a submission, limits, records forgotten after a while).
:class:`World` counts boundaries, the moments just before and after each effect and each
write of the journal, and can let the process die at any of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dsq.core.errors import UnreachableError
from dsq.core.model import Address, Job
from dsq.core.rpc.logger import LogLine
from dsq.core.rpc.sbatch import Script
from tests.support.fake_chain import FakeChain
from tests.support.fake_cluster import FakeScheduler, FakeSlurmJob
from tests.support.fake_feed import FakeFeed
from tests.support.fake_sender import FakeSender
from tests.support.fake_state import CONSTANTS, CUSTOMER, ME, OTHER, PRICES, refused
from tests.support.world import Crash, CrashingJournal, World

__all__ = [
    "CONSTANTS",
    "CUSTOMER",
    "ME",
    "OTHER",
    "PRICES",
    "Crash",
    "CrashingJournal",
    "FakeChain",
    "FakeFeed",
    "FakeLogs",
    "FakeScheduler",
    "FakeScripts",
    "FakeSender",
    "FakeSlurmJob",
    "World",
    "refused",
]


class FakeScripts:
    """The sbatch service: the job's batch location hash is its script."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.error: Exception | None = None
        self.fetched: list[int] = []

    async def fetch(self, job: Job) -> Script:
        if self.world.has_died():
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
        if self.world.has_died():
            await asyncio.Event().wait()
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
