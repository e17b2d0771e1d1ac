"""What every cluster must do: the same tests on this machine, on Slurm, and on Slurm over SSH."""

from __future__ import annotations

import asyncio
import time

import pytest

from dsq.core.errors import NotFoundError
from dsq.supervisor.scheduler.port import NotPermitted, SlurmJobId, SubmitRefused
from tests.support.clusters import CPUS, Cluster


async def test_a_job_runs_to_its_end_and_its_output_is_read(cluster: Cluster) -> None:
    """Both streams land in one file; times, code and account are the cluster's."""
    before = int(time.time())
    spec, job = await cluster.submit("echo out; echo err >&2; sleep 1.2; id -un")
    ended = await cluster.ended(job)
    assert (ended.state, ended.exit_code, ended.signal) == ("COMPLETED", 0, 0)
    assert before <= ended.submit_time <= ended.start
    assert 1 <= ended.end - ended.start <= 5
    assert ended.job_id == job
    assert await cluster.output(spec) == f"out\nerr\n{ended.user}\n"


async def test_an_exit_code_comes_back(cluster: Cluster) -> None:
    """A script that exits 3 has failed with 3."""
    ended, _ = await cluster.run("exit 3")
    assert (ended.state, ended.exit_code, ended.signal) == ("FAILED", 3, 0)


async def test_a_signal_comes_back(cluster: Cluster) -> None:
    """A script that was killed names the signal."""
    ended, _ = await cluster.run("kill -9 $$")
    assert (ended.state, ended.exit_code, ended.signal) == ("FAILED", 0, 9)


async def test_output_is_read_by_offset(cluster: Cluster) -> None:
    """Any part can be read, also before the job has started and past the end."""
    spec, job = await cluster.submit("printf 0123456789")
    assert await cluster.scheduler.read_output(spec.name, "no-such-token", 0) == b""
    await cluster.ended(job)
    read = cluster.scheduler.read_output
    assert await read(spec.name, spec.token, 0, 4) == b"0123"
    assert await read(spec.name, spec.token, 4, 4) == b"4567"
    assert await read(spec.name, spec.token, 8) == b"89"
    assert await read(spec.name, spec.token, 10) == b""
    assert await read(spec.name, spec.token, 99) == b""


async def test_steps_run_on_all_tasks_with_what_the_script_exported(cluster: Cluster) -> None:
    """srun starts the tasks, numbers them, and hands on the script's variables."""
    ended, output = await cluster.run(
        "export MINE='a b'\n"
        "srun --job-name=it --export=ALL,MORE=1 --cpus-per-task=2 --mem-per-cpu=100M "
        "--gpus-per-task=0 --gpus=0 --ntasks=2 "
        "sh -c 'echo $SLURM_PROCID of $SLURM_NTASKS $MINE $MORE'\n"
        'scontrol show hostnames "$SLURM_NODELIST" | grep -c .\n'
        "srun --ntasks=1 sh -c 'exit 7'",
        ntasks=2,
        cpus_per_task=2,
    )
    lines = output.splitlines()
    assert sorted(lines[:2]) == ["0 of 2 a b 1", "1 of 2 a b 1"]
    assert "1" in lines[2:]
    assert ended.exit_code == 7


async def test_a_script_finds_slurms_variables(cluster: Cluster) -> None:
    """The variables that rendered scripts use are set; the job's folder is where it starts."""
    _, output = await cluster.run(
        'echo "$SLURM_JOB_ID|$SLURM_JOB_NAME|$SLURM_NTASKS|$SLURM_NODELIST|$SLURM_JOB_NODELIST'
        '|$SLURM_CPUS_ON_NODE|$SLURM_SUBMIT_DIR|$PWD|$USER|$HOME"'
    )
    job_id, name, ntasks, nodes, nodes2, cpus, submit_dir, here, user, home = output.strip().split(
        "|"
    )
    assert job_id == cluster.jobs[-1].id
    assert name.startswith("0x")
    assert (ntasks, cpus) == ("1", "1")
    assert nodes == nodes2 != ""
    assert submit_dir == here
    assert here.endswith(f"/{name}/{here.rpartition('/')[2]}")
    assert user
    assert home


async def test_no_key_of_the_supervisor_reaches_a_job(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sbatch copies its caller's environment; a job sees only its own variables and a login's."""
    monkeypatch.setenv("ETH_PRIVATE_KEY", "0xsecret")
    monkeypatch.setenv("DSQ_PASSPHRASE_FILE", "secret")
    monkeypatch.setenv("SOMETHING_ELSE", "secret")
    _, output = await cluster.run("env; srun env", env={"GIVEN": 'it\'s "this"\n$HOME'})
    assert "secret" not in output
    assert "SSH_" not in output
    assert 'GIVEN=it\'s "this"\n$HOME\n' in output


async def test_the_jobs_path_can_be_set(cluster: Cluster) -> None:
    """job_path is the script's PATH; what Slurm is found by stays in reach."""
    _, output = await cluster.run(
        "echo $PATH; srun true && echo fine", job_path="/opt/x:/usr/bin:/bin"
    )
    assert output.splitlines()[0].endswith("/opt/x:/usr/bin:/bin")
    assert output.splitlines()[1] == "fine"


async def test_directives_in_the_script_change_nothing(cluster: Cluster) -> None:
    """The customer's #SBATCH lines count for nothing: limits are what the supervisor said."""
    _, job = await cluster.submit(
        "#SBATCH --time=99\n#SBATCH --ntasks=3\necho $SLURM_NTASKS", ntasks=1, minutes=7
    )
    ended = await cluster.ended(job)
    assert ended.time_limit_minutes == 7


async def test_a_running_job_is_cancelled(cluster: Cluster) -> None:
    """On return it neither runs nor will; it has the time that it ran."""
    spec, job = await cluster.submit("echo begun; sleep 600; echo never")
    await cluster.running(job)
    await cluster.scheduler.cancel(job)
    ended = await cluster.ended(job)
    assert ended.state == "CANCELLED"
    assert 0 < ended.start <= ended.end
    assert "never" not in await cluster.output(spec)
    await cluster.scheduler.cancel(job)  # once more is no error


async def test_a_waiting_job_is_cancelled(cluster: Cluster) -> None:
    """It never starts and has no start."""
    _, first = await cluster.submit("sleep 600")
    await cluster.running(first)
    spec, second = await cluster.submit("echo ran", ntasks=2 * CPUS)
    waiting = (await cluster.scheduler.poll([second]))[second.id]
    assert waiting.state == "PENDING"
    assert (waiting.start, waiting.end) == (0, 0)
    await cluster.scheduler.cancel(second)
    ended = await cluster.ended(second)
    assert (ended.state, ended.start) == ("CANCELLED", 0)
    await cluster.scheduler.cancel(first)
    assert await cluster.output(spec) == ""


async def test_cancelling_what_nobody_knows_is_no_error(cluster: Cluster) -> None:
    """Neither an unknown id nor one that belongs to a job of another time."""
    await cluster.scheduler.cancel(SlurmJobId("999999", 0))
    _, job = await cluster.submit("sleep 600")
    await cluster.scheduler.cancel(SlurmJobId(job.id, job.submit_time - 1000))
    assert not (await cluster.scheduler.poll([job]))[job.id].ended
    await cluster.scheduler.cancel(job)


async def test_a_limit_can_be_set_as_far_as_the_account_may(cluster: Cluster) -> None:
    """can_raise_limit tells the truth about a running job; lowering is always allowed."""
    _, job = await cluster.submit("sleep 600", minutes=5)
    assert (await cluster.running(job)).time_limit_minutes == 5
    await cluster.scheduler.set_time_limit(job, 4)
    await cluster.until(job, lambda seen: seen.time_limit_minutes == 4)
    if await cluster.scheduler.can_raise_limit():
        await cluster.scheduler.set_time_limit(job, 25)
        await cluster.until(job, lambda seen: seen.time_limit_minutes == 25)
    else:
        with pytest.raises(NotPermitted):
            await cluster.scheduler.set_time_limit(job, 25)
        assert (await cluster.running(job)).time_limit_minutes == 4
    await cluster.scheduler.cancel(job)
    with pytest.raises(NotFoundError):
        await cluster.scheduler.set_time_limit(job, 30)
    with pytest.raises(NotFoundError):
        await cluster.scheduler.set_time_limit(SlurmJobId("999999", 0), 30)


async def test_a_job_too_large_is_refused_for_certain(cluster: Cluster) -> None:
    """The refusal has a reason, and the job is not in the cluster."""
    spec = cluster.spec(ntasks=10_000)
    since = int(time.time())
    with pytest.raises(SubmitRefused) as refused:
        await cluster.scheduler.submit(spec, "true")
    assert len(str(refused.value)) > 20
    assert await cluster.scheduler.find(spec.name, spec.token, since) is None


async def test_gpus_are_given_or_refused(cluster: Cluster) -> None:
    """A job sees as many devices as it asked for; more than there are is refused."""
    _, output = await cluster.run("echo gpus=$CUDA_VISIBLE_DEVICES", gpus=2)
    assert output.strip() == "gpus=0,1"
    with pytest.raises(SubmitRefused):
        await cluster.submit("true", gpus=64)


async def test_an_attempt_is_found_by_its_token_alone(cluster: Cluster) -> None:
    """Another job of the same name is not taken for it."""
    since = int(time.time())
    spec, job = await cluster.submit("sleep 600")
    found = await cluster.scheduler.find(spec.name, spec.token, since)
    assert found is not None
    assert found.job_id == job
    assert found.name == spec.name
    assert found.output.endswith(f"/{spec.name}/{spec.token}/out.log")
    assert await cluster.scheduler.find(spec.name, "another-token", since) is None
    await cluster.scheduler.cancel(job)


async def test_a_job_that_ran_does_not_run_in_another_attempt(cluster: Cluster) -> None:
    """Whoever submits it again, knowing nothing of the first: the script ends at once with 75."""
    spec, first = await cluster.submit("echo ran", once="this-grid")
    assert (await cluster.ended(first)).state == "COMPLETED"
    again, second = await cluster.submit("echo ran", once="this-grid", name=spec.name)
    assert (await cluster.ended(second)).exit_code == 75
    output = await cluster.scheduler.read_output(again.name, again.token, 0)
    assert b"begun once already" in output
    assert b"ran\n" not in output
    _, third = await cluster.submit("echo ran", once="another-grid", name=spec.name)
    assert (await cluster.ended(third)).state == "COMPLETED"


async def test_poll_leaves_out_what_nobody_knows(cluster: Cluster) -> None:
    """An unknown id has no key, nor has an id with the submit time of another job."""
    _, job = await cluster.submit("true")
    other = SlurmJobId(job.id, job.submit_time - 5000)
    unknown = SlurmJobId("999999", 1)
    assert set(await cluster.scheduler.poll([job, unknown])) == {job.id}
    assert await cluster.scheduler.poll([other]) == {}
    assert await cluster.scheduler.poll([]) == {}


async def test_the_hardware_is_described(cluster: Cluster) -> None:
    """Nodes with CPUs, memory in MB and GPUs, and the partition's limit."""
    info = await cluster.scheduler.discover()
    assert sum(node.cpus for node in info.nodes) == 2 * CPUS
    assert sum(node.mem_mb for node in info.nodes) == 64000
    assert sum(node.gpus for node in info.nodes) == 4
    assert info.version == await cluster.scheduler.check()
    assert info.version.startswith("local" if cluster.kind == "local" else "slurm 2")


async def test_what_a_job_takes_is_not_free(cluster: Cluster) -> None:
    """Free follows the jobs: all is free again when they have ended."""
    whole = await cluster.scheduler.free()
    assert (whole.cpus, whole.gpus) == (2 * CPUS, 4)
    _, job = await cluster.submit("sleep 600", ntasks=3, cpus_per_task=2, mem_per_cpu=200, gpus=1)
    await cluster.running(job)
    left = await cluster.scheduler.free()
    assert (whole.cpus - left.cpus, whole.gpus - left.gpus) == (6, 1)
    assert whole.mem_mb - left.mem_mb == 1200
    await cluster.scheduler.cancel(job)
    deadline = time.monotonic() + 10
    while (await cluster.scheduler.free()).cpus < 2 * CPUS:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_fifty_jobs_at_once(cluster: Cluster) -> None:
    """All are taken, all end with their own code, and each has its own output."""
    submitted = await asyncio.gather(
        *(
            cluster.submit(f"echo {number}; exit {number % 5}", mem_per_cpu=10)
            for number in range(50)
        )
    )
    jobs = [job for _, job in submitted]
    assert len({job.id for job in jobs}) == 50
    assert all(job.submit_time for job in jobs)
    deadline = time.monotonic() + 60
    while True:
        found = await cluster.scheduler.poll(jobs)
        if all(job.ended for job in found.values()):
            break
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    assert [found[job.id].exit_code for job in jobs] == [number % 5 for number in range(50)]
    outputs = await asyncio.gather(*(cluster.output(spec) for spec, _ in submitted))
    assert outputs == [f"{number}\n" for number in range(50)]
