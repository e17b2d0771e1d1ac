"""News of blocks over a WebSocket, as a hint only.

The hint wakes a poll early. Without it, or while its connection is lost, polling goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from types import TracebackType
from typing import Self

from dsq.core.chain.jsonrpc import public_url, quiet_libraries, redact
from dsq.core.clock import Clock

log = logging.getLogger("dsq.core.chain.heads")

RETRY_SECONDS = 5.0


class HeadHint:
    """Wakes :meth:`wait` when the node tells of a block.

    Args:
        ws_url: WebSocket endpoint; None for no hints.
    """

    def __init__(self, ws_url: str | None) -> None:
        self._url = ws_url
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._url:
            self._task = asyncio.create_task(self._listen(self._url), name="chain-heads")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def wait(self, seconds: float, clock: Clock) -> None:
        """Waits for news, at most ``seconds``."""
        if self._task is None:
            await clock.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            # Not wait_for: before Python 3.12 it may swallow a cancellation.
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    async def _listen(self, url: str) -> None:
        # In a thread: importing web3 takes a second.
        web3 = await asyncio.to_thread(importlib.import_module, "web3")
        quiet_libraries()
        while True:
            try:
                provider = web3.WebSocketProvider(url, max_connection_retries=1)
                async with web3.AsyncWeb3(provider) as w3:
                    await w3.eth.subscribe("newHeads")
                    async for _ in w3.socket.process_subscriptions():
                        self._news.set()
            except Exception as error:
                # Whatever it was, polling goes on.
                reason = redact(repr(error), url)
                log.debug("heads=lost node=%s reason=%s", public_url(url), reason)
            await asyncio.sleep(RETRY_SECONDS)
