"""Renders one command: ``srun`` around a shell of the host, Apptainer or Enroot."""

from __future__ import annotations

import hashlib
import posixpath
import shlex
from collections.abc import Iterable

from dsq.core.quoting import assignments, join, quote
from dsq.sbatch.model import ContainerRun, EnvVar, StepRun, StepRunResources, Workflow
from dsq.sbatch.render.templating import fill

_ENTRYPOINT = "ENTRYPOINT"
_DEFAULT_SHELL = "/bin/sh"
_X11 = "/tmp/.X11-unix"  # noqa: S108 - the place of X11's sockets


class RunRenderer:
    """Renders the commands of one workflow; notes in ``features`` what they need."""

    def __init__(self, workflow: Workflow, features: set[str]) -> None:
        self._resources = workflow.resources
        self._job_env = workflow.env or []
        self._features = features

    def run(self, run: StepRun, name: str, where: str) -> str:
        """Renders one command; ``name`` is that of its step, "" for none."""
        container = run.container
        flags = join(self._flags(run, name))
        if container is None:
            return fill(
                "run.sh",
                where=where,
                prepare="",
                exports=_exports(run.env),
                flags=flags,
                command=join([*_unshare(run), *_host_command(run)]),
            )
        if container.apptainer or container.deepsquare_hosted:
            return self._apptainer(run, container, flags, where)
        return self._enroot(run, container, flags, where)

    def _flags(self, run: StepRun, name: str) -> list[str]:
        """The flags of srun (reference, section 5.6)."""
        wanted = run.resources or StepRunResources()
        job = self._resources
        tasks = wanted.tasks or 1
        gpus = wanted.gpus_per_task or 0
        flags = [f"--job-name={name}"] if name else []
        flags += [
            "--export=ALL",
            f"--cpus-per-task={wanted.cpus_per_task or job.cpus_per_task}",
            f"--mem-per-cpu={wanted.mem_per_cpu or job.mem_per_cpu}M",
            f"--gpus-per-task={gpus}",
            f"--gpus={gpus * tasks}",
            f"--ntasks={tasks}",
        ]
        if run.mpi is not None:
            flags.append(f"--mpi={run.mpi}")
        if run.disable_cpu_binding:
            flags.append("--cpu-bind=none")
        if run.container is not None:
            flags.append("--gpu-bind=none")
        return flags

    def _apptainer(self, run: StepRun, container: ContainerRun, flags: str, where: str) -> str:
        self._features.add("apptainer")
        prepare, image = self._apptainer_image(container)
        binds = [f"{_X11}:{_X11}:ro"] if container.x11 else []
        for mount in container.mounts or ():
            options = f":{mount.options}" if mount.options else ""
            binds.append(f"{mount.host_dir}:{mount.container_dir}{options}")
        as_image = not run.command or run.shell == _ENTRYPOINT
        words = ["apptainer", "--silent", "run" if as_image else "exec"]
        words += ["--disable-cache", "--contain"]
        words += [] if container.read_only_root_fs else ["--writable-tmpfs"]
        words += [] if container.mount_home else ["--no-home"]
        words.append("--nv")
        words += ["--pwd", run.work_dir] if run.work_dir else []
        tail = _container_command(run)
        command = f"{join([*_unshare(run), *words])} {image}" + (f" {join(tail)}" if tail else "")
        return fill(
            "run.sh",
            where=where,
            prepare=_lines(_mount_warning(container), prepare),
            exports=[
                'export "${_dsq_container_env[@]}"',
                f"_dsq_apptainer_binds {quote(','.join(binds))}",
                *_exports(run.env),
            ],
            flags=flags,
            command=command,
        )

    def _apptainer_image(self, container: ContainerRun) -> tuple[str, str]:
        """What fetches the image, and the shell word that is its path."""
        if container.image.startswith("/"):
            path = _clean(container.image)
            return "", quote(
                path
            ) if container.deepsquare_hosted else f'"$_dsq_storage"{quote(path)}'
        if container.deepsquare_hosted:
            registry = f"/{container.registry}" if container.registry else ""
            return "", quote("/opt/software" + _clean(f"{registry}/{container.image}"))
        self._features.add("image")
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
        fetch = (
            f"_dsq_fetch_image {_file_name(address, container, 'sif')} _dsq_pull {quote(address)}"
        )
        return f"{credentials} {fetch}".strip(), '"$_dsq_image"'

    def _enroot(self, run: StepRun, container: ContainerRun, flags: str, where: str) -> str:
        self._features.add("enroot")
        if container.image.startswith("/"):
            prepare, image = "", f'"$_dsq_storage"{quote(_clean(container.image))}'
        else:
            self._features.add("image")
            separator = "#" if container.registry else ""
            address = f"docker://{container.registry or ''}{separator}{_reference(container)}"
            file = _file_name(address, container, "sqsh")
            prepare = f"_dsq_fetch_image {file} _dsq_import {quote(address)}"
            image = '"$_dsq_image"'
        unshare = _unshare(run)
        task = f'/bin/bash -c "$_dsq_enroot_task" enroot-task {image} "$_dsq_conf"'
        return fill(
            "run.sh",
            where=where,
            prepare=_lines(_mount_warning(container), prepare),
            exports=[f"_dsq_enroot_conf {join(self._enroot_conf(run, container))}"],
            flags=flags,
            command=f"{task} {join([str(len(unshare)), *unshare, *_container_command(run)])}",
        )

    def _enroot_conf(self, run: StepRun, container: ContainerRun) -> list[str]:
        """What the start configuration of a container is made from."""
        # Enroot's list of variables has one line each, so those of several lines travel
        # with the step's own, in a script that the container reads at its start.
        job_env = [variable for variable in self._job_env if "\n" in variable.value]
        rc_local = fill(
            "enroot_rc_local.sh",
            env=[*job_env, *(run.env or ())],
            work_dir=run.work_dir or "",
            replace=run.shell != _ENTRYPOINT,
        )
        mounts = [f"{_X11} {_X11} none x-create=dir,bind,ro"] if container.x11 else []
        for mount in container.mounts or ():
            options = f",{mount.options}" if mount.options else ""
            source, target = _fstab(mount.host_dir), _fstab(mount.container_dir)
            mounts.append(f"{source} {target} none x-create=auto,bind{options}")
        writable = "n" if container.read_only_root_fs else "y"
        home = "y" if container.mount_home else "n"
        return [writable, home, f"{rc_local}\n", *mounts]


def _exports(env: Iterable[EnvVar] | None) -> list[str]:
    return [f"export {assignments({each.key: each.value})}" for each in env or ()]


def _host_command(run: StepRun) -> list[str]:
    shell = _DEFAULT_SHELL if run.shell in (None, _ENTRYPOINT) else run.shell
    assert shell is not None
    command = run.command
    if run.work_dir:
        place = quote(run.work_dir)
        message = quote(f"The working directory {run.work_dir} cannot be used.")
        enter = f"mkdir -p -- {place} && cd -- {place} || {{ echo {message} >&2; exit 1; }}"
        command = f"{enter}\n{command}"
    return [shell, "-c", command]


def _container_command(run: StepRun) -> list[str]:
    if not run.command:
        return []
    if run.shell == _ENTRYPOINT:
        return shlex.split(run.command)
    return [run.shell or _DEFAULT_SHELL, "-c", run.command]


def _unshare(run: StepRun) -> list[str]:
    """The user namespace of ``mapUid`` and ``mapGid``."""
    if run.map_uid is None and run.map_gid is None:
        return []
    words = ["unshare", "--map-current-user"]
    words += [f"--map-user={run.map_uid}"] if run.map_uid is not None else []
    words += [f"--map-group={run.map_gid}"] if run.map_gid is not None else []
    return [*words, "--mount"]


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
