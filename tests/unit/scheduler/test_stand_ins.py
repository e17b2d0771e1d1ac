"""srun and scontrol of the cluster of one machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import dsq.supervisor.scheduler.local as package

SCRIPTS = Path(next(iter(package.__path__)))
JOB = {
    "PATH": os.environ["PATH"],
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "4",
    "SLURM_CPUS_PER_TASK": "2",
    "SLURM_GPUS": "2",
    "SLURM_JOB_NODELIST": "box",
    "SLURMD_NODENAME": "box",
    "KEPT": "a 'b' $c",
}


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    """The environment of a job of four tasks of two CPUs, with two GPUs."""
    return {**JOB, "SLURM_SUBMIT_DIR": str(tmp_path)}


def srun(
    job: dict[str, str], *argv: str, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", SCRIPTS / "srun.sh", *argv],
        env=job,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def test_every_flag_of_the_renderer_is_taken(job: dict[str, str]) -> None:
    """Flags with and without "=", long and short; what follows is the command, unchanged."""
    done = srun(
        job,
        *("--job-name=a step", "--export=ALL,X=1,Y=two words", "--cpus-per-task=1"),
        *("--mem-per-cpu=100M", "--gpus-per-task=1", "--gpus=2", "--ntasks=2", "--mpi=none"),
        *("--cpu-bind=none", "--gpu-bind=none", "-N", "1-1", "-n", "1", "-w", "box", "-J", "name"),
        *("--exclusive", "-Q", "--nodes", "1", "printf", "%s|", "--ntasks=9", "-n", ""),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "--ntasks=9|-n||", "")


def test_tasks_have_their_numbers(job: dict[str, str]) -> None:
    """Each knows its rank, how many there are, and the number of the step."""
    words = "$SLURM_PROCID $SLURM_LOCALID $SLURM_NTASKS $SLURM_STEP_ID"
    first = srun(job, "--ntasks=3", "sh", "-c", f"echo {words}")
    second = srun(job, "sh", "-c", f"echo {words}")
    assert sorted(first.stdout.splitlines()) == ["0 0 3 0", "1 1 3 0", "2 2 3 0"]
    assert second.stdout == "0 0 1 1\n"


@pytest.mark.parametrize(("export", "seen"), [("ALL", "both"), ("ALL,KEPT=new", "new"), ("KEPT", "kept"), ("NONE", "none"), ("OTHER=1", "none")])  # fmt: skip
def test_export_says_what_a_task_sees(job: dict[str, str], export: str, seen: str) -> None:
    """ALL is everything, NONE only Slurm's own, a list those alone."""
    done = srun(job, f"--export={export}", "env")
    lines = done.stdout.splitlines()
    assert "SLURM_JOB_ID=7" in lines
    kept = {"both": "KEPT=a 'b' $c", "new": "KEPT=new", "kept": "KEPT=a 'b' $c", "none": None}[seen]
    assert [line for line in lines if line.startswith("KEPT=")] == ([kept] if kept else [])
    assert any(line.startswith("PATH=") for line in lines) is (seen in ("both", "new"))


def test_the_highest_exit_code_counts(job: dict[str, str]) -> None:
    """As with Slurm's; a single task's code and signal come through as they are."""
    assert srun(job, "-n", "3", "sh", "-c", "exit $SLURM_PROCID").returncode == 2
    assert srun(job, "sh", "-c", "exit 42").returncode == 42
    assert srun(job, "-n2", "sh", "-c", "kill -9 $$").returncode == 137


def test_more_than_the_job_has_is_refused(job: dict[str, str]) -> None:
    """In Slurm's words, with exit code 1; the command is not run."""
    for flags, words in (
        (["--ntasks=5"], "More processors requested than permitted"),
        (["--ntasks=2", "--cpus-per-task=5"], "More processors requested than permitted"),
        (["--gpus=3"], "Invalid generic resource"),
        (["--ntasks=x"], "Invalid numeric value"),
        (["--output=file"], "not known"),
    ):
        done = srun(job, *flags, "echo", "ran")
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr
    assert "No command" in srun(job, "-n1").stderr


def test_the_first_task_reads_the_input(job: dict[str, str]) -> None:
    """The others read nothing: processes cannot all read the same."""
    assert srun(job, "cat", stdin="text").stdout == "text"
    assert srun(job, "-n3", "cat", stdin="text").stdout == "text"


def test_signals_reach_every_task(job: dict[str, str]) -> None:
    """And srun waits for what the tasks make of them."""
    script = "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        ["bash", SCRIPTS / "srun.sh", "-n2", "bash", "-c", script],
        env=job,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "got\ngot\n"
        assert process.wait(10) == 9


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        (["box"], ["box"]),
        ([], ["box"]),
        (["n[01-03,7],m,k[9-11]x"], ["n01", "n02", "n03", "n7", "m", "k9x", "k10x", "k11x"]),
        (["a,b"], ["a", "b"]),
    ],
)
def test_scontrol_shows_hostnames(job: dict[str, str], given: list[str], hosts: list[str]) -> None:
    """One a line, from the argument or from the job's own list."""
    done = subprocess.run(
        ["bash", SCRIPTS / "scontrol.sh", "show", "hostnames", *given],
        env=job,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == hosts


def test_scontrol_says_what_it_does_not_know(job: dict[str, str]) -> None:
    """Anything else is an error, not silence."""
    done = subprocess.run(
        ["bash", SCRIPTS / "scontrol.sh", "show", "job", "1"],
        env=job,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "only 'show hostnames'" in done.stderr


def test_the_stand_ins_pass_shellcheck() -> None:
    """Both are free of the mistakes that shellcheck knows."""
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("no shellcheck")
    scripts = sorted(SCRIPTS.glob("*.sh"))
    assert len(scripts) == 2
    done = subprocess.run([program, *scripts], capture_output=True, text=True, check=False)
    assert done.stdout == ""
