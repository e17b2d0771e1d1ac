"""Submitting again without doing it twice.

A submit has two halves: the sbatch service keeps the script and says its key, then the chain
is asked for a job that names it. A client may die between them, or before it knows that the
second was mined. Who names a submit finds out when he repeats it: the service gives the same
name and workflow the same key (for 24 hours), and the chain says whether a job of this
account names that key already.
"""

from __future__ import annotations

import asyncio

from dsq.core.chain import Chain
from dsq.core.chain.wire import Wire
from dsq.core.errors import TryAgainError
from dsq.core.model import Address, Job

KEPT_SECONDS = 25 * 3600
"""How far back a repeated submit can have made its job: the service's 24 hours, and some."""

PAGE = 100
POLL_SECONDS = 0.5


async def settled(chain: Chain, account: Address, *, seconds: float = 60.0) -> None:
    """Waits until no transaction of an account is under way.

    Before that nobody knows what an earlier process has done.

    Raises:
        TryAgainError: One still is.
    """
    wire = Wire(chain.rpc, account)
    deadline = asyncio.get_running_loop().time() + seconds
    while await wire.pending() > await wire.used():
        if asyncio.get_running_loop().time() >= deadline:
            raise TryAgainError(
                "A transaction of this account is under way and is not mined yet.",
                hint="Repeat this when it is: nothing is done twice then.",
            )
        await asyncio.sleep(POLL_SECONDS)


async def recent_by_script(chain: Chain, customer: Address) -> dict[str, Job]:
    """An account's jobs of the time that the service remembers names of submits, by script.

    Of several jobs that name one script the first that was made is taken.
    """
    found: dict[str, Job] = {}
    ids = (await chain.job_ids_of(customer))[::-1]
    since = (await chain.head()).timestamp - KEPT_SECONDS
    for start in range(0, len(ids), PAGE):
        for job in await chain.jobs(ids[start : start + PAGE]):
            if job.time.submit < since:
                return found
            found[job.definition.batch_location_hash] = job
    return found
