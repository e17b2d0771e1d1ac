"""What is done every few seconds for all jobs together, and waits for nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable

from dsq.core.errors import DsqError
from dsq.supervisor.lock import AnotherSupervisorError
from dsq.supervisor.proofs import Proofs
from dsq.supervisor.reconcile import Reconciler
from dsq.supervisor.services import Services
from dsq.supervisor.strays import Strays
from dsq.supervisor.waiting import Waker

log = logging.getLogger("dsq.supervisor.chores")

CHORES_SECONDS = 5.0
PRUNE_SECONDS = 6 * 3600.0


class Chores:
    """Signs of life for running jobs, doubts after the chain went back, strays, old records.

    Args:
        services: Journal and clock.
        proofs, reconciler, strays: Whose chores they are.
        keep_days: Closed jobs are kept so long in the journal; 0 keeps them for ever.
    """

    def __init__(
        self,
        services: Services,
        proofs: Proofs,
        reconciler: Reconciler,
        strays: Strays,
        keep_days: int,
    ) -> None:
        self._s = services
        self._proofs = proofs
        self._reconciler = reconciler
        self._strays = strays
        self._keep_days = keep_days
        self._pruned_at: float | None = None
        self.waker = Waker()

    async def run(self, is_stopping: Callable[[], bool]) -> None:
        """Does them until the agent stops.

        Raises:
            AnotherSupervisorError: Another one works with this key, and this one gives way.
        """
        while not is_stopping():
            await self.waker.pause(CHORES_SECONDS)
            if is_stopping():
                return
            try:
                self._prune()
                self._proofs.look()
                self._reconciler.doubt()
                await self._reconciler.recount()
                await self._strays.look()
                self._reconciler.begin_if_clear()
            except AnotherSupervisorError:
                raise
            except DsqError as error:
                log.info("chores=later reason=%r", str(error))
            except Exception:
                log.exception("chores=failed")

    def _prune(self) -> None:
        """Forgets closed jobs that are older than the settings keep."""
        clock = self._s.clock
        is_due = self._pruned_at is None or clock.monotonic() - self._pruned_at >= PRUNE_SECONDS
        if self._keep_days and is_due:
            self._pruned_at = clock.monotonic()
            if gone := self._s.journal.prune(clock.now() - self._keep_days * 86_400):
                log.info("journal=pruned jobs=%d", gone)
