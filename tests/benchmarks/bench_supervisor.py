"""The supervisor beside the raw limits of this machine, in one run.

Real Slurm over real SSH, a node with a block every two seconds, journal on. What a restart takes
is in :mod:`tests.benchmarks.bench_replay`.

    python -m tests.benchmarks.bench_supervisor [JOBS]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.chain import find_anvil
from dsq.core.config import cache_dir
from dsq.core.model import JobStatus
from dsq.core.wallet import load_wallet
from dsq.supervisor.agent import Agent
from dsq.supervisor.run import built_agent
from dsq.supervisor.scheduler.ssh import SshTransport
from dsq.supervisor.settings import load_settings
from tests.benchmarks import cpu
from tests.benchmarks.table import print_table
from tests.integration.supervisor.conftest import Site, built_site
from tests.integration.supervisor.load import PLACED_AT_ONCE, Load
from tests.support.slurm import open_folder, running_slurm
from tests.support.sshd import SshServer, ssh_account, sshd

BLOCK_SECONDS = 2.0
BLOCK_GAS = 30_000_000


def share(part: float, whole: float) -> str:
    """A ratio in percent."""
    return f"{100 * part / whole:.0f} %" if whole else "-"


@contextlib.asynccontextmanager
async def no_job_starts(slurm: MiniSlurm) -> AsyncIterator[None]:
    """The nodes take no jobs: what jobs do, on the same processors, is no part of a rate."""

    async def nodes(*words: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *("scontrol", "update", "NodeName=ALL", *words), env={**os.environ, **slurm.env()}
        )
        assert await process.wait() == 0

    await nodes("State=DRAIN", "Reason=measure")
    try:
        yield
    finally:
        await nodes("State=RESUME")


async def bare_sbatch(
    server: SshServer, slurm: MiniSlurm, count: int
) -> tuple[float, dict[str, float]]:
    """sbatch a second, as many at once as the supervisor's connection has sessions; CPU of each."""
    line = SshTransport(
        "127.0.0.1", port=server.port, user=server.user,
        identity_file=server.identity, known_hosts=server.known_hosts,
    )  # fmt: skip
    gate = asyncio.Semaphore(9)

    async def one() -> None:
        async with gate:
            done = await line.run(
                ["sbatch", "--parsable", "--mem-per-cpu=10", "-n1", "-o/dev/null", "-D/tmp"],
                stdin=b"#!/bin/bash\n:\n",
                timeout=120,
            )
            assert done.returncode == 0, done.stderr

    async with no_job_starts(slurm):
        await one()
        before, began = cpu.spent(None), time.monotonic()
        await asyncio.gather(*(one() for _ in range(count)))
        took = time.monotonic() - began
        costs = cpu.each(before, cpu.spent(None), count)
        await line.run(["scancel", f"--user={server.user}"], timeout=120)
        while (await line.run(["squeue", "-h"], timeout=60)).stdout.strip():
            await asyncio.sleep(0.2)
    await line.close()
    return count / took, costs


async def bare_transactions(site: Site, count: int) -> float:
    """Transactions a second: signed, saved, sent and confirmed, many at once, one wallet."""
    sender, calls = site.customer_sender, site.chain.calls
    began = time.monotonic()
    sent = [
        await sender.submit(calls.transfer(site.operator_sender.address, 1)) for _ in range(count)
    ]
    for tx_hash in sent:
        await sender.wait(tx_hash, 120)
    return count / (time.monotonic() - began)


class HeldLoad(Load):
    """Jobs that are requested one after the other, and placed in the same block."""

    is_held = False

    async def place(self, jobs: Sequence[int]) -> None:
        """Places jobs, all in one block if it has the room; not while they are held."""
        if self.is_held:
            return
        sender, calls = self.site.operator_sender, self.site.chain.calls
        parts = [
            jobs[start : start + PLACED_AT_ONCE] for start in range(0, len(jobs), PLACED_AT_ONCE)
        ]
        await asyncio.gather(
            *(sender.send(calls.meta_schedule_jobs([(i, self.site.me) for i in p])) for p in parts)
        )


async def throughput(
    site: Site, slurm: MiniSlurm, load: HeldLoad, count: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Claims and submissions of ``count`` jobs; the time begins when they are placed.

    The wait for the block with the first claims is part of it: the fewer jobs, the more it
    weighs; "onward/s" is the rate without it. The second part is the CPU a job until the last is
    submitted.
    """
    load.is_held = True
    await load.offer(count, seconds=None)
    load.is_held = False
    assert site.process is not None
    process = psutil.Process(site.process.pid)
    own = sum(process.cpu_times()[:2])
    began_block = (await site.chain.head()).number
    async with no_job_starts(slurm):
        await load.place(load.jobs)
        before = cpu.spent(process.pid)
        first, claimed, submitted = await _course(site, count)
        costs = cpu.each(before, cpu.spent(process.pid), count)
    resumed = time.monotonic()
    await load.ended(900)
    settled = time.monotonic() - resumed
    own = sum(process.cpu_times()[:2]) - own
    claims, reports, gas = await spent(site, began_block)
    return {
        "claims/s": count / claimed,
        "submitted/s": count / submitted,
        "onward/s": count / (submitted - first),
        "settled/s": count / settled,
        "cpu ms": 1000 * own / count,
        "memory": process.memory_info().rss / 2**20,
        "claim gas": gas / count,
        "claim txs": claims,
        "report txs": reports,
    }, costs


async def _course(site: Site, count: int) -> tuple[float, float, float]:
    """Seconds until the first is claimed, all are claimed, and all are submitted."""
    began = time.monotonic()
    first = claimed = 0.0
    with contextlib.closing(sqlite3.connect(site.folder / "state" / "journal.db")) as journal:
        while True:
            rows = dict(journal.execute("SELECT phase, count(*) FROM jobs GROUP BY phase"))
            now = time.monotonic() - began
            if not first and rows:
                first = now
            if not claimed and sum(rows.values()) >= count:
                claimed = now
            if sum(rows.values()) - rows.get("claimed", 0) - rows.get("planned", 0) >= count:
                return first, claimed, now
            assert now < 900, rows
            await asyncio.sleep(0.1)


async def spent(site: Site, first_block: int) -> tuple[int, int, int]:
    """Transactions with claims and with reports since a block, and the gas of the claims."""
    last = (await site.chain.head()).number
    claims = await site.chain.events(first_block, last, ("ClaimJobEvent",))
    moves = await site.chain.events(first_block, last, ("JobTransitionEvent",))
    claiming = {event.tx_hash for event in claims}
    reporting = {event.tx_hash for event in moves if event.args["to_status"] >= JobStatus.RUNNING}
    gas = 0
    for tx_hash in claiming:
        receipt = await site.chain.rpc.request("eth_getTransactionReceipt", ["0x" + tx_hash.hex()])
        gas += int(receipt["gasUsed"], 16)
    return len(claiming), len(reporting), gas


class Watched:
    """An agent in this process whose commands and reports are seen."""

    def __init__(self, agent: Agent) -> None:
        self.commands = 0
        self.said: dict[int, float] = {}
        line = agent.services.scheduler._tools.line  # type: ignore[attr-defined]
        run, calls = line.run, agent.services.chain.calls
        report_jobs = calls.report_jobs

        async def counted(*args: Any, **options: Any) -> Any:
            self.commands += 1
            return await run(*args, **options)

        def seen(reports: Any) -> Any:
            for report in reports:
                if report.status.is_final:
                    self.said.setdefault(report.job_id, time.time())
            return report_jobs(reports)

        line.run = counted
        calls.report_jobs = seen


async def lag_and_commands(site: Site, load: HeldLoad) -> tuple[list[float], dict[int, float]]:
    """Seconds from a job's end to its report, and commands a second for 5 and 40 jobs."""
    settings = load_settings(site.config)
    settings = settings.model_copy(
        update={
            "wallet": settings.wallet.model_copy(
                update={"passphrase_file": site.folder / "passphrase"}
            )
        }
    )
    wallet = load_wallet(settings.wallet.ref, prompt=False)
    stop = asyncio.Event()
    rates: dict[int, float] = {}
    async with built_agent(settings, wallet) as agent:
        watched = Watched(agent)
        task = asyncio.create_task(agent.run(stop))
        try:
            for count in (5, 40):
                load.jobs.clear()
                await load.offer(count, seconds=15)
                while True:
                    states = [job.status for job in await load.states()]
                    if states.count(JobStatus.RUNNING) >= min(count, 5):
                        break
                    await asyncio.sleep(0.2)
                await asyncio.sleep(2)
                before, began = watched.commands, time.monotonic()
                await asyncio.sleep(6)
                rates[count] = (watched.commands - before) / (time.monotonic() - began)
                await load.ended(600)
        finally:
            stop.set()
            await task
    lags = []
    for job_id, said in watched.said.items():
        with sqlite3.connect(site.folder / "state" / "journal.db") as journal:
            (ended,) = journal.execute(
                "SELECT ended_at FROM jobs WHERE job_id = ?", (f"0x{job_id:064x}",)
            ).fetchone()
        # Slurm's books have whole seconds: on average half a second of this is theirs.
        lags.append(said - ended)
    return sorted(lags), rates


async def measure(folder: Path, server: SshServer, slurm: MiniSlurm, count: int) -> None:
    """Runs all parts and prints the tables."""
    workdir = folder / secrets.token_hex(4)
    workdir.mkdir()
    workdir.chmod(0o777)
    cluster = {
        "kind": "ssh", "host": "127.0.0.1", "port": server.port, "user": server.user,
        "identity_file": str(server.identity), "known_hosts": str(server.known_hosts),
        "partition": slurm.partition, "workdir": str(workdir), "claim_ahead": 10_000,
        "cache_root": f"{workdir}/cache", "scratch_root": f"{workdir}/scratch",
    }  # fmt: skip
    home = Path(tempfile.mkdtemp(prefix="dsq-bench-site-"))
    try:
        anvil = find_anvil(cache_dir())
        async with built_site(anvil, home, cluster, block_time=BLOCK_SECONDS) as site:
            raw_slurm, raw_costs = await bare_sbatch(server, slurm, count)
            raw_chain = await bare_transactions(site, count)
            await site.start()
            load = await HeldLoad.on(site, folder)
            found, costs = await throughput(site, slurm, load, count)
            assert {job.status for job in await load.states()} == {JobStatus.FINISHED}
            await site.stop()
            lags, rates = await lag_and_commands(site, load)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    lower = min(raw_slurm, raw_chain)
    rows = [
        ["bare sbatch over the same SSH", f"{raw_slurm:.1f} /s", share(raw_slurm, lower)],
        ["single transactions, pipelined, same node", f"{raw_chain:.1f} /s", share(raw_chain, lower)],
        ["claims confirmed", f"{found['claims/s']:.1f} /s", share(found["claims/s"], lower)],
        ["claimed and submitted", f"{found['submitted/s']:.1f} /s", share(found["submitted/s"], lower)],
        ["submitted, from the first claim on", f"{found['onward/s']:.1f} /s", share(found["onward/s"], lower)],
        ["run and settled, once the nodes take jobs", f"{found['settled/s']:.1f} /s", share(found["settled/s"], lower)],
    ]  # fmt: skip
    print_table(
        f"{count} no-op jobs, blocks of 2 s, journal on",
        ["what", "rate", "of the lower limit"],
        rows,
    )
    print_table(
        "CPU until submitted, ms a job",
        ["of", "bare sbatch", "through the grid"],
        [[name, f"{raw_costs[name]:.1f}", f"{costs[name]:.1f}"] for name in costs],
    )
    gas = found["claim gas"]
    p50, p95 = lags[len(lags) // 2], lags[int(len(lags) * 0.95)]
    rows = [
        ["gas a claim", f"{gas:,.0f}"],
        ["claims a second that fit blocks of 30 M gas", f"{BLOCK_GAS / gas / BLOCK_SECONDS:.0f}"],
        ["transactions with claims / with reports", f"{found['claim txs']:.0f} / {found['report txs']:.0f}"],
        ["CPU a job, all of its course", f"{found['cpu ms']:.0f} ms"],
        ["memory of the process after it", f"{found['memory']:.0f} MB"],
        ["end in Slurm to the report sent, p50 / p95", f"{p50:.1f} / {p95:.1f} s"],
        *([f"commands a second on the cluster, {n} jobs", f"{rate:.1f}"] for n, rate in rates.items()),
    ]  # fmt: skip
    print_table("Cost", ["what", "measured"], rows)


def main() -> None:
    """Starts Slurm and sshd, and measures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    folder = open_folder("dsq-bench-")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        slurm = stack.enter_context(running_slurm(folder / "slurm"))
        account = stack.enter_context(ssh_account())
        server = stack.enter_context(sshd(folder / "sshd", account, env=slurm.env()))
        asyncio.run(measure(folder, server, slurm, count))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
