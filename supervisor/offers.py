"""Jobs that the chain holds for us unclaimed, and when they go back to the grid.

The grid places a job where its own books say that there is room. What cannot be claimed here
soon (the partition is closed, the cluster is silent or full of others' jobs, the operator has
paused the provider) goes back unclaimed, so that another provider has it long before the grid
itself takes it away for being late.

``refuseJob`` is taken for claimed jobs too. A claim whose outcome is not known could slip in
before it, so what is handed on is written into the journal first: when such a claim is heard
of, its job is taken in as one that goes back, and is never submitted.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dsq.core.errors import ContractError, DsqError
from dsq.core.model import JobDefinition, JobStatus
from dsq.supervisor.services import Services
from dsq.supervisor.waiting import bounded

log = logging.getLogger("dsq.supervisor.offers")

CLOSED_SECONDS = 5.0
"""A partition that is set down for a moment hands nothing on."""

SEARCH_SECONDS = 60.0
SEARCH_JOBS = 1_000
"""The newest jobs are looked through, at most so often, while the chain holds jobs for us that
nobody told of: they were heard of before a restart, or their event was lost."""

LEAVING = "handing_on"
"""Kept in the journal: jobs that go back unclaimed, with the reasons."""

SILENT = "the provider's cluster does not answer"
FULL = "the provider's cluster is full"
PAUSED = "the provider takes no new jobs"


@dataclass(frozen=True, slots=True)
class Offer:
    """A job placed with us.

    Attributes:
        since: When it was first seen, by the monotonic clock.
    """

    definition: JobDefinition
    since: float


class Offers:
    """What is placed with us and not claimed.

    Args:
        services: Chain, transactions, journal, clock.
        patience: Seconds that a job may wait here while the cluster is silent or full.

    Attributes:
        passed_on: Jobs that went back unclaimed since the start.
    """

    def __init__(self, services: Services, *, patience: float) -> None:
        self._s = services
        self._patience = patience
        self._known: dict[int, Offer] = {}
        self._hinted: set[int] = set()
        self._standing: tuple[str, float] = ("", 0.0)
        self._claimed_at = 0.0
        self._searched_at: float | None = None
        self._leaving: dict[int, str] = _read(services.journal.get_meta(LEAVING))
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.passed_on = 0

    def __len__(self) -> int:
        return len(self._known)

    @property
    def in_flight(self) -> set[asyncio.Task[None]]:
        """Refusals under way."""
        return set(self._tasks.values())

    @property
    def definitions(self) -> Mapping[int, JobDefinition]:
        """Jobs that may be claimed, those heard of first at the top."""
        return {
            job_id: offer.definition
            for job_id, offer in self._known.items()
            if job_id not in self._leaving
        }

    def reason_to_leave(self, job_id: int) -> str:
        """Why a job goes back unclaimed, "" if it does not."""
        return self._leaving.get(job_id, "")

    # --- hearing -------------------------------------------------------------------------

    def hint(self, job_id: int) -> None:
        """A job was given to some provider; perhaps to us."""
        self._hinted.add(job_id)

    def hint_all(self) -> None:
        """What is known may be old: it is read again."""
        self._hinted.update(self._known)
        self._known.clear()

    def remove(self, job_id: int) -> None:
        """A job left META_SCHEDULED."""
        self._hinted.discard(job_id)
        self._known.pop(job_id, None)

    async def read(self) -> None:
        """Reads the jobs that were hinted at."""
        hinted, self._hinted = sorted(self._hinted | self._undecided()), set()
        now = self._s.clock.monotonic()
        views = await self._s.views.read(hinted)
        if not self._s.health.of("chain").ok:
            self._hinted.update(hinted)
        for job_id, view in views.items():
            if view.mine and view.job.status is JobStatus.META_SCHEDULED:
                self._known.setdefault(job_id, Offer(view.job.definition, now))
                if why := self._leaving.get(job_id):
                    self.hand_on(job_id, why)
                continue
            self._known.pop(job_id, None)
            self._stay(job_id)
            if not view.mine:
                self._s.views.forget(job_id)

    async def search(self) -> None:
        """Looks for jobs that are placed with us and were not heard of."""
        now = self._s.clock.monotonic()
        if self._searched_at is not None and now - self._searched_at < SEARCH_SECONDS:
            return
        self._searched_at = now
        newest = await bounded(self._s.chain.job_count(), "The chain")
        ids = range(max(1, newest - SEARCH_JOBS + 1), newest + 1)
        for job in await bounded(self._s.chain.jobs(ids), "The chain"):
            if job.provider == self._s.me and job.status is JobStatus.META_SCHEDULED:
                self._hinted.add(job.id)
        await self.read()

    def _undecided(self) -> set[int]:
        """Jobs whose refusal has an unknown outcome."""
        return self._leaving.keys() - self._tasks.keys()

    # --- handing on ----------------------------------------------------------------------

    def hand_on_waiting(self, why: str, job_ids: Collection[int] | None = None) -> None:
        """Nothing is claimed now: what has waited too long for it goes back.

        Args:
            why: One of the constants above, or why the cluster starts no jobs.
            job_ids: The jobs that this is about; None for all.
        """
        now = self._s.clock.monotonic()
        if why != self._standing[0]:
            self._standing = (why, now)
        patience = {PAUSED: 0.0, SILENT: self._patience, FULL: self._patience}.get(
            why, CLOSED_SECONDS
        )
        # Where jobs are claimed, others have ended: the queue moves, and its turn comes.
        stood = now - (self._claimed_at if why == FULL else self._standing[1])
        for job_id, offer in list(self._known.items()):
            is_meant = job_ids is None or job_id in job_ids
            if is_meant and min(now - offer.since, stood) >= patience:
                self.hand_on(job_id, why)

    def all_is_well(self) -> None:
        """The cluster starts jobs, and claiming is not paused."""
        self._standing = ("", 0.0)

    def claimed(self, job_id: int) -> None:
        """A job is ours now."""
        self.remove(job_id)
        self._claimed_at = self._s.clock.monotonic()

    def hand_on(self, job_id: int, why: str) -> None:
        """Hands a job back unclaimed, if that is not under way."""
        if job_id in self._tasks:
            return
        log.warning("job=%d refused=%r", job_id, why)
        task = asyncio.create_task(self._refuse(job_id, why), name="dsq-refuse")
        self._tasks[job_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job_id, None))

    async def _refuse(self, job_id: int, why: str) -> None:
        self._leave(job_id, why)
        try:
            await self._s.journal.settled()
            await self._s.txs.send(self._s.chain.calls.refuse_job(job_id))
        except ContractError as error:
            log.info("job=%d not_refused=%r", job_id, str(error))
            self._read_again(job_id)
        except DsqError as error:
            # It may still be mined: the job stays marked until the chain says what it is.
            log.warning("job=%d not_refused=%r", job_id, str(error))
        except Exception:
            log.exception("job=%d not_refused", job_id)
        else:
            self.passed_on += 1
            self._read_again(job_id)
        self._s.views.forget(job_id)

    def _read_again(self, job_id: int) -> None:
        """The refusal is settled; the job may have been placed with us once more meanwhile."""
        self._stay(job_id)
        self._known.pop(job_id, None)
        self.hint(job_id)

    def _leave(self, job_id: int, why: str) -> None:
        self._leaving[job_id] = why
        self._write()

    def _stay(self, job_id: int) -> None:
        if self._leaving.pop(job_id, None) is not None:
            self._write()

    def _write(self) -> None:
        self._s.journal.set_meta(LEAVING, json.dumps(self._leaving, sort_keys=True))


def _read(text: str | None) -> dict[int, str]:
    return {int(job_id): str(why) for job_id, why in json.loads(text).items()} if text else {}
