"""Things that are opened and closed: ``async with`` for those that have a ``close``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Something whose end is a ``close``; leaving an ``async with`` calls it."""

    @abstractmethod
    async def close(self) -> None:
        """Closes it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()
