"""A restart with a long history: open jobs read, past events replayed, all of it reconciled.

The history is made with many requests a transaction (:mod:`tests.support.crowd`). Each job is
requested, placed and claimed, one in ten is reported as running; jobs that their customer
cancelled at once make up the rest of the events. Then a new process's questions are timed, each
on a connection of its own, and at last supervisors are started, in processes of their own
(:mod:`tests.benchmarks.restarted`): real but for the programs of Slurm, whose queue and books
show every job. One knows where it had read to, as after any stop; one hears every event once
more. The first one had no job, and shows what such a process needs by itself.

    python -m tests.benchmarks.bench_replay [JOBS [EVENTS]]

EVENTS are those that a supervisor hears; the chain has several times as many.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
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
from dsq.core.model import Job, JobStatus
from dsq.core.wallet import Wallet
from dsq.supervisor.agent import EVENTS as HEARD
from dsq.supervisor.claims import BEGUN
from dsq.supervisor.journal import Journal
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.run import JournalCursor
from dsq.supervisor.scheduler.port import SlurmJob
from tests.benchmarks.restarted import REASON, Restarted
from tests.benchmarks.table import print_table
from tests.support.anvil import CHAIN_ID
from tests.support.crowd import Crowd, QuickNode, crowd, quick_node
from tests.support.slurm_books import SlurmBooks

RUNNING_SHARE = 10
"""One job in so many runs."""

MINUTES = 60
REPORTS = 128
BLOCK_SECONDS = 2


@dataclass
class Place:
    """A provider: its key, its folder, its cluster."""

    folder: Path
    key: str
    wallet: Wallet
    books: SlurmBooks

    @classmethod
    def made(cls, folder: Path, grid: Crowd) -> Place:
        """A provider that nobody knows yet."""
        key = os.urandom(32).hex()
        folder.mkdir(parents=True)
        books = SlurmBooks(folder / "slurm")
        (folder / "provider.toml").write_text(
            f'''
name = "bench"
state_dir = "state"
shared_account = true
[chain]
rpc_url = "{grid.node.url}"
chain_id = {CHAIN_ID}
metascheduler = "{grid.deployment.addresses.metascheduler}"
[services]
sbatch_grpc = "127.0.0.1:1"
[cluster]
kind = "slurm"
bin_dir = "{books.folder}"
[benchmark]
probe = false
[http]
listen = ""
'''
        )
        return cls(folder, key, Wallet.from_key("0x" + key), books)

    async def restarted(self, profile: str = "") -> Restarted:
        """Starts the supervisor, and ends it when all is reconciled."""
        argv = [sys.executable, "-m", "tests.benchmarks.restarted"]
        argv += [str(self.folder / "provider.toml"), *([profile] if profile else [])]
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe)
        out, _ = await child.communicate(f"0x{self.key}\n".encode())
        assert child.returncode == 0
        return Restarted(**json.loads(out))

    def keep(self, jobs: Sequence[Job], claims: dict[int, bytes], times: dict[int, int]) -> None:
        """Has journal and cluster know jobs: all in Slurm, as the chain has them."""
        journal = Journal(self.folder / "state" / "journal.db")
        records, now = [], int(time.time())
        for job in jobs:
            runs = job.status is JobStatus.RUNNING
            records.append(
                JobRecord(
                    job.id, job.customer, job.definition, claim_tx=claims[job.id],
                    claimed_at=times[job.id], claim_time=times[job.id], bought_minutes=MINUTES,
                    limit_minutes=MINUTES, limit_bought=MINUTES, attempt=1,
                    token=os.urandom(8).hex(), slurm_id=str(100_000 + job.id),
                    submit_time=times[job.id] + 1, phase=Phase.SEEN, logging=False,
                    slurm_state="RUNNING" if runs else "PENDING",
                    slurm_reason="" if runs else "Priority",
                    nodes="n1" if runs else "", started_at=job.time.start,
                    reported=JobStatus.RUNNING if runs else None, proved_at=now,
                )
            )  # fmt: skip
        journal.save_all([(record, "") for record in records])
        journal.close()
        self.books.show(
            SlurmJob(
                record.slurm_id, record.submit_time, user="bench", state=record.slurm_state,
                reason="" if record.started_at else REASON, start=record.started_at,
                nodes=REASON if record.started_at else "", time_limit_minutes=MINUTES,
            )
            for record in records
        )  # fmt: skip

    def stand_at(self, cursor: Cursor) -> None:
        """Has the next supervisor begin to read behind a block."""
        journal = Journal(self.folder / "state" / "journal.db")
        journal.set_meta(BEGUN, "1")
        JournalCursor(journal).save(cursor)
        journal.close()


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


async def known(grid: Crowd, place: Place) -> None:
    """Has journal and cluster know all open jobs."""
    chain = grid.chain
    ids = await chain.open_job_ids(1, await chain.job_count())
    jobs = [job for job in await chain.jobs(ids) if job.provider == place.wallet.address]
    head = (await chain.head()).number
    events = await chain.events(0, head, ("ClaimJobEvent",))
    claims = {event.args["job_id"]: event.tx_hash for event in events}
    stamps = await chain.block_timestamps({event.block_number for event in events})
    times = {event.args["job_id"]: stamps[event.block_number] for event in events}
    await asyncio.to_thread(place.keep, jobs, claims, times)


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


async def restarts(grid: Crowd, place: Place, empty: Restarted) -> list[list[str]]:
    """Starts supervisors with all of the history; rows of a table."""
    head = await grid.chain.head()
    rows = []
    for what, cursor in (
        ("where it had read to", Cursor(head.number, head.hash)),
        ("every event once more", Cursor(0, b"")),
    ):
        await asyncio.to_thread(place.stand_at, cursor)
        nodes = node_seconds(grid)
        done = await place.restarted(os.environ.get("PROFILE", "") and f"{what[:5]}.prof")
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


async def main(jobs: int, events: int) -> None:
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
        await known(grid, place)
        made = time.perf_counter() - began
        await node.rpc.request("evm_setIntervalMining", [BLOCK_SECONDS])
        total = number(await node.rpc.request("eth_blockNumber"))
        rows = [_row(name, *await timed(grid, way)) for name, way in WAYS.items()]
        restarted = await restarts(grid, place, empty)
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
    asyncio.run(main(*(given + [10_000, 100_000][len(given) :])))
