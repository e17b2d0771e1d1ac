"""Making journal and chain agree where events cannot: at a start, and when the chain went back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dsq.core.model import JobStatus
from dsq.supervisor.claims import Claims
from dsq.supervisor.intake import BEGUN
from dsq.supervisor.observe import ChainView
from dsq.supervisor.services import Services
from dsq.supervisor.strays import Strays, minutes_bought
from dsq.supervisor.views import in_parts
from dsq.supervisor.waiting import bounded

if TYPE_CHECKING:
    from dsq.core.chain import Head

log = logging.getLogger("dsq.supervisor.reconcile")

REORG_SECONDS = 3600.0
"""After the chain went back, jobs closed within so long are looked at again."""

REORG_NOTES, START_NOTES = 2_000, 200
"""So are closed jobs that the journal's last lines are about, then and (fewer) at each start: their
order holds whatever was done to the clock. A job has about eight lines."""

RESCAN_JOBS = 1_000
"""After the chain went back, so many of the newest jobs are looked through; what is older
was claimed long before, and is in the journal."""

RECOUNT_SECONDS = 30.0
"""Transactions that were rolled back get so long to be mined again."""

HEARING_SECONDS, HEARING_PAUSE = 20.0, 0.2
"""So long a recount waits for the events of the block that it read, looking every so often."""

DOUBT_SECONDS = 90.0
"""So long closed jobs are judged again after the chain went back."""

CONFIRM_SECONDS = 60.0
"""A job that was closed is looked at once more after so long: by what was read at the head, which
the events need not have reached, and which may not have stayed."""

DOUBT = "doubt"
"""Kept in the journal while that lasts: since when ended jobs are doubted (Unix seconds)."""

CLAIMED = (JobStatus.SCHEDULED, JobStatus.RUNNING)


class Reconciler:
    """Reads contract views where events are missing or void.

    Args:
        services: Chain, views, journal.
        claims: Takes in what is found to be ours.
        strays: Takes what is ours, but was not claimed by anything we know.
        wake: Has a job judged.
    """

    def __init__(
        self, services: Services, claims: Claims, strays: Strays, wake: Callable[[int], None]
    ) -> None:
        self._s = services
        self._claims = claims
        self._strays = strays
        self._wake = wake
        self._recount_at: float | None = None
        self._heard = -1
        self._doubtful: dict[int, float] = {}
        self._confirm_at: dict[int, float] = {}
        self._has_searched = False

    async def at_start(self) -> Head:
        """Reads every open job; without a journal, looks for jobs that are ours on chain.

        Returns:
            A head from before that: events behind it may be news.
        """
        s = self._s
        head = await s.chain.head()
        if s.journal.get_meta(BEGUN) is None or s.journal.get_meta("cursor") is None:
            await self._scan(await s.chain.job_count())
            self._has_searched = True
            self.begin_if_clear()
        # What happened behind the cursor may have been undone while nobody looked.
        since = min(float(s.journal.last_event_at()), s.clock.now()) - CONFIRM_SECONDS
        doubted = s.journal.get_meta(DOUBT)
        if doubted:
            self._doubt_since(min(since, float(doubted)), REORG_NOTES)
        else:
            self._doubt_since(since, START_NOTES)
        await self._wake_all([record.job_id for record in s.journal.open_records()])
        return head

    def begin_if_clear(self) -> None:
        """From here on the journal is complete: what it does not know was never claimed here.

        Until then, at each start, the chain is searched for jobs that an earlier journal
        may have held.
        """
        is_clear = self._has_searched and not self._strays.waiting
        if is_clear and self._s.journal.get_meta(BEGUN) is None:
            self._s.journal.set_meta(BEGUN, "1")
            # On the disk before the first claim: what is claimed before it counts as unknown.
            self._s.journal.commit()

    def heard(self, block: int) -> None:
        """All events up to this block were taken in."""
        self._heard = block

    async def after_reset(self) -> None:
        """The chain went back: events we handled may not have happened. Views decide."""
        s = self._s
        log.warning("chain=went_back jobs are read again")
        self._heard = -1
        s.views.forget_all()
        closed = self._doubt_since(s.clock.now() - REORG_SECONDS, REORG_NOTES)
        s.journal.change_all([(r.job_id, "", {"claim_time": 0}) for r in s.journal.open_records()])
        await self._wake_all([record.job_id for record in s.journal.open_records()] + closed)
        count = await s.chain.job_count()
        await self._scan(count, first=max(1, count - RESCAN_JOBS))

    async def _wake_all(self, job_ids: list[int]) -> None:
        async for part in self._s.views.read_many(job_ids):
            for job_id in part:
                self._wake(job_id)

    async def _scan(self, count: int, *, first: int = 1) -> None:
        """Looks through jobs on chain for ones of ours that the journal does not know."""
        s = self._s
        for part in in_parts(range(count, first - 1, -1)):
            for job in await bounded(s.chain.jobs(part[::-1]), "The chain"):
                if job.provider != s.me:
                    continue
                if job.status is JobStatus.META_SCHEDULED:
                    self._claims.hint(job.id)
                elif job.status in CLAIMED:
                    await self._adopt(ChainView(job, True, s.clock.now()))

    async def _adopt(self, view: ChainView) -> None:
        """A claimed or running job that the journal does not have open."""
        s, job = self._s, view.job
        record = s.journal.get(job.id)
        if record is not None and record.is_open:
            return
        if job.status is JobStatus.SCHEDULED:
            block = job.time.block_number_state_change
            events = await bounded(s.chain.events(block, block, ("ClaimJobEvent",)), "The chain")
            mine = [e for e in events if e.args["job_id"] == job.id and e.args["provider"] == s.me]
            is_known = bool(mine) and s.sender.knows(mine[-1].tx_hash)
            if is_known and s.journal.get_meta(BEGUN) is not None:
                self._claims.intake.take(mine[-1])
                return
        if record is None or job.status is JobStatus.SCHEDULED:
            self._strays.add(job.id, job.status)

    def closed(self, job_id: int) -> None:
        """A job was closed."""
        self._confirm_at[job_id] = self._s.clock.monotonic() + CONFIRM_SECONDS

    def is_doubted(self, job_id: int) -> bool:
        """Whether a closed job will be looked at again."""
        return job_id in self._doubtful or job_id in self._confirm_at

    def _doubt_since(self, since: float, notes: int) -> list[int]:
        """Jobs closed since then, and those of the last lines of history, are doubted, and what
        all have bought, also after a restart."""
        journal = self._s.journal
        journal.set_meta(DOUBT, str(since))
        by_clock = (record.job_id for record in journal.finished_since(since))
        closed = sorted({*by_clock, *journal.finished_lately(notes)})
        until = self._s.clock.monotonic() + DOUBT_SECONDS
        self._doubtful.update(dict.fromkeys(closed, until))
        self._recount_at = self._s.clock.monotonic() + RECOUNT_SECONDS
        return closed

    def doubt(self) -> None:
        """Judges closed jobs again: each once, and for a while after the chain went back again
        and again: the transactions that ended them may be mined once more, or never."""
        now = self._s.clock.monotonic()
        for job_id in [one for one, due in self._confirm_at.items() if now >= due]:
            if self._s.health.of("chain").ok:
                del self._confirm_at[job_id]
                self._s.views.forget(job_id)
                self._wake(job_id)
        for job_id, until in list(self._doubtful.items()):
            self._s.views.forget(job_id)
            self._wake(job_id)
            if now >= until and self._s.health.of("chain").ok:
                del self._doubtful[job_id]
        if not self._doubtful and self._recount_at is None and self._s.journal.get_meta(DOUBT):
            self._s.journal.set_meta(DOUBT, "")

    async def recount(self) -> None:
        """Some time after the chain went back: what jobs have bought, as the contract has it.

        A top-up that was rolled back and never came again was counted from its event.
        """
        s, due = self._s, self._recount_at
        if due is None or s.clock.monotonic() < due:
            return
        again: list[int] = []
        for part in in_parts([record.job_id for record in s.journal.open_records()]):
            again += await self._recount(part)
        if not again and self._recount_at == due:
            self._recount_at = None

    async def _recount(self, job_ids: Sequence[int]) -> Sequence[int]:
        """Recounts some jobs.

        The contract's sum is believed once all events up to its block were taken in, and only if
        none of them was a top-up of the job since it was read: that one may be in the sum already.

        Returns:
            Those that must be counted again.
        """
        s = self._s
        records = filter(None, map(s.journal.get, job_ids))
        had = {record.job_id: record.bought_minutes for record in records}
        views = await s.views.read(job_ids)
        terms = await bounded(s.chain.claim_terms(job_ids), "The chain")
        head = await bounded(s.chain.head(), "The chain")
        end = s.clock.monotonic() + HEARING_SECONDS
        while self._heard < head.number:
            if s.clock.monotonic() >= end:
                return job_ids
            await s.clock.sleep(HEARING_PAUSE)
        again = []
        for job_id, held in terms.items():
            view = views.get(job_id)
            if view is None or not view.mine or view.job.status not in CLAIMED or not held.rate:
                continue
            record = s.journal.get(job_id)
            if record is None or not record.is_open:
                continue
            bought = minutes_bought(view.job, held)
            if record.bought_minutes != had.get(job_id):
                again.append(job_id)
            elif not 0 <= bought - record.bought_minutes <= s.journal.top_ups_of(job_id):
                # Each top-up was rounded down to whole minutes by itself.
                words = f"the chain went back: it has bought {bought} min"
                s.journal.update(job_id, words, bought_minutes=bought, limit_denied=False)
                self._wake(job_id)
        return again
