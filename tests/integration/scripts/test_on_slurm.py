"""Rendered scripts on a real Slurm: what only a real srun shows."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest

from tests.integration.scripts.conftest import SlurmJob, Submit, leftovers
from tests.unit.sbatch.builders import RESOURCES, env, job, run

pytestmark = pytest.mark.slurm

VALUE = "a, b='c' \"d\" $(id)\n  \\é"
SERVE = "echo up; i=0; while [ $i -lt 1200 ]; do sleep 0.05; i=$((i+1)); done"
TWO = {"tasks": 2, "cpusPerTask": 1, "memPerCpu": 100, "gpus": 0}
ENROOT = {"image": "i"}


def small(*steps: Any, **fields: Any) -> dict[str, Any]:
    """A job whose steps need little memory."""
    data = job(*steps, **fields)
    data["resources"] = {**RESOURCES, "memPerCpu": 100}
    return data


def launch(*steps: Any, **fields: Any) -> dict[str, Any]:
    """A launch of the given steps."""
    return {"launch": {"steps": list(steps), **fields}}


def counting(name: str) -> str:
    """A command that counts how often it gets a signal, and ends a moment after the first."""
    return (
        f"n=0; trap 'n=$((n+1))' {name}; trap '' TERM; echo > $HOME/up-$SLURM_STEP_ID; "
        "i=0; while [ $i -lt 1200 ]; do sleep 0.05; i=$((i+1)); "
        '[ $n = 0 ] || { sleep 0.5; echo "signals $n"; exit 0; }; done'
    )


JOBS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "order": (
        small(
            run("echo 1"),
            {**run("exit 4"), "catch": [run("echo caught $DEEPSQUARE_ERROR_CODE")]},
            {**run("exit 3"), "finally": [run("echo finally")]},
            run("echo never"),
        ),
        (),
    ),
    "values": (
        small(
            run('printf "%s|" "$JOB" "$STEP"; echo', env=env(STEP=VALUE)),
            run("printf 'FILE=x, y=z\\n' >> $DEEPSQUARE_ENV"),
            run('echo "$FILE"; pwd; ls -A $DEEPSQUARE_INPUT'),
            env=env(JOB=VALUE),
        ),
        (),
    ),
    "rounds": (
        small(
            {
                "for": {
                    "parallel": True,
                    "maxParallel": 2,
                    "range": {"begin": 1, "end": 4},
                    "steps": [run("echo round $index")],
                }
            },
            {"for": {"parallel": False, "items": ["a b", "*"], "steps": [run('echo "$item"')]}},
        ),
        ("--ntasks=4",),
    ),
    "signal": (
        small(
            launch(run(counting("USR1")), signalOnParentStepExit=10),
            run("while ! ls $HOME/up-* 2>/dev/null; do sleep 0.1; done"),
        ),
        ("--ntasks=2",),
    ),
    "signal-enroot": (
        small(
            launch(run(counting("USR2"), container=ENROOT), signalOnParentStepExit=12),
            run("while ! ls $HOME/up-* 2>/dev/null; do sleep 0.1; done"),
        ),
        ("--ntasks=2",),
    ),
    "timeout": (
        small(
            {
                **run("trap 'echo cleaned; exit 0' TERM; " + SERVE),
                "timeout": 2,
                "catch": [run("echo caught $DEEPSQUARE_ERROR_CODE")],
            },
        ),
        (),
    ),
    "retries": (
        small({**run("echo x >> $DEEPSQUARE_TMP/n; [ $(wc -l < $DEEPSQUARE_TMP/n) = 2 ]"), "retries": 3}),
        (),
    ),
    "nodes": (
        small(
            run("echo task $SLURM_PROCID on $SLURMD_NODENAME", resources={"tasks": 2}),
            run("echo in $SLURM_PROCID", resources={"tasks": 2}, container=ENROOT),
            run("echo in $SLURM_PROCID", container={"image": "i", "apptainer": True}),
            run("echo again", container={"image": "i", "apptainer": True}),
        )
        | {"resources": TWO},
        ("--nodes=2", "--ntasks=2"),
    ),
    "cancel": (
        small(
            launch(run("exec sleep 60"), signalOnParentStepExit=0),
            {**run("echo x > $DEEPSQUARE_OUTPUT/x; " + SERVE), "finally": [{"name": "finally"}]},
            run("echo never"),
            output={"http": {"url": "http://h/up"}},
        ),
        ("--ntasks=2",),
    ),
    "warning": (small(run(SERVE, container=ENROOT), run("echo never")), ()),
    "await": (
        small(
            launch(run("sleep 0.5; echo first"), handleName="h"),
            {"dependsOn": ["h"], **run("echo second")},
            launch(run("exit 6"), handleName="bad"),
            {"dependsOn": ["bad"], **run("echo never")},
        ),
        ("--ntasks=2",),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def jobs(submit: Submit) -> dict[str, SlurmJob]:
    """All jobs, submitted at once."""
    return {name: submit(name, data, *flags) for name, (data, flags) in JOBS.items()}


def ended(jobs: dict[str, SlurmJob], name: str, *end: object) -> list[str]:
    """The output of a job that has ended as told, and left nothing behind."""
    one = jobs[name]
    assert one.ended() == end, one.output
    assert leftovers(one) == []
    return one.lines()


def test_order_and_codes(jobs: dict[str, SlurmJob]) -> None:
    """Handled failures go on, others end the job with their code, after finally."""
    assert ended(jobs, "order", "FAILED", 3, 0) == ["1", "caught 4", "finally"]


def test_values_pass_a_real_srun(jobs: dict[str, SlurmJob]) -> None:
    """Commas, quotes and line breaks of variables arrive."""
    assert "\n".join(ended(jobs, "values", "COMPLETED", 0, 0)).startswith(
        f"{VALUE}|{VALUE}|\nx, y=z\n{jobs['values'].machine.cache}/shared/"
    )


def test_rounds(jobs: dict[str, SlurmJob]) -> None:
    """All rounds of both kinds of loops run."""
    output = ended(jobs, "rounds", "COMPLETED", 0, 0)
    assert sorted(output[:4]) == [f"round {index}" for index in range(1, 5)]
    assert output[4:] == ["a b", "*"]


@pytest.mark.parametrize("name", ["signal", "signal-enroot"])
def test_the_signal_of_a_launch_reaches_the_command_once(
    jobs: dict[str, SlurmJob], name: str
) -> None:
    """Through srun, and through the shell around a container, without being doubled."""
    assert "signals 1" in ended(jobs, name, "COMPLETED", 0, 0)


def test_a_timeout(jobs: dict[str, SlurmJob]) -> None:
    """srun passes the end on; the command may clean up."""
    output = ended(jobs, "timeout", "COMPLETED", 0, 0)
    assert [line for line in output if line in ("cleaned", "caught 124")] == [
        "cleaned",
        "caught 124",
    ]


def test_retries(jobs: dict[str, SlurmJob]) -> None:
    """The second attempt works."""
    output = ended(jobs, "retries", "COMPLETED", 0, 0)
    assert any("Attempt 1 of 4" in line for line in output)


def test_several_nodes(jobs: dict[str, SlurmJob]) -> None:
    """Tasks run on both nodes; an image is fetched once for all of them."""
    output = ended(jobs, "nodes", "COMPLETED", 0, 0)
    tasks = sorted(line for line in output if line.startswith("task"))
    assert [line.split()[1] for line in tasks] == ["0", "1"]
    assert len({line.split()[3] for line in tasks}) == 2
    assert sorted(line for line in output if line.startswith("in")) == ["in 0", "in 0", "in 1"]
    machine = jobs["nodes"].machine
    actions = [call.args[0] for call in machine.calls("enroot")]
    assert sorted(actions) == ["create", "create", "import", "remove", "remove", "start", "start"]
    assert sum("pull" in call.args for call in machine.calls("apptainer")) == 1


def test_a_cancelled_job(jobs: dict[str, SlurmJob]) -> None:
    """Commands, launches and storage go; what was put out is sent as a failed job's."""
    one = jobs["cancel"]
    one.says("up")
    one.tell("--full", "--signal=TERM")
    output = ended(jobs, "cancel", "FAILED", 143, 0)
    assert "Running: finally" in output
    assert "never" not in output
    (call,) = one.machine.calls("curl")
    assert call.args[3] == "failed-output.zip"


def test_a_warning_before_the_limit(jobs: dict[str, SlurmJob]) -> None:
    """What sbatch --signal=B:USR1@60 sends, to the script alone, ends the job in time."""
    one = jobs["warning"]
    one.says("up")
    one.tell("--batch", "--signal=USR1")
    began = time.monotonic()
    assert "never" not in ended(jobs, "warning", "FAILED", 138, 0)
    assert time.monotonic() - began < 25
    assert one.machine.calls("enroot")[-1].args[0] == "remove"


def test_awaiting(jobs: dict[str, SlurmJob]) -> None:
    """dependsOn waits, and fails with the code of what it waited for."""
    output = ended(jobs, "await", "FAILED", 6, 0)
    said = [line for line in output if line in ("first", "second", "never")]
    assert said == ["first", "second"]


def test_nothing_runs_after_the_jobs(jobs: dict[str, SlurmJob]) -> None:
    """No process of any job is left."""
    for one in jobs.values():
        one.ended()
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    root = str(next(iter(jobs.values())).machine.root.parent)
    assert [line for line in listed.stdout.splitlines() if root in line] == []
