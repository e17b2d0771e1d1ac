"""Two supervisors with one key on two machines: which of them stays.

Each hears of the other by a claim that it did not send. Both then look at the same thing: all
claims made with the key in the last :data:`WINDOW` stretches of :data:`STRETCH` blocks. The one
that made the oldest of them stays, the other stops. So one that has worked all day stays when
a second one is started by mistake; one that slept for a day gives way to the one that took over.
Neither needs the other's journal or a clock.

Both may have nothing to claim for hours. So each also looks at the wallet's other transactions:
what is mined under a nonce that was not given here was sent by somebody else. One that finds at
its start that the wallet was used since it sent something last says so in a transaction
(:data:`KNOCK`) and claims nothing for :data:`LISTEN_SECONDS`; one that is at work answers
(:data:`HERE`), and the newcomer stops. What the wallet's owner sends by hand is neither: it is
told in the log, and nothing else happens.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from dsq.core.errors import DsqError
from dsq.supervisor.lock import RivalError
from dsq.supervisor.services import Services
from dsq.supervisor.waiting import bounded

if TYPE_CHECKING:
    from dsq.core.chain import Event, Foreign

log = logging.getLogger("dsq.supervisor.rivals")

STRETCH = 1_800
"""Blocks: an hour, at two seconds a block."""

WINDOW = 24

LOOK_SECONDS = 5.0
"""Between looks at the wallet's other transactions."""

LISTEN_SECONDS = 30.0
"""A supervisor at work gets so long to answer: a look, and a block or two."""

KNOCK = b"dsq: is another supervisor at work?"
HERE = b"dsq: yes, one is at work"

WORK = frozenset(
    {
        "claimNextJob",
        "claimNextJobs",
        "claimNextCancellingJob",
        "claimNextTopUpJob",
        "refuseJob",
        "reportJobs",
        "providerSetJobStatus",
    }
)
"""Functions that only a supervisor calls."""

OWN_CLAIMS = "own_claims"
"""Kept in the journal: of each stretch the first claim from here, its block and transaction."""


class Rivals:
    """Knows which claims were made here, and who made the oldest.

    Args:
        services: Chain, journal, sender.
    """

    def __init__(self, services: Services) -> None:
        self._s = services
        self._own: dict[int, tuple[int, str]] = _read(services.journal.get_meta(OWN_CLAIMS))
        self._looked_at: float | None = None
        self._knock = b""
        self._listens_until = float("-inf")
        self._has_told = False

    @property
    def is_clear(self) -> bool:
        """Whether claiming may begin: nobody is waited for."""
        return self._looked_at is not None and not self._is_listening()

    async def look(self) -> None:
        """Looks, every few seconds, what others send with the key.

        Raises:
            RivalError: Another supervisor is at work, and was there first.
            UnreachableError: The chain does not answer.
        """
        now = self._s.clock.monotonic()
        if self._looked_at is not None and now - self._looked_at < LOOK_SECONDS:
            return
        others = await bounded(self._s.sender.others(), "The chain")
        self._looked_at = now
        for one in others.seen:
            await self._meet(one)
        if others.before:
            await self._ask()

    async def _ask(self) -> None:
        """Asks who is there; until it is clear nothing is claimed."""
        log.warning(
            "rival=unknown The wallet was used since this supervisor sent something last. "
            "It claims nothing for %.0f s.",
            LISTEN_SECONDS,
        )
        try:
            receipt = await self._s.txs.send(self._s.chain.calls.note(self._s.me, KNOCK))
            self._knock = receipt.tx_hash
        except DsqError as error:
            log.warning("rival=not_asked reason=%r", str(error))
        self._listens_until = self._s.clock.monotonic() + LISTEN_SECONDS

    async def _meet(self, one: Foreign) -> None:
        """Another transaction of the wallet was mined."""
        tx = one.hash.hex()
        if one.note == HERE:
            log.warning("rival=answers tx=0x%s", tx)
            if self._is_listening():
                raise self._gives_way(f"it answers in transaction 0x{tx}")
        elif one.note == KNOCK:
            # Of two that ask at the same time one stays: both know both transactions.
            if self._is_listening() and one.hash < self._knock:
                raise self._gives_way(f"it asks in transaction 0x{tx}")
            log.error("rival=newer tx=0x%s It is told to stop.", tx)
            await self._s.txs.send(self._s.chain.calls.note(self._s.me, HERE))
        elif one.function in WORK:
            await self._judge(one)
        else:
            log.info("tx=0x%s was sent with this key, but not from here", tx)

    async def _judge(self, one: Foreign) -> None:
        """Another supervisor is at work; whose claims are older?"""
        head = await bounded(self._s.chain.head(), "The chain")
        event = await self._oldest(head.number)
        if event is None:
            return  # the first claim will tell
        if not self._is_own(event):
            raise self._gives_way(f"it sent {one.function} in transaction 0x{one.hash.hex()}")
        if not self._has_told:
            self._has_told = True
            log.error("rival=newer function=%s Another supervisor uses this key", one.function)

    def _is_listening(self) -> bool:
        return self._s.clock.monotonic() < self._listens_until

    def claimed(self, event: Event) -> None:
        """A claim was sent from here, and mined."""
        stretch = event.block_number // STRETCH
        known = self._own.get(stretch)
        if known is not None and known[0] <= event.block_number:
            return
        self._own[stretch] = event.block_number, event.tx_hash.hex()
        for old in [one for one in self._own if one < max(self._own) - WINDOW]:
            del self._own[old]
        text = json.dumps({str(key): list(value) for key, value in sorted(self._own.items())})
        self._s.journal.set_meta(OWN_CLAIMS, text)

    async def stays(self, block_number: int) -> bool:
        """Whether this one goes on, seen from a block in which another one showed itself.

        Raises:
            UnreachableError: The chain does not answer.
        """
        event = await self._oldest(block_number)
        return event is not None and self._is_own(event)

    async def _oldest(self, block_number: int) -> Event | None:
        """The oldest claim with the key in sight of a block."""
        last = block_number // STRETCH
        for stretch in range(max(0, last - WINDOW), last + 1):
            first = stretch * STRETCH
            until = min(first + STRETCH - 1, block_number)
            events = await bounded(
                self._s.chain.events(first, until, ("ClaimJobEvent",)), "The chain"
            )
            for event in events:
                if event.args["provider"] == self._s.me:
                    return event
        return None

    def _is_own(self, event: Event) -> bool:
        known = self._own.get(event.block_number // STRETCH)
        is_noted = known is not None and known[1] == event.tx_hash.hex()
        return is_noted or self._s.sender.knows(event.tx_hash)

    def gives_way(self, job_id: int, what: str) -> RivalError:
        """The error with which this one stops.

        Args:
            job_id: The job by which the other one showed itself.
            what: What it did ("it claimed").
        """
        return self._gives_way(f"{what} job {job_id}")

    def _gives_way(self, what: str) -> RivalError:
        return RivalError(
            f"Another supervisor uses the key of {self._s.me}, and was there first: {what}.",
            hint="Two would run jobs twice. Start this one when the other has stopped for good.",
        )

    def outlasts(self, job_id: int) -> None:
        """Says that the other one has to go."""
        log.error(
            "job=%d rival=newer Another supervisor uses this key; it is the one to stop", job_id
        )


def _read(text: str | None) -> dict[int, tuple[int, str]]:
    if not text:
        return {}
    return {int(key): (int(block), str(tx)) for key, (block, tx) in json.loads(text).items()}
