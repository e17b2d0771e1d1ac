"""Jobs from a workflow file to Slurm and back, their secrets, sweeps and credits."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.chain import Chain
from dsq.core.config import read_grid_json
from dsq.core.grid import Grid
from dsq.core.model import Address, Job
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet, load_wallet
from dsq.sbatch.workflow import load_workflow
from tests.support.grid import GridHome

pytestmark = [pytest.mark.e2e, pytest.mark.slurm, pytest.mark.anvil]

RESOURCES = "resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 200, gpus: 0}\n"


def host_job(command: str, *, cpus: int = 1, logging: bool = True) -> str:
    """A workflow with one host step."""
    return (
        f"enableLogging: {str(logging).lower()}\n"
        f"resources: {{tasks: 1, cpusPerTask: {cpus}, memPerCpu: 100, gpus: 0}}\n"
        f"steps:\n- name: it\n  run:\n    command: |\n"
        + "".join(f"      {line}\n" for line in command.splitlines())
    )


def container_job(kind: str) -> str:
    """Hello world in a container."""
    apptainer = "true" if kind == "apptainer" else "false"
    return RESOURCES + (
        "enableLogging: true\nsteps:\n- name: hello\n  run:\n"
        f"    container: {{image: 'ubuntu:22.04', apptainer: {apptainer}}}\n"
        "    command: echo hello world\n"
    )


def cluster(home: GridHome, name: str) -> MiniSlurm:
    """The Slurm of a provider."""
    return MiniSlurm(home.path / "providers" / name / "slurm")


def slurm(home: GridHome, name: str, *argv: str) -> str:
    """Runs one of Slurm's programs on a provider's cluster."""
    env = {**os.environ, **cluster(home, name).env()}
    return subprocess.run(
        argv, env=env, capture_output=True, text=True, check=True, timeout=30
    ).stdout


LOGGED = "enableLogging: true\nresources: {tasks: 1, cpusPerTask: 1, memPerCpu: 100, gpus: 0}\n"
SECRET = LOGGED + (
    "secrets: [{name: TOKEN}]\nsteps:\n- name: it\n  run:\n"
    "    command: printf '%s' \"$TOKEN\" | sha256sum\n"
)
VALUE = "hunter2-of-the-test 'and \"more"
SWEEP = LOGGED + (
    "sweep: {parameters: [{name: RATE, values: [a, b]}, {name: SEED, range: {begin: 1, end: 2}}]}\n"
    "steps:\n- name: it\n  run: {command: 'echo $RATE $SEED is $SWEEP_INDEX of $SWEEP_COUNT'}\n"
)


@dataclass(frozen=True)
class Patient:
    """A user whose jobs run for minutes, beside the other tests.

    Attributes:
        poor: A job that outlasts what was paid for it.
        saved: One that lasts as long and was paid more in time.
    """

    env: dict[str, str]
    poor: int
    saved: int


@pytest.fixture(scope="module", autouse=True)
def patient(slurm_grid: GridHome) -> Patient:
    """Begins with what takes longest; its money is its own."""
    key = secrets.token_hex(32)
    wallet, env = Wallet.from_key(key), {"ETH_PRIVATE_KEY": key}
    slurm_grid.on_chain(lambda chain: fund(chain, wallet.address))
    slurm_grid.dsq("credits", "transfer", str(wallet.address), "1000", "--yes")

    def submit(command: str) -> int:
        path = slurm_grid.path / f"patient-{secrets.token_hex(4)}.yaml"
        path.write_text(host_job(command))
        words = ("submit", str(path), "--credits", "100", "--uses", "name=p2")
        return int(slurm_grid.json(*words, env=env)["id"])

    poor = submit("sleep 400")
    return Patient(env, poor, submit("sleep 100"))


async def fund(chain: Chain, account: Address) -> None:
    """Gives an account native coins."""
    await chain.rpc.request("anvil_setBalance", [account.lower, hex(10**20)])


def settled(job: dict[str, Any], home: GridHome, before: dict[Address, int]) -> None:
    """Checks that a job's credits add up, from balances read before its submit."""
    user = home.address("user")
    after = home.money([user])
    assert before[user] - after[user] == int(job["final_cost_wei"])


def test_a_top_up_comes_in_time(slurm_grid: GridHome, patient: Patient) -> None:
    """Credits for a running job are locked at once."""
    slurm_grid.wait(patient.saved, "RUNNING", timeout=60)
    slurm_grid.dsq("topup", str(patient.saved), "180", env=patient.env)
    assert slurm_grid.job(patient.saved)["locked_wei"] == str(280 * CREDIT)


def test_hello_world_ends_with_its_output_and_its_price(slurm_grid: GridHome) -> None:
    """A host step runs in Slurm, its output comes back, and the user pays one minute."""
    before = slurm_grid.money([slurm_grid.address("user")])
    path = slurm_grid.path / "hello.yaml"
    path.write_text(host_job("echo hello from $SLURM_JOB_ID\n>&2 echo and from stderr"))
    result = slurm_grid.dsq("submit", str(path), "--credits", "100", "--watch", timeout=120)
    assert "hello from" in result.stdout
    assert "and from stderr" in result.stdout
    job = slurm_grid.json("jobs")[0]
    assert job["status"] == "FINISHED"
    assert job["exit_code"] == 0
    # 1 minute of 1 CPU and 100 MB at the default prices.
    assert job["final_cost_wei"] == str(95 * 10**16 + 100 * 8 * 10**13)
    settled(job, slurm_grid, before)


@pytest.mark.parametrize("kind", ["apptainer", "enroot"])
def test_hello_world_reaches_the_container_runtime(slurm_grid: GridHome, kind: str) -> None:
    """The runtime on the job's PATH is called with the image and the user's command."""
    job_id = slurm_grid.submit(container_job(kind), "--uses", "name=p1")
    job = slurm_grid.wait(job_id, timeout=90)
    assert job["status"] == "FINISHED", job
    assert slurm_grid.standins is not None
    words = [word for call in slurm_grid.standins.calls(kind) for word in call.args]
    assert "docker://ubuntu:22.04" in words
    assert "echo hello world" in words
    assert "hello world\n" in slurm_grid.dsq("logs", str(job_id)).stdout


def test_exit_code_3_is_failed_and_billed(slurm_grid: GridHome) -> None:
    """A job that exits 3 is FAILED with exit code 3; submit --watch exits with it."""
    before = slurm_grid.money([slurm_grid.address("user")])
    path = slurm_grid.path / "three.yaml"
    path.write_text(host_job("exit 3"))
    result = slurm_grid.dsq(
        "submit", str(path), "--credits", "100", "--watch", check=False, timeout=120
    )
    assert result.returncode == 3, result.stderr
    job = slurm_grid.json("jobs")[0]
    assert (job["status"], job["exit_code"]) == ("FAILED", 3)
    assert int(job["final_cost_wei"]) > 0
    settled(job, slurm_grid, before)


def test_cancel_while_pending_returns_everything(slurm_grid: GridHome) -> None:
    """A job that no provider can run waits, says why, and is cancelled at no cost."""
    before = slurm_grid.money([slurm_grid.address("user")])
    job_id = slurm_grid.submit(host_job("true"), "--uses", "gpu=none-such")
    assert slurm_grid.job(job_id)["status"] == "PENDING"
    deadline = time.monotonic() + 10
    why = slurm_grid.dsq("why", str(job_id)).stdout
    while "none-such" not in why and time.monotonic() < deadline:
        time.sleep(0.5)
        why = slurm_grid.dsq("why", str(job_id)).stdout
    assert "none-such" in why
    slurm_grid.dsq("cancel", str(job_id))
    job = slurm_grid.job(job_id)
    assert (job["status"], job["final_cost_wei"]) == ("CANCELLED", "0")
    settled(job, slurm_grid, before)


def test_cancel_while_scheduled_leaves_slurm(slurm_grid: GridHome) -> None:
    """A job that waits in Slurm's own queue is cancelled there too."""
    blockers = [
        slurm(
            slurm_grid, "p1", "sbatch", "--parsable", "--exclusive", "-N1", "-o/dev/null",
            "-D/tmp", "--wrap=sleep 300",
        ).strip()
        for _ in range(2)
    ]  # fmt: skip
    try:
        job_id = slurm_grid.submit(host_job("sleep 200"), "--uses", "name=p1")
        slurm_grid.wait(job_id, "SCHEDULED", timeout=30)
        name = slurm_grid.job(job_id)["hex_id"]
        wait_for(lambda: name in slurm(slurm_grid, "p1", "squeue", "-h", "-o%j"), 20)
        slurm_grid.dsq("cancel", str(job_id))
        job = slurm_grid.job(job_id)
        assert (job["status"], job["final_cost_wei"]) == ("CANCELLED", "0")
        wait_for(lambda: name not in slurm(slurm_grid, "p1", "squeue", "-h", "-o%j"), 20)
    finally:
        slurm(slurm_grid, "p1", "scancel", *blockers)


def test_cancel_while_running_bills_what_ran(slurm_grid: GridHome) -> None:
    """A running job ends CANCELLED, is billed, and leaves Slurm."""
    job_id = slurm_grid.submit(host_job("sleep 300"))
    slurm_grid.wait(job_id, "RUNNING", timeout=60)
    slurm_grid.dsq("cancel", str(job_id))
    job = slurm_grid.wait(job_id, timeout=60)
    assert job["status"] == "CANCELLED"
    assert int(job["final_cost_wei"]) > 0
    provider = "p1" if job["provider"] == str(slurm_grid.address("p1")) else "p2"
    assert job["hex_id"] not in slurm(slurm_grid, provider, "squeue", "-h", "-o%j")


def test_a_refused_job_runs_at_the_next_provider(slurm_grid: GridHome) -> None:
    """The cheap provider's Slurm takes no jobs: it hands the job back, the dear one runs it."""
    partition = cluster(slurm_grid, "p1").partition
    slurm(slurm_grid, "p1", "scontrol", "update", f"PartitionName={partition}", "State=DRAIN")
    try:
        job_id = slurm_grid.submit(host_job("echo here"), credits="200")
        job = slurm_grid.wait(job_id, timeout=90)
    finally:
        slurm(slurm_grid, "p1", "scontrol", "update", f"PartitionName={partition}", "State=UP")
    assert job["status"] == "FINISHED"
    assert job["provider"] == str(slurm_grid.address("p2"))


def test_a_killed_supervisor_reports_once_with_the_true_duration(slurm_grid: GridHome) -> None:
    """kill -9 while a job runs: it goes on, is reported once, and by Slurm's times to the second."""
    job_id = slurm_grid.submit(host_job("sleep 12"), "--uses", "name=p1")
    slurm_grid.wait(job_id, "RUNNING", timeout=60)
    os.kill(slurm_grid.pid("provider-p1"), signal.SIGKILL)
    job = slurm_grid.wait(job_id, timeout=90)
    assert job["status"] == "FINISHED"
    assert job["final_cost_wei"] == str(95 * 10**16 + 100 * 8 * 10**13)
    words = ("env", "SLURM_TIME_FORMAT=%s", "squeue", "-h", "-t", "all", "-n", job["hex_id"])
    times = [int(word) for word in slurm(slurm_grid, "p1", *words, "-o", "%S %e").split()]

    async def seen(chain: Chain) -> tuple[int, list[int]]:
        head, known = await chain.head(), await chain.job(job_id)
        events = await chain.events(0, head.number, names=("JobTransitionEvent",))
        ends = sum(e.args["job_id"] == job_id and e.args["to_status"].is_final for e in events)
        return ends, [known.time.start, known.time.end]

    assert slurm_grid.on_chain(seen) == (1, times)


def test_fifty_jobs_of_two_users_end_and_add_up(slurm_grid: GridHome) -> None:
    """Two users, two providers, 50 jobs at once: all end, all balances add up to the wei."""
    jobs, totals = slurm_grid.on_chain(lambda chain: fifty_jobs(slurm_grid, chain))
    assert len(jobs) == 50
    assert {job.status.name for job in jobs} == {"FINISHED"}
    for name, (before, after, spent) in totals.items():
        assert before - after == spent, name
    assert {job.provider for job in jobs} <= {slurm_grid.address("p1"), slurm_grid.address("p2")}


async def fifty_jobs(
    home: GridHome, chain: Chain
) -> tuple[list[Job], dict[str, tuple[int, int, int]]]:
    """Submits 25 jobs as each of two users and waits for the last end.

    Returns:
        The jobs, and for each user the balance before, after, and the jobs' costs.
    """
    import asyncio

    config = read_grid_json(home.path)
    first = load_wallet(config.wallet, prompt=False)
    second = Wallet.generate()
    await fund(chain, second.address)
    workflow = load_workflow(host_job("echo $SLURM_JOB_ID", logging=False)).to_wire()
    grids = [await Grid.open(config, wallet) for wallet in (first, second)]
    try:
        await grids[0].transfer(second.address, 3000 * CREDIT)
        before = [await chain.balance(grid.address) for grid in grids]
        for grid in grids:
            await grid.set_allowance(25 * 100 * CREDIT)
        submitted = await asyncio.gather(
            *(grid.submit(workflow, 100 * CREDIT) for grid in grids for _ in range(25))
        )
        ids = [job.id for job in submitted]
        async with asyncio.timeout(240):
            while True:
                jobs = await chain.jobs(ids)
                if all(job.status.is_final for job in jobs):
                    break
                await asyncio.sleep(1)
        after = [await chain.balance(grid.address) for grid in grids]
    finally:
        for grid in grids:
            await grid.close()
    costs = [
        sum(job.cost.final_cost for job in jobs if job.customer == grid.address) for grid in grids
    ]
    return jobs, {
        f"user {n}": (before[n], after[n], costs[n]) for n in range(2)
    }  # fmt: skip


def test_a_secret_reaches_the_job_and_nothing_else(slurm_grid: GridHome, tmp_path: Path) -> None:
    """The step has it; no file of the grid, the cluster or the log has it in plain text."""
    path, secret = slurm_grid.path / "secret.yaml", tmp_path / "secret"
    path.write_text(SECRET)
    secret.write_text(VALUE + "\n")
    result = slurm_grid.dsq(
        *("submit", str(path), "--credits", "100", "--watch"),
        *("--secret", f"TOKEN=@{secret}"),
        timeout=120,
    )
    digest = subprocess.run(
        ["sha256sum"], input=VALUE, capture_output=True, text=True, check=True
    ).stdout.split()[0]
    assert digest in result.stdout
    assert "hunter2" not in result.stdout + result.stderr
    found = [
        str(each.relative_to(slurm_grid.path))
        for each in slurm_grid.path.rglob("*")
        if each.is_file() and b"hunter2-of-the-test" in each.read_bytes()
    ]
    # Slurm keeps scripts and environments of jobs until it forgets them; nobody else reads them.
    assert [name for name in found if "/slurm/state/" not in name] == []


def test_a_sweep_runs_as_a_group(slurm_grid: GridHome) -> None:
    """All its jobs end, each with its own values; the group is one line of the list."""
    path = slurm_grid.path / "rates.yaml"
    path.write_text(SWEEP)
    jobs = slurm_grid.json("submit", str(path), "--credits", "100")
    assert len(jobs) == 4
    output = []
    for one in jobs:
        assert slurm_grid.wait(one["id"], timeout=120)["status"] == "FINISHED"
        output.append(slurm_grid.dsq("logs", str(one["id"])).stdout)
    for number, values in enumerate(("a 1", "a 2", "b 1", "b 2"), start=1):
        assert f"{values} is {number} of 4\n" in output[number - 1]
    group = jobs[0]["name"].partition("#")[2].partition(".")[0]
    (line,) = [
        line for line in slurm_grid.dsq("jobs").stdout.splitlines() if f"rates#{group}" in line
    ]
    assert "(4/4)" in line
    assert "4 FINISHED" in line
    again = slurm_grid.json("submit", str(path), "--credits", "100", "--resume", group)
    assert [one["id"] for one in again] == [one["id"] for one in jobs]


def test_credits_run_out_and_a_top_up_saves(slurm_grid: GridHome, patient: Patient) -> None:
    """With one minute bought, a long job is OUT_OF_CREDITS; one topped up in time finishes."""
    job = slurm_grid.wait(patient.poor, timeout=150)
    assert job["status"] == "OUT_OF_CREDITS", job
    assert int(job["final_cost_wei"]) in (60 * CREDIT, 100 * CREDIT)
    job = slurm_grid.wait(patient.saved, timeout=120)
    assert job["status"] == "FINISHED", job


def test_all_credits_are_accounted_for(slurm_grid: GridHome) -> None:
    """Balances, what open jobs lock and the fees are all credits there are, to the wei."""

    async def sums(chain: Chain) -> tuple[int, int, int]:
        jobs = await chain.jobs(range(1, await chain.job_count() + 1))
        accounts = {job.customer for job in jobs} | {job.provider for job in jobs}
        accounts |= {slurm_grid.address("operator"), chain.addresses.metascheduler}
        held = sum([await chain.balance(account) for account in accounts])
        in_contract = await chain.balance(chain.addresses.metascheduler)
        locked = sum(job.cost.max_cost for job in jobs if job.status.is_hot)
        fees = sum(job.cost.final_cost * 20 // 100 for job in jobs if job.status.is_final)
        return await chain.total_supply() - held, in_contract, locked + fees

    missing, in_contract, owed = slurm_grid.on_chain(sums)
    assert missing == 0
    assert in_contract == owed


def wait_for(condition: Any, seconds: float) -> None:
    """Waits until ``condition()`` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.3)
