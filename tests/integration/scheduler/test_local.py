"""The cluster of one machine: what it promises beyond the common port."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dsq.core.errors import SettingsError
from dsq.supervisor.scheduler.local import runner
from dsq.supervisor.scheduler.local.scheduler import LocalScheduler
from tests.support.clusters import Cluster, local_cluster


@pytest.fixture
def root(folder: Path) -> Path:
    """The folder of a cluster."""
    return folder / f"local-{secrets.token_hex(4)}"


def cluster_at(root: Path, **options: object) -> Cluster:
    return Cluster(local_cluster(root, **options), "local")


def records(root: Path, job_id: str) -> Path:
    return root / "cluster" / "jobs" / job_id


def sleeping(seconds: str) -> list[psutil.Process]:
    """Processes that sleep exactly so long: tests give each of theirs a length of its own."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["cmdline"] == ["sleep", seconds] and process.info["status"] != "zombie"
    ]


async def no_sleeping(seconds: str) -> None:
    deadline = time.monotonic() + 5
    while sleeping(seconds):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_jobs_go_on_without_the_supervisor(root: Path) -> None:
    """A process submits and ends; another finds the job, its end and its output."""
    work = local_cluster(root).workdir
    program = (
        "import asyncio, pathlib, sys\n"
        "from dsq.supervisor.scheduler.local.scheduler import LocalScheduler\n"
        "from dsq.supervisor.scheduler.port import JobSpec\n"
        "async def main():\n"
        f"    s = LocalScheduler(pathlib.Path({str(root / 'cluster')!r}),\n"
        f"        workdir=pathlib.Path({str(work)!r}), user={'nobody' if os.geteuid() == 0 else None!r})\n"
        "    job = await s.submit(JobSpec('0x5', 'tok', 1, 1, 10, 0, 5), 'sleep 1; echo done; exit 6')\n"
        "    print(job.id, job.submit_time)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    job_id, submit_time = done.stdout.split()
    cluster = cluster_at(root)
    found = await cluster.scheduler.find("0x5", "tok", 0)
    assert found is not None
    assert (found.id, found.submit_time, found.ended) == (job_id, int(submit_time), False)
    ended = await cluster.ended(found.job_id)
    assert (ended.exit_code, ended.end - ended.start) in {(6, 1), (6, 2)}
    assert await cluster.scheduler.read_output("0x5", "tok", 0) == b"done\n"
    # A third one reads it all from disk.
    again = (await cluster_at(root).scheduler.poll([found.job_id]))[job_id]
    assert again == ended


async def test_a_job_that_outlives_its_limit_is_ended(root: Path) -> None:
    """First SIGTERM, then SIGKILL, for the script and all it started."""
    cluster = cluster_at(root, minute=1.0, kill_wait=0.5)
    spec, job = await cluster.submit(
        "trap 'echo term' TERM\nsetsid sleep 611.1 & sleep 611.1 & while :; do sleep 0.1; done",
        minutes=1,
    )
    ended = await cluster.ended(job, patience=10)
    assert ended.state == "TIMEOUT"
    assert 1 <= ended.end - ended.start <= 4
    assert "term" in await cluster.output(spec)
    await no_sleeping("611.1")


async def test_a_raised_limit_holds_for_a_running_job(root: Path) -> None:
    """A job of one second gets three more and ends by itself; the runner sees it at once."""
    cluster = cluster_at(root, minute=1.0)
    _, job = await cluster.submit("sleep 2; exit 8", minutes=1)
    await cluster.running(job)
    await cluster.scheduler.set_time_limit(job, 4)
    ended = await cluster.ended(job)
    assert (ended.state, ended.exit_code, ended.time_limit_minutes) == ("FAILED", 8, 4)


async def test_what_a_script_leaves_behind_ends_with_it(root: Path) -> None:
    """Also processes in sessions of their own; the job's end is the script's."""
    cluster = cluster_at(root)
    ended, _ = await cluster.run("setsid sleep 612.2 >/dev/null & sleep 612.2 & disown; exit 0")
    assert ended.state == "COMPLETED"
    assert ended.end - ended.start <= 2
    await no_sleeping("612.2")


async def test_a_killed_runner_is_a_failed_node(root: Path) -> None:
    """Without a record of its end the job has NODE_FAIL, and what it left running is ended."""
    cluster = cluster_at(root)
    _, job = await cluster.submit("sleep 613.3")
    await cluster.running(job)
    await asyncio.sleep(0.3)
    assert sleeping("613.3")
    pid = json.loads((records(root, job.id) / "runner.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    ended = await cluster.ended(job)
    assert ended.state == "NODE_FAIL"
    assert ended.start <= ended.end <= time.time()
    await no_sleeping("613.3")
    assert (await cluster_at(root).scheduler.poll([job]))[job.id] == ended


async def test_a_machine_that_was_restarted_has_no_runners(root: Path) -> None:
    """A living process with the runner's number is not the runner if it started otherwise."""
    cluster = cluster_at(root)
    _, job = await cluster.submit("sleep 614.4")
    await cluster.running(job)
    path = records(root, job.id) / "runner.json"
    true = json.loads(path.read_text())
    path.write_text(json.dumps({**true, "boot": "another"}))
    restarted = cluster_at(root)
    ended = (await restarted.scheduler.poll([job]))[job.id]
    assert ended.state == "NODE_FAIL"
    assert sleeping("614.4"), "a process of another time must not be touched"
    os.kill(true["pid"], signal.SIGKILL)
    for process in sleeping("614.4"):
        process.kill()


async def test_a_script_is_never_run_twice(root: Path) -> None:
    """A second runner of the same job leaves at once."""
    cluster = cluster_at(root)
    spec, job = await cluster.submit("echo ran; sleep 1")
    await cluster.running(job)
    second = [sys.executable, "-I", "-S", runner.__file__, str(records(root, job.id))]
    subprocess.run(second, check=True, timeout=5)
    await cluster.ended(job)
    subprocess.run(second, check=True, timeout=5)
    assert await cluster.output(spec) == "ran\n"


async def test_jobs_wait_in_line(root: Path) -> None:
    """First come, first served: a small job does not overtake a large one that waits."""
    cluster = cluster_at(root, cpus=2)
    _, first = await cluster.submit("sleep 1")
    _, large = await cluster.submit("sleep 0.2", ntasks=2)
    _, small = await cluster.submit("true")
    await cluster.running(first)
    seen = await cluster.scheduler.poll([first, large, small])
    assert [seen[job.id].state for job in (first, large, small)] == [
        "RUNNING",
        "PENDING",
        "PENDING",
    ]
    assert seen[large.id].reason == "Resources"
    last = await cluster.ended(small)
    middle = await cluster.ended(large)
    assert middle.end <= last.end
    assert middle.start >= (await cluster.ended(first)).end


async def test_each_job_has_gpus_of_its_own(root: Path) -> None:
    """Two jobs at the same time never see the same device."""
    cluster = cluster_at(root, gpus=3)
    script = "echo $CUDA_VISIBLE_DEVICES; sleep 0.5"
    (first, a), (second, b) = [await cluster.submit(script, gpus=n) for n in (2, 1)]
    await asyncio.gather(cluster.ended(a), cluster.ended(b))
    seen = ",".join([(await cluster.output(first)).strip(), (await cluster.output(second)).strip()])
    assert sorted(seen.split(",")) == ["0", "1", "2"]


async def test_a_script_is_taken_away_after_its_end(root: Path) -> None:
    """Secrets stand in it."""
    cluster = cluster_at(root)
    spec, job = await cluster.submit("echo $SECRET", env={"SECRET": "hush"})
    await cluster.ended(job)
    folder = Path(cluster.scheduler.workdir) / spec.name / spec.token  # type: ignore[attr-defined]
    assert (folder / "out.log").read_text() == "hush\n"
    assert not (folder / "script").exists()
    assert not [
        path
        for path in root.rglob("*")
        if path.is_file() and path.name != "out.log" and "hush" in path.read_text()
    ]


async def test_numbers_go_on_after_a_restart(root: Path) -> None:
    """An id is never given twice."""
    cluster = cluster_at(root)
    _, first = await cluster.submit("true")
    await cluster.ended(first)
    again = cluster_at(root)
    _, second = await again.submit("true")
    assert int(second.id) > int(first.id)
    assert (await again.scheduler.poll([first]))[first.id].state == "COMPLETED"
    await again.ended(second)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_a_folder_the_jobs_account_cannot_enter_is_named(tmp_path: Path) -> None:
    """pytest's own folders are root's alone: the settings are wrong, and the message says which."""
    scheduler = LocalScheduler(tmp_path / "c", workdir=tmp_path / "w", user="nobody")
    with pytest.raises(SettingsError, match="workdir"):
        await scheduler.check()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_a_job_cannot_reach_its_records(root: Path) -> None:
    """State and times decide about money; the job's account can neither read nor write them."""
    cluster = cluster_at(root)
    _, output = await cluster.run(
        f"id -un; ls {root}/cluster/jobs; echo x > {root}/cluster/last_id"
    )
    assert output.splitlines()[0] == "nobody"
    assert output.count("ermission denied") == 2
