"""Lines of one stream that are stored together."""

from __future__ import annotations

import asyncio

from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import WriteRequest
from dsq.sbatch.service.logframes import Lines, LogId
from dsq.sbatch.service.logstore import LogStore
from dsq.sbatch.service.metrics import Metrics

FLUSH_BYTES = 1 << 20
"""Lines of a stream are stored together up to so many bytes,"""

FLUSH_SECONDS = 0.1
"""and never wait longer than this."""


class Batch:
    """Lines of one stream that are stored together."""

    def __init__(self, store: LogStore, key: LogId, writer: bytes, metrics: Metrics) -> None:
        self._store = store
        self._key = key
        self._writer = writer
        self._metrics = metrics
        self._data: list[bytes] = []
        self._stamps: list[int] = []
        self._first: int | None = None
        self._bytes = 0
        self._next = 0
        self._end = False
        # Stores come one after the other: a later one must not overtake.
        self.storing = asyncio.Lock()

    async def add(self, request: WriteRequest) -> None:
        """Takes the lines of a request; stores those before them when they are enough."""
        self._end = self._end or request.end
        data, stamps = list(request.lines), list(request.timestamps)
        if not data:
            if request.end and not request.data:
                return
            data, stamps = [request.data], [request.timestamp]
        index = request.line_index if request.HasField("line_index") else None
        if index is None:
            # Old writers send lines with their ends.
            data = [line.removesuffix(b"\n").removesuffix(b"\r") for line in data]
        expected = None if self._first is None else self._first + len(self._data)
        if self._data and (index != expected or self._bytes >= FLUSH_BYTES):
            await self._store_lines(end=False)
        if not self._data:
            self._first = index
        self._data += data
        self._stamps += stamps
        self._bytes += sum(map(len, data))

    async def flush(self) -> int:
        """Stores what has come; returns the number that is expected next."""
        await self._store_lines(end=self._end)
        return self._next

    async def flush_now_and_then(self) -> None:
        """Stores what has come, for ever, so that readers of an open stream need not wait."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._store_lines(end=False)

    async def _store_lines(self, *, end: bool) -> None:
        async with self.storing:
            lines, size = Lines(self._data, self._stamps), self._bytes
            self._data, self._stamps, self._bytes = [], [], 0
            if lines.data or end:
                self._next = await self._store.append(
                    self._key, self._writer, lines, first_index=self._first, end=end
                )
                self._metrics.log_lines.labels("stored").inc(len(lines.data))
                self._metrics.log_bytes.labels("stored").inc(size)
