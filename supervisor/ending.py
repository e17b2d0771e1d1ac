"""A provider's process and its end: told by a signal, over within five seconds.

What is in flight is finished as far as the time goes; the journal and the file of transactions
hold the rest, as they do after a kill -9. So nothing that hangs (a line, a node, a name server,
a disk) may keep the process: a thread ends it when its time is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger("dsq.supervisor.ending")

EXIT_SECONDS = 4.0
"""From the signal to the end of the process at the latest."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What ends a provider."""

LAST_WORDS_SECONDS = 0.1
"""The log's reader may hang too."""


class Ending:
    """Ends one piece of work when SIGTERM or SIGINT comes, and the process soon after it.

    Args:
        seconds: How long the process may go on after the signal.
        leave: Ends the process with an exit code, at once.

    Attributes:
        stop: Set by the signal.
    """

    def __init__(
        self, *, seconds: float = EXIT_SECONDS, leave: Callable[[int], object] = os._exit
    ) -> None:
        self.stop = asyncio.Event()
        self._seconds = seconds
        self._leave = leave
        self._timer: threading.Timer | None = None
        self._work: asyncio.Task[None] | None = None
        self._is_begun = False

    def begun(self) -> None:
        """From now on the work ends by itself at :attr:`stop`; before, it is broken off."""
        self._is_begun = True

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Does the work, and ends it on a signal.

        The time that the process has goes on after this returns: threads may be left over.
        """
        self._work = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        # Those of the process's start, which hold again when the loop has ended.
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number in SIGNALS:
            loop.add_signal_handler(number, self.end)
        try:
            await self._work
        except asyncio.CancelledError:
            if not self.stop.is_set():
                self._work.cancel()
                raise
            log.info("stopped before it had started")
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def end(self) -> None:
        """Ends the work; a second call changes nothing."""
        if self.stop.is_set():
            return
        self.stop.set()
        self._timer = threading.Timer(self._seconds, self._cut_off)
        self._timer.daemon = True
        self._timer.start()
        if not self._is_begun and self._work is not None:
            self._work.cancel()

    def _cut_off(self) -> None:
        words = threading.Thread(target=_say, args=(self._seconds,), daemon=True)
        words.start()
        words.join(LAST_WORDS_SECONDS)
        self._leave(0)


def _say(seconds: float) -> None:
    with contextlib.suppress(Exception):
        log.warning("stop=cut_off seconds=%.1f What is left is in the journal.", seconds)
