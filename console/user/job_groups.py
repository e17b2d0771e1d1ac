"""The jobs of a group taken together, worked out once for each state of the store."""

from __future__ import annotations

from collections.abc import Iterable

from dsq.core.groups import membership
from dsq.core.model import Job
from dsq.core.readmodel import GroupTotals, ReadModel


class JobGroups:
    """Groups of jobs, by their names.

    Args:
        model: The file with all jobs.
    """

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._revision = -1
        self._totals: dict[str, GroupTotals] = {}
        self._open: dict[str, list[Job]] | None = None

    def totals(self, name: str, revision: int) -> GroupTotals:
        """The jobs of a group, counted and summed up."""
        self._forget_older_than(revision)
        if name not in self._totals:
            self._totals[name] = self._model.group(name)
        return self._totals[name]

    def open_of(self, name: str, hot: Iterable[Job], revision: int) -> list[Job]:
        """The jobs of a group among those that have not ended."""
        self._forget_older_than(revision)
        if self._open is None:
            self._open = {}
            for job in hot:
                if (group := membership(job.name)) is not None:
                    self._open.setdefault(group.group, []).append(job)
        return self._open.get(name, [])

    def _forget_older_than(self, revision: int) -> None:
        if self._revision != revision:
            self._totals, self._open, self._revision = {}, None, revision
