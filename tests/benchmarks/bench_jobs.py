"""The grid beside a bare ``sbatch`` on the same Slurm over the same SSH, in one run.

Latency: from the block that holds the request to ``RUNNING`` in Slurm, one job at a
time. Throughput: 200 no-op jobs through the grid beside 200 bare ``sbatch``.

    python -m tests.benchmarks.bench_jobs [JOBS]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.config import read_grid_json
from dsq.core.grid import Grid
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT
from dsq.core.wallet import load_wallet
from dsq.sbatch.workflow import load_workflow
from dsq.supervisor.scheduler.ssh import SshTransport
from tests.benchmarks.table import median, print_table
from tests.support.grid import GridHome
from tests.support.slurm import running_slurm
from tests.support.sshd import ssh_account, sshd

SINGLE = 7
NOOP = "resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 100, gpus: 0}\nsteps: []\n"


@dataclass
class Bench:
    """A grid and a direct line to the same cluster."""

    grid: Grid
    line: SshTransport
    cluster: MiniSlurm

    async def slurm(self, *argv: str, stdin: bytes = b"") -> str:
        done = await self.line.run(list(argv), stdin=stdin, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    async def bare(self) -> str:
        """One bare sbatch; returns the Slurm id."""
        script = b"#!/bin/bash\n:\n"
        words = ("sbatch", "--parsable", "--mem-per-cpu=100", "-n1", "-o/dev/null", "-D/tmp")
        return (await self.slurm(*words, stdin=script)).strip()

    async def started(self, job: str) -> float:
        """Waits until Slurm has started a job; the time it says it did (whole seconds) is not used."""
        while True:
            text = await self.slurm("scontrol", "-o", "show", "job", job)
            if "JobState=PENDING" not in text:
                return time.time()
            await asyncio.sleep(0.02)


async def latency(bench: Bench) -> None:
    """Prints the time from a mined request to RUNNING in Slurm, and of a bare sbatch."""
    workflow = load_workflow(NOOP).to_wire()
    bare, grid, chain = [], [], []
    for _ in range(SINGLE):
        began = time.time()
        await bench.started(await bench.bare())
        bare.append(time.time() - began)
        job = await bench.grid.submit(workflow, 100 * CREDIT)
        mined = time.time()
        while True:
            listed = await bench.slurm("squeue", "-h", "-t", "all", "-o", "%j %T")
            states = dict(line.split() for line in listed.splitlines() if line.count(" ") == 1)
            if states.get(job.hex_id, "PENDING") != "PENDING":
                break
            await asyncio.sleep(0.02)
        grid.append(time.time() - mined)
        async for state in bench.grid.watch(job.id):
            if state.status >= JobStatus.RUNNING:
                chain.append(time.time() - mined)
                break
        async for _ in bench.grid.watch(job.id):
            pass
    base = median(bare)
    rows = [
        [name, f"{median(values):.2f}", f"{median(values) / base:.1f}"]
        for name, values in (
            ("bare sbatch over SSH, to RUNNING in Slurm", bare),
            ("mined request to RUNNING in Slurm", grid),
            ("mined request to RUNNING on chain", chain),
        )
    ]
    print_table(f"Latency, median of {SINGLE} (blocks every second)",
                ["what", "s", "x bare sbatch"], rows)  # fmt: skip


async def throughput(bench: Bench, count: int) -> None:
    """Prints the time of ``count`` no-op jobs through the grid, and of as many bare sbatch."""
    gate = asyncio.Semaphore(10)

    async def one() -> str:
        async with gate:
            return await bench.bare()

    began = time.time()
    await asyncio.gather(*(one() for _ in range(count)))
    await _empty(bench)
    bare = time.time() - began
    workflow = load_workflow(NOOP).to_wire()
    await bench.grid.set_allowance(count * 100 * CREDIT)
    began = time.time()
    jobs = await asyncio.gather(*(bench.grid.submit(workflow, 100 * CREDIT) for _ in range(count)))
    requested = time.time() - began
    ids = [job.id for job in jobs]
    while not all(job.status.is_final for job in await bench.grid.chain.jobs(ids)):
        await asyncio.sleep(0.5)
    taken = time.time() - began
    ended = [job.status.name for job in await bench.grid.chain.jobs(ids)]
    assert set(ended) == {"FINISHED"}, set(ended)
    rows = [
        [f"{count} bare sbatch over SSH, to the last end", f"{bare:.1f}", f"{count / bare:.1f}", "1.0"],
        [f"{count} requests mined", f"{requested:.1f}", f"{count / requested:.1f}", f"{requested / bare:.1f}"],
        [f"{count} jobs through the grid, settled", f"{taken:.1f}", f"{count / taken:.1f}", f"{taken / bare:.1f}"],
    ]  # fmt: skip
    print_table(f"{count} no-op jobs", ["what", "s", "jobs/s", "x bare sbatch"], rows)


async def _empty(bench: Bench) -> None:
    while (await bench.slurm("squeue", "-h")).strip():
        await asyncio.sleep(0.1)


async def measure(home: Path, line: SshTransport, cluster: MiniSlurm, count: int) -> None:
    config = read_grid_json(home)
    async with await Grid.open(config, load_wallet(config.wallet, prompt=False)) as grid:
        bench = Bench(grid, line, cluster)
        await latency(bench)
        await throughput(bench, count)
        await line.close()


def main() -> None:
    """Starts Slurm, sshd and a grid on them, and prints the tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    folder = Path(tempfile.mkdtemp(prefix="dsq-bench-"))
    folder.chmod(0o711)
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(running_slurm(folder / "slurm"))
        account = stack.enter_context(ssh_account())
        server = stack.enter_context(sshd(folder / "sshd", account, env=cluster.env()))
        home = GridHome(folder / "home")
        home.path.mkdir()
        home.up(
            "--cluster", f"{account}@127.0.0.1:{server.port}",
            "--ssh-identity", str(server.identity), "--ssh-known-hosts", str(server.known_hosts),
        )  # fmt: skip
        stack.callback(home.down)
        config = read_grid_json(home.path)
        operator = load_wallet(config.operator.ref if config.operator else None, prompt=False)
        asyncio.run(_fund(home, operator, count))
        line = SshTransport(
            "127.0.0.1", port=server.port, user=account,
            identity_file=server.identity, known_hosts=server.known_hosts,
        )  # fmt: skip
        asyncio.run(measure(home.path, line, cluster, count))
    subprocess.run(["rm", "-rf", str(folder)], check=False)


async def _fund(home: GridHome, operator: object, count: int) -> None:
    """Credits for ``count`` jobs at once."""
    config = read_grid_json(home.path)
    async with await Grid.open(config, operator) as grid:  # type: ignore[arg-type]
        await grid.send(grid.chain.calls.mint(home.address("user"), count * 100 * CREDIT))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
