"""Requests that are made in the same moment, as one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dsq.core.chain.rpc import Rpc, RpcError
from dsq.core.errors import DsqError


class Together:
    """Collects requests of one turn of the event loop, and sends them as one batch.

    Args:
        rpc: The nodes.
    """

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._waiting: list[tuple[str, Sequence[Any], asyncio.Future[Any]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def request(self, method: str, params: Sequence[Any]) -> Any:
        """As :meth:`Rpc.request`."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((method, params, future))
        if len(self._waiting) == 1:
            task = asyncio.create_task(self._flush())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _flush(self) -> None:
        calls, self._waiting = self._waiting, []
        try:
            answers = await self._rpc.batch([(method, params) for method, params, _ in calls])
        except DsqError as error:
            answers = [error] * len(calls)
        for (_, _, future), answer in zip(calls, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, DsqError | RpcError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
