"""Cold start: ``dsq --help``, ``dsq jobs`` and first pictures of the consoles, beside bare Python.

The console knows 100,000 jobs from its last start; its first picture is the one with the newest.
Python's compiled files are kept, as in every installation. The CPU time is the lower bound of
what a quiet machine takes.

python -m tests.benchmarks.bench_start
"""

from __future__ import annotations

import fcntl
import os
import pty
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from dsq.core.config import read_grid_json
from dsq.core.readmodel import read_model_path
from tests.benchmarks.bench_console import prepared
from tests.benchmarks.table import median, print_table
from tests.support.grid import GridHome

RUNS = 7
KNOWN = 100_000
"""Jobs of the console."""
PATIENCE = 30.0
"""Seconds without a byte after which a picture does not come."""


Taken = tuple[float, float]
"""Seconds on the clock and of CPU."""


def seconds(argv: list[str]) -> Taken:
    """Median time of a command, after one run that fills the caches."""
    return _median([_ended(argv) for _ in range(RUNS + 1)])


def _ended(argv: list[str]) -> Taken:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True, env=os.environ)
    taken, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def first_picture(argv: list[str], wanted: str) -> Taken:
    """Median time until a console has drawn a picture with a text in a terminal."""
    return _median([_drawn(argv, wanted.encode()) for _ in range(RUNS + 1)])


def _drawn(argv: list[str], wanted: bytes) -> Taken:
    began = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update({"TERM": "xterm-256color", "LINES": "24", "COLUMNS": "80"})
        os.execv(argv[0], argv)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    while wanted not in seen:
        if not select.select([terminal], [], [], PATIENCE)[0]:
            break
        seen += os.read(terminal, 65536)
    taken = time.perf_counter() - began
    os.kill(child, signal.SIGKILL)
    _, _, used = os.wait4(child, 0)
    os.close(terminal)
    assert wanted in seen, seen[-2000:].decode(errors="replace")
    return taken, used.ru_utime + used.ru_stime


def _median(taken: list[Taken]) -> Taken:
    return median([each for each, _ in taken[1:]]), median([each for _, each in taken[1:]])


def remember(home: Path, count: int) -> None:
    """Gives the account of a grid's user so many jobs in the file that the console opens with."""
    config = read_grid_json(home)
    assert config.wallet is not None
    assert config.wallet.address is not None
    path = read_model_path(config, config.wallet.address)
    path.parent.mkdir(parents=True, exist_ok=True)
    prepared(path.parent, count).replace(path)


def main() -> None:
    """Prints the table."""
    cache = Path(tempfile.mkdtemp(prefix="dsq-bench-"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(cache)
    dsq = [sys.executable, "-m", "dsq.console.cli"]
    rows: list[tuple[str, Taken]] = []
    home = GridHome(Path(tempfile.mkdtemp(prefix="dsq-bench-")))
    home.up("--cluster", "local")
    try:
        rows.append(("dsq jobs", seconds([*dsq, "jobs", "--home", str(home.path)])))
        home.down()
        remember(home.path, KNOWN)
        argv = [sys.executable, "-m", "dsq.console.console_command", "--home", str(home.path)]
        name = f"dsq-console, first picture with {KNOWN:,} jobs"
        rows.append((name, first_picture(argv, f"job-{KNOWN}")))
    finally:
        home.down()
        shutil.rmtree(home.path)
    for name, argv in (
        ("python -c pass", ["-c", "pass"]),
        ("import click", ["-c", "import click"]),
        ("dsq --help", ["-m", "dsq.console.cli", "--help"]),
        ("import textual.app", ["-c", "import textual.app"]),
        ("import web3", ["-c", "import web3"]),
    ):
        rows.append((name, seconds([sys.executable, *argv])))
    shutil.rmtree(cache)
    bare = dict(rows)["python -c pass"][1]
    rows.sort(key=lambda row: row[1][1])
    cells = [
        [name, f"{taken * 1000:.0f}", f"{used * 1000:.0f}", f"{used / bare:.1f}"]
        for name, (taken, used) in rows
    ]
    print_table("Cold start", ["command", "ms", "CPU ms", "x bare Python"], cells)


if __name__ == "__main__":
    main()
