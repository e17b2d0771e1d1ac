"""Checking and rendering large workflows, and how the time grows with the number of steps.

python -m tests.benchmarks.bench_render
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from dsq.sbatch.render import render
from dsq.sbatch.workflow import load_workflow, parse_workflow
from tests.benchmarks.table import median, print_table

COUNTS = (500, 2000, 8000)
RUNS = 3
RESOURCES = {"tasks": 4, "cpusPerTask": 1, "memPerCpu": 100, "gpus": 0}

Job = dict[str, Any]


def trivial(count: int) -> Job:
    """Steps that only run a command."""
    steps = [{"name": f"step {n}", "run": {"command": f"echo {n}"}} for n in range(count)]
    return {"resources": RESOURCES, "steps": steps}


def mixed(count: int) -> Job:
    """Steps of many kinds, as long workflows have them."""
    network = {"network": "slirp4netns", "dns": ["1.1.1.1"]}
    kinds: list[Job] = [
        {"name": "it's", "run": {"command": "echo 'x'", "env": [{"key": "A", "value": "b"}]}},
        {"run": {"command": "echo y", "container": {"image": "debian:12", "apptainer": True}}},
        {"if": "$A == 1", "steps": [{"name": "in"}], "catch": [{"name": "c"}]},
        {"run": {"command": "echo z", "container": {"image": "debian:12"}, **network}},
        {"timeout": 9, "retries": 2, "run": {"command": "echo f", "mapUid": 0}},
        {"for": {"parallel": True, "range": {"begin": 1, "end": 2}, "steps": [{"name": "r"}]}},
    ]
    return {"resources": RESOURCES, "steps": [kinds[n % len(kinds)] for n in range(count)]}


def seconds(job: Job) -> tuple[float, float, int]:
    """Median time to check and to render a job as the service does, and the script's size."""
    checks, renders, size = [], [], 0
    for _ in range(RUNS):
        began = time.perf_counter()
        workflow = parse_workflow(job)
        middle = time.perf_counter()
        size = len(render(workflow))
        checks.append(middle - began)
        renders.append(time.perf_counter() - middle)
    return median(checks), median(renders), size


def command(arguments: list[str]) -> float:
    """Median wall time of a ``dsq`` command."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        argv = [sys.executable, "-m", "dsq.console.cli", *arguments]
        subprocess.run(argv, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return median(times)


def in_process() -> list[list[str]]:
    """The rows of the first table."""
    rows = []
    for name, make in (("trivial", trivial), ("mixed", mixed)):
        render(parse_workflow(make(10)))
        first = 0.0
        for count in COUNTS:
            check, rendering, size = seconds(make(count))
            total = check + rendering
            first = first or total / count
            cells = [f"{check:.2f}", f"{rendering:.2f}", f"{total:.2f}"]
            rows.append([name, str(count), *cells, f"{total / count / first:.2f}", f"{size >> 10}"])
    return rows


def from_a_file() -> list[list[str]]:
    """The rows of the second table: the whole command, start of Python and YAML included."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bare = command(["--help"])
        times: dict[int, float] = {}
        for count in (2000, 8000):
            path = Path(folder) / f"{count}.yaml"
            path.write_text(yaml.safe_dump(trivial(count), sort_keys=False))
            load_workflow(path.read_text())
            times[count] = command(["render", str(path)])
            growth = (times[count] - bare) / (times[2000] - bare)
            rows.append([str(count), f"{times[count]:.2f}", f"{bare:.2f}", f"{growth:.2f}"])
    return rows


def main() -> None:
    """Prints the tables."""
    columns = ["steps", "number", "check s", "render s", "both s", "x a step", "script KiB"]
    print_table("Checking and rendering, as the service does", columns, in_process())
    columns = ["steps", "dsq render s", "of it start-up", "x 2,000 less start-up"]
    print_table("dsq render of a YAML file", columns, from_a_file())


if __name__ == "__main__":
    main()
