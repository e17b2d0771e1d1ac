"""What Slurm knows of jobs now: one look into the queue for all, the accounting for the rest.

A controller that is killed forgets its last seconds: jobs that had ended run or wait again in
its queue, and it may start them a second time (their script's fence ends such a run at once).
What the accounting has written stays true. So after each failure, and at the start, the
accounting is asked once about every job of the queue too.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from dsq.core.errors import DsqError, UnreachableError
from dsq.supervisor.scheduler import slurm_commands as commands
from dsq.supervisor.scheduler import slurm_output as printed
from dsq.supervisor.scheduler.port import ENDED_STATES, UNTOLD, SlurmJob, SlurmJobId
from dsq.supervisor.scheduler.slurm_tools import Accounting, SlurmTools, failure, text_of

log = logging.getLogger("dsq.supervisor.slurm")

RAN_STATES = frozenset({"COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY"})
"""Ends of a script that ran. Of a job that was put back into the queue the accounting has
others too (CANCELLED, NODE_FAIL, PREEMPTED)."""

REMEMBERED = 20_000
"""Ended jobs whose record is kept in memory."""

SLOW_SECONDS = 2.0
"""An answer that took longer may come from another controller than the one that was asked."""

PATIENCE = 20
"""Polls that wait for an accounting that is known to be there; then the queue alone counts."""

MOST_NAMED = 2000
"""Jobs that are named on a command line; their ids have to fit on it."""


class Poll:
    """Looks jobs up, and remembers those that have ended.

    Args:
        tools: The programs, as an account that sees the jobs.
        accounting: Records of jobs that left the queue.
        one_account: All jobs are those of the account that looks.
    """

    def __init__(self, tools: SlurmTools, accounting: Accounting, *, one_account: bool) -> None:
        self._in_doubt = True
        self._patience = PATIENCE
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._tools = tools
        self._accounting = accounting
        self._one_account = one_account
        self._ended: OrderedDict[SlurmJobId, SlurmJob] = OrderedDict()
        self._rows: dict[str, SlurmJob] = {}

    async def poll(self, jobs: Sequence[SlurmJobId]) -> dict[str, SlurmJob]:
        """What is known of each job, by id; see the port."""
        if not jobs:
            return {}
        try:
            return await self._look(jobs)
        except DsqError:
            self._in_doubt = True
            raise

    async def _look(self, jobs: Sequence[SlurmJobId]) -> dict[str, SlurmJob]:
        wanted = {job.id: job for job in jobs}
        for job in jobs:
            self._newest[job.id] = max(self._newest.pop(job.id, 0), job.submit_time)
        while len(self._newest) > max(REMEMBERED, len(jobs)):
            self._newest.popitem(last=False)
        found = {job.id: self._ended[job] for job in wanted.values() if job in self._ended}
        missing = [job_id for job_id in wanted if job_id not in found]
        records: dict[str, list[SlurmJob]] = {}
        if missing:
            began = time.monotonic()
            text = await self._queue(missing)
            # squeue itself waits for a controller that is away.
            self._in_doubt |= time.monotonic() - began > SLOW_SECONDS
            records = printed.jobs_by_id(self._read(text))
            for job_id in missing:
                self._take(wanted[job_id], records.get(job_id, []), found, exact=True)
            if self._in_doubt:
                shown = [wanted[job_id] for job_id in missing if job_id in found]
                self._in_doubt = not await self._correct(shown, found)
            missing = [job_id for job_id in missing if job_id not in found]
        if missing:
            try:
                accounted = await self._accounted(missing)
            except UnreachableError:
                # The queue has answered, so the others' states are known; that these have left
                # it is no end that can be told.
                untold = {job_id: wanted[job_id] for job_id in missing}
                return found | {key: _untold(job) for key, job in untold.items()}
            for job_id in missing:
                # A job that has left the queue cannot run, whatever the accounting still says.
                ended = [job for job in accounted.get(job_id, []) if job.state in ENDED_STATES]
                # Slurm uses ids again: what began after the queue's job came is that job's.
                later = [job.submit_time for job in records.get(job_id, [])]
                if self._newest.get(job_id, 0) > wanted[job_id].submit_time:
                    later.append(self._newest[job_id])
                ended = [job for job in ended if job.start < min(later, default=job.start + 1)]
                self._take(
                    wanted[job_id], ended, found, exact=not self._accounting.is_completion_log
                )
        return found

    async def _accounted(self, job_ids: Sequence[str]) -> dict[str, list[SlurmJob]]:
        """What the accounting has of some jobs."""
        return printed.jobs_by_id(
            [
                record
                for start in range(0, len(job_ids), MOST_NAMED)
                for record in await self._accounting.records(
                    jobs=job_ids[start : start + MOST_NAMED]
                )
            ]
        )

    async def _correct(self, jobs: Sequence[SlurmJobId], found: dict[str, SlurmJob]) -> bool:
        """Puts ends that are in the accounting in the place of what the queue says.

        Returns:
            Whether the accounting has answered; if it keeps silent, the queue is believed.

        Raises:
            UnreachableError: It does not answer, and not for long: nothing is known yet.
        """
        if not jobs:
            return True
        books, silence = self._accounting, None
        accounted: dict[str, list[SlurmJob]] = {}
        try:
            accounted = await self._accounted([job.id for job in jobs])
        except UnreachableError as error:
            silence = error
        # A controller that starts shuts its completion log for a moment, too.
        if silence or (books.has_answered and not books.is_answering):
            if self._patience:
                self._patience -= 1
                raise silence or UnreachableError("Slurm's accounting does not answer yet.")
            if silence:
                return False
        self._patience = PATIENCE
        for job in jobs:
            seen = found[job.id]
            end = self._first_end(job, accounted.get(job.id, []))
            if end is None or (seen.state in ENDED_STATES and seen.start <= end.start):
                continue
            log.warning("slurm=%s queue=%s accounting=%s", job.id, seen.state, end.state)
            self._ended.pop(seen.job_id, None)
            self._take(job, [end], found, exact=not self._accounting.is_completion_log)
        return True

    def _first_end(self, job: SlurmJobId, records: Sequence[SlurmJob]) -> SlurmJob | None:
        """The end of the run that counted: the first one."""
        ends = [
            record
            for record in records
            if job.submit_time
            and record.state in RAN_STATES
            and record.start >= job.submit_time
            and (self._accounting.is_completion_log or record.submit_time == job.submit_time)
        ]
        return min(ends, key=lambda record: record.start, default=None)

    def _read(self, text: str) -> Iterable[SlurmJob]:
        """What squeue printed. Most rows are those of the last look, and are read once."""
        before, self._rows = self._rows, {}
        for line in text.splitlines():
            job = before.get(line) or printed.queue_row(line)
            if job is not None:
                self._rows[line] = job
        return self._rows.values()

    async def _queue(self, job_ids: Sequence[str]) -> str:
        """What squeue prints about jobs, in one command.

        One account's jobs are all asked for, which costs Slurm the least. Of many accounts
        the jobs are named, up to :data:`MOST_NAMED`; beyond it the whole queue is read.
        """
        if self._one_account:
            account = await self._tools.account()
            argv = commands.squeue(self._tools.program("squeue"), user=account.user)
            return await self._tools.query(argv)
        named = job_ids if len(job_ids) <= MOST_NAMED else ()
        argv = commands.squeue(self._tools.program("squeue"), jobs=named)
        done = await self._tools.run(argv)
        stderr = text_of(done.stderr)
        if done.returncode != 0 and not (named and printed.is_gone(stderr)):
            raise failure(argv, stderr)
        return text_of(done.stdout)

    def _take(
        self,
        job: SlurmJobId,
        records: Sequence[SlurmJob],
        found: dict[str, SlurmJob],
        *,
        exact: bool,
    ) -> None:
        """Picks the record that is this job's and not that of an earlier job with its id."""
        latest_first = exact or not job.submit_time
        for record in sorted(records, key=lambda job: job.submit_time, reverse=latest_first):
            if exact and job.submit_time and record.submit_time != job.submit_time:
                continue
            # The completion log of some versions gives the start as the time of submission.
            if not exact and record.submit_time < job.submit_time:
                continue
            kept = replace(record, output="")
            if not exact and job.submit_time:
                kept = replace(kept, submit_time=job.submit_time)
            found[job.id] = kept
            if kept.state in ENDED_STATES:
                self._ended[kept.job_id] = kept
                while len(self._ended) > REMEMBERED:
                    self._ended.popitem(last=False)
            return


def _untold(job: SlurmJobId) -> SlurmJob:
    """A job that the queue no longer has, and of which the accounting says nothing now."""
    return SlurmJob(job.id, job.submit_time, state=UNTOLD)
