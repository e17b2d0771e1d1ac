"""What cannot be rendered, each with its reason: refused, never left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dsq.sbatch.model import ContainerRun, NetworkInterface, StepRun, StepUse, Wireguard, Workflow
from dsq.sbatch.problems import Path, show_path
from dsq.sbatch.render.container import uses_apptainer
from dsq.sbatch.render.network import has_namespace
from dsq.sbatch.render.transfer import WILDCARDS
from dsq.sbatch.render.walk import placed_steps

# Enroot takes the user in the address of the image, and looks for it as a pattern.
_ENROOT_USER = re.compile(r"[A-Za-z0-9_.!~'()%;:&=+$,@-]+")

_LINE_BREAK = re.compile(r"[\r\n]")


def findings(workflow: Workflow) -> Iterator[tuple[Path, str]]:
    """Yields the path and a sentence of everything that cannot be rendered."""
    output = workflow.output
    if output is not None and output.http is None and output.s3 is not None:
        for field, text in (("bucketUrl", output.s3.bucket_url), ("path", output.s3.path)):
            if WILDCARDS.search(text):
                path: Path = ("output", "s3", field)
                words = "s5cmd writes to no place with '*' or '?' in its name"
                yield path, f"{show_path(path)}: {words}"
    if workflow.sweep is not None:
        yield ("sweep",), "a sweep has no script of its own: each of its jobs has one"
    for place, step in placed_steps(workflow):
        if step.use is not None:
            yield from _use((*place, "use"), step.use)
        if step.run is not None:
            yield from _run((*place, "run"), step.run)


def _use(path: Path, use: StepUse) -> Iterator[tuple[Path, str]]:
    if use.module is None:
        yield path, f"{show_path(path)}: the module has not been fetched"


def _run(path: Path, run: StepRun) -> Iterator[tuple[Path, str]]:
    if run.container is not None:
        yield from _container((*path, "container"), run.container)
    if not has_namespace(run):
        return
    tasks = (run.resources.tasks if run.resources else None) or 1
    for index, interface in enumerate(run.custom_network_interfaces or ()):
        where = (*path, "customNetworkInterfaces", index)
        yield from _interface(where, interface, tasks)


def _interface(path: Path, interface: NetworkInterface, tasks: int) -> Iterator[tuple[Path, str]]:
    kinds = {
        "wireguard": interface.wireguard,
        "vnet": interface.vnet,
        "bore": interface.bore,
    }
    present = [name for name, kind in kinds.items() if kind is not None]
    if len(present) != 1:
        names = " and ".join(present) or "nothing"
        yield path, f"{show_path(path)}: an interface is one of {', '.join(kinds)}, not {names}"
        return
    if tasks > 1 and interface.bore is None:
        yield (
            (*path, present[0]),
            f"{show_path(path)}: {tasks} tasks cannot have one address, but a step each",
        )
    if interface.wireguard is not None:
        yield from _wireguard((*path, "wireguard"), interface.wireguard)
    bore = interface.bore
    if bore is not None and (bore.bore_address is None) == (bore.address is None):
        where = (*path, "bore", "boreAddress")
        yield where, f"{show_path(where)}: the proxy has one address, boreAddress or address"


def _wireguard(path: Path, interface: Wireguard) -> Iterator[tuple[Path, str]]:
    texts: list[tuple[Path, str | None]] = [((*path, "privateKey"), interface.private_key)]
    for index, peer in enumerate(interface.peers or ()):
        texts.append(((*path, "peers", index, "publicKey"), peer.public_key))
        texts.append(((*path, "peers", index, "preSharedKey"), peer.pre_shared_key))
    for where, text in texts:
        if text is not None and _LINE_BREAK.search(text):
            yield where, f"{show_path(where)}: a key of WireGuard has no line breaks"


def _container(path: Path, container: ContainerRun) -> Iterator[tuple[Path, str]]:
    user, where = container.username, (*path, "username")
    if user is not None and not uses_apptainer(container) and not _ENROOT_USER.fullmatch(user):
        allowed = "letters, digits and _.!~'()%;:&=+$,@-"
        yield (
            where,
            f"{show_path(where)}: Enroot takes names of {allowed} only (set apptainer: true)",
        )
    for index, mount in enumerate(container.mounts or ()):
        for name, directory in (
            ("hostDir", mount.host_dir),
            ("containerDir", mount.container_dir),
        ):
            if uses_apptainer(container) and _LINE_BREAK.search(directory):
                where = (*path, "mounts", index, name)
                yield (
                    where,
                    f"{show_path(where)}: Apptainer takes no line break in a mounted path",
                )
