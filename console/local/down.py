"""``dsq down``: the end of a local grid, with every job settled and every process gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from pathlib import Path

import psutil

from dsq.console.local import processes
from dsq.console.local.held import hold, is_kept
from dsq.console.local.home import Home, write_atomically
from dsq.console.local.keeper import Keeper
from dsq.console.local.progress import Tell, to_stderr
from dsq.core.errors import SettingsError


def down(path: Path, *, wait: bool = False, tell: Tell = to_stderr) -> None:
    """Ends the grid of a home and returns when every process has gone.

    Args:
        path: The home.
        wait: Let jobs finish first, instead of ending those of clusters in the home.
        tell: Gets a line a step.

    Raises:
        SettingsError: There is no grid in the folder.
    """
    home = Home(path)
    state = home.load_state()
    if state is None:
        raise SettingsError(f"There is no grid in {home.path}.", hint="'dsq up' makes one.")
    _end_keeper(home, wait=wait, tell=tell)
    with hold(home):
        # Also after a keeper that was killed: what it left behind is ended here.
        asyncio.run(Keeper(home, state.options, tell).stop(wait=wait))
    tell("down       every process has ended; the home keeps jobs and balances")


def _end_keeper(home: Home, *, wait: bool, tell: Tell) -> None:
    if not is_kept(home):
        return
    write_atomically(home.run / "down.json", json.dumps({"wait": wait}) + "\n")
    tell("down       ending jobs and services" if not wait else "down       waiting for jobs")
    keepers = _keepers(home)
    for keeper in keepers:
        with contextlib.suppress(psutil.Error):
            keeper.send_signal(signal.SIGTERM)
    # The lock goes a little before the process does.
    while is_kept(home) or any(processes.is_alive(keeper) for keeper in keepers):
        time.sleep(0.05)


def _keepers(home: Home) -> list[psutil.Process]:
    """The process that holds the home's lock, detached or in a foreground."""
    found = []
    detached = processes.find(home.run / "keeper.json")
    if detached is not None:
        found.append(detached)
    owner = (home.run / "keeper.lock").read_text().strip()
    if owner.isdigit() and int(owner) not in {process.pid for process in found}:
        with contextlib.suppress(psutil.Error):
            found.append(psutil.Process(int(owner)))
    return found
