"""Two supervisors with one key on two machines: which of them stays.

Each hears of the other by a claim that it did not send. Both then look at the same thing: all
claims made with the key in the last :data:`WINDOW` stretches of :data:`STRETCH` blocks. The one
that made the oldest of them stays, the other stops. So one that has worked all day stays when
a second one is started by mistake; one that slept for a day gives way to the one that took over.
Neither needs the other's journal, a message to it, or a clock.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from dsq.supervisor.lock import RivalError
from dsq.supervisor.services import Services, bounded

if TYPE_CHECKING:
    from dsq.core.chain import Event

log = logging.getLogger("dsq.supervisor.rivals")

STRETCH = 1_800
"""Blocks: an hour, at two seconds a block."""

WINDOW = 24

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
        last = block_number // STRETCH
        for stretch in range(max(0, last - WINDOW), last + 1):
            first = stretch * STRETCH
            until = min(first + STRETCH - 1, block_number)
            events = await bounded(
                self._s.chain.events(first, until, ("ClaimJobEvent",)), "The chain"
            )
            for event in events:
                if event.args["provider"] == self._s.me:
                    return self._is_own(event, stretch)
        return False

    def _is_own(self, event: Event, stretch: int) -> bool:
        known = self._own.get(stretch)
        is_noted = known is not None and known[1] == event.tx_hash.hex()
        return is_noted or self._s.sender.knows(event.tx_hash)

    def gives_way(self, job_id: int, what: str) -> RivalError:
        """The error with which this one stops.

        Args:
            job_id: The job by which the other one showed itself.
            what: What it did ("it claimed").
        """
        return RivalError(
            f"Another supervisor uses the key of {self._s.me}, and was there first: "
            f"{what} job {job_id}.",
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
