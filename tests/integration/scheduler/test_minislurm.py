"""The throwaway Slurm: it starts, survives being killed, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.errors import SettingsError
from tests.support.slurm import job_account, open_folder, running_slurm

pytestmark = pytest.mark.slurm


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that every account can pass through."""
    folder = open_folder()
    yield folder / "slurm"
    shutil.rmtree(folder, ignore_errors=True)


def slurm(cluster: MiniSlurm, *argv: str, stdin: str = "", user: str | None = None) -> str:
    done = subprocess.run(
        argv,
        env={"PATH": "/usr/bin:/bin", **cluster.env()},
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd="/",
        user=user,
    )
    return done.stdout.strip()


def processes(cluster: MiniSlurm) -> list[psutil.Process]:
    """Daemons whose command line names the cluster's folders."""
    folders = (str(cluster.root), str(cluster.place()))
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if any(folder in word for word in process.info["cmdline"] or () for folder in folders)
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def test_killed_and_started_again_it_has_its_jobs(root: Path) -> None:
    """After kill -9 of all daemons: same ports, the running job still runs, numbers go on."""
    with running_slurm(root, nodes=2, cpus=4, gpus=1) as cluster:
        conf = Path(cluster.env()["SLURM_CONF"]).read_text()
        job = slurm(cluster, "sbatch", "--parsable", "--wrap=sleep 300", "-o/dev/null", "--mem=50")
        deadline = time.monotonic() + 20
        while "RUNNING" not in slurm(cluster, "squeue", "-h", "-o%T"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(6)  # the controller saves its jobs within five seconds
        daemons = [p for p in processes(cluster) if p.name() != "slurm_script"]
        assert sorted(p.name() for p in daemons) == ["munged", "slurmctld", "slurmd", "slurmd"]
        for process in daemons:
            process.kill()
        asyncio.run(MiniSlurm(root, nodes=2, cpus=4, gpus=1).start())
        assert Path(cluster.env()["SLURM_CONF"]).read_text() == conf
        assert slurm(cluster, "squeue", "-h", "-o%A %T") == f"{job} RUNNING"
        asyncio.run(cluster.start())  # on a running cluster nothing happens
        assert len([p for p in processes(cluster) if p.name() != "slurm_script"]) == 4
        later = slurm(cluster, "sbatch", "--parsable", "--wrap=true", "-o/dev/null", "--mem=50")
        assert int(later) > int(job)
    assert processes(cluster) == []


def test_stopping_ends_jobs_and_all_processes(root: Path) -> None:
    """A running and a waiting job are cancelled; no process and no open port is left."""
    with running_slurm(root, nodes=1, cpus=2) as cluster:
        for _ in range(2):
            slurm(cluster, "sbatch", "-n2", "--wrap=exec sleep 617.7", "-o/dev/null", "--mem=50")
        deadline = time.monotonic() + 20
        while "RUNNING" not in slurm(cluster, "squeue", "-h", "-o%T"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        asyncio.run(cluster.stop())
        assert processes(cluster) == []
        left = [p for p in psutil.process_iter(["cmdline"]) if "617.7" in (p.info["cmdline"] or [])]
        assert left == []
        asyncio.run(cluster.start())
        assert slurm(cluster, "squeue", "-h") == ""


def test_a_long_or_private_folder_gets_short_sockets_elsewhere() -> None:
    """Sockets end at 108 bytes, and root's private folders are closed to the jobs' account."""
    with tempfile.TemporaryDirectory(prefix="dsq-long-") as folder:
        root = Path(folder, "x" * 60, "y" * 60)
        with running_slurm(root, nodes=1, cpus=2) as cluster:
            place = cluster.place()
            assert len(str(place)) < 60
            assert place != root
            assert MiniSlurm(root).place() == place  # remembered
            user = job_account() if os.geteuid() == 0 else None
            script = "#!/bin/sh\nid -un >/dev/null"
            slurm(cluster, "sbatch", "-o/dev/null", "--mem=50", stdin=script, user=user)
            deadline = time.monotonic() + 20
            while not (ended := slurm(cluster, "sacct", "-cnP", "-ouser,state", user=user)):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert ended.startswith(f"{job_account()}(")
            assert ended.endswith("COMPLETED")
        shutil.rmtree(place)
        assert MiniSlurm(root).place() != place  # a reboot empties /tmp: it finds another one
        last = MiniSlurm(root).place()
        MiniSlurm(root).remove()
        assert not last.exists()
        assert not root.exists()


def test_two_clusters_do_not_meet(root: Path) -> None:
    """Each has its ports, keys and numbers."""
    with running_slurm(root, nodes=1) as one, running_slurm(root.parent / "b", nodes=1) as two:
        slurm(one, "sbatch", "--hold", "--wrap=true", "--mem=50", "-o/dev/null")
        assert slurm(one, "squeue", "-h", "-o%T") == "PENDING"
        assert slurm(two, "squeue", "-h", "-o%T") == ""


def test_daemons_know_no_keys(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes hand their environment on; the supervisor's must not be in it."""
    monkeypatch.setenv("ETH_PRIVATE_KEY", "hush")
    with running_slurm(root, nodes=1) as cluster:
        assert len(processes(cluster)) == 3
        for process in processes(cluster):
            assert "hush" not in process.environ().values()


def test_too_many_gpus_are_refused(root: Path) -> None:
    """slurmd wants a device of its own for each, and there are six."""
    with pytest.raises(SettingsError, match="6 GPUs"):
        MiniSlurm(root, gpus=7)
