"""Making journal and chain agree where events cannot: at a start, and when the chain went back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from dsq.core.model import JobStatus
from dsq.core.units import minutes_for
from dsq.supervisor.claims import Claims
from dsq.supervisor.journal import JobRecord
from dsq.supervisor.observe import ChainView
from dsq.supervisor.services import Services, bounded

if TYPE_CHECKING:
    from dsq.core.chain import Head

log = logging.getLogger("dsq.supervisor.reconcile")

REORG_SECONDS = 3600.0
"""After the chain went back, jobs closed within so long are looked at again."""

SCAN_CHUNK = 500


class Reconciler:
    """Reads contract views where events are missing or void.

    Args:
        services: Chain, views, journal.
        claims: Takes in what is found to be ours.
        wake: Has a job judged.
    """

    def __init__(self, services: Services, claims: Claims, wake: Callable[[int], None]) -> None:
        self._s = services
        self._claims = claims
        self._wake = wake

    async def at_start(self) -> Head:
        """Reads every open job; without a journal, looks for jobs that are ours on chain.

        Returns:
            A head from before that: events behind it may be news.
        """
        s = self._s
        head = await s.chain.head()
        is_first_run = s.journal.get_meta("cursor") is None
        if is_first_run:
            await self._scan(await s.chain.job_count())
        await self._wake_all([record.job_id for record in s.journal.open_records()])
        return head

    async def after_reset(self) -> None:
        """The chain went back: events we handled may not have happened. Views decide."""
        s = self._s
        log.warning("chain=went_back jobs are read again")
        s.views.forget_all()
        since = s.clock.now() - REORG_SECONDS
        closed = [record.job_id for record in s.journal.finished_since(since)]
        await self._wake_all([record.job_id for record in s.journal.open_records()] + closed)
        await self._scan(await s.chain.job_count())

    async def _wake_all(self, job_ids: list[int]) -> None:
        for start in range(0, len(job_ids), SCAN_CHUNK):
            part = job_ids[start : start + SCAN_CHUNK]
            await self._s.views.read(part)
            for job_id in part:
                self._wake(job_id)

    async def _scan(self, count: int) -> None:
        """Looks through all jobs on chain for ones of ours that the journal does not know."""
        s = self._s
        for high in range(count, 0, -SCAN_CHUNK):
            ids = range(max(1, high - SCAN_CHUNK + 1), high + 1)
            for job in await bounded(s.chain.jobs(ids), "The chain"):
                if job.provider != s.me:
                    continue
                if job.status is JobStatus.META_SCHEDULED:
                    self._claims.hint(job.id)
                elif job.status is JobStatus.SCHEDULED:
                    await self._adopt(ChainView(job, True, s.clock.now()))
                elif job.status is JobStatus.RUNNING and s.journal.get(job.id) is None:
                    log.error("job=%d runs on chain, but this journal does not know it", job.id)

    async def _adopt(self, view: ChainView) -> None:
        """Takes in a job that was claimed without the journal hearing of it."""
        s, job = self._s, view.job
        record = s.journal.get(job.id)
        if record is not None and record.is_open:
            return
        block = job.time.block_number_state_change
        events = await bounded(s.chain.events(block, block, ("ClaimJobEvent",)), "The chain")
        for event in events:
            if event.args["job_id"] == job.id and event.args["provider"] == s.me:
                self._claims.take(event)
                return
        prices = (await bounded(s.chain.provider(s.me), "The chain")).prices
        minutes = minutes_for(job.definition, prices, job.cost.max_cost - job.cost.pending_top_up)
        self._claims.adopt(
            JobRecord(
                job_id=job.id,
                customer=job.customer,
                definition=job.definition,
                claimed_at=int(s.clock.now()),
                bought_minutes=minutes,
            ),
            f"found on chain, claimed for {minutes} min",
        )
