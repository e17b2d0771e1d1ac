"""A real Slurm for tests, in a temporary folder; skipped where its programs are missing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dsq.console.local.minislurm import MiniSlurm

HOW_TO_GET = "apt-get install slurm-wlm munge"


def run(coroutine: Any) -> Any:
    """Runs a coroutine from plain code, also where a loop already runs in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


@contextlib.contextmanager
def running_slurm(root: Path | None = None, **options: Any) -> Iterator[MiniSlurm]:
    """A two-node Slurm, up while the block runs.

    Args:
        root: Its folder; None makes one that other accounts can reach, and removes it.
        options: Arguments of :class:`MiniSlurm`.
    """
    if reason := MiniSlurm.missing():
        pytest.skip(f"no Slurm: {reason}; {HOW_TO_GET}")
    own = root is None
    folder = open_folder("dsq-slurm-test-") if root is None else root
    cluster = MiniSlurm(folder, **options)
    try:
        run(cluster.start())
        yield cluster
    finally:
        run(cluster.stop())
        if own:
            cluster.remove()
            shutil.rmtree(folder, ignore_errors=True)


def open_folder(prefix: str = "dsq-test-") -> Path:
    """A new temporary folder that every account can pass through. pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)
    return folder


def job_account() -> str:
    """The account that jobs of these tests run as: never root, and without root this one."""
    return "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def job_folder(parent: Path, name: str = "work") -> Path:
    """A folder in which the jobs' account may write."""
    folder = parent / name
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if os.geteuid() == 0:
        entry = pwd.getpwnam(job_account())
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    return folder
