"""The service's view of the chain: whose a script is, and when it may go.

A script belongs to the customer who signed its submit. An unsigned one belongs to the
customer of the first job on chain that names it, which is why jobs are looked through
in the order of their ids. A script goes when no job names it for a day, or when all its
jobs have ended and a grace has passed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from dsq.core.clock import Clock
from dsq.core.errors import DsqError
from dsq.core.model import Address, Job
from dsq.sbatch.service.metrics import Metrics
from dsq.sbatch.service.store import ScriptStore, ScriptUse, StoredScript

log = logging.getLogger("dsq.sbatch.service.ledger")

SCAN_BATCH = 100
"""Jobs asked for at once."""

SCAN_OVERLAP = 20
"""Jobs looked at again with each scan, since a reorganisation may have replaced them."""


class JobSource(Protocol):
    """What the service asks of the chain (``dsq.core.chain.Chain`` answers it)."""

    async def job(self, job_id: int, /) -> Job:
        """One job.

        Raises:
            NotFoundError: There is none with that id.
        """
        ...

    async def jobs(self, ids: Sequence[int], /) -> list[Job]:
        """Several jobs, in the order of ``ids``."""
        ...

    async def job_count(self) -> int:
        """The highest job id."""
        ...


class Ledger:
    """Joins the scripts in the store with the jobs on chain.

    Args:
        unseen_seconds: Life of a script that no job names.
        grace_seconds: Life of a script after its last job's end.
    """

    def __init__(
        self,
        jobs: JobSource,
        store: ScriptStore,
        clock: Clock,
        metrics: Metrics | None = None,
        *,
        unseen_seconds: float,
        grace_seconds: float,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._unseen = unseen_seconds
        self._grace = grace_seconds
        self._scanning = asyncio.Lock()

    async def owner_of(self, script: StoredScript, job: Job) -> Address | None:
        """Whose a script is that ``job`` names; None if that cannot be told."""
        if script.signed:
            return script.owner
        for _ in range(2):
            await self.scan()
            first = await self._store.first_job(script.key)
            if first is None:
                return None
            found = job if first == job.id else await self._jobs.job(first)
            if found.definition.batch_location_hash == script.key:
                return found.customer
            # The chain has replaced that job since it was looked at: start over.
            await self._restart()
        return None

    async def used_by(self, script: StoredScript, job: Job) -> None:
        """Notes that a script was handed out for ``job``, so that it outlives it."""
        await self._store.record_job(script.key, job.id, job.customer)

    async def scan(self) -> None:
        """Looks through the jobs that are new on chain for scripts that they name."""
        async with self._scanning:
            count = await self._jobs.job_count()
            cursor = await self._store.cursor()
            if cursor is None:
                # Keys are random: no job older than the first script can name one.
                cursor = 0 if await self._store.uses() else count
            elif count < cursor:
                log.warning("chain went back jobs=%d seen=%d", count, cursor)
                await self._store.forget_jobs()
                cursor = 0
            first = max(1, cursor + 1 - SCAN_OVERLAP)
            for start in range(first, count + 1, SCAN_BATCH):
                ids = range(start, min(start + SCAN_BATCH, count + 1))
                await self._note(await self._jobs.jobs(ids))
            await self._store.set_cursor(count)

    async def _note(self, jobs: list[Job]) -> None:
        known = await self._store.has(job.definition.batch_location_hash for job in jobs)
        for job in jobs:
            if job.definition.batch_location_hash in known:
                await self._store.record_job(
                    job.definition.batch_location_hash, job.id, job.customer
                )

    async def _restart(self) -> None:
        async with self._scanning:
            await self._store.forget_jobs()
            await self._store.set_cursor(0)

    async def clean(self) -> int:
        """Deletes the scripts whose time is over.

        Returns:
            How many went.
        """
        await self.scan()
        now = self._clock.now()
        uses = await self._store.uses()
        await self._mark_ended(uses, now)
        uses = await self._store.uses()
        old = [use.key for use in uses if self._is_over(use, now)]
        await self._store.delete(old)
        self._metrics.scripts.set(len(uses) - len(old))
        self._metrics.scripts_deleted.inc(len(old))
        if old:
            log.info("scripts deleted count=%d", len(old))
        return len(old)

    async def _mark_ended(self, uses: list[ScriptUse], now: float) -> None:
        keys = {job_id: use.key for use in uses for job_id, end in use.jobs.items() if not end}
        open_ids = sorted(keys)
        for start in range(0, len(open_ids), SCAN_BATCH):
            jobs = await self._jobs.jobs(open_ids[start : start + SCAN_BATCH])
            gone = [job.id for job in jobs if job.definition.batch_location_hash != keys[job.id]]
            await self._store.forget_jobs(gone)
            await self._store.mark_ended((job.id for job in jobs if job.status.is_final), now)

    def _is_over(self, use: ScriptUse, now: float) -> bool:
        if not use.jobs:
            return now - use.submitted > self._unseen
        ends = use.jobs.values()
        return all(ends) and now - max(ends) > self._grace

    async def run(self, interval: float) -> None:
        """Cleans up for ever, every ``interval`` seconds; a chain that is away is waited for."""
        while True:
            try:
                await self.clean()
            except DsqError as error:
                log.warning("clean-up put off error=%s", error.code)
            await self._clock.sleep(interval)
