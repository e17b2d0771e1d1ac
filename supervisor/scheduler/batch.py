"""Many questions, one answer: callers at the same time share a query."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Batch(Generic[T]):
    """Collects keys that are asked for while a query runs, and asks for them in the next one.

    Args:
        load: Asks for some keys; those it does not return are unknown.
        pause: Seconds that a query waits for more keys.
    """

    def __init__(
        self, load: Callable[[Sequence[str]], Awaitable[dict[str, T]]], *, pause: float = 0.0
    ) -> None:
        self._load = load
        self._pause = pause
        self._lock = asyncio.Lock()
        self._next: tuple[set[str], asyncio.Task[dict[str, T]]] | None = None

    async def get(self, key: str) -> T | None:
        """Asks for one key, with all others that wait; None if it is unknown."""
        if self._next is None:
            keys: set[str] = set()
            self._next = keys, asyncio.create_task(self._run(keys))
        keys, task = self._next
        keys.add(key)
        return (await asyncio.shield(task)).get(key)

    async def _run(self, keys: set[str]) -> dict[str, T]:
        async with self._lock:
            await asyncio.sleep(self._pause)
            self._next = None  # from here on a new question waits for the next query
            return await self._load(sorted(keys))
