"""A restart with a long history: open jobs read, past events replayed, a picture built.

Each job is requested, placed and claimed, nine events a job; transfers of credits make up
the rest. Then a new process's questions are timed, each on a connection of its own, and
at last a whole supervisor is started: its journal knows all the jobs, its cluster is a fake
that shows them as waiting, and it hears every event once more.

    python -m tests.benchmarks.bench_replay [JOBS [EVENTS]]
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from dsq.core.chain import Chain, Cursor, Follower, MemoryCursor, Sender, find_anvil
from dsq.core.clock import SystemClock
from dsq.core.config import cache_dir
from dsq.core.errors import TryAgainError
from dsq.core.metascheduler.loop import EVENTS
from dsq.core.metascheduler.picture import Picture
from dsq.core.model import Address, Job, JobDefinition, Label, ProviderHardware
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from dsq.supervisor.agent import EVENTS as HEARD
from dsq.supervisor.agent import Agent
from dsq.supervisor.claims import BEGUN
from dsq.supervisor.journal import Journal
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.run import JournalCursor
from dsq.supervisor.scheduler.port import SlurmJob, SlurmJobId
from tests.benchmarks.table import print_table
from tests.support.anvil import COINS, PRICES, DevGrid, dev_grid
from tests.support.fakes import FakeChain, FakeScheduler, FakeScripts, FakeSender, World
from tests.support.provider import settings as provider_settings

BLOCK_SECONDS = 1.0
TOGETHER = 500
"""Requests under way at once while the history is made."""

BATCH = 50


async def history(grid: DevGrid, chain: Chain, jobs: int, events: int) -> Address:
    """Makes jobs that a provider has claimed, and events. Returns that provider."""
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
    return provider.address


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


class Waiting(FakeScheduler):
    """A cluster that shows every job as waiting."""

    async def poll(self, jobs: Sequence[SlurmJobId]) -> dict[str, SlurmJob]:
        """See the port."""
        return {job.id: SlurmJob(job.id, 1, state="PENDING", reason="Priority") for job in jobs}


class Mute(FakeSender):
    """Sends nothing; what was sent before was its own."""

    def knows(self, tx_hash: bytes) -> bool:
        """Everything."""
        return True

    async def submit(self, call: Any, **_options: Any) -> bytes:
        """Nothing goes out."""
        raise TryAgainError("Nothing is sent in this benchmark.")


def write_journal(folder: Path, jobs: Sequence[Job]) -> None:
    """A journal that knows jobs, all of them in Slurm, and has read the first block."""
    journal = Journal(provider_settings(folder).state_dir / "journal.db")
    records = [
        JobRecord(
            job.id, job.customer, job.definition, claim_tx=b"x" * 32, claimed_at=1, claim_time=1,
            bought_minutes=60, limit_minutes=60, limit_bought=60, attempt=1, token=f"{job.id:x}",
            slurm_id=str(job.id), submit_time=1, slurm_state="PENDING", slurm_reason="Priority",
            phase=Phase.SEEN, logging=False,
        )
        for job in jobs
    ]  # fmt: skip
    journal.save_all([(record, "") for record in records])
    journal.set_meta(BEGUN, "1")
    JournalCursor(journal).save(Cursor(0, b""))
    journal.close()


async def supervised(chain: Chain, me: Address, folder: Path) -> int:
    """Starts a supervisor; returns the open jobs when it has looked at each, and heard all."""
    settings = provider_settings(folder)
    journal, world = Journal(settings.state_dir / "journal.db"), World()
    mute: Any = Mute(FakeChain(world))
    agent = Agent(
        settings, me, chain, mute, Waiting(world), FakeScripts(world), None, journal,
        SystemClock(), feed=lambda _: Follower(chain, JournalCursor(journal), names=HEARD),
    )  # fmt: skip
    stop, target = asyncio.Event(), (await chain.head()).number
    task = asyncio.create_task(agent.run(stop))
    stepper, count = agent._stepper, len(journal.open_records())
    while (
        len(stepper._judged_at) < count
        or stepper._busy
        or agent.services.health.of("cluster").ok is None
        or JournalCursor(journal).load().number < target
    ):  # type: ignore[union-attr]
        assert not task.done(), task.exception()
        await asyncio.sleep(0.05)
    stop.set()
    await task
    assert {record.phase for record in journal.open_records()} == {Phase.SEEN}
    journal.close()
    return count


async def main(jobs: int, events: int) -> None:
    """Makes the history, reads it, prints a table."""
    anvil = find_anvil(cache_dir())
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        grid = await stack.enter_async_context(
            dev_grid(folder / "chain", anvil, block_time=BLOCK_SECONDS)
        )
        chain = await grid.connect()
        me = await history(grid, chain, jobs, events)
        rows = []
        for name, way in WAYS.items():
            count, seconds, ours, nodes = await timed(grid, way)
            rows.append([name, str(count), f"{seconds:.2f}", f"{ours:.2f}", f"{nodes:.2f}"])
        place = folder / "provider"
        await asyncio.to_thread(write_journal, place, await chain.jobs(range(1, jobs + 1)))
        gc.collect()
        memory = psutil.Process().memory_info().rss
        count, seconds, ours, nodes = await timed(grid, lambda c: supervised(c, me, place))
        memory = (psutil.Process().memory_info().rss - memory) // 2**20
        name = f"a supervisor: all judged, all heard; {memory} MB"
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
