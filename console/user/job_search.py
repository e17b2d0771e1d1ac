"""Searching very many jobs in the read model's file beside the screen, not in it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from array import array

from dsq.core.model import Job
from dsq.core.readmodel import Filter, Order, ReadModel
from dsq.core.readmodel.spending import WAYS, Spent, spent_by


class JobSearch:
    """One search in another thread, through a connection of its own.

    Args:
        model: The file that is searched.
        now: Unix seconds, for what depends on the time.
        fold: Of each group of jobs only the newest.

    Attributes:
        seconds: How long it took; 0 until it has ended.
    """

    def __init__(
        self, model: ReadModel, wanted: Filter, order: Order, *, now: float, fold: bool
    ) -> None:
        self.seconds = 0.0
        self._model = model
        self._asked = (wanted, order)
        self._now = now
        self._fold = fold
        self._second: ReadModel | None = None
        self._given_up = False

    async def run(self) -> array[int] | None:
        """Numbers of the jobs that pass, in order; None after :meth:`give_up`."""
        begun = time.monotonic()
        found = await asyncio.to_thread(self._search)
        self.seconds = time.monotonic() - begun
        return found

    def give_up(self) -> None:
        """Ends it soon: something else is wanted now."""
        self._given_up = True
        second = self._second
        if second is not None and second is not self._model:
            second.interrupt()

    def _search(self) -> array[int] | None:
        with self._model.second() as second:
            self._second = second
            try:
                if self._given_up:
                    return None
                return second.ids(*self._asked, now=self._now, fold=self._fold)
            except sqlite3.OperationalError:
                if self._given_up:
                    return None
                raise
            finally:
                self._second = None


def sums_of(model: ReadModel, limit: int) -> dict[str, list[Spent]]:
    """What jobs have cost, added up in each way; for another thread."""
    with model.second() as second:
        return {way: spent_by(second, way, limit) for way in WAYS}


def read_rest(model: ReadModel) -> tuple[array[int], list[Job]]:
    """Numbers of all jobs, oldest first, and the open jobs; for another thread."""
    with model.second() as second:
        return second.ids(order=Order("id", descending=False)), second.hot()
