"""Rules between fields: what belongs together, what excludes what, which names exist.

The reference finds these at run time or never; a job that cannot work is refused
here, before credits are touched.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_interface

from dsq.sbatch.jobcheck import Conflict, job_conflicts, share_conflicts, use_conflicts
from dsq.sbatch.model import Model, Step, StepFor, StepRun, Workflow
from dsq.sbatch.problems import Hints, Path, show_path


@dataclass(frozen=True, slots=True)
class PlacedStep:
    """A step with its path from the root."""

    path: Path
    step: Step


def cross_check(root: Model) -> list[Conflict]:
    """Returns every broken rule between fields of a workflow or module."""
    steps = list(all_steps(root))
    handles = {
        placed.step.launch.handle_name.upper(): placed.step.launch.handle_name
        for placed in steps
        if placed.step.launch and placed.step.launch.handle_name
    }
    networks: dict[str, str] | None = None
    job = root if isinstance(root, Workflow) else None
    if job is not None:
        networks = {each.name: each.gateway_address for each in job.virtual_networks or ()}
    names, hints = sorted(handles.values()), Hints()
    found: list[Conflict] = []
    if isinstance(root, Workflow):
        found += job_conflicts(root)
    for placed in steps:
        found += _bodies(placed)
        found += _attempts(placed)
        found += _handles(placed, handles, names, hints)
        if placed.step.use:
            found += use_conflicts((*placed.path, "use"), placed.step.use, root, hints)
        if placed.step.for_:
            found += _loop((*placed.path, "for"), placed.step.for_)
        if placed.step.run:
            found += _run((*placed.path, "run"), placed.step.run)
        if placed.step.run and job is not None:
            found += share_conflicts((*placed.path, "run"), placed.step.run, job.resources)
        if placed.step.run and networks is not None:
            found += _interfaces((*placed.path, "run"), placed.step.run, networks, hints)
    return found


def all_steps(root: Model) -> Iterator[PlacedStep]:
    """Yields every step of a workflow or module, outer before inner, in order."""
    pending = [*reversed(_placed((), "steps", getattr(root, "steps", None)))]
    while pending:
        placed = pending.pop()
        yield placed
        pending += reversed(_children(placed))


def _children(placed: PlacedStep) -> list[PlacedStep]:
    step, path = placed.step, placed.path
    inside = _placed(path, "steps", step.steps)
    for name, body in (("for", step.for_), ("launch", step.launch), ("use", step.use)):
        if body is not None:
            inside += _placed((*path, name), "steps", body.steps)
    if step.use is not None and step.use.module is not None:
        inside += _placed((*path, "use", "module"), "steps", step.use.module.steps)
    inside += _placed(path, "catch", step.catch)
    return inside + _placed(path, "finally", step.finally_)


def _placed(path: Path, name: str, steps: list[Step] | None) -> list[PlacedStep]:
    return [PlacedStep((*path, name, index), step) for index, step in enumerate(steps or ())]


def _bodies(placed: PlacedStep) -> Iterator[Conflict]:
    """A step has one body; the reference silently drops all but the first."""
    step = placed.step
    bodies = {
        "steps": step.steps,
        "run": step.run,
        "for": step.for_,
        "launch": step.launch,
        "use": step.use,
    }
    present = [name for name, body in bodies.items() if body]
    for name in present[1:]:
        yield Conflict(
            (*placed.path, name),
            "excluded_with",
            present[0],
            f"{show_path(placed.path)} has both '{present[0]}' and '{name}': a step does one thing",
        )


def _attempts(placed: PlacedStep) -> Iterator[Conflict]:
    """Only what does something can be tried again or take too long."""
    step = placed.step
    if step.steps or step.run or step.for_ or step.launch or step.use:
        return
    for name, value in (("timeout", step.timeout), ("retries", step.retries)):
        if value is not None:
            message = f"{show_path(placed.path)} has '{name}' but nothing to do"
            yield Conflict((*placed.path, name), "required_with", "run", message)


def _handles(
    placed: PlacedStep, handles: dict[str, str], names: list[str], hints: Hints
) -> Iterator[Conflict]:
    for index, handle in enumerate(placed.step.depends_on or ()):
        if handle.upper() not in handles:
            hint = hints.of(handle, names)
            yield Conflict(
                (*placed.path, "dependsOn", index),
                "handle_exists",
                "",
                f"{show_path(placed.path)} depends on '{handle}', "
                f"but no launch has this handleName{hint}",
            )


def _loop(path: Path, loop: StepFor) -> Iterator[Conflict]:
    if loop.range is not None and loop.items is not None:
        message = f"{show_path(path)} has both 'range' and 'items': a loop has one of them"
        yield Conflict((*path, "items"), "excluded_with", "range", message)
    if loop.range is None and loop.items is None:
        message = f"{show_path(path)} has neither 'range' nor 'items', so it would never run"
        yield Conflict((*path, "range"), "required_without", "items", message)
    if loop.max_parallel is not None and not loop.parallel:
        message = f"{show_path(path)} has 'maxParallel', but its rounds run one after the other"
        yield Conflict((*path, "maxParallel"), "required_with", "parallel", message)


def _run(path: Path, run: StepRun) -> Iterator[Conflict]:
    container = run.container
    if run.shell == "ENTRYPOINT" and container is not None:
        try:
            shlex.split(run.command)
        except ValueError:
            message = f"{show_path(path)}.command has a quote that is not closed"
            yield Conflict((*path, "command"), "shell_words", "", message)
    if container is not None and (container.username is None) != (container.password is None):
        present, absent = ("username", "password")
        if container.username is None:
            present, absent = absent, present
        message = f"{show_path(path)}.container has '{present}' but not '{absent}'"
        yield Conflict((*path, "container", absent), "required_with", present, message)


def _interfaces(
    path: Path, run: StepRun, networks: dict[str, str], hints: Hints
) -> Iterator[Conflict]:
    for index, interface in enumerate(run.custom_network_interfaces or ()):
        vnet = interface.vnet
        if vnet is None:
            continue
        where = (*path, "customNetworkInterfaces", index, "vnet")
        if vnet.name not in networks:
            hint = hints.of(vnet.name, list(networks))
            message = (
                f"{show_path(path)} names the virtual network '{vnet.name}', "
                f"which the job does not have{hint}"
            )
            yield Conflict((*where, "name"), "network_exists", "", message)
            continue
        gateway = ip_interface(networks[vnet.name])
        address = ip_interface(vnet.address)
        if address.ip not in gateway.network or address.ip == gateway.ip:
            message = (
                f"{show_path(where)}: {address.ip} is not a free address of the network "
                f"{gateway.network} of '{vnet.name}'"
            )
            yield Conflict((*where, "address"), "address_in_network", str(gateway), message)
