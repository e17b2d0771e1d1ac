"""Taking in what came out of the three queues: into the journal, once, if it is ours.

What a transaction took from a queue is in its receipt; the same events come once more through
the follower, so nothing is lost when this process dies between the two. Taking an event in
twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dsq.supervisor.lock import RivalError
from dsq.supervisor.offers import Offers
from dsq.supervisor.records import JobRecord
from dsq.supervisor.rivals import Rivals
from dsq.supervisor.services import Services

if TYPE_CHECKING:
    from dsq.core.chain import Event

log = logging.getLogger("dsq.supervisor.intake")

BEGUN = "begun"
"""Mark in the journal: no job of ours on chain is older than it."""


class Intake:
    """Takes events of the queues into the journal.

    Args:
        services: Journal, views, sender.
        offers: Told which jobs are no longer offered.
        rivals: Who else works with the key.
        wake: Has a job judged.
        stray: Told of a claim that nothing here knows of.
        rivals_job: Told of one that a supervisor made which is to stop.

    Attributes:
        taken: Claims taken in since the start.
        first_block: The first block that the follower reads, None before that is known.
        foreign: Claims with our key that were not sent from here, to be looked at
            (:meth:`meet_rivals`).
    """

    def __init__(
        self,
        services: Services,
        offers: Offers,
        rivals: Rivals,
        wake: Callable[[int], None],
        *,
        stray: Callable[[int], None],
        rivals_job: Callable[[int], None],
    ) -> None:
        self._s = services
        self._offers = offers
        self._rivals = rivals
        self._wake = wake
        self._stray = stray
        self._rivals_job = rivals_job
        self.taken = 0
        self.first_block: int | None = None
        self.foreign: list[Event] = []

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
                    self._rivals.claimed(event)
                    words = f"claimed for {event.args['max_duration_minute']} min"
                    record = _claimed(event, claim_time, self._s.clock.now())
                    leaves = self._offers.reason_to_leave(record.job_id)
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
        self._offers.remove(job_id)
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
            if not await self._rivals.stays(event.block_number):
                return self._rivals.gives_way(job_id, "it claimed")
            self._rivals.outlasts(job_id)
            self._rivals_job(job_id)
            self.foreign.pop(0)
        return None

    def adopt(self, record: JobRecord, event: str) -> None:
        """A job is ours on chain: into the journal, if it is not there."""
        self._offers.claimed(record.job_id)
        self.taken += 1
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
