"""The three queues that the chain keeps for a provider: claims, cancels, top-ups.

They do not wait for each other. What a transaction took from a queue is in its receipt, and
taken in from there (:mod:`.intake`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from dsq.core.errors import ContractError, DiskError, DsqError
from dsq.core.model import JobDefinition
from dsq.supervisor.capacity import Room, claimable, never_runs
from dsq.supervisor.gas import BatchGas, is_too_large_for_a_block
from dsq.supervisor.intake import Intake
from dsq.supervisor.lock import RivalError
from dsq.supervisor.observe import WAITING_STATES
from dsq.supervisor.offers import FULL, PAUSED, SILENT, Offers
from dsq.supervisor.poller import Poller
from dsq.supervisor.records import Phase
from dsq.supervisor.rivals import Rivals
from dsq.supervisor.services import Services
from dsq.supervisor.waiting import Waker, bounded

if TYPE_CHECKING:
    from dsq.core.chain import Call

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


class Claims:
    """Takes jobs, cancel requests and top-ups from the chain.

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

    Attributes:
        offers: What is placed with us and not claimed.
        rivals: Who else works with the key.
        intake: Takes the events of the queues into the journal.
        registered: What the record on chain has room for, None before it was read.
    """

    def __init__(
        self,
        services: Services,
        poller: Poller,
        wake: Callable[[int], None],
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
        self._may_claim = may_claim
        self._ahead = claim_ahead
        self._idle = idle
        self._waker = Waker()
        self._is_paused = is_paused
        self.offers = Offers(services, patience=patience)
        self._tasks: dict[str, set[asyncio.Task[None]]] = {"claim": set(), "cancel": set()}
        self._tasks["top_up"] = set()
        self._asked = 0
        self._most = MOST_CLAIMS
        self._gas = BatchGas()
        self._width = {"cancel": 1, "top_up": 1}
        self.rivals = Rivals(services)
        self.intake = Intake(
            services, self.offers, self.rivals, wake, stray=stray, rivals_job=rivals_job
        )
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
            except DiskError as error:
                failures += 1
                log.error("queues=not_written reason=%r", str(error))
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
        started, taken = self._s.clock.monotonic(), self.intake.taken
        claims, cancels, top_ups = await bounded(self._s.chain.queues(self._s.me), "The chain")
        self._s.health.good("chain", latency_ms=(self._s.clock.monotonic() - started) * 1000)
        calls = self._s.chain.calls
        if cancels and not self._tasks["cancel"]:
            self._pop_some("cancel", calls.claim_next_cancelling_job())
        if top_ups and not self._tasks["top_up"]:
            self._pop_some("top_up", calls.claim_next_top_up_job())
        await self.offers.read()
        # Before the follower has its first block, a chain that goes back would go unnoticed.
        if self.intake.first_block is not None and (claims or self.offered):
            await self._serve(taken)

    async def _serve(self, taken: int) -> None:
        """Claims what fits, or hands on what would wait too long; ``taken`` as below."""
        if not self.offered and not self._asked and taken == self.intake.taken:
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
        if not self.offered and not self._asked and taken == self.intake.taken:
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
        self.intake.take_all(claims, claim_time=at)
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
            self.intake.cancel(event)
            self.intake.top_up(event)
        self._waker.set()
