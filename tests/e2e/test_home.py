"""A local grid's home: start, stop, kill, and start again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dsq.console.local.home import Home, Options, State
from tests.e2e.test_jobs import host_job, wait_for
from tests.support.grid import GridHome

pytestmark = [pytest.mark.e2e, pytest.mark.anvil]


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process whose command line names the home."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(home) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def home(anvil_here: None, folder: Path) -> GridHome:
    """A home that is ended after the test."""
    return GridHome(folder)


@pytest.fixture(autouse=True)
def _ended(home: GridHome) -> object:
    yield
    home.dsq("down", check=False, timeout=180)


def test_local_cluster_from_up_to_down(home: GridHome) -> None:
    """The embedded cluster runs a job. Down ends, reports and settles those that run, leaves no
    process, and the home keeps the history; what waits goes on waiting at the next up."""
    grid = home.up("--cluster", "local")
    assert stat.S_IMODE((home.path / "grid.json").stat().st_mode) == 0o600
    assert grid == json.loads((home.path / "grid.json").read_text())
    assert set(grid) == {
        "version", "rpc_url", "ws_url", "chain_id", "metascheduler", "sbatch_url", "sbatch_grpc",
        "logger_grpc", "oracle_url", "user", "operator", "providers",
    }  # fmt: skip
    again = home.dsq("up", "--detach", "--json")
    assert json.loads(again.stdout) == grid
    assert home.dsq("up", "--detach", "--providers", "3", check=False).returncode == 64
    job_id = home.submit(host_job("echo local && exit 3"))
    job = home.wait(job_id, timeout=60)
    assert (job["status"], job["exit_code"]) == ("FAILED", 3)
    output = home.dsq("logs", str(job_id)).stdout.splitlines()
    assert output[:3] == ["--> steps[0]", "Running: it", "local"]
    assert output[3].startswith("<-- steps[0] failed with 3 (")
    running = home.submit(host_job("sleep 500"))
    waiting = home.submit(host_job("true"), "--uses", "gpu=none")
    home.wait(running, "RUNNING", timeout=60)
    home.down()
    assert processes_of(home.path) == []
    assert home.dsq("jobs", check=False).returncode == 69
    home.up()
    assert home.job(job_id) == job
    ended = home.job(running)
    assert ended["status"] in ("FAILED", "CANCELLED")
    assert int(ended["final_cost_wei"]) > 0
    assert home.job(waiting)["status"] == "PENDING"


@pytest.mark.slurm
def test_killed_at_once_it_starts_again_with_all_jobs_and_balances(
    home: GridHome, slurm_here: None
) -> None:
    """kill -9 of chain, services and keeper: after up, jobs and balances are as they were."""
    home.up("--cluster", "mini-slurm")
    done = home.submit(host_job("echo done"))
    finished = home.wait(done, timeout=60)
    running = home.submit(host_job("sleep 15; echo survived"))
    home.wait(running, "RUNNING", timeout=60)
    balance = home.json("credits", "balance")
    time.sleep(3)  # the chain's node saves its state once a second
    for process in processes_of(home.path):
        if any("dsq.console" in word or word.endswith("anvil") for word in process.cmdline()):
            process.kill()
    home.up()
    assert home.job(done) == finished
    assert home.json("credits", "balance") == balance
    job = home.wait(running, timeout=120)
    assert job["status"] == "FINISHED"
    assert "survived" in home.dsq("logs", str(running)).stdout


def test_ctrl_c_ends_a_foreground_grid(home: GridHome) -> None:
    """In the foreground, ctrl+C ends every part before the command returns."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dsq.console.cli", "up", "--cluster", "local",
         "--home", str(home.path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("ready"):
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=90)
    wait_for(lambda: processes_of(home.path) == [], 5)


def test_demo_prints_a_settlement_that_adds_up(anvil_here: None, folder: Path) -> None:
    """The demo exits 0 with each status, the output, and a settlement to the wei."""
    result = subprocess.run(
        [sys.executable, "-m", "dsq.console.cli", "demo", "--cluster", "local"],
        capture_output=True, text=True, timeout=180, env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    for word in ("PENDING", "RUNNING", "FINISHED", "locked", "refund", "    | "):
        assert word in result.stdout
    assert processes_of(folder) == []
    assert list(folder.iterdir()) == []


@pytest.mark.slurm
def test_a_start_that_fails_half_way_leaves_nothing_running(
    home: GridHome, slurm_here: None
) -> None:
    """The chain, the services and Slurm run when a provider's settings turn out to be wrong: one
    sentence with the settings' exit code, and every process ends."""
    home.configure_provider("p1", {"benchmark": {"prob": False}})
    result = home.dsq("up", "--cluster", "mini-slurm", "--detach", check=False, timeout=120)
    assert result.returncode == 78, result.stderr
    assert "Did you mean 'probe'" in result.stderr
    assert (home.path / "providers" / "p1" / "slurm" / "log" / "slurmctld.log").exists()
    wait_for(lambda: left_running(home) == [], 5)


def left_running(home: GridHome) -> list[psutil.Process]:
    """Processes of the home, and of its Slurm, whose sockets may lie elsewhere."""
    record = home.path / "providers" / "p1" / "slurm" / "mini-slurm.json"
    return processes_of(home.path) + processes_of(Path(json.loads(record.read_text())["place"]))


def test_a_port_that_is_taken_is_said_before_anything_runs(home: GridHome) -> None:
    """Another program has the port of the home's last life: one sentence, and no process."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        Home(home.path).save_state(State(Options(cluster="local"), {"http": port}))
        result = home.dsq("up", "--detach", check=False)
        assert result.returncode == 78, result.stderr
        assert f"Port {port}" in result.stderr
        wait_for(lambda: processes_of(home.path) == [], 5)


@pytest.mark.sshd
@pytest.mark.slurm
@pytest.mark.skipif(shutil.which("sshd", path="/usr/sbin:/usr/bin") is None, reason="no sshd")
def test_cluster_over_ssh(home: GridHome, slurm_here: None, folder: Path) -> None:
    """A provider that installs nothing: Slurm behind a real sshd runs the job."""
    from tests.support.slurm import running_slurm
    from tests.support.sshd import ssh_account, sshd

    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(running_slurm(folder / "slurm"))
        account = stack.enter_context(ssh_account())
        server = stack.enter_context(sshd(folder / "sshd", account, env=cluster.env()))
        home.up(
            "--cluster", f"{account}@127.0.0.1:{server.port}",
            "--ssh-identity", str(server.identity),
            "--ssh-known-hosts", str(server.known_hosts),
        )  # fmt: skip
        job_id = home.submit(host_job("id -un; hostname"))
        job = home.wait(job_id, timeout=90)
        assert (job["status"], job["last_error"], job["exit_code"]) == ("FINISHED", "", 0)
        assert account in home.dsq("logs", str(job_id)).stdout.splitlines()
        home.down()
