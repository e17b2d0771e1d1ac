"""Processes of a local grid are known by pid and start time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from dsq.console.local import processes
from dsq.console.local.held import gate, hold, is_kept, wait_for_gate
from dsq.console.local.home import Home


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Where a process's pid and output go."""
    return {"pid_file": tmp_path / "p.pid", "log_file": tmp_path / "p.log"}


async def test_start_and_stop(files: dict[str, Path]) -> None:
    """It runs in a session of its own, and is gone when stop returns."""
    process = processes.start([sys.executable, "-c", "input()"], **files)
    # Standard input is closed: it ends by itself unless it waits for something else.
    sleeper = processes.start([sys.executable, "-c", "import time; time.sleep(60)"], **files)
    assert os.getsid(sleeper.pid) == sleeper.pid
    assert processes.find(files["pid_file"]) == sleeper
    await processes.stop(files["pid_file"])
    assert not processes.is_alive(sleeper)
    assert not files["pid_file"].exists()
    process.wait(10)


async def test_one_that_ignores_the_polite_signal(files: dict[str, Path]) -> None:
    """It is killed after some patience."""
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    process = processes.start([sys.executable, "-c", code], **files)
    while not files["log_file"].read_text():
        pass
    await processes.stop(files["pid_file"], patience=0.2)
    assert not processes.is_alive(process)


def test_a_reused_pid_is_not_ours(files: dict[str, Path]) -> None:
    """The same number with another start time is somebody else's process."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        known = psutil.Process(child.pid)
        processes.remember(files["pid_file"], known)
        assert processes.find(files["pid_file"]) == known
        record = {"pid": child.pid, "created": known.create_time() - 100}
        files["pid_file"].write_text(json.dumps(record))
        assert processes.find(files["pid_file"]) is None
    finally:
        child.kill()
        child.wait()


def test_services_inherit_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and the caller's choice of grid stay with the caller."""
    for name in ("ETH_PRIVATE_KEY", "DSQ_PASSPHRASE_FILE", "DSQ_HOME", "DSQ_RPC_URL"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("DSQ_CACHE_DIR", "/cache")
    env = processes.clean_environment({"A": "b"})
    assert not {"ETH_PRIVATE_KEY", "DSQ_PASSPHRASE_FILE", "DSQ_HOME", "DSQ_RPC_URL"} & set(env)
    assert env["DSQ_CACHE_DIR"] == "/cache"
    assert env["A"] == "b"


def test_one_keeper_a_home(tmp_path: Path) -> None:
    """The lock is held as long as the keeper lives."""
    home = Home(tmp_path)
    assert not is_kept(home)
    with hold(home) as first:
        assert first
        assert is_kept(home)
        with hold(home) as second:
            assert not second
    assert not is_kept(home)


def test_a_service_waits_for_its_gate(tmp_path: Path) -> None:
    """It begins when the gate opens, and not at all when its keeper has gone."""
    home = Home(tmp_path)
    assert not wait_for_gate(home)
    with hold(home):
        opening = threading.Timer(0.05, gate(home).touch)
        opening.start()
        assert wait_for_gate(home)
        opening.join()
    assert wait_for_gate(home)
