"""Starting, recognising and stopping the processes of a local grid.

Each runs in a session of its own, writes to a log file, and has a pid file that
also holds its start time, so that a reused pid is never mistaken for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from dsq.console.local.home import write_atomically

SECRET_VARIABLES = ("ETH_PRIVATE_KEY", "DSQ_PASSPHRASE_FILE")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without keys and ``DSQ_*`` settings, plus ``extra``.

    ``DSQ_CACHE_DIR`` and the like stay: they name folders, not grids or keys.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in SECRET_VARIABLES and (not name.startswith("DSQ_") or name.endswith("_DIR"))
    }
    return {**kept, **(extra or {})}


def start(
    argv: Sequence[str], *, pid_file: Path, log_file: Path, env: Mapping[str, str] | None = None
) -> psutil.Process:
    """Starts a process that outlives this one and keeps none of its descriptors."""
    with log_file.open("ab") as log:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(env) if env is not None else None,
            start_new_session=True,
            close_fds=True,
        )
    process = psutil.Process(child.pid)
    remember(pid_file, process)
    _CHILDREN[child.pid] = child
    return process


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Popen objects of our children: polling them reaps the dead ones."""


def remember(pid_file: Path, process: psutil.Process) -> None:
    """Writes a pid file."""
    record = {"pid": process.pid, "created": process.create_time()}
    write_atomically(pid_file, json.dumps(record) + "\n")


def find(pid_file: Path) -> psutil.Process | None:
    """The living process of a pid file, or None."""
    try:
        record = json.loads(pid_file.read_text())
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["created"]) < 1
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return process if same and is_alive(process) else None


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs: one that has ended and waits for its parent does not."""
    child = _CHILDREN.get(process.pid)
    if child is not None and child.poll() is not None:
        return False
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


async def stop(pid_file: Path, *, patience: float = 10.0) -> None:
    """Ends a process: SIGTERM, and SIGKILL to its group after ``patience`` seconds."""
    process = find(pid_file)
    if process is not None:
        with contextlib.suppress(psutil.Error):
            process.terminate()
        if not await gone(pid_file, patience):
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            await gone(pid_file, 5)
    pid_file.unlink(missing_ok=True)


async def gone(pid_file: Path, patience: float) -> bool:
    """Waits until the process of a pid file has ended."""
    deadline = asyncio.get_running_loop().time() + patience
    while find(pid_file) is not None:
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True
