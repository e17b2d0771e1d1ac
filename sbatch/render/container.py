"""Renders the container of a command: its image, what it sees, how it is run."""

from __future__ import annotations

import hashlib
import posixpath
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dsq.core.quoting import assignments, join, quote
from dsq.sbatch.model import ContainerRun, EnvVar, StepRun
from dsq.sbatch.render.templating import fill

ENTRYPOINT = "ENTRYPOINT"
DEFAULT_SHELL = "/bin/sh"
_X11 = "/tmp/.X11-unix"  # noqa: S108 - the place of X11's sockets

# Apptainer parts binds at these signs; the longer form of a mount takes them all.
_BIND_SIGNS = re.compile(r"[:,^\"\\\s]")

# Registries that send whoever logs in to another host, as Enroot wants to know beforehand.
_LOGIN_HOSTS = {"registry-1.docker.io": "auth.docker.io", "nvcr.io": "authn.nvidia.com"}


@dataclass(frozen=True, slots=True)
class Container:
    """A command in a container.

    Attributes:
        prepare: Lines that fetch the image; they run in the shell of the step.
        exports: Lines that set up the environment of ``srun``.
        command: What ``srun`` runs in each task.
    """

    prepare: str
    exports: list[str]
    command: str


def uses_apptainer(container: ContainerRun) -> bool:
    """Tells Apptainer from Enroot."""
    return bool(container.apptainer or container.deepsquare_hosted)


def apptainer(run: StepRun, container: ContainerRun, unshare: Sequence[str]) -> Container:
    """Renders a command in Apptainer; ``unshare`` are words before it."""
    fetch, image = _apptainer_image(container)
    binds = [f"{_X11}:{_X11}:ro"] if container.x11 else []
    mounts = []
    for mount in container.mounts or ():
        if _BIND_SIGNS.search(mount.host_dir + mount.container_dir):
            mounts += ["--mount", _long_mount(mount.host_dir, mount.container_dir, mount.options)]
        else:
            options = f":{mount.options}" if mount.options else ""
            binds.append(f"{mount.host_dir}:{mount.container_dir}{options}")
    as_image = not run.command or run.shell == ENTRYPOINT
    words = [*unshare, "apptainer", "--silent", "run" if as_image else "exec"]
    words += ["--disable-cache", "--contain"]
    words += [] if container.read_only_root_fs else ["--writable-tmpfs"]
    words += [] if container.mount_home else ["--no-home"]
    words += ["--nv", *mounts]
    words += ["--pwd", run.work_dir] if run.work_dir else []
    tail = _container_command(run)
    return Container(
        prepare=_lines(_mount_warning(container), fetch),
        exports=[
            f"_dsq_apptainer_env {quote(','.join(binds))}",
            *exports(run.env),
        ],
        command=f"{join(words)} {image}" + (f" {join(tail)}" if tail else ""),
    )


def enroot(
    run: StepRun,
    container: ContainerRun,
    unshare: Sequence[str],
    job_env: Sequence[EnvVar],
    secrets: Sequence[str],
) -> Container:
    """Renders a command in Enroot; ``unshare`` are words before ``enroot start``."""
    if container.image.startswith("/"):
        fetch, image = "", f'"$_dsq_storage"{quote(_clean(container.image))}'
    else:
        fetch, image = _enroot_import(container), '"$_dsq_image"'
    words = join([str(len(unshare)), *unshare, *_container_command(run)])
    return Container(
        prepare=_lines(_mount_warning(container), fetch),
        exports=[f"_dsq_enroot_conf {join(_enroot_conf(run, container, job_env, secrets))}"],
        command=f'/bin/bash "$_dsq_tasks" _dsq_enroot_task {image} "$_dsq_conf" {words}',
    )


def exports(env: Sequence[EnvVar] | None) -> list[str]:
    """Lines that set the variables of a step."""
    return [f"export {assignments({each.key: each.value})}" for each in env or ()]


def fetches_image(container: ContainerRun) -> bool:
    """Tells whether the image comes from a registry."""
    return not container.image.startswith("/") and not container.deepsquare_hosted


def _long_mount(source: str, target: str, options: str) -> str:
    """A mount in the form of comma-separated values, which has quotes for odd signs."""
    fields = ["type=bind", f"source={source}", f"destination={target}"]
    fields += ["ro"] if options == "ro" else []
    return ",".join('"' + field.replace('"', '""') + '"' for field in fields)


def _apptainer_image(container: ContainerRun) -> tuple[str, str]:
    """What fetches the image, and the shell word that is its path."""
    if container.image.startswith("/"):
        path = quote(_clean(container.image))
        return "", path if container.deepsquare_hosted else f'"$_dsq_storage"{path}'
    if container.deepsquare_hosted:
        registry = f"/{container.registry}" if container.registry else ""
        return "", quote("/opt/software" + _clean(f"{registry}/{container.image}"))
    separator = "/" if container.registry else ""
    address = f"docker://{container.registry or ''}{separator}{_reference(container)}"
    credentials = ""
    if container.username is not None and container.password is not None:
        credentials = assignments(
            {
                "APPTAINER_DOCKER_USERNAME": container.username,
                "APPTAINER_DOCKER_PASSWORD": container.password,
            }
        )
    fetch = f"_dsq_fetch_image {_file_name(address, container, 'sif')} _dsq_pull {quote(address)}"
    return f"{credentials} {fetch}".strip(), '"$_dsq_image"'


def _enroot_import(container: ContainerRun) -> str:
    separator = "#" if container.registry else ""
    user, lines = "", []
    if container.username is not None and container.password is not None:
        user = f"{container.username}@"
        lines = _netrc(container.registry, container.username, container.password)
    address = f"docker://{user}{container.registry or ''}{separator}{_reference(container)}"
    words = [_file_name(address, container, "sqsh"), "_dsq_import", address, *lines]
    return f"_dsq_fetch_image {join(words)}"


def _netrc(registry: str | None, user: str, password: str) -> list[str]:
    """The lines of Enroot's file of credentials.

    Enroot finds the user by the registry's line and gives the file to curl, which takes the
    line of the host that it is sent to for a token. A quoted password never begins with ``$``,
    which Enroot would run as a command.
    """
    machine = (registry or "registry-1.docker.io").partition(":")[0]
    escaped = password.replace("\\", "\\\\").replace('"', '\\"')
    for sign, code in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        escaped = escaped.replace(sign, code)
    hosts = [machine, *([_LOGIN_HOSTS[machine]] if machine in _LOGIN_HOSTS else [])]
    lines = [f'machine {host} login {user} password "{escaped}"' for host in hosts]
    return [*lines, f'default login {user} password "{escaped}"']


def _enroot_conf(
    run: StepRun, container: ContainerRun, job_env: Sequence[EnvVar], secrets: Sequence[str]
) -> list[str]:
    """What the start configuration of a container is made from."""
    # Enroot's list of variables has one line each, so those of several lines travel
    # with the step's own, in a script that the container reads at its start.
    several = [variable for variable in job_env if "\n" in variable.value]
    rc_local = fill(
        "enroot_rc_local.sh",
        secrets=secrets,
        env=[*several, *(run.env or ())],
        work_dir=run.work_dir or "",
        replace=run.shell != ENTRYPOINT,
    )
    mounts = [f"{_X11} {_X11} none x-create=dir,bind,ro"] if container.x11 else []
    for mount in container.mounts or ():
        options = f",{mount.options}" if mount.options else ""
        source, target = _fstab(mount.host_dir), _fstab(mount.container_dir)
        mounts.append(f"{source} {target} none x-create=auto,bind{options}")
    writable = "n" if container.read_only_root_fs else "y"
    home = "y" if container.mount_home else "n"
    return [writable, home, f"{rc_local}\n", *mounts]


def _container_command(run: StepRun) -> list[str]:
    if not run.command:
        return []
    if run.shell == ENTRYPOINT:
        return shlex.split(run.command)
    return [run.shell or DEFAULT_SHELL, "-c", run.command]


def _mount_warning(container: ContainerRun) -> str:
    if not container.mounts:
        return ""
    return "echo 'Mounts are deprecated: they depend on the site that the job runs on.' >&2"


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _clean(path: str) -> str:
    """An absolute path without ``..``, which therefore stays below what is put before it."""
    return posixpath.normpath("//" + path.lstrip("/")).replace("//", "/", 1)


def _reference(container: ContainerRun) -> str:
    """The image as its registry knows it: Docker Hub keeps official ones in ``library/``."""
    official = "docker.io" in (container.registry or "") and "/" not in container.image
    return f"library/{container.image}" if official else container.image


def _file_name(address: str, container: ContainerRun, suffix: str) -> str:
    """A name for the fetched image: one file an image and user, whatever step asks for it."""
    key = f"{address}\n{container.username or ''}"
    return f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.{suffix}"


def _fstab(path: str) -> str:
    """Escapes a path for a line of fstab."""
    for sign, code in (("\\", "134"), (" ", "040"), ("\t", "011"), ("\n", "012")):
        path = path.replace(sign, f"\\{code}")
    return path
