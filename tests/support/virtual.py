"""Virtual time: an event loop whose clock jumps to the next timer when nothing else is due.

Everything of asyncio that waits (sleep, timeout, wait_for) then takes no real time, and
a run is repeated exactly. No threads and no sockets may be waited for.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")

TICK_SECONDS = 1e-9
"""What a turn of the loop takes."""

MOST_TURNS = 100_000
"""So many without any time passing are an endless loop."""

EPOCH = 1_700_000_000
"""Unix time at which virtual time starts."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time.

    Of the loop that it is made of it leaves out what costs time and is not wanted here: it
    asks for no files, and compares timers by their numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._turns = 0
        self._looked_at = -1.0

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """As of any loop."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As of any loop."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As of any loop; what is due at the same moment comes in the order of the calls."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is left in its place until its time comes."""

    def _run_once(self) -> None:
        timers, ready = self._timers, self._ready  # type: ignore[attr-defined]
        # Or who waits for less than a float tells apart would wait for ever.
        self._now += TICK_SECONDS
        self._turns += 1
        if self._turns >= MOST_TURNS:
            if self._now - self._looked_at < 0.01:
                raise RuntimeError(f"At {self._now:.3f} s it turns without end.")
            self._turns, self._looked_at = 0, self._now
        if not ready:
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if timers:
                self._now = max(self._now, timers[0][0])
            elif not self._stopping:  # type: ignore[attr-defined]
                raise RuntimeError("Every task waits for something that never comes.")
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()


class VirtualClock:
    """The clock of the running virtual loop; ``step`` moves the wall clock alone."""

    def __init__(self) -> None:
        self.stepped = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> float:
        return EPOCH + self.monotonic() + self.stepped

    def monotonic(self) -> float:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def step(self, seconds: float) -> None:
        """Sets the machine's clock forward, or back."""
        self.stepped += seconds


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        # Tasks of a process that died are dropped, with what they died of.
        runner.get_loop().set_exception_handler(_report)
        return runner.run(main)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if isinstance(context.get("exception"), Exception):
        loop.default_exception_handler(context)
