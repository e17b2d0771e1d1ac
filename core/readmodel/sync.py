"""Brings a read model up to date with the chain, reading only what can have changed.

A job that has ended never changes again, so what must be read are the jobs that came since
and those that were still open. Whether the file speaks of the same history is told by the
hash of the block at which it was last up to date.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import Protocol

from dsq.core.errors import NotFoundError
from dsq.core.model import Job
from dsq.core.readmodel.model import Anchor, ReadModel

PAGE = 200
"""Jobs read at once."""

DEPTH = 64
"""Blocks that a chain may take back without another hash at the anchor."""


class HeadLike(Protocol):
    """The newest block."""

    @property
    def number(self) -> int: ...
    @property
    def hash(self) -> bytes: ...


class JobSource(Protocol):
    """What is asked of the grid; ``dsq.core.grid.Grid`` answers it."""

    async def head(self) -> HeadLike:
        """The newest block."""
        ...

    async def block_hash(self, number: int) -> bytes | None:
        """The hash of the block with this number; None if there is none."""
        ...

    async def job_ids(self, after: int = 0) -> Sequence[int]:
        """Numbers of the account's jobs, oldest first, without the first ``after``."""
        ...

    async def jobs_by_id(self, ids: Sequence[int]) -> list[Job]:
        """Those jobs, in this order."""
        ...


class JobSink(Protocol):
    """Where the jobs go: the model itself, or what stands before it."""

    @property
    def model(self) -> ReadModel:
        """Where the anchor is kept."""
        ...

    def put_all(self, jobs: Iterable[Job]) -> None:
        """Takes jobs of the chain."""
        ...

    def hot_ids(self) -> Collection[int]:
        """Jobs that were open when they were read last."""
        ...

    def flush(self) -> None:
        """Returns when what was put is in the model's file."""
        ...

    def reset(self) -> None:
        """Forgets all jobs."""
        ...


async def synchronise(grid: JobSource, sink: JobSink) -> AsyncIterator[int]:
    """Reads what is missing, newest jobs first; yields after each page how many are to come.

    Stopped half way it loses nothing: the next call goes on with what is still missing.

    Raises:
        UnreachableError: The chain does not answer.
        NotFoundError: A known job is gone: the chain went back. The sink was reset; call again.
    """
    try:
        async for to_come in _read(grid, sink):
            yield to_come
    except NotFoundError:
        sink.reset()
        raise


async def _read(grid: JobSource, sink: JobSink) -> AsyncIterator[int]:
    model = sink.model
    head = await grid.head()
    anchor = model.anchor
    if anchor is not None and await grid.block_hash(anchor.number) != anchor.hash:
        sink.reset()
        anchor = None
    count = anchor.count if anchor is not None else 0
    # What ended shortly before or since may have ended on a branch that is gone.
    doubtful = model.changed_since(anchor.number - DEPTH) if anchor is not None else set()
    # Said before the first page, so that what a stopped reading brought is trusted later.
    model.set_anchor(Anchor(head.number, head.hash, count))
    fresh = await grid.job_ids(count)
    known = model.statuses(fresh)
    wanted = {each for each in fresh if each not in known or known[each].is_hot}
    todo = sorted(wanted | doubtful | set(sink.hot_ids()), reverse=True)
    for start in range(0, len(todo), PAGE):
        sink.put_all(await grid.jobs_by_id(todo[start : start + PAGE]))
        yield max(0, len(todo) - start - PAGE)
    sink.flush()
    model.set_anchor(Anchor(head.number, head.hash, count + len(fresh)))
