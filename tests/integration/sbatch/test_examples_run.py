"""Examples at work: those that take their time, or need more than a shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dsq.sbatch.expand import expand
from dsq.sbatch.render import render
from dsq.sbatch.workflow import load_workflow
from tests.support.standins import Standins
from tests.unit.sbatch.test_examples import EXAMPLES, example


@pytest.fixture
def standins(tmp_path: Path) -> Standins:
    """Stand-ins for the programs that scripts call."""
    return Standins(tmp_path / "machine")


def path_of(name: str) -> Path:
    """The file of an example."""
    return next(path for path in EXAMPLES if path.stem == name)


def words(output: str) -> list[str]:
    """What a job printed, without the lines that name its steps."""
    marks = ("Running:", "--> ", "<-- ")
    return [line for line in output.splitlines() if not line.startswith(marks)]


def test_module(standins: Standins) -> None:
    """The module runs around the steps that it is handed; its result comes back."""
    ended = standins.run(render(example(path_of("module"))))
    assert (ended.code, ended.errors) == (0, "")
    assert words(ended.output) == [
        "Hello, grid",
        "The module runs this between its own steps.",
        "Goodbye, grid",
        "The greeting was 'Hello, grid'.",
    ]


def test_sweep(standins: Standins) -> None:
    """Each of its jobs has values of its own."""
    points = list(expand(load_workflow(path_of("sweep").read_text())))
    assert len(points) == 6
    ended = standins.run(render(points[4].workflow))
    assert "Job 5 of 6 tries rate 0.001 with seed 1." in ended.output


def test_secrets(standins: Standins) -> None:
    """The step has the value, and says no more than its length."""
    ended = standins.run(render(example(path_of("secrets"))), {"API_TOKEN": "hunter2"})
    assert (ended.code, ended.errors) == (0, "")
    assert "The token has 7 characters." in ended.output
    assert "hunter2" not in ended.output


def test_retries(standins: Standins) -> None:
    """The flaky step works in the end; the one that hangs is ended, and that is handled."""
    path = path_of("retries")
    # The stand-in for srun ends its command and not, as Slurm does, what that has started.
    text = path.read_text().replace("sleep 600", "exec sleep 600")
    ended = standins.run(render(example(path, text)))
    assert ended.code == 0
    assert "It worked." in ended.output
    assert "It was ended with 124." in ended.output


def test_checksum(standins: Standins) -> None:
    """Another file than the one that was meant ends the job before its first step."""
    (standins.files / "data.csv").write_text("a,b\n")
    path = path_of("checksum")
    ended = standins.run(render(example(path)))
    assert ended.code != 0
    assert "Running: read" not in ended.output
    digest = subprocess.run(
        ["sha256sum"], input=b"a,b\n", capture_output=True, check=True
    ).stdout.split()[0]
    text = path.read_text().replace("0" * 64, digest.decode())
    assert standins.run(render(example(path, text))).code == 0


def test_s3_pipeline(standins: Standins) -> None:
    """Words of all texts are counted, at once, and the sum is in the bucket."""
    folder = standins.s3 / "my-input" / "texts"
    folder.mkdir(parents=True)
    for number in range(6):
        (folder / f"{number}.txt").write_text("two words\n")
    ended = standins.run(render(example(path_of("s3-pipeline"))), {"NTASKS": "4"})
    assert ended.code == 0, ended.errors
    assert "All texts have 12 words." in ended.output
    assert (standins.s3 / "my-output" / "counts" / "total").read_text() == "12\n"
