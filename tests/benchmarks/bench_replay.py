"""A restart with a long history: open jobs read, past events replayed, a picture built.

Each job is requested, placed and claimed, nine events a job; transfers of credits make up
the rest. Then a new process's questions are timed, each on a connection of its own.

    python -m tests.benchmarks.bench_replay [JOBS [EVENTS]]
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from dsq.core.chain import Chain, Follower, MemoryCursor, Sender, find_anvil
from dsq.core.clock import SystemClock
from dsq.core.config import cache_dir
from dsq.core.metascheduler.loop import EVENTS
from dsq.core.metascheduler.picture import Picture
from dsq.core.model import Address, JobDefinition, Label, ProviderHardware
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from tests.benchmarks.table import print_table
from tests.support.anvil import COINS, PRICES, DevGrid, dev_grid

BLOCK_SECONDS = 1.0
TOGETHER = 500
"""Requests under way at once while the history is made."""

BATCH = 50


async def history(grid: DevGrid, chain: Chain, jobs: int, events: int) -> None:
    """Makes jobs that a provider has claimed, and events."""
    calls = chain.calls
    provider = Wallet.generate()
    await grid.node.set_balance(provider.address, COINS * 100)
    await grid.node.set_balance(grid.operator.address, COINS * 100)
    async with Sender(chain, provider) as host, Sender(chain, grid.operator) as operator:
        hardware = ProviderHardware((0,), (10**6,), (10**9,))
        await host.send(calls.register(hardware, PRICES, [Label("name", "bench")]))
        await operator.send(calls.approve_provider(provider.address))
        await operator.send(calls.approve_credit(None, jobs * 100 * CREDIT))
        request = calls.request_new_job(JobDefinition(1, 1, 100), 100 * CREDIT)
        for start in range(0, jobs, TOGETHER):
            count = min(TOGETHER, jobs - start)
            await asyncio.gather(
                *(operator.send(request, gas=600_000, timeout=300) for _ in range(count))
            )
        for start in range(1, jobs + 1, 10 * BATCH):
            parts = [
                [
                    (job_id, provider.address)
                    for job_id in range(first, min(first + BATCH, jobs + 1))
                ]
                for first in range(start, min(start + 10 * BATCH, jobs + 1), BATCH)
            ]
            gas = BATCH * 150_000
            places = (operator.send(calls.meta_schedule_jobs(part), gas=gas) for part in parts)
            await asyncio.gather(*places)
            claims = (host.send(calls.claim_next_jobs(len(part)), gas=gas) for part in parts)
            await asyncio.gather(*claims)
        head = (await chain.head()).number
        missing = max(0, events - len(await chain.events(0, head)))
        pay = calls.transfer(Address(b"\x33" * 20), 1)
        for start in range(0, missing, TOGETHER):
            count = min(TOGETHER, missing - start)
            await asyncio.gather(
                *(operator.send(pay, gas=80_000, timeout=300) for _ in range(count))
            )


def node_seconds(grid: DevGrid) -> float:
    """CPU time that the node has used."""
    pid = json.loads((grid.node.home / "anvil.pid").read_text())["pid"]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def timed(
    grid: DevGrid, work: Callable[[Chain], Awaitable[int]]
) -> tuple[int, float, float, float]:
    """How much was read, in which time, with how much of this process's and the node's."""
    chain = await grid.connect()
    begun, used, nodes = time.perf_counter(), time.process_time(), node_seconds(grid)
    count = await work(chain)
    wall, ours = time.perf_counter() - begun, time.process_time() - used
    return count, wall, ours, node_seconds(grid) - nodes


async def _ids(chain: Chain) -> int:
    return len(await chain.open_job_ids(1, await chain.job_count()))


async def _jobs(chain: Chain) -> int:
    return len(await chain.jobs(await chain.open_job_ids(1, await chain.job_count())))


def _replay(names: tuple[str, ...] | None) -> Callable[[Chain], Awaitable[int]]:
    async def replay(chain: Chain) -> int:
        target, count = (await chain.head()).number, 0
        async for batch in Follower(chain, MemoryCursor(), names=names):
            count += len(batch.events)
            if batch.head.number >= target:
                break
        return count

    return replay


async def _picture(chain: Chain) -> int:
    picture = Picture(chain, SystemClock())
    await picture.rebuild()
    return len(picture.state.hot_ids())


WAYS: dict[str, Callable[[Chain], Awaitable[int]]] = {
    "numbers of open jobs (paged views)": _ids,
    "open jobs": _jobs,
    "every event, from the first block": _replay(None),
    "the meta-scheduler's events": _replay(EVENTS),
    "the meta-scheduler's first picture": _picture,
}


async def main(jobs: int, events: int) -> None:
    """Makes the history, reads it, prints a table."""
    anvil = find_anvil(cache_dir())
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        grid = await stack.enter_async_context(
            dev_grid(folder / "chain", anvil, block_time=BLOCK_SECONDS)
        )
        chain = await grid.connect()
        await history(grid, chain, jobs, events)
        rows = []
        for name, way in WAYS.items():
            count, seconds, ours, nodes = await timed(grid, way)
            rows.append([name, str(count), f"{seconds:.2f}", f"{ours:.2f}", f"{nodes:.2f}"])
        await stack.aclose()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print_table(
        f"A restart with {jobs} open jobs; largest memory {peak} MB",
        ["what is read", "count", "seconds", "our CPU seconds", "the node's CPU seconds"],
        rows,
    )


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [10_000, 100_000][len(given) :])))
