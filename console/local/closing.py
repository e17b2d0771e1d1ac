"""The orderly end of a local grid's jobs, before its services stop.

Providers read ``control.json`` in their state folder: ``pause`` stops claiming,
``evict`` also ends the jobs of the cluster. The chain says when all are settled.
"""

from __future__ import annotations

import asyncio
import json

from dsq.console.local.home import Home, Options, write_atomically
from dsq.console.local.progress import Tell
from dsq.core.chain import Chain
from dsq.core.config import read_grid_json
from dsq.core.errors import DsqError
from dsq.core.model import Address, Job, JobStatus

SETTLE_SECONDS = 60.0
"""How long ``down`` waits for the reports of evicted jobs."""


def control(home: Home, name: str, mode: str) -> None:
    """Tells a provider ``run``, ``pause`` or ``evict``."""
    folder = home.provider(name) / "state"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "control.json", json.dumps({"mode": mode}) + "\n")


async def open_jobs(chain: Chain, providers: set[Address]) -> list[Job]:
    """Jobs that these providers have claimed and not yet ended."""
    jobs = await chain.jobs(range(1, await chain.job_count() + 1))
    held = (JobStatus.SCHEDULED, JobStatus.RUNNING)
    return [job for job in jobs if job.provider in providers and job.status in held]


async def close_providers(home: Home, options: Options, *, wait: bool, tell: Tell) -> None:
    """Stops claiming; ends (or with ``wait`` awaits) the jobs of clusters in the home."""
    if not home.grid_file.exists():
        return
    names = home.provider_names(options.providers)
    ends_jobs = options.owns_cluster and not wait
    for name in names:
        control(home, name, "evict" if ends_jobs else "pause")
    if not options.owns_cluster and not wait:
        return
    config = read_grid_json(home.path)
    providers = {Address.parse(home.key(f"provider-{name}").address) for name in names}
    try:
        async with await Chain.connect(
            config.rpc_url, chain_id=config.chain_id, metascheduler=config.metascheduler_address
        ) as chain:
            await _await_settled(chain, providers, wait=wait, tell=tell)
    except DsqError as error:
        tell(f"jobs       not all could be settled: {error}")


async def _await_settled(chain: Chain, providers: set[Address], *, wait: bool, tell: Tell) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_SECONDS
    told = -1
    while jobs := await open_jobs(chain, providers):
        if len(jobs) != told:
            told = len(jobs)
            tell(f"jobs       {'waiting for' if wait else 'ending'} {told}")
        if not wait and loop.time() > deadline:
            ids = ", ".join(str(job.id) for job in jobs)
            tell(f"jobs       still open: {ids}; the next 'dsq up' settles them")
            return
        await asyncio.sleep(0.3)
