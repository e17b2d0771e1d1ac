"""What the language has and this version does not render: refused, never left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dsq.sbatch.crosscheck import all_steps
from dsq.sbatch.model import ContainerRun, StepRun, TransportData, Workflow
from dsq.sbatch.problems import Path, show_path

# Apptainer parts binds at these signs and knows no way to escape them.
_BIND_SIGNS = re.compile(r"[:,^\s]")


def findings(workflow: Workflow) -> Iterator[tuple[Path, str]]:
    """Yields the path and a sentence of everything that cannot be rendered."""
    for name, data in (("input", workflow.input), ("output", workflow.output)):
        if data is not None:
            yield from _transport((name,), data)
    if workflow.virtual_networks:
        yield ("virtualNetworks",), "virtualNetworks are not supported by this version"
    if workflow.secrets:
        yield ("secrets",), "secrets are not supported by this version"
    if workflow.sweep is not None:
        yield ("sweep",), "a sweep has no script of its own: it is expanded into jobs first"
    for placed in all_steps(workflow):
        for name, value in (("timeout", placed.step.timeout), ("retries", placed.step.retries)):
            if value is not None:
                path = (*placed.path, name)
                yield path, f"{show_path(path)}: {name} is not supported by this version"
        if placed.step.use is not None:
            path = (*placed.path, "use")
            yield path, f"{show_path(path)}: modules are not supported by this version"
        if placed.step.run is not None:
            yield from _run((*placed.path, "run"), placed.step.run)


def _transport(path: Path, data: TransportData) -> Iterator[tuple[Path, str]]:
    if data.http is not None and data.http.checksum is not None:
        where = (*path, "http", "checksum")
        yield where, f"{show_path(where)}: checksums are not supported by this version"
    if data.http is None and data.s3 is not None:
        where = (*path, "s3")
        yield where, f"{show_path(where)}: S3 is not supported by this version"


def _run(path: Path, run: StepRun) -> Iterator[tuple[Path, str]]:
    if run.network not in (None, "host"):
        where = (*path, "network")
        yield where, f"{show_path(where)}: networks are not supported by this version"
    if run.container is not None:
        yield from _container((*path, "container"), run.container)


def _container(path: Path, container: ContainerRun) -> Iterator[tuple[Path, str]]:
    with_apptainer = container.apptainer or container.deepsquare_hosted
    if container.password is not None and not with_apptainer:
        where = (*path, "password")
        yield (
            where,
            f"{show_path(where)}: credentials of a registry are not supported with Enroot "
            "by this version (set apptainer: true)",
        )
    for index, mount in enumerate(container.mounts or ()):
        for name, directory in (
            ("hostDir", mount.host_dir),
            ("containerDir", mount.container_dir),
        ):
            if with_apptainer and _BIND_SIGNS.search(directory):
                where = (*path, "mounts", index, name)
                yield (
                    where,
                    f"{show_path(where)}: a blank, ':', ',' or '^' in a mounted path "
                    "is not supported with Apptainer",
                )
