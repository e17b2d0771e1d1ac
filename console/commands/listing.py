"""Finding jobs for ``dsq jobs``: the same search as the console's, in the same file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsq.core.grid import Grid
    from dsq.core.model import Address, Job
    from dsq.core.readmodel import Filter, Order, ReadModel
    from dsq.core.readmodel.sync import HeadLike


@dataclass(frozen=True)
class AccountJobs:
    """The jobs of one account, as the read model asks for them."""

    grid: Grid
    account: Address

    async def head(self) -> HeadLike:
        return await self.grid.head()

    async def block_hash(self, number: int) -> bytes | None:
        return await self.grid.block_hash(number)

    async def job_ids(self, after: int = 0) -> Sequence[int]:
        return await self.grid.job_ids(after, customer=self.account)

    async def jobs_by_id(self, ids: Sequence[int]) -> list[Job]:
        return await self.grid.jobs_by_id(ids)


@contextlib.asynccontextmanager
async def up_to_date(grid: Grid, account: Address) -> AsyncIterator[ReadModel]:
    """The console's file of an account's jobs; only new and open jobs are read.

    Raises:
        UnreachableError: The chain does not answer.
    """
    from dsq.core.readmodel import ReadModel, read_model_path
    from dsq.core.readmodel.sync import synchronise

    model = ReadModel(read_model_path(grid.config, account))
    try:
        async for _ in synchronise(AccountJobs(grid, account), model):
            pass
        yield model
    finally:
        model.close()


async def find_jobs(
    grid: Grid, account: Address, wanted: Filter, order: Order, limit: int | None
) -> list[Job]:
    """Jobs of an account that pass a filter, in order.

    Raises:
        UnreachableError: The chain does not answer.
    """
    async with up_to_date(grid, account) as model:
        if "providers" in wanted.where:
            model.put_providers(await grid.providers())
        ids = model.ids(wanted, order, now=time.time(), limit=limit)
        known = model.get(ids)
        return [known[job_id] for job_id in ids]
