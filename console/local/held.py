"""Who keeps a home's grid: one process, by a lock that goes with it, and when services may begin.

Light to import: commands ask it before they load anything else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from dsq.console.local.home import Home

GATE_POLL_SECONDS = 0.02


@contextlib.contextmanager
def hold(home: Home) -> Iterator[bool]:
    """Takes the home's lock; yields False when another keeper has it."""
    home.run.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home.run / "keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        yield False
        return
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    try:
        yield True
    finally:
        os.ftruncate(descriptor, 0)
        os.close(descriptor)


def is_kept(home: Home) -> bool:
    """True while a keeper runs for the home."""
    try:
        with (home.run / "keeper.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def gate(home: Home) -> Path:
    """The file that is there while services of the home may work: chain and contracts are."""
    return home.run / "open"


def wait_for_gate(home: Home) -> bool:
    """Waits until the services may work; False when whoever starts them has gone meanwhile."""
    while not gate(home).exists():
        if not is_kept(home):
            return False
        time.sleep(GATE_POLL_SECONDS)
    return True
