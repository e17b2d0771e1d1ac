"""Jobs as last read from the chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from dsq.core.clock import Clock
from dsq.core.errors import DsqError, NotFoundError
from dsq.core.model import Address, JobStatus
from dsq.supervisor.connections import Health
from dsq.supervisor.observe import ChainView
from dsq.supervisor.ports import ChainPort
from dsq.supervisor.waiting import bounded

TOGETHER_SECONDS = 0.003
"""Jobs that are asked for within so long are read from the chain together."""

PART = 500
PARTS_AT_ONCE = 4
"""Many jobs are read in such parts, so many of them at once."""


def in_parts(job_ids: Sequence[int]) -> list[Sequence[int]]:
    """Many jobs as what is read at a time: parts of :data:`PART`, in the same order."""
    return [job_ids[start : start + PART] for start in range(0, len(job_ids), PART)]


class ChainViews:
    """Jobs as last read from the chain; :meth:`get` reads again what is too old.

    Those who ask within a few milliseconds share one question to the node.

    Attributes:
        is_trusted: False while the chain may be another one than was read: no job can be read then.
    """

    def __init__(self, chain: ChainPort, me: Address, clock: Clock, health: Health) -> None:
        self._chain = chain
        self._me = me
        self._clock = clock
        self._health = health
        self._known: dict[int, ChainView] = {}
        self._wanted: set[int] = set()
        self._coming: dict[int, asyncio.Task[dict[int, ChainView]]] = {}
        self._reading: asyncio.Task[dict[int, ChainView]] | None = None
        self.is_trusted = True

    def peek(self, job_id: int) -> ChainView | None:
        """The last reading, however old."""
        return self._known.get(job_id)

    def forget(self, job_id: int) -> None:
        """The job changed: what is known of it is old."""
        self._known.pop(job_id, None)
        self._coming.pop(job_id, None)

    def shows(self, job_id: int, status: JobStatus) -> bool:
        """Whether the last reading has a status already."""
        known = self._known.get(job_id)
        return known is not None and known.job.status is status

    def forget_all(self) -> None:
        """The chain went back: nothing that is known holds."""
        self._known.clear()
        self._coming.clear()

    async def get(self, job_id: int, max_age: float) -> ChainView | None:
        """A job not older than ``max_age`` seconds, None if it cannot be read now."""
        known = self._known.get(job_id)
        if known is not None and self._clock.now() - known.at <= max_age:
            return known
        if (coming := self._coming.get(job_id)) is not None:
            view = (await asyncio.shield(coming)).get(job_id)
            if view is not None and self._clock.now() - view.at <= max_age:
                return view
        self._wanted.add(job_id)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_wanted(), name="dsq-views")
        # Who goes away does not take the others' answer with him.
        found = await asyncio.shield(self._reading)
        return found.get(job_id)

    async def read_many(self, job_ids: Sequence[int]) -> AsyncIterator[Sequence[int]]:
        """Reads jobs in parts, some of them at once; gives the ids of each part that was read.

        Who asks for one of these jobs meanwhile gets this reading, too.
        """
        gate = asyncio.Semaphore(PARTS_AT_ONCE)

        async def read(part: Sequence[int]) -> dict[int, ChainView]:
            async with gate:
                return await self.read(part)

        parts = in_parts(job_ids)
        tasks = [asyncio.create_task(read(part), name="dsq-views") for part in parts]
        for part, task in zip(parts, tasks, strict=True):
            self._coming.update(dict.fromkeys(part, task))
        try:
            for part, task in zip(parts, tasks, strict=True):
                await task
                self._arrived(part, task)
                yield part
        finally:
            for part, task in zip(parts, tasks, strict=True):
                task.cancel()
                self._arrived(part, task)

    def _arrived(self, part: Sequence[int], task: asyncio.Task[dict[int, ChainView]]) -> None:
        for job_id in part:
            if self._coming.get(job_id) is task:
                del self._coming[job_id]

    async def _read_wanted(self) -> dict[int, ChainView]:
        await asyncio.sleep(TOGETHER_SECONDS)
        wanted, self._wanted, self._reading = self._wanted, set(), None
        return await self.read(sorted(wanted))

    async def read(self, job_ids: Sequence[int]) -> dict[int, ChainView]:
        """Reads jobs now; those that cannot be read are missing from the answer."""
        if not job_ids or not self.is_trusted:
            return {}
        at = self._clock.now()
        started = self._clock.monotonic()
        try:
            jobs = await bounded(self._chain.jobs(job_ids), "The chain")
        except NotFoundError:
            if len(job_ids) == 1:
                return {}
            single = [await self.read([job_id]) for job_id in job_ids]
            return {job_id: view for views in single for job_id, view in views.items()}
        except DsqError as error:
            self._health.bad("chain", error)
            return {}
        self._health.good("chain", latency_ms=(self._clock.monotonic() - started) * 1000)
        found = {job.id: ChainView(job, job.provider == self._me, at) for job in jobs}
        self._known.update(found)
        return found
