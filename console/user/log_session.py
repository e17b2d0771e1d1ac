"""Reads one job's log into a buffer, and goes on after a lost connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from dsq.console.user.port import GridPort
from dsq.console.widgets.log_buffer import LogBuffer
from dsq.console.widgets.log_fold import Folds
from dsq.core.errors import DsqError, NotFoundError, UnreachableError, WalletError

log = logging.getLogger("dsq.console.logs")

RETRY_SECONDS = 3.0
YIELD_EVERY = 500


class LogSession:
    """The log of one job, shared by the screens that show it.

    Attributes:
        live: More may come.
        words: What to say about it when there is nothing to show, or why it ended.
        users: Screens that show it now.
        wants_key: It ended because the wallet is locked.
        folds: Which steps of it are open, on every screen.
    """

    def __init__(self, job_id: int, grid: Callable[[], GridPort]) -> None:
        self.job_id = job_id
        self.buffer = LogBuffer()
        self.live = True
        self.words = "Waiting for output…"
        self.users = 0
        self.wants_key = False
        self.folds = Folds()
        self._grid = grid

    async def run(self) -> None:
        """Reads until the log is complete, or there is none."""
        self.live, self.wants_key = True, False
        while True:
            try:
                await self._read()
            except (NotFoundError, WalletError) as error:
                self.live, self.words = False, str(error)
                self.wants_key = isinstance(error, WalletError)
                return
            except UnreachableError as error:
                self.words = f"{error.message} Trying again…"
            except DsqError as error:
                self.live, self.words = False, str(error)
                return
            except Exception as error:  # a fault of ours must not end the console
                log.exception("reading the log failed job=%d", self.job_id)
                self.live, self.words = False, f"Reading failed: {type(error).__name__}."
                return
            else:
                self.live = False
                self.words = "" if len(self.buffer) else "The job left no output."
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self) -> None:
        grid = self._grid()
        # The log comes from its start again, so it goes into a buffer of its own, which takes
        # the old one's place once it holds as much: the screen never shows less than before.
        fresh = LogBuffer() if len(self.buffer) else self.buffer
        count = 0
        async for line in grid.logs(self.job_id, follow=True):
            fresh.append(line.data, line.timestamp_ns)
            count += 1
            if fresh.end >= self.buffer.end:
                self.buffer = fresh
                self.words = ""
            if count % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        if fresh.end >= self.buffer.end:
            self.buffer = fresh
