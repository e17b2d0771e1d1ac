"""Slurm alone: lost answers, a dead controller, the accounting, and the cost of polling."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.errors import SettingsError, UnreachableError
from dsq.core.model import JobDefinition
from dsq.supervisor.capacity import claimable, never_runs
from dsq.supervisor.observe import WAITING_STATES
from dsq.supervisor.scheduler.line import Completed
from dsq.supervisor.scheduler.port import FORGOTTEN, NotPermitted, SlurmJobId, SubmitRefused
from dsq.supervisor.scheduler.slurm import SlurmScheduler, SlurmSettings
from dsq.supervisor.scheduler.submissions import READ_ALL
from dsq.supervisor.scheduler.transport import LocalTransport
from dsq.supervisor.states import AWAY_REASONS
from tests.support.clusters import Cluster, slurm_here, slurm_settings
from tests.support.slurm import job_account, open_folder, running_slurm

pytestmark = pytest.mark.slurm


class Listening:
    """A line that counts its commands, and can lose the answer of one."""

    def __init__(self, line: LocalTransport) -> None:
        self.line = line
        self.commands: list[str] = []
        self.lose = ""

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        self.commands.append(" ".join(argv))
        done = await self.line.run(argv, stdin=stdin, timeout=timeout, env=env)
        if self.lose and self.lose in argv:
            raise UnreachableError("The line broke.")
        return done

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        return await self.line.read(path, offset, limit)

    async def close(self) -> None:
        await self.line.close()


def listening(folder: Path, slurm: MiniSlurm) -> tuple[Cluster, Listening]:
    user = job_account()
    line = Listening(LocalTransport(user if os.geteuid() == 0 else None, env=slurm.env()))
    return Cluster(SlurmScheduler(line, slurm_settings(folder, user)), "slurm"), line


async def test_a_poll_is_one_command_however_many_jobs(folder: Path, slurm: MiniSlurm) -> None:
    """Running, waiting and lately ended jobs all come with one squeue; ended ones cost nothing."""
    cluster, line = listening(folder, slurm)
    submitted = [await cluster.submit("sleep 0.1", mem_per_cpu=10) for _ in range(8)]
    jobs = [job for _, job in submitted]
    # The first one, as each after a failure, asks the accounting too.
    assert len(await cluster.scheduler.poll(jobs)) == 8
    line.commands.clear()
    assert len(await cluster.scheduler.poll(jobs)) == 8
    assert len(line.commands) == 1
    for job in jobs:
        await cluster.ended(job)
    line.commands.clear()
    assert len(await cluster.scheduler.poll(jobs)) == 8
    assert line.commands == []


async def test_a_submission_whose_answer_was_lost_is_found(folder: Path, slurm: MiniSlurm) -> None:
    """The line broke after Slurm took the job: the job is found by its token, and runs once."""
    cluster, line = listening(folder, slurm)
    line.lose = READ_ALL
    spec = cluster.spec()
    since = int(time.time())
    with pytest.raises(UnreachableError):
        await cluster.scheduler.submit(spec, "echo ran")
    line.lose = ""
    found = await cluster.scheduler.find(spec.name, spec.token, since)
    assert found is not None
    await cluster.ended(found.job_id)
    assert await cluster.output(spec) == "ran\n"
    again = await cluster.scheduler.find(spec.name, spec.token, since)
    assert again is not None
    assert again.job_id == found.job_id


async def test_a_submission_given_up_never_runs(folder: Path, slurm: MiniSlurm) -> None:
    """Once find has said None, the same submission may still arrive: its script does nothing."""
    cluster, _ = listening(folder, slurm)
    spec = cluster.spec()
    assert await cluster.scheduler.find(spec.name, spec.token, int(time.time())) is None
    late = await cluster.scheduler.submit(spec, "echo ran")
    ended = await cluster.ended(late)
    output = await cluster.output(spec)
    assert ended.exit_code == 75
    assert "ran\n" not in output
    assert "given up" in output


async def test_an_attempt_that_began_and_left_no_record_is_not_called_absent(
    folder: Path, slurm: MiniSlurm
) -> None:
    """Slurm has forgotten the job, but its script has begun: it must not be submitted again."""
    cluster, _ = listening(folder, slurm)
    spec, job = await cluster.submit("true")
    await cluster.ended(job)
    settings = cluster.scheduler.settings  # type: ignore[attr-defined]
    old = Path(settings.workdir) / spec.name / spec.token
    forgotten = old.with_name("forgotten")
    subprocess.run(["cp", "-a", old, forgotten], check=True)
    found = await cluster.scheduler.find(spec.name, "forgotten", int(time.time()))
    assert found is not None
    assert (found.state, found.id, found.ended) == (FORGOTTEN, "", True)


async def test_an_id_of_a_former_life_of_the_cluster_is_not_taken(
    folder: Path, slurm: MiniSlurm
) -> None:
    """The same id with another submit time is another job, in the queue and when cancelling."""
    cluster, _ = listening(folder, slurm)
    _, job = await cluster.submit("sleep 600")
    former = SlurmJobId(job.id, job.submit_time - 86400)
    assert await cluster.scheduler.poll([former]) == {}
    await cluster.scheduler.cancel(former)
    assert not (await cluster.scheduler.poll([job]))[job.id].ended
    # Whose submit time was never seen is known by its id alone.
    assert (await cluster.scheduler.poll([SlurmJobId(job.id, 0)]))[job.id].job_id == job
    await cluster.scheduler.cancel(job)


async def test_a_job_above_the_partitions_limit_is_refused(folder: Path, slurm: MiniSlurm) -> None:
    """``debug`` allows half an hour; Slurm's own words come back."""
    scheduler = SlurmScheduler(
        LocalTransport(env=slurm.env()),
        SlurmSettings(partition="debug", workdir=str(folder / "debug")),
    )
    cluster = Cluster(scheduler, "slurm")
    assert (await scheduler.discover()).max_minutes == 30
    with pytest.raises(SubmitRefused, match="time limit"):
        await cluster.submit("true", minutes=31)


async def test_roots_may_be_below_the_accounts_home(folder: Path, slurm: MiniSlurm) -> None:
    """The provider's two paths are; a secret that looks like a path is left as it is."""
    cluster, _ = listening(folder, slurm)
    _, output = await cluster.run(
        'echo "$HOME" "$DSQ_CACHE_ROOT" "$DSQ_SCRATCH_ROOT" "$SECRET"',
        env={"DSQ_CACHE_ROOT": "~/a", "DSQ_SCRATCH_ROOT": "/b", "SECRET": "~/c"},
    )
    home, cache, scratch, secret = output.split()
    assert (cache, scratch, secret) == (f"{home}/a", "/b", "~/c")


async def test_a_partition_that_is_not_there_is_named(slurm: MiniSlurm) -> None:
    """With the name that was probably meant."""
    scheduler = SlurmScheduler(LocalTransport(env=slurm.env()), SlurmSettings(partition="bacth"))
    with pytest.raises(SettingsError, match="Did you mean 'batch'"):
        await scheduler.discover()


async def test_a_folder_that_cannot_be_made_refuses_the_job(slurm: MiniSlurm) -> None:
    """Nothing was submitted, and the sentence says what is wrong with the folder."""
    scheduler = SlurmScheduler(
        LocalTransport(env=slurm.env()), SlurmSettings(workdir="/proc/nothing")
    )
    with pytest.raises(SubmitRefused, match="/proc/nothing"):
        await Cluster(scheduler, "slurm").submit("true")


@pytest.mark.parametrize("workdir", ["relative", "/with%j", "/a|b", "/a\\b"])
async def test_a_workdir_that_slurm_would_read_otherwise_is_refused(
    slurm: MiniSlurm, workdir: str
) -> None:
    """Slurm replaces %j and the like in paths."""
    scheduler = SlurmScheduler(LocalTransport(env=slurm.env()), SlurmSettings(workdir=workdir))
    with pytest.raises(SettingsError, match="workdir"):
        await Cluster(scheduler, "slurm").submit("true")


async def test_missing_programs_are_named(folder: Path, slurm: MiniSlurm) -> None:
    """A wrong bin_dir is a cluster that cannot be reached, not a refused job."""
    scheduler = SlurmScheduler(
        LocalTransport(env=slurm.env()),
        SlurmSettings(bin_dir="/opt/none", workdir=str(folder / "none")),
    )
    with pytest.raises(UnreachableError, match="scontrol"):
        await scheduler.check()
    with pytest.raises(UnreachableError):
        await Cluster(scheduler, "slurm").submit("true")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two accounts")
async def test_an_ordinary_account_may_not_touch_anothers_job(
    folder: Path, slurm: MiniSlurm
) -> None:
    """Cancelling or changing it is an error of its own, and the job goes on."""
    cluster = Cluster(slurm_here(folder, slurm), "slurm")
    other = SlurmScheduler(
        LocalTransport("daemon", env=slurm.env()), SlurmSettings(workdir="/tmp/none")
    )
    _, job = await cluster.submit("sleep 600")
    with pytest.raises(NotPermitted):
        await other.cancel(job)
    with pytest.raises(NotPermitted):
        await other.set_time_limit(job, 99)
    assert await other.can_raise_limit() is False
    assert await cluster.scheduler.can_raise_limit() is True
    assert not (await cluster.scheduler.poll([job]))[job.id].ended
    await cluster.scheduler.cancel(job)


async def test_a_script_that_ends_leaves_nothing_behind(folder: Path, slurm: MiniSlurm) -> None:
    """Slurm ends what a script left in the background, and the job's end is the script's."""
    cluster, _ = listening(folder, slurm)
    ended, _ = await cluster.run("sleep 600 & exit 0")
    assert ended.state == "COMPLETED"
    assert ended.end - ended.start < 10


async def test_a_run_that_nobody_saw_is_known_by_the_count_of_restarts(
    folder: Path, slurm: MiniSlurm
) -> None:
    """Put back between two looks, a job has a new time of submission: it is looked for by its
    token, and must not be taken for one whose script never began."""
    cluster, line = listening(folder, slurm)
    since = int(time.time())
    spec, job = await cluster.submit("sleep 600", mem_per_cpu=10)
    assert (await cluster.running(job)).restarts == 0
    await asyncio.sleep(1.1)
    for argv in (
        ["scontrol", "update", f"JobId={job.id}", "Requeue=1"],
        ["scontrol", "requeue", job.id],
    ):
        assert (await line.run(argv)).returncode == 0
    fresh, _ = listening(folder, slurm)
    while await fresh.scheduler.poll([job]):
        await asyncio.sleep(0.2)
    found = await fresh.scheduler.find(spec.name, spec.token, since)
    assert found is not None
    assert found.submit_time > job.submit_time
    assert found.state in WAITING_STATES
    assert found.restarts == 1
    await fresh.scheduler.cancel(found.job_id)
    ended = await fresh.ended(found.job_id)
    assert (ended.state, ended.restarts, ended.nodes) == ("CANCELLED", 1, "")


async def test_an_ended_job_is_found_in_the_accounting_when_the_queue_forgot_it() -> None:
    """After MinJobAge squeue knows nothing; code, times and attempt come from sacct."""
    folder = open_folder()
    with running_slurm(folder / "s", nodes=1, min_job_age=2) as slurm:
        cluster, _ = listening(folder, slurm)
        since = int(time.time())
        spec, job = await cluster.submit("sleep 1.2; exit 4")
        first = await cluster.ended(job)
        fresh, line = listening(folder, slurm)
        while job.id in await _queue(slurm):
            await asyncio.sleep(0.3)
        later = (await fresh.scheduler.poll([job]))[job.id]
        assert [command.split()[-1] for command in line.commands if "sacct" in command]
        assert (later.state, later.exit_code) == ("FAILED", 4)
        assert (later.start, later.end, later.job_id) == (first.start, first.end, job)
        former = SlurmJobId(job.id, job.submit_time + 1000)
        assert await fresh.scheduler.poll([former]) == {}
        found = await fresh.scheduler.find(spec.name, spec.token, since)
        assert found is not None
        assert (found.id, found.exit_code) == (job.id, 4)
    subprocess.run(["rm", "-rf", folder], check=True)


async def test_an_end_that_a_killed_controller_forgot_counts() -> None:
    """kill -9 just after a job's end: the new controller has it run, or wait and start again; the
    first run's end is what is told, and the script runs once."""
    folder = open_folder()
    with running_slurm(folder / "s", nodes=1) as slurm:
        cluster, _ = listening(folder, slurm)
        await asyncio.sleep(6)  # then the next change is saved at once, the one after it late
        spec, job = await cluster.submit("echo ran; sleep 0.5; exit 3")
        first = await cluster.ended(job)
        controller = slurm._process("slurmctld")
        assert controller is not None
        controller.kill()
        await slurm.start()
        fresh, _ = listening(folder, slurm)
        assert (await _states(slurm)).get(job.id) != first.state, "it was saved before the kill"
        told = (await fresh.scheduler.poll([job]))[job.id]
        assert (told.state, told.exit_code) == ("FAILED", 3)
        assert (told.start, told.end, told.job_id) == (first.start, first.end, job)
        assert (await fresh.scheduler.poll([job]))[job.id] == told
        assert await cluster.output(spec) == "ran\n"
    subprocess.run(["rm", "-rf", folder], check=True)


async def _states(slurm: MiniSlurm) -> dict[str, str]:
    line = LocalTransport(env=slurm.env())
    done = await line.run(["squeue", "-h", "-t", "all", "-o", "%A %T"])
    return dict(row.split() for row in done.stdout.decode().splitlines())


async def _queue(slurm: MiniSlurm) -> list[str]:
    line = LocalTransport(env=slurm.env())
    done = await line.run(["squeue", "-h", "-t", "all", "-o", "%A"])
    return done.stdout.decode().split()


async def test_a_controller_that_is_down_is_unreachable_and_comes_back() -> None:
    """No call hangs, none takes silence for an answer; after the restart the job is still known."""
    folder = open_folder()
    with running_slurm(folder / "s", nodes=1) as slurm:
        user = job_account()
        line = LocalTransport(user if os.geteuid() == 0 else None, env=slurm.env())
        settings = slurm_settings(folder, user, timeout=2.0, submit_timeout=2.0)
        scheduler = SlurmScheduler(line, settings)
        cluster = Cluster(scheduler, "slurm")
        _, job = await cluster.submit("sleep 600")
        await cluster.running(job)
        # Told to end, it saves what it knows, and takes up to a second for that.
        controller = psutil.Process(int((slurm.place() / "run" / "slurmctld.pid").read_text()))
        controller.send_signal(signal.SIGTERM)
        while controller.is_running() and controller.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.1)
        spec = cluster.spec(token=secrets.token_hex(4))
        began = time.monotonic()
        results = await asyncio.gather(
            scheduler.check(),
            scheduler.poll([job]),
            scheduler.submit(spec, "true"),
            scheduler.cancel(job),
            scheduler.set_time_limit(job, 9),
            scheduler.find(spec.name, spec.token, int(time.time())),
            scheduler.free(),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [UnreachableError] * 7
        assert time.monotonic() - began < 8
        await slurm.start()
        assert (await cluster.running(job)).job_id == job
        assert await scheduler.find(spec.name, spec.token, int(time.time())) is None
        await scheduler.cancel(job)
    subprocess.run(["rm", "-rf", folder], check=True)


async def test_a_row_that_a_path_forges_is_not_believed(folder: Path, slurm: MiniSlurm) -> None:
    """A job of the same account names an output with a line break and another's row in it: the
    attempt it claims to be is not found."""
    cluster, line = listening(folder, slurm)
    spec = cluster.spec()
    settings = cluster.scheduler.settings  # type: ignore[attr-defined]
    wanted = f"{settings.workdir}/{spec.name}/{spec.token}"
    since = int(time.time())
    row = f"77|{since}|{job_account()}|COMPLETED|None|{since}|{since}|0|1:00|n1|{wanted}/out.log"
    log = f"77|{since}|{job_account()}|COMPLETED|{since}|{since}|0:0|60|n1|{wanted}"
    forger = await line.run(
        [
            *("sbatch", "--parsable", "--hold", f"--job-name={spec.name}"),
            *(f"--output=/tmp/x\n{row}", f"--chdir=/tmp\n{log}", "--wrap=true"),
        ]
    )
    assert forger.returncode == 0, forger.stderr
    try:
        assert await cluster.scheduler.find(spec.name, spec.token, since) is None
    finally:
        await line.run(["scancel", forger.stdout.decode().strip()])


async def test_a_cluster_without_sacct_has_no_records_of_old_jobs(
    folder: Path, slurm: MiniSlurm, tmp_path: Path
) -> None:
    """It is no silent cluster: what left the queue is unknown, the rest goes on."""
    bin_dir = folder / "few-programs"
    bin_dir.mkdir(exist_ok=True)
    for name in ("sbatch", "squeue", "scancel", "scontrol"):
        found = subprocess.run(["which", name], capture_output=True, text=True, check=True)
        (bin_dir / name).unlink(missing_ok=True)
        (bin_dir / name).symlink_to(found.stdout.strip())
    scheduler = slurm_here(folder, slurm, bin_dir=str(bin_dir))
    cluster = Cluster(scheduler, "slurm")
    _, job = await cluster.submit("true")
    assert (await cluster.ended(job)).state == "COMPLETED"
    assert await scheduler.poll([SlurmJobId("999999", 5)]) == {}


async def scontrol(slurm: MiniSlurm, *words: str) -> None:
    """What a cluster's operator does."""
    done = await LocalTransport(env=slurm.env()).run(["scontrol", "update", *words])
    assert done.returncode == 0, done.stderr


async def test_a_partition_that_is_closed_gets_no_claims_and_says_so(
    folder: Path, slurm: MiniSlurm
) -> None:
    """Nothing is free there, with the reason; what waits shows the reason that hands it back."""
    cluster = Cluster(slurm_here(folder, slurm), "slurm")
    assert (await cluster.scheduler.free()).closed == ""
    await scontrol(slurm, "PartitionName=batch", "State=DOWN")
    try:
        free = await cluster.scheduler.free()
        assert free.closed == "the partition batch is DOWN"
        assert claimable(free, [], [JobDefinition(1, 1, 1)], 9) == 0
        _, job = await cluster.submit("true")
        waiting = await cluster.until(job, lambda seen: bool(seen.reason))
        assert waiting.reason in AWAY_REASONS
        await cluster.scheduler.cancel(job)
    finally:
        await scontrol(slurm, "PartitionName=batch", "State=UP")


async def test_limits_of_a_partition_are_known_and_slurm_agrees(
    folder: Path, slurm: MiniSlurm
) -> None:
    """What is said never to run is refused by Slurm too; what is not, it takes."""
    cluster = Cluster(slurm_here(folder, slurm), "slurm")
    await scontrol(slurm, "PartitionName=batch", "MaxNodes=1", "MaxCPUsPerNode=6")
    try:
        info = await cluster.scheduler.discover()
        assert (info.max_nodes, info.max_cpus_per_node) == (1, 6)
        assert len(info.configured) == 2
        for ntasks, cpus in ((7, 1), (1, 7), (12, 1), (6, 1), (1, 6), (3, 2)):
            why = never_runs(JobDefinition(ntasks, cpus, 10), info)
            assert bool(why) is (ntasks * cpus > 6), why
            if why:
                with pytest.raises(SubmitRefused):
                    await cluster.submit("true", ntasks=ntasks, cpus_per_task=cpus, mem_per_cpu=10)
            else:
                _, job = await cluster.submit(
                    "true", ntasks=ntasks, cpus_per_task=cpus, mem_per_cpu=10
                )
                assert (await cluster.ended(job)).state == "COMPLETED"
    finally:
        await scontrol(
            slurm, "PartitionName=batch", "MaxNodes=UNLIMITED", "MaxCPUsPerNode=UNLIMITED"
        )


async def test_a_node_that_is_down_is_configured_still(folder: Path, slurm: MiniSlurm) -> None:
    """Jobs that only it could hold are not called impossible; it is not registered either."""
    cluster = Cluster(slurm_here(folder, slurm), "slurm")
    await scontrol(slurm, "NodeName=n2", "State=DOWN", "Reason=test")
    try:
        info = await cluster.scheduler.discover()
        assert [node.name for node in info.nodes] == ["n1"]
        assert [node.name for node in info.configured] == ["n1", "n2"]
        assert never_runs(JobDefinition(20, 1, 10), info) == ""
    finally:
        await scontrol(slurm, "NodeName=n2", "State=RESUME")
        while len((await cluster.scheduler.discover()).nodes) < 2:
            await asyncio.sleep(0.2)


@pytest.mark.slow
async def test_a_job_that_outlives_its_limit_is_ended_by_slurm(
    folder: Path, slurm: MiniSlurm
) -> None:
    """Slurm looks about every 30 s; the state says TIMEOUT and the times what it really took."""
    cluster, _ = listening(folder, slurm)
    spec, job = await cluster.submit("echo begun; sleep 600", minutes=1)
    ended = await cluster.ended(job, patience=150)
    assert ended.state == "TIMEOUT"
    assert 60 <= ended.end - ended.start < 150
    assert (await cluster.output(spec)).startswith("begun\n")
