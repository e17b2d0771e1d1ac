"""A restart with a long history: open jobs read, past events replayed, all of it reconciled.

The history is made with many requests a transaction (:mod:`tests.support.crowd`). Each job is
requested, placed and claimed, one in ten is reported as running; jobs that their customer
cancelled at once make up the rest of the events. Then a new process's questions are timed, each
on a connection of its own, and at last supervisors are started, in processes of their own
(:mod:`tests.benchmarks.restarted`): real but for the programs of Slurm, whose queue and books
show every job. One knows where it had read to, as after any stop; one hears every event once
more; one does the first with many closed jobs in its journal, too. The very first one had no job,
and shows what such a process needs by itself.

    python -m tests.benchmarks.bench_replay [JOBS [EVENTS [CLOSED]]]

EVENTS are those that a supervisor hears; the chain has several times as many. CLOSED are jobs that
the journal alone still knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from dsq.core.chain import Chain, Cursor, Follower, MemoryCursor, Sender, find_anvil
from dsq.core.chain.calls import Report
from dsq.core.chain.follower import RANGE_BLOCKS
from dsq.core.chain.logs import FIRST_RANGE, next_range
from dsq.core.chain.rpc import number
from dsq.core.clock import SystemClock
from dsq.core.config import cache_dir
from dsq.core.metascheduler.loop import EVENTS
from dsq.core.metascheduler.picture import Picture
from dsq.core.model import JobStatus
from dsq.supervisor.hearing import EVENTS as HEARD
from tests.benchmarks.place import Claimed, Place
from tests.benchmarks.restarted import Restarted
from tests.benchmarks.table import print_table
from tests.support.anvil import CHAIN_ID
from tests.support.crowd import Crowd, QuickNode, crowd, quick_node

RUNNING_SHARE = 10
"""One job in so many runs."""

REPORTS = 128
BLOCK_SECONDS = 2


async def history(grid: Crowd, place: Place, jobs: int, events: int) -> None:
    """Makes jobs that the provider has claimed, and as many events as it is to hear."""
    mine = await grid.jobs(jobs)
    store = place.folder / "state" / "tx.db"
    await grid.placed(mine, place.wallet, store)
    now = (await grid.chain.head()).timestamp
    running = mine[::RUNNING_SHARE]
    async with Sender(grid.chain, place.wallet, store=store) as host:
        for start in range(0, len(running), REPORTS):
            reports = [
                Report(job_id, JobStatus.RUNNING, start=now)
                for job_id in running[start : start + REPORTS]
            ]
            await host.send(grid.chain.calls.report_jobs(reports))
    have = len(await grid.chain.events(0, (await grid.chain.head()).number, HEARD))
    await grid.changes(max(0, events - have))


async def open_jobs(grid: Crowd, place: Place) -> list[Claimed]:
    """The jobs that the chain shows as the provider's, each with its claim."""
    chain = grid.chain
    ids = await chain.open_job_ids(1, await chain.job_count())
    jobs = [job for job in await chain.jobs(ids) if job.provider == place.wallet.address]
    head = (await chain.head()).number
    events = await chain.events(0, head, ("ClaimJobEvent",))
    claims = {event.args["job_id"]: event for event in events}
    stamps = await chain.block_timestamps({event.block_number for event in events})
    return [
        Claimed(job, claims[job.id].tx_hash, stamps[claims[job.id].block_number]) for job in jobs
    ]


def node_seconds(grid: Crowd) -> float:
    """CPU time that the node has used."""
    fields = Path(f"/proc/{grid.node.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def timed(
    grid: Crowd, work: Callable[[Chain], Awaitable[int]]
) -> tuple[int, float, float, float]:
    """How much was read, in which time, with how much of this process's and the node's."""
    at = grid.deployment.addresses.metascheduler
    async with await Chain.connect(grid.node.url, chain_id=CHAIN_ID, metascheduler=at) as chain:
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


async def _bare(chain: Chain) -> int:
    """The logs that a supervisor hears, asked for as it does, and only read as JSON."""
    head, first, blocks, count = (await chain.head()).number, 0, FIRST_RANGE, 0
    query = chain.reader(HEARD).filter()
    while first <= head:
        last = min(head, first + blocks - 1)
        wanted = {**query, "fromBlock": hex(first), "toBlock": hex(last)}
        logs = await chain.rpc.request("eth_getLogs", [wanted])
        blocks = next_range(last - first + 1, len(logs), RANGE_BLOCKS)
        first, count = last + 1, count + len(logs)
    return count


async def _picture(chain: Chain) -> int:
    picture = Picture(chain, SystemClock())
    await picture.rebuild()
    return len(picture.state.hot_ids())


WAYS: dict[str, Callable[[Chain], Awaitable[int]]] = {
    "numbers of open jobs (paged views)": _ids,
    "open jobs": _jobs,
    "a supervisor's events, bare eth_getLogs": _bare,
    "a supervisor's events, followed": _replay(HEARD),
    "the meta-scheduler's events": _replay(EVENTS),
    "the meta-scheduler's first picture": _picture,
}


def _row(what: str, count: int, *seconds: float) -> list[str]:
    return [what, f"{count:,}", *(f"{part:.2f}" for part in seconds)]


async def restarts(
    grid: Crowd, place: Place, empty: Restarted, jobs: Sequence[Claimed], closed: int
) -> list[list[str]]:
    """Starts supervisors with all of the history; rows of a table."""
    head, first = await grid.chain.head(), 1 + max(one.job.id for one in jobs)
    here, rows = Cursor(head.number, head.hash), []
    for what, cursor, past in (
        ("where it had read to", here, 0),
        ("every event once more", Cursor(0, b""), 0),
        (f"where it had read to, {closed:,} closed jobs in the journal", here, closed),
    ):
        await asyncio.to_thread(place.keep_closed, range(first, first + past))
        await asyncio.to_thread(place.keep, jobs)
        await asyncio.to_thread(place.stand_at, cursor)
        nodes = node_seconds(grid)
        done = await place.restarted(os.environ.get("PROFILE", "") and f"{len(rows)}.prof")
        rows.append(
            [
                f"{what}: {done.events:,} events",
                *(f"{part:.2f}" for part in (done.wall, done.judged, done.cpu)),
                f"{node_seconds(grid) - nodes:.2f}",
                f"{done.requests} / {done.calls:,}",
                f"{done.rss - empty.rss:.0f} / {done.uss - empty.uss:.0f}",
                f"{done.peak - empty.peak:.0f}",
            ]
        )
    return rows


async def main(jobs: int, events: int, closed: int) -> None:
    """Makes the history, reads it, starts supervisors, prints tables."""
    folder = Path(tempfile.mkdtemp(prefix="dsq-replay-"))
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        node: QuickNode = await stack.enter_async_context(quick_node(find_anvil(cache_dir())))
        grid = await stack.enter_async_context(crowd(node))
        place = Place.made(folder / "provider", grid)
        await node.give_coins(place.wallet.address, grid.operator.address)
        await place.restarted()  # registers
        await grid.operator.send(grid.chain.calls.approve_provider(place.wallet.address))
        empty = await place.restarted()
        began = time.perf_counter()
        await history(grid, place, jobs, events)
        known = await open_jobs(grid, place)
        made = time.perf_counter() - began
        await node.rpc.request("evm_setIntervalMining", [BLOCK_SECONDS])
        total = number(await node.rpc.request("eth_blockNumber"))
        rows = [_row(name, *await timed(grid, way)) for name, way in WAYS.items()]
        restarted = await restarts(grid, place, empty, known, closed)
    print_table(
        f"Reading a chain with {jobs:,} open jobs in {total:,} blocks (made in {made:.0f} s)",
        ["what is read", "count", "seconds", "our CPU seconds", "the node's CPU seconds"],
        rows,
    )
    print_table(
        f"A supervisor started with {jobs:,} open jobs; without any it has"
        f" {empty.rss:.0f} MB and needs {empty.wall:.2f} s",
        [
            *("it hears", "seconds", "until all are judged", "its CPU seconds"),
            *("the node's", "requests / calls", "MB above empty, RSS / USS", "at most"),
        ],
        restarted,
    )


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [10_000, 100_000, 90_000][len(given) :])))
