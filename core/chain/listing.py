"""Lists of an account's jobs: pages where the contracts have them, whole lists elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsq.core.chain import codec
from dsq.core.chain.rpc import RpcError
from dsq.core.errors import ContractError
from dsq.core.model import Address

if TYPE_CHECKING:
    from dsq.core.chain.views import Views

PAGE = 5_000
"""Ids in one page: 1,100 gas each, a tenth of what nodes give a call."""

TOGETHER = 20
"""Pages asked for at once."""


async def ids_of_customer(chain: Views, customer: Address, after: int = 0) -> list[int]:
    """A customer's jobs, oldest first, without the first ``after``."""
    try:
        count = int(await chain.view("JobRepository", "jobCountByCustomer", customer))
    except ContractError:
        ids = await chain.view("JobRepository", "getByCustomer", customer)
        return [codec.job_id_from_bytes(job_id) for job_id in ids][after:]
    view = ("JobRepository", "getByCustomerPaged")
    return await _pages(chain, view, customer, range(after, count, PAGE))


async def ids_of_provider(chain: Views, provider: Address) -> list[int]:
    """Jobs that were placed with a provider, in that order, each once."""
    count = int(await chain.view("ProviderJobQueues", "jobCountByProvider", provider))
    view = ("ProviderJobQueues", "getByProviderPaged")
    ids = await _pages(chain, view, provider, range(0, count, PAGE))
    return list(dict.fromkeys(ids))


async def _pages(chain: Views, view: tuple[str, str], account: Address, starts: range) -> list[int]:
    calls = [(*view, (account, start, PAGE)) for start in starts]
    found: list[int] = []
    for start in range(0, len(calls), TOGETHER):
        for ids in await chain.views(calls[start : start + TOGETHER]):
            found += map(codec.job_id_from_bytes, ids)
    return found


async def locked_of(chain: Views, customer: Address) -> int:
    """Wei that are locked in a customer's open jobs.

    Which jobs are open is one view over many jobs; only the customer's own open ones are
    read, and of those only the part that changes.
    """
    ids = await ids_of_customer(chain, customer)
    if not ids:
        return 0
    still_open = set(await chain.open_job_ids(min(ids), max(ids)))
    mine = [job_id for job_id in ids if job_id in still_open]
    try:
        states = await chain.views(
            [("JobRepository", "getState", (codec.job_id_to_bytes(job_id),)) for job_id in mine]
        )
    except (ContractError, RpcError):
        jobs = await chain.jobs(mine)
        return sum(job.cost.max_cost for job in jobs if job.status.is_hot)
    # A state is (status, customer, provider, (maxCost, ...), ...); 0 to 3 are the open statuses.
    return sum(int(state[3][0]) for state in states if state[0] <= 3)
