"""Secrets and sweeps, from the command to Slurm and back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.grid import GridHome

pytestmark = [pytest.mark.e2e, pytest.mark.slurm, pytest.mark.anvil]

HEAD = "enableLogging: true\nresources: {tasks: 1, cpusPerTask: 1, memPerCpu: 100, gpus: 0}\n"
SECRET = HEAD + (
    "secrets: [{name: TOKEN}]\nsteps:\n- name: it\n  run:\n"
    "    command: printf '%s' \"$TOKEN\" | sha256sum\n"
)
VALUE = "hunter2-of-the-test 'and \"more"
SWEEP = HEAD + (
    "sweep: {parameters: [{name: RATE, values: [a, b]}, {name: SEED, range: {begin: 1, end: 2}}]}\n"
    "steps:\n- name: it\n  run: {command: 'echo $RATE $SEED is $SWEEP_INDEX of $SWEEP_COUNT'}\n"
)


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
