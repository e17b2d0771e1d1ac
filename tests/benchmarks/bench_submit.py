"""Submissions a second through the scheduler, beside bare sbatch over the same SSH connection.

Bare: sbatch and a script of two lines, on nine sessions at once; nothing else. The scheduler:
the attempt's folder, the script with its fence and its variables, the id and the time of
submission read back. Both on a throwaway Slurm, by turns.

    python -m tests.benchmarks.bench_submit [JOBS]
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Awaitable, Callable

from dsq.supervisor.scheduler.slurm import SlurmScheduler
from dsq.supervisor.scheduler.ssh import SshTransport
from tests.benchmarks.table import median, print_table
from tests.support.clusters import Cluster, connect, slurm_settings
from tests.support.slurm import open_folder, running_slurm
from tests.support.sshd import ssh_account, sshd

ROUNDS = 5
SCRIPT = b"#!/bin/sh\ntrue\n"


async def measure(line: SshTransport, cluster: Cluster, jobs: int) -> None:
    """Prints the table."""

    async def bare() -> None:
        await line.run(
            ["sbatch", "--parsable", "-o", "/dev/null", "--mem-per-cpu=1M"], stdin=SCRIPT
        )

    async def ours() -> None:
        await cluster.submit("true", mem_per_cpu=1)

    ways: dict[str, Callable[[], Awaitable[None]]] = {"bare sbatch": bare, "scheduler": ours}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    await ours()
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.monotonic()
            await asyncio.gather(*(way() for _ in range(jobs)))
            rates[name].append(jobs / (time.monotonic() - began))
    limit = median(rates["bare sbatch"])
    rows = [
        [
            name,
            f"{median(found):.1f}",
            f"{min(found):.1f}-{max(found):.1f}",
            f"{100 * median(found) / limit:.0f} %",
        ]
        for name, found in rates.items()
    ]
    columns = ["way", "submissions a second", "lowest-highest", "of bare"]
    print_table(f"{jobs} submissions over one SSH connection", columns, rows)


def main() -> None:
    """Sets Slurm and sshd up, measures, takes them down."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    folder = open_folder()
    try:
        with (
            ssh_account() as account,
            running_slurm(folder / "slurm", cpus=16, mem_mb=32000) as slurm,
            sshd(folder / "sshd", account, env=slurm.env()) as server,
        ):
            line = connect(server)
            scheduler = SlurmScheduler(line, slurm_settings(folder, account))
            asyncio.run(measure(line, Cluster(scheduler, "ssh"), jobs))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
