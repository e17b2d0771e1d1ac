"""Cold start: ``dsq --help`` and the first picture of ``dsq-console``, beside bare Python.

python -m tests.benchmarks.bench_start
"""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from tests.benchmarks.table import median, print_table
from tests.support.grid import GridHome

RUNS = 7


def seconds(argv: list[str]) -> float:
    """Median wall time of a command, after one run that fills the caches."""
    times = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        subprocess.run(argv, check=True, capture_output=True, env=os.environ)
        times.append(time.perf_counter() - began)
    return median(times[1:])


def first_picture(home: Path) -> float:
    """Median time until ``dsq-console`` has drawn its first picture in a terminal."""
    argv = [sys.executable, "-m", "dsq.console.console_command", "--home", str(home)]
    times = [_until_drawn(argv) for _ in range(RUNS + 1)]
    return median(times[1:])


def _until_drawn(argv: list[str]) -> float:
    began = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update({"TERM": "xterm-256color", "LINES": "24", "COLUMNS": "80"})
        os.execv(argv[0], argv)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    while b"Providers" not in seen:
        seen += os.read(terminal, 65536)
    taken = time.perf_counter() - began
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(terminal)
    return taken


def main() -> None:
    """Prints the table."""
    bare = seconds([sys.executable, "-c", "pass"])
    home = GridHome(Path(tempfile.mkdtemp(prefix="dsq-bench-")))
    home.up("--cluster", "local")
    try:
        picture = first_picture(home.path)
        listed = seconds(
            [sys.executable, "-m", "dsq.console.cli", "jobs", "--home", str(home.path)]
        )
    finally:
        home.down()
        shutil.rmtree(home.path)
    rows = [["dsq-console, first picture", picture], ["dsq jobs", listed]]
    for name, argv in (
        ("python -c pass", ["-c", "pass"]),
        ("import click", ["-c", "import click"]),
        ("dsq --help", ["-m", "dsq.console.cli", "--help"]),
        ("import textual.app", ["-c", "import textual.app"]),
        ("import web3", ["-c", "import web3"]),
    ):
        rows.append([name, seconds([sys.executable, *argv])])
    rows.sort(key=lambda row: row[1])
    cells = [[str(name), f"{taken * 1000:.0f}", f"{taken / bare:.1f}"] for name, taken in rows]
    print_table("Cold start", ["command", "ms", "x bare Python"], cells)


if __name__ == "__main__":
    main()
