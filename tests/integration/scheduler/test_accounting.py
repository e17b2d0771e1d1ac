"""The accounting for real: slurmdbd over a data base, a queue that forgets, and what money needs.

Each job here is looked up by a scheduler that never saw it in the queue, as a supervisor does
that was down longer than Slurm remembers.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dsq.core.errors import UnreachableError
from dsq.supervisor.observe import SlurmView, observe
from dsq.supervisor.scheduler.port import UNTOLD, NotPermitted, SlurmJob, SlurmJobId
from dsq.supervisor.scheduler.slurm import SlurmScheduler
from dsq.supervisor.scheduler.slurm_poll import PATIENCE
from dsq.supervisor.scheduler.transport import LocalTransport
from tests.support.accounting import BookedSlurm, booked_slurm
from tests.support.clusters import Cluster, slurm_settings
from tests.support.slurm import job_account, run
from tests.unit.supervisor.cases import sent

pytestmark = [pytest.mark.slurm, pytest.mark.slurmdbd]

CPUS = 4


@pytest.fixture(scope="module")
def slurm() -> Iterator[BookedSlurm]:
    """Two nodes of four CPUs, whose queue forgets within seconds."""
    with booked_slurm(cpus=CPUS, mem_mb=4000, min_job_age=2) as cluster:
        yield cluster


def look(slurm: BookedSlurm, folder: Path, partition: str = "batch", **options: object) -> Cluster:
    """A scheduler that has seen nothing yet."""
    user = job_account()
    env = {**slurm.env(), **options.pop("env", {})}  # type: ignore[dict-item]
    line = LocalTransport(user if os.geteuid() == 0 else None, env=env)
    settings = replace(slurm_settings(folder, user, **options), partition=partition)
    return Cluster(SlurmScheduler(line, settings), "slurm")


def booked(seen: SlurmJob) -> SlurmJob:
    """What the accounting says of an end that the queue showed: neither the reason, nor a signal
    that Slurm itself sent."""
    sent_by_slurm = seen.state in ("CANCELLED", "PREEMPTED", "TIMEOUT")
    return replace(seen, reason="", signal=0 if sent_by_slurm else seen.signal)


@dataclass(frozen=True)
class Case:
    """A job that has ended, and what the queue said of it while it still knew."""

    job: SlurmJobId
    seen: SlurmJob
    name: str
    token: str


@pytest.fixture(scope="module")
def cases(slurm: BookedSlurm, folder: Path) -> dict[str, Case]:
    """Every way in which a job can end here, all of them forgotten by the queue."""
    return run(_all_ends(slurm, folder))  # type: ignore[no-any-return]


async def _all_ends(slurm: BookedSlurm, folder: Path) -> dict[str, Case]:
    cluster, low = look(slurm, folder), look(slurm, folder, slurm.low)
    jobs = {
        "completed": await cluster.submit("sleep 1.2"),
        "failed": await cluster.submit("sleep 1; exit 4"),
        "killed": await cluster.submit("kill -9 $$"),
        "cancelled": await cluster.submit("sleep 600"),
        "preempted": await low.submit("sleep 600"),
    }
    array = await _array(slurm)
    for name in ("cancelled", "preempted"):
        await cluster.running(jobs[name][1])
    jobs["waiting"] = await cluster.submit("true", ntasks=2 * CPUS, mem_per_cpu=10)
    await asyncio.sleep(1.1)
    for name in ("waiting", "cancelled"):
        await cluster.scheduler.cancel(jobs[name][1])
    _, big = await cluster.submit("sleep 0.5", ntasks=2 * CPUS, mem_per_cpu=10)
    seen = {name: await cluster.ended(job) for name, (_, job) in jobs.items()}
    await cluster.ended(big)
    jobs["node"] = await cluster.submit("sleep 600")
    seen["node"] = await _fail_node(slurm, cluster, jobs["node"][1])
    await slurm.forgot(array, *(job.id for _, job in jobs.values()))
    return {
        name: Case(job, seen[name], spec.name, spec.token) for name, (spec, job) in jobs.items()
    }


async def _array(slurm: BookedSlurm) -> str:
    """Somebody's array, some of whose tasks get their numbers between those of our jobs."""
    line = LocalTransport(job_account() if os.geteuid() == 0 else None, env=slurm.env())
    argv = ["sbatch", "--parsable", "--array=1-3", "--output=/dev/null", "--mem=10"]
    done = await line.run([*argv, "--job-name=array", "--wrap=exit $SLURM_ARRAY_TASK_ID"])
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


async def _fail_node(slurm: BookedSlurm, cluster: Cluster, job: SlurmJobId) -> SlurmJob:
    """A job's node dies under it, and comes back."""
    node = (await cluster.running(job)).nodes
    await slurm.kill(f"slurmd.{node}")
    await slurm.told("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    seen = await cluster.ended(job)
    await slurm.start()
    return seen


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("completed", "COMPLETED"),
        ("failed", "FAILED"),
        ("killed", "FAILED"),
        ("cancelled", "CANCELLED"),
        ("waiting", "CANCELLED"),
        ("preempted", "PREEMPTED"),
        ("node", "NODE_FAIL"),
    ],
)
async def test_an_end_that_only_the_accounting_knows_is_the_one_the_queue_told(
    slurm: BookedSlurm, folder: Path, cases: dict[str, Case], name: str, state: str
) -> None:
    """State, code, signal, start and end are the same, so the bill is; in a zone far from UTC."""
    case = cases[name]
    told = (await look(slurm, folder).scheduler.poll([case.job]))[case.job.id]
    assert told == booked(case.seen)
    assert (told.state, told.job_id, told.time_limit_minutes) == (state, case.job, 5)
    assert told.start <= told.end
    assert bool(told.nodes) is (name != "waiting")
    found = await look(slurm, folder).scheduler.find(case.name, case.token, case.job.submit_time)
    assert found is not None
    assert (found.job_id, found.state) == (case.job, state)


async def test_times_are_the_same_from_every_time_zone(
    slurm: BookedSlurm, folder: Path, cases: dict[str, Case]
) -> None:
    """The account's zone may be another one than the cluster's, with a clock that is put back."""
    case = cases["failed"]
    for zone in ("America/New_York", "Pacific/Chatham", "UTC"):
        cluster = look(slurm, folder, env={"TZ": zone})
        told = (await cluster.scheduler.poll([case.job]))[case.job.id]
        assert (told.start, told.end) == (case.seen.start, case.seen.end)
        assert abs(told.end - time.time()) < 300


async def test_tasks_of_an_array_are_jobs_of_their_own(
    slurm: BookedSlurm, folder: Path, cases: dict[str, Case]
) -> None:
    """Each number is one job; the array's own is its last task's."""
    rows = await slurm.told("sacct", "-n", "-P", "-X", "-a", "--name=array", "-o", "JobIDRaw")
    ids = rows.split()
    assert len(set(ids)) == 3
    told = await look(slurm, folder).scheduler.poll([SlurmJobId(one, 0) for one in ids])
    assert sorted(told[one].exit_code for one in ids) == [1, 2, 3]
    assert not set(ids) & {case.job.id for case in cases.values()}


async def test_the_first_run_of_a_job_that_was_put_back_is_the_one_that_is_told(
    slurm: BookedSlurm, folder: Path
) -> None:
    """An operator forces a job back into the queue: its first run has a start and an end, and the
    second, which has the same id, is another job's."""
    cluster = look(slurm, folder)
    _, job = await cluster.submit("sleep 600")
    began = (await cluster.running(job)).start
    await asyncio.sleep(1.1)
    await slurm.told("scontrol", "update", f"JobId={job.id}", "Requeue=1")
    await slurm.told("scontrol", "requeue", job.id)
    told = await cluster.ended(job)
    fresh = (await look(slurm, folder).scheduler.poll([job]))[job.id]
    for seen in (told, fresh):
        assert (seen.state, seen.start, seen.job_id) == ("CANCELLED", began, job)
        assert 1 <= seen.end - seen.start <= 5
    await cluster.scheduler.cancel(SlurmJobId(job.id, 0))


@pytest.mark.slow
async def test_a_second_run_after_a_crash_is_not_billed(slurm: BookedSlurm, folder: Path) -> None:
    """kill -9 just after a job's end: the controller starts it again, and the data base keeps the
    last run of a submission. The script does nothing then, and the bill is that of the first run,
    up to its last sighting. Where Slurm had saved the end in time, that is what is told."""
    for _ in range(5):
        if await _ran_again(slurm, folder):
            return
    pytest.fail("each time the end was saved before the kill")


async def _ran_again(slurm: BookedSlurm, folder: Path) -> bool:
    """Kills the controller after a job's end; whether it started the job again."""
    cluster = look(slurm, folder)
    await asyncio.sleep(6)  # then the next change is saved at once, the one after it late
    spec, job = await cluster.submit("echo ran; sleep 0.7; exit 3")
    first = await cluster.running(job)
    at = time.time()
    record = sent(slurm_id=job.id, submit_time=job.submit_time, slurm_state="PENDING")
    record, _ = observe(record, None, SlurmView.of(first, at), at)
    while job.id in (await slurm.told("squeue", "-h", "-t", "running", "-o", "%A")).split():
        await asyncio.sleep(0.05)
    await slurm.kill("slurmctld")
    await slurm.start()
    await slurm.forgot(job.id)
    told = (await look(slurm, folder).scheduler.poll([job]))[job.id]
    assert told.job_id == job
    record, _ = observe(record, None, SlurmView.of(told, time.time()), time.time())
    assert record.started_at == first.start
    output = await cluster.output(spec)
    assert output.startswith("ran\n")
    assert output.count("ran\n") == 1
    if told.exit_code == 3:
        assert (told.start, record.ended_at) == (first.start, told.end)
        return False
    assert told.exit_code == 75
    assert told.start > first.start
    assert record.ended_at == int(at)
    assert "This script has begun once already" in output
    return True


async def test_jobs_of_a_cluster_that_lost_its_state_are_told_apart(
    slurm: BookedSlurm, folder: Path
) -> None:
    """What ran or waited then has an end on record; ids begin anew, and an id and a time of
    submission name one job only."""
    cluster = look(slurm, folder)
    _, old = await cluster.submit("sleep 600")
    ran = await cluster.running(old)
    _, waiting = await cluster.submit("true", ntasks=2 * CPUS, mem_per_cpu=10)
    while waiting.id not in await slurm.told("sacct", "-n", "-P", "-X", "-a", "-o", "JobIDRaw"):
        await asyncio.sleep(0.3)  # Slurm tells the data base of waiting jobs every five seconds
    await slurm.forget()
    told = await look(slurm, folder).scheduler.poll([old, waiting])
    assert told[old.id].state == told[waiting.id].state == "CANCELLED"
    assert told[old.id].start == ran.start <= told[old.id].end
    assert (told[waiting.id].start, told[waiting.id].nodes) == (0, "")
    cluster = look(slurm, folder)
    new = old
    while int(new.id) < int(old.id) or new == old:
        _, new = await cluster.submit("exit 5")
    assert (await cluster.ended(new)).exit_code == 5
    await slurm.forgot(new.id)
    assert (new.id, new.submit_time > old.submit_time) == (old.id, True)
    assert (await look(slurm, folder).scheduler.poll([new]))[new.id].exit_code == 5
    assert (await look(slurm, folder).scheduler.poll([old]))[old.id] == told[old.id]


@pytest.mark.slow
async def test_a_running_job_outlives_a_killed_controller_in_the_accounting_too(
    slurm: BookedSlurm, folder: Path
) -> None:
    """It is not called ended while it runs, and its end is the true one."""
    await asyncio.sleep(6)
    cluster = look(slurm, folder)
    _, job = await cluster.submit("sleep 12; exit 6")
    began = (await cluster.running(job)).start
    await asyncio.sleep(6)
    await slurm.kill("slurmctld")
    await slurm.start()
    fresh = look(slurm, folder)
    seen = await fresh.until(job, lambda seen: True)
    assert (seen.state, seen.start) == ("RUNNING", began)
    ended = await fresh.ended(job)
    assert (ended.exit_code, ended.start) == (6, began)
    assert 12 <= ended.end - began <= 16
    await slurm.forgot(job.id)
    told = (await look(slurm, folder).scheduler.poll([job]))[job.id]
    assert told == booked(ended)


@pytest.mark.slow
async def test_a_data_base_that_is_down_hides_only_the_jobs_that_left_the_queue(
    slurm: BookedSlurm, folder: Path
) -> None:
    """Of them nothing is said until it is back, and then their true end; the others are told."""
    cluster = look(slurm, folder)
    _, runs = await cluster.submit("sleep 600")
    await cluster.running(runs)
    slurm.stop_books()
    try:
        _, job = await cluster.submit("sleep 1; exit 4")
        seen = await cluster.running(job)
        await slurm.forgot(job.id)
        for _ in range(2):
            began = time.monotonic()
            told = await cluster.scheduler.poll([runs, job])
            assert (told[runs.id].state, told[job.id].state) == ("RUNNING", UNTOLD)
            assert not told[job.id].ended
            state = cluster.scheduler.accounting()
            assert (state.ok, "sacct got no answer" in state.detail) == (False, True)
            assert time.monotonic() - began < 10
        fresh = look(slurm, folder).scheduler
        for _ in range(PATIENCE):  # who knows nothing yet waits for it, and not for ever
            with pytest.raises(UnreachableError, match="sacct got no answer"):
                await fresh.poll([runs])
        assert (await fresh.poll([runs]))[runs.id].state == "RUNNING"
    finally:
        slurm.start_books()
    told_end = await cluster.ended(job, 60)
    assert cluster.scheduler.accounting().ok
    assert (told_end.exit_code, told_end.start) == (4, seen.start)
    assert 1 <= told_end.end - told_end.start <= 5
    await cluster.scheduler.cancel(runs)


@pytest.mark.slow
async def test_a_data_base_that_hangs_holds_up_one_poll_in_many(
    slurm: BookedSlurm, folder: Path
) -> None:
    """The queue is read on without it; it is asked again when four times the wait has passed."""
    cluster = look(slurm, folder, timeout=2.0)
    _, job = await cluster.submit("true")
    _, runs = await cluster.submit("sleep 600")
    await cluster.running(runs)
    await slurm.forgot(job.id)
    assert slurm.books is not None
    slurm.books.send_signal(signal.SIGSTOP)
    try:
        await cluster.until(job, lambda seen: seen.state == UNTOLD)
        began = time.monotonic()
        for _ in range(5):
            assert (await cluster.scheduler.poll([runs, job]))[runs.id].state == "RUNNING"
        assert time.monotonic() - began < 2
    finally:
        slurm.books.send_signal(signal.SIGCONT)
    assert (await cluster.ended(job)).state == "COMPLETED"
    await cluster.scheduler.cancel(runs)


async def test_an_operator_of_the_accounting_may_raise_limits(
    slurm: BookedSlurm, folder: Path
) -> None:
    """Before, he may not and is told the remedy; after that very command he may, and does."""
    if os.geteuid() != 0:
        pytest.skip("the only account here is the one that Slurm runs as")
    scheduler = look(slurm, folder).scheduler
    cluster = Cluster(scheduler, "slurm")
    _, job = await cluster.submit("sleep 600")
    await cluster.running(job)
    assert await scheduler.can_raise_limit() is False
    with pytest.raises(NotPermitted) as refused:
        await scheduler.set_time_limit(job, 30)
    assert refused.value.hint is not None
    remedy = refused.value.hint.partition("sacctmgr ")[2].rstrip(".")
    await slurm.sacctmgr("add", "account", "dsq", "Description=d", "Organization=d")
    await slurm.sacctmgr("add", "user", job_account(), "account=dsq")
    await slurm.sacctmgr(*remedy.split())
    deadline = time.monotonic() + 20
    while not await scheduler.can_raise_limit():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    await scheduler.set_time_limit(job, 30)
    await cluster.until(job, lambda seen: seen.time_limit_minutes == 30)
    await cluster.scheduler.cancel(job)


@pytest.mark.slow
async def test_a_limit_and_memory_end_jobs_with_their_own_words(
    slurm: BookedSlurm, folder: Path
) -> None:
    """TIMEOUT, and what Slurm's own watch over memory makes of it (without cgroups FAILED)."""
    cluster = look(slurm, folder)
    _, late = await cluster.submit("sleep 600", minutes=1)
    _, fat = await cluster.submit(
        "python3 -c 'import time; x = bytearray(400 << 20); time.sleep(60)'", mem_per_cpu=50
    )
    seen = {job.id: await cluster.ended(job, 150) for job in (fat, late)}
    assert seen[late.id].state == "TIMEOUT"
    assert 60 <= seen[late.id].end - seen[late.id].start < 150
    assert seen[fat.id].state in ("OUT_OF_MEMORY", "FAILED")
    assert seen[fat.id].signal == 9 or seen[fat.id].exit_code
    await slurm.forgot(late.id, fat.id)
    told = await look(slurm, folder).scheduler.poll([late, fat])
    for job in (late, fat):
        assert told[job.id] == booked(seen[job.id])
