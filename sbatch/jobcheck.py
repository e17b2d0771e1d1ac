"""Rules between the job's own fields, and between a module and the job that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dsq.sbatch.expand import MAX_JOBS, count, sizes
from dsq.sbatch.model import (
    JobResources,
    Model,
    StepRun,
    StepRunResources,
    StepUse,
    Sweep,
    Workflow,
)
from dsq.sbatch.model.sweep import ZIP
from dsq.sbatch.problems import Hints, Path, show_path


@dataclass(frozen=True, slots=True)
class Conflict:
    """A broken rule between fields; attributes as in ``Problem``."""

    path: Path
    tag: str
    param: str
    message: str


def job_conflicts(job: Workflow) -> Iterator[Conflict]:
    """Yields every broken rule between fields of the job, its steps left out."""
    yield from _names(job)
    known: set[str] = set()
    for index, network in enumerate(job.virtual_networks or ()):
        if network.name in known:
            where: Path = ("virtualNetworks", index, "name")
            message = f"{show_path(where)}: there is another virtual network '{network.name}'"
            yield Conflict(where, "unique", "", message)
        known.add(network.name)
    output = job.output
    for name, data in (
        ("http", output.http if output else None),
        ("s3", output.s3 if output else None),
    ):
        if data is not None and data.checksum is not None:
            where = ("output", name, "checksum")
            message = f"{show_path(where)}: only an input has a checksum"
            yield Conflict(where, "excluded_with", "output", message)
    if job.sweep is not None:
        yield from _sweep(job.sweep)


def share_conflicts(path: Path, run: StepRun, job: JobResources) -> Iterator[Conflict]:
    """Yields what a command asks for beyond the job's allocation: Slurm would never start it."""
    share = run.resources or StepRunResources()
    tasks = share.tasks or 1
    cpus = tasks * (share.cpus_per_task or job.cpus_per_task)
    memory = cpus * (share.mem_per_cpu or job.mem_per_cpu)
    gpus = tasks * (share.gpus_per_task or 0)
    all_cpus = job.tasks * job.cpus_per_task
    for name, asked, there, what in (
        ("cpusPerTask", cpus, all_cpus, "CPUs"),
        ("memPerCpu", memory, all_cpus * job.mem_per_cpu, "MB of memory"),
        ("gpusPerTask", gpus, job.gpus, "GPUs"),
    ):
        if asked > there:
            where = (*path, "resources")
            message = f"{show_path(where)} ask for {asked} {what}, the job has {there}"
            yield Conflict((*where, name), "lte", str(there), message)
            return


def _names(job: Workflow) -> Iterator[Conflict]:
    """A variable has one source: the environment, a secret, or a parameter of the sweep."""
    known: dict[str, Path] = {each.key: ("env",) for each in job.env or ()}
    named: list[tuple[Path, str]] = [
        (("secrets", index, "name"), each.name) for index, each in enumerate(job.secrets or ())
    ]
    if job.sweep is not None:
        named += [
            (("sweep", "parameters", index, "name"), each.name)
            for index, each in enumerate(job.sweep.parameters)
        ]
    for path, name in named:
        if name in known:
            message = f"{show_path(path)}: '{name}' is already in {show_path(known[name])}"
            yield Conflict(path, "unique", "", message)
        known.setdefault(name, path[:-1])


def use_conflicts(path: Path, use: StepUse, root: Model, hints: Hints) -> Iterator[Conflict]:
    """Yields what does not fit between a module that is filled in and who uses it."""
    module = use.module
    if module is None:
        return
    if isinstance(root, Workflow):
        for name in ("cpusPerTask", "memPerCpu", "gpus", "tasks"):
            least = module.minimum_resources.to_wire()[name]
            has = root.resources.to_wire()[name]
            if has < least:
                message = (
                    f"{show_path(path)}: the module '{module.name}' needs {name} {least} or more, "
                    f"the job has {has}"
                )
                yield Conflict((*path, "source"), "minimum_resources", str(least), message)
    names = [each.key for each in module.inputs or ()]
    known = set(names)
    for index, argument in enumerate(use.args or ()):
        if argument.key not in known:
            hint = hints.of(argument.key, names)
            message = (
                f"{show_path(path)}: the module '{module.name}' has no input '{argument.key}'{hint}"
            )
            yield Conflict((*path, "args", index, "key"), "input_exists", "", message)


def _sweep(sweep: Sweep) -> Iterator[Conflict]:
    broken = False
    for index, parameter in enumerate(sweep.parameters):
        path: Path = ("sweep", "parameters", index)
        if (parameter.values is None) == (parameter.range is None):
            both = "both" if parameter.values is not None else "neither"
            link = "and" if parameter.values is not None else "nor"
            message = f"{show_path(path)} has {both} 'values' {link} 'range': it has one of them"
            yield Conflict((*path, "values"), "excluded_with", "range", message)
            broken = True
    if broken:
        return
    numbers = sizes(sweep)
    for index, number in enumerate(numbers):
        where: Path = ("sweep", "parameters", index)
        if number == 0:
            message = f"{show_path(where)} has no value: its range is empty"
            yield Conflict((*where, "range"), "empty_range", "", message)
            broken = True
        elif sweep.combine == ZIP and number != numbers[0]:
            message = (
                f"{show_path(where)} has {number} values, the first parameter {numbers[0]}: "
                "with 'zip' all have the same number"
            )
            yield Conflict(where, "eq", str(numbers[0]), message)
            broken = True
    if not broken and count(sweep) > MAX_JOBS:
        message = f"the sweep makes {count(sweep)} jobs; {MAX_JOBS} are the most"
        yield Conflict(("sweep",), "lte", str(MAX_JOBS), message)
