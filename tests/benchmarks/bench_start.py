"""Cold start: ``dsq --help`` and the first picture of ``dsq-console``, beside bare Python.

python -m tests.benchmarks.bench_start
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from tests.benchmarks.table import median, print_table

RUNS = 7

FIRST_PAINT = """
import asyncio, sys
from tests.support.fake_grid import console_app
app = console_app()
async def main():
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
asyncio.run(main())
"""


def seconds(argv: list[str]) -> float:
    """Median wall time of a command, after one run that fills the caches."""
    times = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        subprocess.run(argv, check=True, capture_output=True, env=os.environ)
        times.append(time.perf_counter() - began)
    return median(times[1:])


def main() -> None:
    """Prints the table."""
    bare = seconds([sys.executable, "-c", "pass"])
    rows = []
    for name, argv in (
        ("python -c pass", [sys.executable, "-c", "pass"]),
        ("import click", [sys.executable, "-c", "import click"]),
        ("dsq --help", [sys.executable, "-m", "dsq.console.cli", "--help"]),
        ("import textual.app", [sys.executable, "-c", "import textual.app"]),
        ("dsq-console, first picture", [sys.executable, "-c", FIRST_PAINT]),
        ("import web3", [sys.executable, "-c", "import web3"]),
    ):
        taken = seconds(argv)
        rows.append([name, f"{taken * 1000:.0f}", f"{taken / bare:.1f}"])
    print_table("Cold start", ["command", "ms", "x bare Python"], rows)


if __name__ == "__main__":
    main()
