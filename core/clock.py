"""Time as a port, so that fault tests can run in virtual time."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What dsq asks of time."""

    def now(self) -> float:
        """Unix seconds; may step when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for time-outs."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
