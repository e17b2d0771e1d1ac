"""Jobs on a real Slurm: all are submitted at once, each test looks at one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.sbatch.render import RenderSettings, render
from dsq.sbatch.workflow import parse_workflow
from tests.support.slurm import open_folder, running_slurm
from tests.support.standins import Standins

# Programs of the cluster and of its nodes; the others are stand-ins.
REAL = ("srun", "scontrol", "unshare", "nsenter", "readlink", "ip", "mount", "setpriv")


@dataclass
class SlurmJob:
    """A job of a test.

    Attributes:
        number: Its number in Slurm.
        output: What it has printed so far.
        machine: Stand-ins and storage of its own.
    """

    number: str
    machine: Standins
    slurm: dict[str, str]

    @property
    def output(self) -> str:
        """What it has printed so far."""
        path = self.machine.root / "out.log"
        return path.read_text() if path.exists() else ""

    def lines(self) -> list[str]:
        """Its output as lines, without what srun says when the step before has just ended."""
        return [line for line in self.output.splitlines() if not line.startswith("srun: ")]

    def says(self, line: str, timeout: float = 60) -> None:
        """Waits until the job has printed a line."""
        until = time.monotonic() + timeout
        while line not in self.lines():
            assert time.monotonic() < until, self.output
            time.sleep(0.1)

    def tell(self, *flags: str) -> None:
        """Runs scancel."""
        subprocess.run(["scancel", *flags, self.number], check=True, env=self.slurm)

    def ended(self, timeout: float = 90) -> tuple[str, int, int]:
        """Waits for the end; state, exit code and signal as Slurm tells them."""
        until = time.monotonic() + timeout
        while True:
            shown = subprocess.run(
                ["scontrol", "--oneliner", "show", "job", self.number],
                check=True, capture_output=True, text=True, env=self.slurm,
            ).stdout  # fmt: skip
            fields = dict(word.split("=", 1) for word in shown.split() if "=" in word)
            if fields["JobState"] not in ("PENDING", "RUNNING", "COMPLETING"):
                code, number = fields["ExitCode"].split(":")
                return fields["JobState"], int(code), int(number)
            assert time.monotonic() < until, (shown, self.output)
            time.sleep(0.1)


@pytest.fixture(scope="session")
def slurm() -> Iterator[MiniSlurm]:
    """Two nodes of 32 CPUs."""
    with running_slurm(cpus=32, mem_mb=32000) as cluster:
        yield cluster


Submit = Callable[..., SlurmJob]


@pytest.fixture(scope="session")
def submit(slurm: MiniSlurm) -> Iterator[Submit]:
    """Submits a workflow with flags of sbatch."""
    folder = open_folder("dsq-scripts-test-")
    numbers: list[str] = []
    slurm_env = {**os.environ, **slurm.env()}

    def start(name: str, data: dict[str, Any], *flags: str) -> SlurmJob:
        machine = Standins(folder / name, real=REAL)
        script = machine.root / "script.sh"
        script.write_text(
            render(parse_workflow(data), settings=RenderSettings(markers=False)), newline=""
        )
        env = {
            name: value
            for name, value in machine.environment().items()
            if not name.startswith("SLURM")
        }
        submitted = subprocess.run(
            [
                *("sbatch", "--parsable", "--job-name", name, "--chdir", str(machine.root)),
                *("--mem-per-cpu=200", "--output", str(machine.root / "out.log"), *flags),
                str(script),
            ],
            check=True, capture_output=True, text=True, env={**env, **slurm.env()},
        )  # fmt: skip
        numbers.append(submitted.stdout.strip())
        return SlurmJob(numbers[-1], machine, slurm_env)

    yield start
    subprocess.run(["scancel", *numbers], check=False, env=slurm_env)
    shutil.rmtree(folder, ignore_errors=True)


def leftovers(job: SlurmJob) -> list[Path]:
    """What a job left in its storage."""
    return list((job.machine.cache / "shared").glob("*/*"))
