"""Renders one command: ``srun`` around a shell of the host, Apptainer or Enroot."""

from __future__ import annotations

from dsq.core.quoting import join, quote
from dsq.sbatch.model import StepRun, StepRunResources, Workflow
from dsq.sbatch.render.container import (
    DEFAULT_SHELL,
    ENTRYPOINT,
    Container,
    apptainer,
    enroot,
    exports,
    fetches_image,
    uses_apptainer,
)
from dsq.sbatch.render.network import Networks, has_namespace
from dsq.sbatch.render.templating import fill


class RunRenderer:
    """Renders the commands of one workflow; notes in ``features`` what they need."""

    def __init__(self, workflow: Workflow, networks: Networks, features: set[str]) -> None:
        self._resources = workflow.resources
        self._job_env = workflow.env or []
        self._secrets = [secret.name for secret in workflow.secrets or ()]
        self._networks = networks
        self._features = features

    def run(self, run: StepRun, name: str, where: str) -> str:
        """Renders one command; ``name`` is that of its step, "" for none."""
        namespace = has_namespace(run)
        inner = self._inner(run, [] if namespace else _unshare(run))
        command, lines = inner.command, inner.exports
        if namespace:
            self._features |= {"network", "tasks"}
            command = f"{self._networks.command(run)} {command}"
            lines = [*self._networks.prepare(run), *lines]
        gpus = (run.resources or StepRunResources()).gpus_per_task or 0
        return fill(
            "run.sh",
            where=where,
            prepare="\n".join(part for part in (_no_namespace(run), inner.prepare) if part),
            gpus_per_task=gpus,
            exports=lines,
            flags=join(self._flags(run, name)),
            command=command,
        )

    def _inner(self, run: StepRun, unshare: list[str]) -> Container:
        container = run.container
        if container is None:
            return Container("", exports(run.env), join([*unshare, *_host_command(run)]))
        if fetches_image(container):
            self._features.add("image")
        if uses_apptainer(container):
            self._features.add("apptainer")
            return apptainer(run, container, unshare)
        self._features |= {"enroot", "tasks"}
        return enroot(run, container, unshare, self._job_env, self._secrets)

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


def _host_command(run: StepRun) -> list[str]:
    shell = DEFAULT_SHELL if run.shell in (None, ENTRYPOINT) else run.shell
    assert shell is not None
    command = run.command
    if run.work_dir:
        place = quote(run.work_dir)
        message = quote(f"The working directory {run.work_dir} cannot be used.")
        enter = f"mkdir -p -- {place} && cd -- {place} || {{ echo {message} >&2; exit 1; }}"
        command = f"{enter}\n{command}"
    return [shell, "-c", command]


def _unshare(run: StepRun) -> list[str]:
    """The user namespace of ``mapUid`` and ``mapGid``."""
    if run.map_uid is None and run.map_gid is None:
        return []
    words = ["unshare", "--map-current-user"]
    words += [f"--map-user={run.map_uid}"] if run.map_uid is not None else []
    words += [f"--map-group={run.map_gid}"] if run.map_gid is not None else []
    return [*words, "--mount"]


def _no_namespace(run: StepRun) -> str:
    """A word about what the host's network has no use for."""
    fields = {"dns": run.dns, "customNetworkInterfaces": run.custom_network_interfaces}
    unused = " and ".join(name for name, value in fields.items() if value)
    if has_namespace(run) or not unused:
        return ""
    return f"echo 'Without a network of its own the step has no use for {unused}.' >&2"
