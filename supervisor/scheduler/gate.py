"""How many sessions a connection takes at once: at first assumed, then learnt."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class Gate:
    """Lets so many in at once, first come, first served; the limit can change meanwhile.

    Args:
        limit: How many at first.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def set_limit(self, limit: int) -> None:
        """Lets more or fewer in from now on, at least one."""
        self.limit = max(1, limit)
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.inside < self.limit:
            waiting = self._waiting.popleft()
            if not waiting.done():
                self.inside += 1
                waiting.set_result(None)

    async def __aenter__(self) -> Gate:
        if self.inside < self.limit and not self._waiting:
            self.inside += 1
            return self
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self.inside -= 1
        self._admit()
