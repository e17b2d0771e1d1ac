"""The jobs of the console: what the table shows, counted, filtered and sorted.

All jobs lie in the read model's file. In memory are only their numbers, the open jobs, those
that were looked at last, and what has changed but is not yet in the file; so a hundred
thousand jobs cost a few megabytes, and a change costs the same however many there are.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable

from dsq.console.user import job_ids
from dsq.console.user.job_groups import JobGroups
from dsq.console.user.job_search import JobSearch, read_rest
from dsq.console.user.job_tally import JobTally
from dsq.core.model import Job, JobStatus
from dsq.core.readmodel import Filter, GroupTotals, Order, ReadModel
from dsq.core.readmodel.filters import NO_FILTER

KEPT = 4096
"""Jobs kept in memory that are neither open nor changed."""

AHEAD = 64
"""Rows read from the file at once."""

FIRST = 2000
"""Jobs known before the first picture; the rest follows at once."""

SLICE = 50
"""Changed jobs written in one go, so that no key waits for the file."""

AT_ONCE = 20_000
"""Up to so many jobs are searched without another thread."""

SORTING_PART = 0.1
"""Of the time at most so much goes into sorting again what has changed, when it takes long."""


class JobStore:
    """All known jobs, and the ones that pass the filter in their order; newest first.

    Args:
        model: The file; None for one that is forgotten at the end.
        now: Unix seconds, for filters that ask for an age.
    """

    def __init__(
        self, model: ReadModel | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self.model = model if model is not None else ReadModel()
        self._now = now
        self._filter: Filter = NO_FILTER
        self._order = Order()
        self.folded = False
        self._wanted = (self._filter, self._order, self.folded)
        self._groups = JobGroups(self.model)
        self._stale = False
        self._meanwhile: set[int] | None = None
        self._fresh: dict[int, Job] = {}
        self._unwritten: dict[int, Job] = {}
        self._seen: OrderedDict[int, Job] = OrderedDict()
        self._unsifted: dict[int, None] = {}
        self._shown: array[int] | None = None
        self._place = 0
        self._search: JobSearch | None = None
        self._rest_until = 0.0
        self.revision = 0
        newest = self.model.ids(limit=FIRST)
        self._ids: array[int] = array("q", reversed(newest))
        self._tally = JobTally(self.model.counts())
        self.complete = self.total <= FIRST
        if self.complete:
            self._tally.take_hot(self.model.hot())

    async def complete_load(self) -> None:
        """Reads the numbers of all jobs and the open ones, in another thread if they are many."""
        if self.complete:
            return
        ids, hot = await asyncio.to_thread(read_rest, self.model)
        self.settle()
        came = [job_id for job_id in self._ids if not ids or job_id > ids[-1]]
        self._ids = ids
        self._ids.extend(came)
        self._tally.take_hot(hot)
        self.complete = True
        self.revision += 1

    def close(self) -> None:
        """Writes what is not yet in the file, and closes it."""
        self.flush()
        self.model.close()

    def flush(self) -> None:
        """Writes all that is not yet in the file."""
        self.settle()
        self._write(list(self._unwritten))

    # -- changes ---------------------------------------------------------------------------

    def put(self, job: Job) -> None:
        """Adds or replaces a job."""
        before = self._fresh.get(job.id) or self._tally.hot.get(job.id)
        if before == job:
            return
        self._fresh[job.id] = job
        self.revision += 1  # settled before it is painted

    def put_all(self, jobs: Iterable[Job]) -> None:
        """Adds or replaces jobs."""
        for job in jobs:
            self.put(job)

    def reset(self) -> None:
        """Forgets all jobs: the chain has another history."""
        self.model.reset()
        self._fresh, self._unwritten, self._unsifted = {}, {}, {}
        self._seen.clear()
        self._ids, self._tally = array("q"), JobTally(Counter())
        self._shown = None if self._shown is None else array("q")
        self.complete = True
        self.revision += 1

    def settle(self) -> None:
        """Counts and places what was put since the last time; screens then read what stands.

        Called at each tick, so that one picture shows one state, and ten thousand changes a
        second cost ten pieces of work.
        """
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, {}
        # Before all numbers are in memory, only the file knows which jobs are new.
        statuses = self._statuses(
            [each for each in fresh if each not in self._tally.hot
             and (self._knows(each) or not self.complete)]
        )  # fmt: skip
        for job_id, job in fresh.items():
            if self._tally.put(job, statuses.get(job_id)):
                job_ids.add(self._ids, job_id)
            self._seen.pop(job_id, None)
            self._unwritten[job_id] = job
        if self._meanwhile is not None:
            self._meanwhile.update(fresh)
        if self._shown is not None:
            self._unsifted.update(dict.fromkeys(fresh))
            # Of very many changes a slice at each idle(): nothing may keep a key waiting.
            if len(self._unsifted) <= 2 * SLICE:
                self._write(list(self._unsifted))

    def _statuses(self, ids: list[int]) -> dict[int, JobStatus]:
        found = {each: self._unwritten[each].status for each in ids if each in self._unwritten}
        return found | self.model.statuses([each for each in ids if each not in found])

    def _write(self, ids: list[int]) -> None:
        """Writes jobs that are not yet in the file, and sees whether they pass the filter."""
        rows = {job_id: self._unwritten.pop(job_id) for job_id in ids}
        if not rows:
            return
        self.model.put_all(rows.values())
        for job_id, job in rows.items():
            self._keep(job_id, job)
        changed = [job_id for job_id in rows if job_id in self._unsifted]
        for job_id in changed:
            del self._unsifted[job_id]
        if changed:
            self._sift(changed)

    def _sift(self, changed: list[int]) -> None:
        """Says anew whether changed jobs, which are in the file, pass the filter."""
        if self._shown is None:
            return
        passing = self.model.passing(changed, self._filter, now=self._now())
        if self.folded or not self._order.is_plain:
            # Where they belong is known only after sorting; that is done now and then. A
            # table that was sorted before there were jobs must not stay empty until then.
            self._stale = True
            if not self._shown and passing:
                self._shown = array("q", sorted(passing, reverse=True))
            return
        for job_id in changed:
            job_ids.keep(self._shown, job_id, wanted=job_id in passing)
        self.revision += 1

    def idle(self) -> None:
        """To be called now and then: writes some of what is not yet in the file."""
        self._write(list(itertools.islice(self._unsifted or self._unwritten, SLICE)))

    def _knows(self, job_id: int) -> bool:
        return job_ids.place_of(self._ids, job_id) is not None

    # -- filter and order ------------------------------------------------------------------

    @property
    def order(self) -> Order:
        """What the rows are sorted by."""
        return self._order

    @property
    def wants_sorting(self) -> bool:
        """The order or a filter by time may have changed since it was last worked out.

        Where that takes long it is not wanted again at once.
        """
        if self.searching or time.monotonic() < self._rest_until:
            return False
        return self._stale or self._filter.moves

    @property
    def searching(self) -> bool:
        """Jobs are being searched or sorted beside the screen."""
        return self._search is not None

    def group(self, name: str) -> GroupTotals:
        """The jobs of a group, taken together."""
        return self._groups.totals(name, self.revision)

    def open_of(self, name: str) -> list[Job]:
        """The jobs of a group that have not ended."""
        return self._groups.open_of(name, self._tally.hot.values(), self.revision)

    async def show(
        self,
        wanted: Filter | None = None,
        order: Order | None = None,
        fold: bool | None = None,
    ) -> None:
        """Shows the jobs that pass a filter, in an order; None keeps what there is.

        With ``fold`` a group of jobs is one row, that of its newest job.

        Many jobs are searched in another thread; of two calls the later one wins.
        """
        again = wanted is None and order is None and fold is None
        self._wanted = (
            wanted if wanted is not None else self._wanted[0],
            order if order is not None else self._wanted[1],
            fold if fold is not None else self._wanted[2],
        )
        if self._search is not None:
            self._search.give_up()
            self._search = None
        if again and self.total > AT_ONCE:
            self.settle()  # what is not yet in the file is sifted when it is
        else:
            self.flush()
        self._stale = False
        accepted, by, folded = self._wanted
        shown: array[int] | None = None
        if accepted or folded or not by.is_plain:
            # Bisection needs rising numbers; the way they are shown is row()'s affair.
            sort = Order("id", descending=False) if by.is_plain else by
            if self.total <= AT_ONCE:
                shown = self.model.ids(accepted, sort, now=self._now(), fold=folded)
            else:
                shown = await self._searched(
                    JobSearch(self.model, accepted, sort, now=self._now(), fold=folded)
                )
                if shown is None:
                    return
        self._filter, self._order, self.folded = accepted, by, folded
        self._shown, self._unsifted = shown, {}
        self._sift_meanwhile()
        self.revision += 1

    async def _searched(self, search: JobSearch) -> array[int] | None:
        """What a search beside the screen finds; None if a later call began another."""
        self._meanwhile = set(self._unwritten)
        self._search = search
        try:
            shown = await search.run()
        finally:
            mine = self._search is search
            if mine:
                self._search = None
        if not mine:
            return None
        self._rest_until = time.monotonic() + search.seconds / SORTING_PART
        self.settle()
        return shown

    def _sift_meanwhile(self) -> None:
        """Sifts what changed while a search went on: it may have read the older states."""
        meanwhile, self._meanwhile = self._meanwhile, None
        if self._shown is None or not meanwhile:
            return
        self._sift([job_id for job_id in meanwhile if job_id not in self._unwritten])
        self._unsifted = dict.fromkeys(each for each in self._unwritten if each in meanwhile)
        if len(self._unsifted) <= 2 * SLICE:
            self._write(list(self._unsifted))

    # -- what is shown ---------------------------------------------------------------------

    @property
    def _visible(self) -> array[int]:
        return self._ids if self._shown is None else self._shown

    def __len__(self) -> int:
        """Number of jobs that pass the filter."""
        return len(self._visible)

    @property
    def total(self) -> int:
        """Number of all jobs."""
        return self._tally.total

    @property
    def _upward(self) -> bool:
        return self._order.is_plain and self._order.descending

    def id_at(self, index: int) -> int:
        """The number of the ``index``-th shown job, 0 is on top."""
        visible = self._visible
        return visible[len(visible) - 1 - index] if self._upward else visible[index]

    def shown_ids(self) -> array[int]:
        """The numbers of all shown jobs as they are now, from the top."""
        return self._visible[::-1] if self._upward else self._visible[:]

    def many(self, ids: Iterable[int]) -> list[Job]:
        """Those of the jobs that are known, in this order; nothing is kept in memory for it."""
        wanted = list(ids)
        found = {each: job for each in wanted if (job := self._at_hand(each)) is not None}
        found |= self.model.get([each for each in wanted if each not in found])
        return [found[each] for each in wanted if each in found]

    def row(self, index: int) -> Job:
        """The ``index``-th shown job, 0 is on top."""
        job_id = self.id_at(index)
        return self._at_hand(job_id) or self._fetch(index, job_id)

    def _at_hand(self, job_id: int) -> Job | None:
        job = self._fresh.get(job_id) or self._tally.hot.get(job_id)
        return job or self._unwritten.get(job_id) or self._seen.get(job_id)

    def _fetch(self, index: int, job_id: int) -> Job:
        last = min(len(self), index + AHEAD)
        ids = [self.id_at(at) for at in range(max(0, index - AHEAD // 2), last)]
        for each, job in self.model.get([i for i in ids if self._at_hand(i) is None]).items():
            self._keep(each, job)
        return self._seen[job_id]

    def _keep(self, job_id: int, job: Job) -> None:
        self._seen[job_id] = job
        self._seen.move_to_end(job_id)
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)

    def get(self, job_id: int) -> Job | None:
        """The job with this number, shown or not."""
        at_hand = self._at_hand(job_id)
        if at_hand is not None or not self._knows(job_id):
            return at_hand
        found = self.model.get([job_id]).get(job_id)
        if found is not None:
            self._keep(job_id, found)
        return found

    def index_of(self, job_id: int) -> int | None:
        """Place of a shown job, None if it is not shown."""
        visible = self._visible
        if self._order.is_plain:
            at = job_ids.place_of(visible, job_id)
            return len(visible) - 1 - at if at is not None and self._upward else at
        # Nearly always asked for the same one, which is where it was.
        if self._place >= len(visible) or visible[self._place] != job_id:
            try:
                self._place = visible.index(job_id)
            except ValueError:
                return None
        return self._place

    @property
    def newest(self) -> int:
        """The highest number, 0 without jobs."""
        return self._ids[-1] if self._ids else 0

    def count(self, *statuses: JobStatus) -> int:
        """How many of all jobs are in one of these states."""
        return self._tally.count(*statuses)

    @property
    def ended(self) -> int:
        """How many jobs have ended: differs when another sum of costs is due."""
        return self._tally.ended

    def hot(self) -> list[Job]:
        """Jobs that can still change, newest first."""
        return self._tally.newest_hot()

    def hot_ids(self) -> set[int]:
        """Numbers of the jobs that can still change."""
        return set(self._tally.hot)

    def locked(self) -> int:
        """Wei locked in open jobs."""
        return self._tally.locked
