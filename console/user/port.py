"""What the console asks of the grid: the part of ``dsq.core.grid.Grid`` that it uses.

The screens know this protocol only. Tests put a fake in its place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Protocol

from dsq.core.model import (
    Address,
    Affinity,
    Constants,
    Job,
    JobDefinition,
    JobStatus,
    Label,
    Provider,
    WhyNot,
)


class HeadLike(Protocol):
    """The newest block."""

    @property
    def number(self) -> int: ...
    @property
    def hash(self) -> bytes: ...
    @property
    def timestamp(self) -> int: ...


class EventLike(Protocol):
    """A decoded event of the grid's contracts."""

    @property
    def name(self) -> str: ...
    @property
    def args(self) -> Mapping[str, Any]: ...


class BatchLike(Protocol):
    """Events of some blocks; ``reset`` means that the chain went back."""

    @property
    def events(self) -> Sequence[EventLike]: ...
    @property
    def head(self) -> HeadLike: ...
    @property
    def reset(self) -> bool: ...


class BalanceLike(Protocol):
    """Money of one account, in wei."""

    @property
    def balance_wei(self) -> int: ...
    @property
    def allowance_wei(self) -> int: ...
    @property
    def native_wei(self) -> int: ...
    @property
    def locked_wei(self) -> int: ...


class WhyLike(Protocol):
    """Why a job waits: place (from 1) among how many, and each provider's sentence."""

    @property
    def place(self) -> int: ...
    @property
    def of(self) -> int: ...
    @property
    def providers(self) -> Sequence[WhyNot]: ...


class TransitionLike(Protocol):
    """One step in a job's life."""

    @property
    def status(self) -> JobStatus: ...
    @property
    def at(self) -> int: ...
    @property
    def block_number(self) -> int: ...
    @property
    def tx_hash(self) -> bytes: ...


class LogLineLike(Protocol):
    """One line of a job's output."""

    @property
    def data(self) -> bytes: ...
    @property
    def timestamp_ns(self) -> int: ...


class GridPort(Protocol):
    """The grid through one wallet. Errors are those of ``dsq.core.errors``."""

    @property
    def address(self) -> Address: ...
    async def close(self) -> None: ...
    async def head(self) -> HeadLike: ...
    async def constants(self) -> Constants: ...
    async def job(self, job_id: int) -> Job: ...
    async def job_ids(self, after: int = 0) -> Sequence[int]: ...
    async def jobs_by_id(self, ids: Sequence[int]) -> list[Job]: ...
    async def block_hash(self, number: int) -> bytes | None: ...
    def changes(self) -> AsyncIterator[BatchLike]: ...
    async def history(self, job: Job) -> Sequence[TransitionLike]: ...
    async def why(self, job_id: int) -> WhyLike: ...
    def logs(self, job_id: int, *, follow: bool = False) -> AsyncIterator[LogLineLike]: ...
    async def balance(self) -> BalanceLike: ...
    async def providers(self) -> list[Provider]: ...
    async def estimate(self, definition: JobDefinition, wei: int) -> list[WhyNot]: ...
    async def submit(
        self,
        workflow: Mapping[str, Any],
        credits: int,  # noqa: A002 - the word of the trade
        *,
        name: str = "",
        uses: Iterable[Label] = (),
        affinity: Iterable[Affinity] = (),
    ) -> Job: ...
    async def cancel(self, job_id: int) -> Job: ...
    async def top_up(self, job_id: int, wei: int) -> Job: ...
