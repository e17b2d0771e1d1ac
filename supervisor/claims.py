"""The three queues that the chain keeps for a provider: claims, cancels, top-ups.

They do not wait for each other. What a transaction took from a queue is in its receipt;
the same events come once more through the follower, so nothing is lost when this
process dies between the two. Taking an event in twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dsq.core.errors import ContractError, DsqError
from dsq.core.model import JobDefinition
from dsq.supervisor.capacity import Room, claimable, never_runs
from dsq.supervisor.gas import BatchGas, is_too_large_for_a_block
from dsq.supervisor.lock import RivalError
from dsq.supervisor.observe import WAITING_STATES
from dsq.supervisor.offers import FULL, PAUSED, SILENT, Offers
from dsq.supervisor.poller import Poller
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.rivals import Rivals
from dsq.supervisor.services import Services
from dsq.supervisor.waiting import Waker, bounded

if TYPE_CHECKING:
    from dsq.core.chain import Call, Event

log = logging.getLogger("dsq.supervisor.claims")

MOST_CLAIMS = 64
"""Jobs claimed with one transaction: the contract looks at so many entries of the queue."""

CLAIMS_UNDER_WAY = 8
"""Transactions with claims under way at once."""

SINGLE_CLAIMS = 64
"""The same for contracts that know single claims only."""

MOST_POPS = 16
"""Transactions under way that take from the queue of cancels, or of top-ups."""

BUSY_SECONDS = 1.0
"""Pause between looks at the queues while jobs are open or offered."""

BEGUN = "begun"
"""Mark in the journal: no job of ours on chain is older than it."""

Wake = Callable[[int], None]


class Claims:
    """Takes jobs, cancel requests and top-ups from the chain into the journal.

    Args:
        services: Chain, scheduler, journal.
        poller: What is known of the cluster.
        wake: Has a job judged.
        stray: Told of a claim that nothing here knows of.
        rivals_job: Told of one that a supervisor made which is to stop.
        may_claim: False while claiming is paused.
        claim_ahead: Jobs that may wait in Slurm beyond what is free.
        idle: Seconds between looks at the queues while nothing is open.
        is_paused: True while the operator lets nothing new in.
        patience: Seconds that a job may wait here unclaimed (see :mod:`.offers`).
    """

    def __init__(
        self,
        services: Services,
        poller: Poller,
        wake: Wake,
        *,
        stray: Callable[[int], None],
        rivals_job: Callable[[int], None],
        may_claim: Callable[[], bool],
        claim_ahead: int,
        idle: float,
        is_paused: Callable[[], bool] = lambda: False,
        patience: float = 120.0,
    ) -> None:
        self._s = services
        self._poller = poller
        self._wake = wake
        self._stray = stray
        self._rivals_job = rivals_job
        self._may_claim = may_claim
        self._ahead = claim_ahead
        self._idle = idle
        self._waker = Waker()
        self._is_paused = is_paused
        self.offers = Offers(services, patience=patience)
        self._tasks: dict[str, set[asyncio.Task[None]]] = {"claim": set(), "cancel": set()}
        self._tasks["top_up"] = set()
        self._taken = 0
        self._asked = 0
        self._most = MOST_CLAIMS
        self._gas = BatchGas()
        self._width = {"cancel": 1, "top_up": 1}
        self.first_block: int | None = None
        self.rivals = Rivals(services)
        self.foreign: list[Event] = []
        self.registered: Room | None = None

    @property
    def offered(self) -> int:
        """Jobs the chain holds for us, not yet claimed."""
        return len(self.offers)

    @property
    def in_flight(self) -> set[asyncio.Task[None]]:
        """Transactions under way."""
        return self.offers.in_flight.union(*self._tasks.values())

    def hint(self, job_id: int) -> None:
        """A job was given to some provider; perhaps to us."""
        self.offers.hint(job_id)
        self._waker.set()

    def not_offered(self, job_id: int) -> None:
        """A job left META_SCHEDULED."""
        self.offers.remove(job_id)

    def soon(self) -> None:
        """Has the queues looked at now."""
        self._waker.set()

    async def run(self, is_stopping: Callable[[], bool]) -> None:
        """Works the queues until the agent stops.

        Raises:
            RivalError: Another supervisor works with the key, and was there first.
        """
        failures = 0
        while not is_stopping():
            try:
                await self.look()
                failures = 0
            except RivalError:
                raise
            except DsqError as error:
                failures += 1
                self._s.health.bad("chain", error)
            except Exception:
                failures += 1
                log.exception("queues=failed")
            busy = self.offered or self._s.journal.open_records()
            pause = BUSY_SECONDS if busy else self._idle
            await self._waker.pause(pause * min(2**failures, 16))

    async def look(self) -> None:
        """One look at the three queues, and what follows from it."""
        await self.rivals.look()
        started, taken = self._s.clock.monotonic(), self._taken
        claims, cancels, top_ups = await bounded(self._s.chain.queues(self._s.me), "The chain")
        self._s.health.good("chain", latency_ms=(self._s.clock.monotonic() - started) * 1000)
        calls = self._s.chain.calls
        if cancels and not self._tasks["cancel"]:
            self._pop_some("cancel", calls.claim_next_cancelling_job())
        if top_ups and not self._tasks["top_up"]:
            self._pop_some("top_up", calls.claim_next_top_up_job())
        await self.offers.read()
        # Before the follower has its first block, a chain that goes back would go unnoticed.
        if self.first_block is not None and (claims or self.offered):
            await self._serve(taken)

    async def _serve(self, taken: int) -> None:
        """Claims what fits, or hands on what would wait too long; ``taken`` as below."""
        if not self.offered and not self._asked and taken == self._taken:
            await self.offers.search()
        if self._poller.is_dark:
            self.offers.hand_on_waiting(SILENT)
            return
        self._refuse_impossible()
        if self._is_paused():
            self.offers.hand_on_waiting(PAUSED)
        elif self._may_claim() and self.rivals.is_clear:
            await self._claim_some(taken)

    async def _claim_some(self, taken: int) -> None:
        """Claims what fits.

        Args:
            taken: Claims known when the chain was asked: with more of them its answer is old.
        """
        free = await bounded(self._s.scheduler.free(), "The cluster")
        if free.closed:
            self.offers.hand_on_waiting(free.closed)
            return
        known = self.offers.definitions
        offered = list(known.values())
        if not self.offered and not self._asked and taken == self._taken:
            offered = [JobDefinition(1, 1, 1)]  # its event was missed: any room will do
        waiting = [
            record.definition
            for record in self._s.journal.open_records()
            if record.phase in (Phase.CLAIMED, Phase.PLANNED, Phase.SENT)
            or (record.phase is Phase.SEEN and record.slurm_state in WAITING_STATES)
        ]
        fit = claimable(free, waiting, offered, self._ahead)
        self.offers.all_is_well()
        if not self._tasks["claim"]:
            self.offers.hand_on_waiting(FULL, list(known)[fit:])
        count = fit - self._asked
        if not await self._s.has_batches():
            for _ in range(min(count, SINGLE_CLAIMS - self._asked)):
                self._spawn("claim", self._claim(self._s.chain.calls.claim_next_job(), 1))
            return
        for _ in range(CLAIMS_UNDER_WAY - len(self._tasks["claim"])):
            part = min(count, self._most)
            if part < 1:
                return
            call = self._s.chain.calls.claim_next_jobs(part)
            self._spawn("claim", self._claim(call, part, is_known=bool(known)))
            count -= part

    def _refuse_impossible(self) -> None:
        """Hands back at once, unclaimed, what the partition could never run."""
        info = self._poller.info
        if info is None or self.registered is None:
            return
        for job_id, definition in self.offers.definitions.items():
            why = never_runs(definition, info)
            # Where the scheduler only tells of nodes that are up, the rest may come back.
            is_sure = bool(info.configured) or bool(self.registered.never_fits(definition))
            if why and is_sure:
                self.offers.hand_on(job_id, why)

    def _spawn(self, kind: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(kind, work), name=f"dsq-{kind}")
        self._tasks[kind].add(task)
        task.add_done_callback(self._tasks[kind].discard)

    async def _guarded(self, kind: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ContractError as error:
            # The queue was emptied meanwhile (a cancelled job, a job timed out).
            log.info("queue=%s nothing=%r", kind, str(error))
            self.offers.hint_all()
        except DsqError as error:
            log.warning("queue=%s failed=%r", kind, str(error))
        except Exception:
            log.exception("queue=%s failed", kind)

    async def _claim(self, call: Call, count: int, *, is_known: bool = False) -> None:
        """Claims up to ``count`` jobs; ``is_known`` if so many are seen to wait."""
        self._asked += count
        try:
            receipt = await self._s.txs.send(call, gas=self._gas.offer(count) if is_known else None)
        except DsqError as error:
            self._gas.forget()
            if is_too_large_for_a_block(error):
                self._most = max(1, count // 2)
            raise
        finally:
            self._asked -= count
        if count == self._most:
            self._most = min(MOST_CLAIMS, 2 * self._most)
        at = await self._time_of(receipt.block_number)
        claims = [event for event in receipt.events if event.name == "ClaimJobEvent"]
        self._gas.learn(len(claims), receipt.gas_used)
        self.take_all(claims, claim_time=at)
        self._waker.set()

    async def _time_of(self, block_number: int) -> int:
        """Seconds of a block; 0 if they cannot be read now: then they are asked for later."""
        try:
            return await bounded(self._s.chain.block_timestamp(block_number), "The chain")
        except DsqError:
            return 0

    def _pop_some(self, kind: str, call: Call) -> None:
        """Takes from a queue whose length is not known: twice as much while there is more."""
        for _ in range(self._width[kind]):
            self._spawn(kind, self._pop(kind, call))

    async def _pop(self, kind: str, call: Call) -> None:
        try:
            receipt = await self._s.txs.send(call)
        except ContractError:
            self._width[kind] = 1
            raise
        self._width[kind] = min(MOST_POPS, 2 * self._width[kind])
        for event in receipt.events:
            self.cancel(event)
            self.top_up(event)
        self._waker.set()

    # --- taking events in; from receipts and from the follower ---------------------------

    def take(self, event: Event, *, claim_time: int = 0) -> None:
        """A job was claimed for us; see :meth:`take_all`."""
        self.take_all([event], claim_time=claim_time)

    def take_all(self, events: Sequence[Event], *, claim_time: int = 0) -> None:
        """Jobs were claimed for us; all go into the journal at once.

        Args:
            claim_time: When, by the chain's clock; 0 if that is not known.
        """
        for event in events:
            if event.name == "ClaimJobEvent" and event.args["provider"] == self._s.me:
                if self._is_ours(event):
                    self.rivals.claimed(event)
                    words = f"claimed for {event.args['max_duration_minute']} min"
                    record = _claimed(event, claim_time, self._s.clock.now())
                    leaves = self.offers.reason_to_leave(record.job_id)
                    self.adopt(replace(record, refuse_reason=leaves), words)
                else:
                    self._foreign(event)

    def _is_ours(self, event: Event) -> bool:
        """The claim was sent from here. The key alone proves nothing: a second supervisor
        with it would claim as well, and submits what it claims."""
        record = self._s.journal.get(int(event.args["job_id"]))
        if record is not None and record.claim_tx == event.tx_hash:
            return True
        is_new = self._s.journal.get_meta(BEGUN) is None
        is_before = self.first_block is None or event.block_number <= self.first_block
        # An earlier journal may have submitted what was claimed before this one began.
        return self._s.sender.knows(event.tx_hash) and not (is_new and is_before)

    def _foreign(self, event: Event) -> None:
        job_id = int(event.args["job_id"])
        self.not_offered(job_id)
        if self.first_block is None or event.block_number <= self.first_block:
            self._stray(job_id)  # before our time
            return
        self.foreign.append(event)

    async def meet_rivals(self) -> RivalError | None:
        """Looks who made claims with this key that were not sent from here.

        Returns:
            The error with which this supervisor gives way, None if it stays.

        Raises:
            UnreachableError: The chain does not answer.
        """
        while self.foreign:
            event = self.foreign[0]
            job_id = int(event.args["job_id"])
            if not await self.rivals.stays(event.block_number):
                return self.rivals.gives_way(job_id, "it claimed")
            self.rivals.outlasts(job_id)
            self._rivals_job(job_id)
            self.foreign.pop(0)
        return None

    def adopt(self, record: JobRecord, event: str) -> None:
        """A job is ours on chain: into the journal, if it is not there."""
        self.offers.claimed(record.job_id)
        self._taken += 1
        _, is_new = self._s.journal.claim(record, event)
        if is_new:
            log.info("job=%d %s", record.job_id, event)
            self._s.views.forget(record.job_id)
            self._wake(record.job_id)

    def cancel(self, event: Event) -> None:
        """The customer wants a running job to end."""
        if event.name != "ClaimNextCancellingJobEvent" or event.args["provider"] != self._s.me:
            return
        job_id = int(event.args["job_id"])
        record = self._s.journal.get(job_id)
        self._s.views.forget(job_id)
        if record is None or not record.is_open:
            return
        if not record.cancel_requested:
            self._s.journal.update(job_id, "the customer cancelled it", cancel_requested=True)
        self._wake(job_id)

    def top_up(self, event: Event) -> None:
        """The customer bought more time for a job."""
        if event.name != "ClaimNextTopUpJobEvent" or event.args["provider"] != self._s.me:
            return
        job_id, minutes = int(event.args["job_id"]), int(event.args["max_duration_minute"])
        if self._s.journal.top_up(job_id, minutes, event.tx_hash) is not None:
            log.info("job=%d topped_up=%d", job_id, minutes)
            self._s.views.forget(job_id)
            self._wake(job_id)

    def take_any(self, event: Event, *, claim_time: int = 0) -> None:
        """Takes in an event of any of the three queues; see :meth:`take_all`."""
        self.take(event, claim_time=claim_time)
        self.cancel(event)
        self.top_up(event)


def _claimed(event: Event, claim_time: int, now: float) -> JobRecord:
    return JobRecord(
        job_id=int(event.args["job_id"]),
        customer=event.args["customer"],
        definition=event.args["definition"],
        claim_tx=event.tx_hash,
        claimed_at=int(now),
        claim_time=claim_time,
        bought_minutes=int(event.args["max_duration_minute"]),
    )
