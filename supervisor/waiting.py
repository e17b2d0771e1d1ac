"""Waiting: for an answer, at most so long; in a loop, until something happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from dsq.core.errors import UnreachableError

T = TypeVar("T")

CALL_SECONDS = 45.0
"""Longest wait for one answer of a cluster; its transport gives up earlier."""


async def bounded(awaitable: Awaitable[T], what: str, seconds: float = CALL_SECONDS) -> T:
    """Awaits with a time limit.

    Raises:
        UnreachableError: Time was up: whether the call took effect is not known.
    """
    try:
        async with asyncio.timeout(seconds):
            return await awaitable
    except TimeoutError:
        raise UnreachableError(f"{what} gave no answer in {seconds:g} s.") from None


def _end(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class Waker:
    """Ends a loop's pause early."""

    def __init__(self) -> None:
        self._is_set = False
        self._pausing: set[asyncio.Future[None]] = set()

    def set(self) -> None:
        """Ends the pause that runs, or the next one."""
        self._is_set = True
        for waiting in self._pausing:
            _end(waiting)

    async def pause(self, seconds: float) -> None:
        """Waits, at most ``seconds``."""
        if not self._is_set:
            # Done so often that a timeout's context and an event's would count.
            loop = asyncio.get_running_loop()
            waiting = loop.create_future()
            self._pausing.add(waiting)
            timer = loop.call_later(max(0.0, seconds), _end, waiting)
            try:
                await waiting
            finally:
                timer.cancel()
                self._pausing.discard(waiting)
        self._is_set = False
