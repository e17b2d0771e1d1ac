"""Reports to the chain, many in one transaction.

What is said within a moment goes with one transaction; the more of them are under way, the
longer the next one collects. What became of each report is read from the receipt: one that did
not fit its job any more was left out by the contract (``ReportSkipped``), and its job is judged
anew. A batch that the contract refuses as a whole is taken apart until the entry that spoils it
is alone.

A report that is repeated does no harm: the contract leaves the second one out. A report
that is lost with this process is made again from the journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dsq.core.errors import ContractError, DsqError, UnreachableError
from dsq.core.model import JobStatus
from dsq.supervisor.ends import End
from dsq.supervisor.gas import BatchGas, is_too_large_for_a_block
from dsq.supervisor.services import Services
from dsq.supervisor.waiting import Waker, bounded
from dsq.supervisor.wishes import Wish, entries_of, intent_of, outcome_of

if TYPE_CHECKING:
    from dsq.core.chain import Receipt
    from dsq.core.chain.calls import Report

log = logging.getLogger("dsq.supervisor.reports")

MOST_REPORTS = 128
"""Reports in one transaction: about 10 million gas."""

GATHER_SECONDS = 0.03
"""What is said within so long goes together."""

SPACING_SECONDS = 0.4
"""For each transaction under way the next one waits so long after the last: what is said goes
out within a moment while little is under way, and the rest goes together."""

HELD_SECONDS = 1.0
"""Pause before reports that wait for the chain's clock are looked at again."""

MOST_UNDER_WAY = 8
CORRECTIONS = 3
"""How often a report is made anew because the contract knows another time of the claim."""


class Reporter:
    """Brings reports to the chain.

    Args:
        services: Chain, transactions, journal.
        wake: Has a job judged.
        failed: Told of a job whose report did not go through, and why.
    """

    def __init__(
        self,
        services: Services,
        *,
        wake: Callable[[int], None],
        failed: Callable[[int, str], None],
    ) -> None:
        self._s = services
        self._wake = wake
        self._failed = failed
        self._queue: dict[int, Wish] = {}
        self._sent: dict[int, Wish] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._newest_sent_at = float("-inf")
        self._waker = Waker()
        self._most = MOST_REPORTS
        self._gas = BatchGas()

    @property
    def in_flight(self) -> set[asyncio.Task[None]]:
        """Transactions under way."""
        return set(self._tasks)

    def is_at(self, job_id: int) -> bool:
        """A report of the job waits or is under way."""
        return job_id in self._queue or job_id in self._sent

    @property
    def waiting(self) -> int:
        """Jobs whose report is not sent yet."""
        return len(self._queue)

    def running(self, job_id: int) -> None:
        """Says that a job runs, once."""
        if job_id not in self._queue and job_id not in self._sent:
            self._queue[job_id] = Wish(job_id, running=True)
            self._waker.set()

    def alive(self, job_ids: Iterable[int]) -> None:
        """Signs of life of jobs that the chain knows to run."""
        for job_id in job_ids:
            if job_id not in self._queue and job_id not in self._sent:
                self._queue[job_id] = Wish(job_id, running=True, is_proof=True)
        self._waker.set()

    def ended(self, job_id: int, end: End) -> None:
        """Says how a job ended. A report of its start that is under way is said again with it:
        whichever is mined first, both count."""
        sent = self._sent.get(job_id)
        if sent is not None and sent.end is not None:
            return
        wish = self._queue.setdefault(job_id, Wish(job_id))
        wish.running |= sent is not None and sent.running
        wish.end = end
        self._waker.set()

    async def run(self, is_stopping: Callable[[], bool]) -> None:
        """Reports until the agent stops; what is queued then still goes out."""
        while not is_stopping():
            pause = self._pause() if self._queue else 60.0
            if pause <= 0:
                await asyncio.sleep(GATHER_SECONDS)
                self._start()
                continue
            await self._waker.pause(pause)
        if self._queue and self._s.health.of("chain").ok:
            self._start()

    def stop(self) -> None:
        """Ends a pause of :meth:`run`."""
        self._waker.set()

    def _pause(self) -> float:
        """Seconds until the next transaction may go out, 0 if that is now."""
        if len(self._tasks) >= MOST_UNDER_WAY:
            return HELD_SECONDS
        if sum(wish.size for wish in self._queue.values()) >= self._most:
            return 0.0
        waited = self._s.clock.monotonic() - self._newest_sent_at
        return max(0.0, SPACING_SECONDS * len(self._tasks) - waited)

    def _start(self) -> None:
        wishes: list[Wish] = []
        size = 0
        for job_id in list(self._queue):
            if wishes and size + self._queue[job_id].size > self._most:
                break
            wishes.append(self._queue.pop(job_id))
            size += wishes[-1].size
        self._newest_sent_at = self._s.clock.monotonic()
        self._sent.update({wish.job_id: wish for wish in wishes})
        task = asyncio.create_task(self._deliver(wishes), name="dsq-report")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._waker.set()

    # --- one transaction -----------------------------------------------------------------

    async def _deliver(self, wishes: list[Wish]) -> None:
        try:
            if await self._s.has_batches():
                await self._deliver_batch(wishes)
            else:
                await asyncio.gather(*(self._deliver_single(wish) for wish in wishes))
        except DsqError as error:
            self._not_delivered(wishes, error)
        except Exception as error:
            log.exception("report=failed")
            self._not_delivered(wishes, error)
        finally:
            for wish in wishes:
                if self._sent.get(wish.job_id) is wish:
                    del self._sent[wish.job_id]

    def _not_delivered(self, wishes: Sequence[Wish], error: Exception) -> None:
        if isinstance(error, UnreachableError):
            self._s.health.bad("chain", error)
        for wish in wishes:
            self._s.views.forget(wish.job_id)
            self._failed(wish.job_id, str(error))

    async def _deliver_batch(self, wishes: list[Wish]) -> None:
        ready, reports = await self._made(wishes)
        if not reports:
            await self._s.clock.sleep(HELD_SECONDS)
            return
        await self._intend(ready)
        try:
            receipt = await self._s.txs.send(
                self._s.chain.calls.report_jobs(reports), gas=self._gas.offer(len(reports))
            )
        except UnreachableError:
            raise
        except DsqError as error:
            self._gas.forget()
            await self._refused(ready, error)
            return
        skipped = sum(event.name == "ReportSkipped" for event in receipt.events)
        self._gas.learn(len(reports) - skipped, receipt.gas_used)
        self._resolve(ready, receipt)

    async def _made(self, wishes: Sequence[Wish]) -> tuple[list[Wish], list[Report]]:
        """The reports of a batch. What must wait for the chain's clock goes back."""
        head = await bounded(self._s.chain.head(), "The chain")
        await self._learn_claims(wishes)
        ready: list[Wish] = []
        reports: list[Report] = []
        for wish in wishes:
            made = entries_of(wish, self._s.journal.get(wish.job_id), head.timestamp)
            if made is None:
                # Another one: when this batch is over, it is not taken for one under way.
                self._queue.setdefault(wish.job_id, replace(wish))
                continue
            ready.append(wish)
            reports += made
        return ready, reports

    async def _learn_claims(self, wishes: Sequence[Wish]) -> None:
        """Asks for times of claims that the journal does not have."""
        records = [self._s.journal.get(wish.job_id) for wish in wishes]
        unknown = [r.job_id for r in records if r is not None and not r.claim_time]
        if unknown:
            terms = await bounded(self._s.chain.claim_terms(unknown), "The chain")
            self._s.journal.change_all(
                [(job_id, "", {"claim_time": t.claimed_at}) for job_id, t in terms.items()]
            )

    async def _intend(self, wishes: Sequence[Wish]) -> None:
        """Writes what is about to be said."""
        if changes := [intent for wish in wishes if (intent := intent_of(wish))]:
            self._s.journal.change_all(changes)
        await self._s.journal.settled()

    async def _refused(self, wishes: list[Wish], error: DsqError) -> None:
        """The contract took none of a batch: finds the entry that it does not take."""
        if isinstance(error, ContractError) and error.name == "InvalidReportTimes":
            again = self._corrected(wishes, error)
            if again:
                await self._deliver_batch(again)
                return
        is_too_large = is_too_large_for_a_block(error)
        if len(wishes) == 1 or not (isinstance(error, ContractError) or is_too_large):
            self._not_delivered(wishes, error)
            return
        log.info("reports=%d refused=%r parted=yes", len(wishes), str(error))
        if is_too_large:
            self._most = max(8, self._most // 2)
        half = len(wishes) // 2
        for part in (wishes[:half], wishes[half:]):
            try:
                await self._deliver_batch(part)
            except DsqError as reason:
                self._not_delivered(part, reason)

    def _corrected(self, wishes: list[Wish], error: ContractError) -> list[Wish]:
        """The batch with the time of a claim as the contract has it; empty if that is no cure."""
        job_id = _job_of(error)
        spoiling = next((wish for wish in wishes if wish.job_id == job_id), None)
        if spoiling is None or spoiling.corrections >= CORRECTIONS:
            return []
        spoiling.corrections += 1
        claimed = int(str(error.args_by_name.get("claimedAt", 0)))
        log.info("job=%d claim_time=%d corrected", job_id, claimed)
        self._s.journal.change_all([(job_id, "", {"claim_time": claimed})])
        return wishes

    def _resolve(self, wishes: Sequence[Wish], receipt: Receipt) -> None:
        """Reads from the receipt what became of each report."""
        now = int(self._s.clock.now())
        skipped = {
            int(event.args["job_id"]) for event in receipt.events if event.name == "ReportSkipped"
        }
        for event in receipt.events:
            if event.name == "BilledTooMuchEvent":
                log.warning(
                    "job=%s billed=too_much minutes=%s",
                    event.args["job_id"],
                    event.args["billing_amount"],
                )
        self._s.journal.change_all(
            [
                outcome_of(wish, self._s.journal.get(wish.job_id), now)
                for wish in wishes
                if wish.job_id not in skipped
            ]
        )
        for wish in wishes:
            self._s.views.forget(wish.job_id)
            if wish.job_id in skipped and not wish.is_proof:
                self._failed(wish.job_id, "the grid left the report out: the job has changed")
            elif not wish.is_proof:
                self._wake(wish.job_id)

    # --- contracts without batches ---------------------------------------------------------

    async def _deliver_single(self, wish: Wish) -> None:
        if wish.is_proof and wish.end is None:
            return  # such a contract knows no signs of life
        await self._intend([wish])
        set_status = self._s.chain.calls.provider_set_job_status
        try:
            receipt = None
            if wish.running:
                view = self._s.views.peek(wish.job_id)
                if view is None or view.job.status is not JobStatus.RUNNING:
                    call = set_status(wish.job_id, JobStatus.RUNNING, 0)
                    receipt = await self._s.txs.send(call)
            if wish.end is not None:
                end = wish.end
                call = set_status(
                    wish.job_id, end.status, end.minutes, end.last_error, end.exit_status
                )
                receipt = await self._s.txs.send(call)
        except DsqError as error:
            self._not_delivered([wish], error)
            return
        if receipt is not None:
            self._resolve([wish], receipt)


def _job_of(error: ContractError) -> int:
    raw = error.args_by_name.get("jobId")
    return int.from_bytes(raw, "big") if isinstance(raw, bytes) else int(str(raw or 0))
