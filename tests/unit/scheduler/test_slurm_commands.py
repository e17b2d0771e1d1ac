"""Slurm's commands as argument lists, and the lines before a script."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from dsq.core.quoting import join
from dsq.supervisor.scheduler import slurm_commands as commands
from dsq.supervisor.scheduler.port import JobSpec, SubmitRefused
from dsq.supervisor.scheduler.script import compose

SPEC = JobSpec(
    name="0x" + "0" * 63 + "7",
    token="k3t9",
    ntasks=4,
    cpus_per_task=2,
    mem_per_cpu=500,
    gpus=2,
    minutes=30,
)


def test_sbatch_names_everything_the_job_may_have() -> None:
    """Every resource and path is on the command line; nothing is left to the site's defaults."""
    argv = commands.sbatch("sbatch", SPEC, "/data", commands.SubmitOptions("batch", "grid"))
    folder = f"/data/{SPEC.name}/k3t9"
    assert argv[:2] == ["sbatch", "--parsable"]
    assert {
        f"--job-name={SPEC.name}",
        f"--output={folder}/out.log",
        f"--error={folder}/out.log",
        f"--chdir={folder}",
        "--ntasks=4",
        "--cpus-per-task=2",
        "--mem-per-cpu=500M",
        "--gpus=2",
        "--time=30",
        "--partition=batch",
        "--account=grid",
        "--no-requeue",
        "--open-mode=append",
        "--export=ALL",
    } <= set(argv)


def test_sbatch_without_gpus_does_not_speak_of_them() -> None:
    """A cluster without GresTypes=gpu refuses even --gpus=0."""
    argv = commands.sbatch("sbatch", replace(SPEC, gpus=0), "/data", commands.SubmitOptions())
    assert not [word for word in argv if "gpu" in word or "partition" in word]


@pytest.mark.parametrize(
    ("field", "value"),
    [("minutes", 0), ("mem_per_cpu", 0), ("ntasks", 0), ("cpus_per_task", -1), ("gpus", -1)],
)
def test_numbers_that_slurm_reads_otherwise_are_refused(field: str, value: int) -> None:
    """--time=0 means no limit and --mem-per-cpu=0 a whole node: neither may reach Slurm."""
    with pytest.raises(SubmitRefused, match=field):
        replace(SPEC, **{field: value}).check()  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["", "../x", "a/b", "-x", "a b", "a\n", "%j", ".x", "x" * 129])
def test_names_and_tokens_are_plain_words(word: str) -> None:
    """Both become parts of a path and of a file pattern of Slurm's."""
    with pytest.raises(SubmitRefused):
        replace(SPEC, name=word).check()
    with pytest.raises(SubmitRefused):
        replace(SPEC, token=word).check()


def test_queries_for_time_and_state_ask_for_no_column_that_a_user_can_edit() -> None:
    """Name, comment and paths may hold line breaks; they could forge a row of another job."""
    columns = {name.lower() for name, _ in commands.QUEUE_COLUMNS}
    columns |= {name.lower() for name in commands.SACCT_COLUMNS}
    assert not columns & {"name", "jobname", "comment", "stdout", "workdir", "command", "features"}
    assert "STDOUT" not in " ".join(commands.squeue("squeue", user="u"))
    assert "WorkDir" not in " ".join(commands.sacct("sacct", completion=False, jobs=["1"]))


def test_the_accounting_is_asked_for_every_run_and_every_job_of_an_id() -> None:
    """Without it, the data base shows the latest only."""
    assert "--duplicates" in commands.sacct("sacct", completion=False, jobs=["1"])


def test_the_script_begins_with_a_no_op_before_anything_else() -> None:
    """After the no-op Slurm reads no #SBATCH line, so the customer's cannot change the limits."""
    text = compose(SPEC, "#SBATCH --time=999\necho hi", env={}, fence="/x")
    assert text.splitlines()[:2] == ["#!/bin/bash", "true"]
    assert text.endswith("#SBATCH --time=999\necho hi\n")


def test_values_of_variables_arrive_byte_for_byte() -> None:
    """Whatever a secret consists of, the script finds it exported as it was."""
    nasty = 'a\'b "$HOME" `id` \\ \n $(id) é'
    spec = replace(SPEC, env={"SECRET": nasty})
    text = compose(spec, 'printf %s "$SECRET"; sh -c \'printf %s "$SECRET"\'', env={"A": "1"})
    done = subprocess.run(["bash"], input=text.encode(), capture_output=True, check=True)
    assert done.stdout.decode() == nasty * 2


@pytest.mark.parametrize("key", ["A B", "1A", "A;id", "", "Ä"])
def test_what_is_no_name_of_a_variable_is_refused(key: str) -> None:
    """Such a key would be read as something else than a variable."""
    with pytest.raises(SubmitRefused):
        compose(replace(SPEC, env={key: "x"}), "", env={})


def test_a_nul_in_script_or_value_is_refused() -> None:
    """No shell reads one."""
    with pytest.raises(SubmitRefused):
        compose(SPEC, "echo \0", env={})
    with pytest.raises(SubmitRefused):
        compose(replace(SPEC, env={"A": "\0"}), "", env={})


def test_the_fence_lets_a_script_run_once(tmp_path: object) -> None:
    """The second run of the same attempt ends at once with 75 and says why."""
    text = compose(SPEC, "echo ran", env={}, fence=f"{tmp_path}/with blank 'and quote")
    first = subprocess.run(["bash"], input=text, text=True, capture_output=True, check=True)
    second = subprocess.run(["bash"], input=text, text=True, capture_output=True, check=False)
    assert (first.stdout, first.returncode) == ("ran\n", 0)
    assert (second.stdout, second.returncode) == ("", 75)
    assert "given up" in second.stderr


def test_a_job_runs_once_whichever_attempt_comes(tmp_path: object) -> None:
    """An attempt that knows nothing of an earlier one ends at once; one that was given up and
    comes late leaves the job to the next."""
    late, second, third = (
        compose(SPEC, "echo ran", env={}, fence=f"{tmp_path}/{name}", once=f"{tmp_path}/job")
        for name in ("1", "2", "3")
    )
    (Path(str(tmp_path)) / "1").mkdir()
    runs = [
        subprocess.run(["bash"], input=text, text=True, capture_output=True, check=False)
        for text in (late, second, third)
    ]
    assert [(done.stdout, done.returncode) for done in runs] == [("", 75), ("ran\n", 0), ("", 75)]


def test_commands_survive_quoting() -> None:
    """An argument list joined for SSH is read back by a shell as the same list."""
    argv = commands.squeue("/opt/slurm bin/squeue", user="it's", name="0x1", output=True)
    done = subprocess.run(
        ["sh", "-c", "printf '%s\\n' " + join(argv)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == argv
