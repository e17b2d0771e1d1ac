"""Steps: what runs, in which container, under which conditions; and modules, made of steps."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dsq.sbatch.model.base import Go, Int, Model, Secret, Text
from dsq.sbatch.model.data import EnvVar, JobResources, VariableName
from dsq.sbatch.model.network import NetworkInterface
from dsq.sbatch.model.network_rules import Hostname, Ip
from dsq.sbatch.model.rules import (
    AlphanumUnderscore,
    Gte,
    Image,
    Lt,
    ModuleSource,
    OneOf,
    StartsWith,
)


class Mount(Model):
    """A directory of the host in the container. Deprecated."""

    host_dir: Annotated[Text, StartsWith("/")] = Field(alias="hostDir")
    """Directory on the host."""
    container_dir: Annotated[Text, StartsWith("/")] = Field(alias="containerDir")
    """Where the container sees it."""
    options: Annotated[Text, OneOf(("", "rw", "ro"))]
    """`rw`, `ro`, or empty."""


class ContainerRun(Model):
    """The container a command runs in."""

    image: Annotated[Text, Image()]
    """`name[:tag]`, or an absolute path (a squashfs or SIF file) below `$STORAGE_PATH`."""
    mounts: list[Mount] | None = None
    """Directories of the host. Deprecated."""
    username: Text | None = None
    """User of the registry; used when `registry` and `password` are given too."""
    password: Annotated[Text | None, Secret()] = None
    """Password of the registry."""
    registry: Annotated[Text | None, Hostname()] = None
    """Host of the registry, with its port if that is not 443. Absent: Docker Hub."""
    apptainer: bool | None = None
    """Apptainer instead of Enroot."""
    deepsquare_hosted: bool | None = Field(default=None, alias="deepsquareHosted")
    """An unpacked image below `/opt/software`; implies Apptainer."""
    x11: bool | None = None
    """Shows the X11 sockets of the host (`/tmp/.X11-unix`), read-only."""
    mount_home: bool | None = Field(default=None, alias="mountHome")
    """Shows the home directory."""
    read_only_root_fs: Annotated[bool | None, Go("ReadOnlyRootFS")] = Field(
        default=None, alias="readOnlyRootFS"
    )
    """The container cannot write to its root file system."""


class StepRunResources(Model):
    """What one command gets from the job's allocation."""

    tasks: Annotated[Int | None, Gte(1)] = None
    """Tasks that run the command. Absent: 1."""
    cpus_per_task: Annotated[Int | None, Gte(1), Go("CPUsPerTask")] = Field(
        default=None, alias="cpusPerTask"
    )
    """Hardware threads a task. Absent: the job's."""
    mem_per_cpu: Annotated[Int | None, Gte(1), Go("MemPerCPU")] = Field(
        default=None, alias="memPerCpu"
    )
    """Memory in MB a hardware thread. Absent: the job's."""
    gpus_per_task: Annotated[Int | None, Gte(0), Go("GPUsPerTask")] = Field(
        default=None, alias="gpusPerTask"
    )
    """GPUs a task. Absent: none."""


class StepRun(Model):
    """A command."""

    command: Text
    """Text for the shell. In a container, empty runs what the image is made to run."""
    shell: Annotated[Text | None, OneOf(("/bin/bash", "/bin/ash", "/bin/sh", "ENTRYPOINT"))] = None
    """What reads the command. Absent: `/bin/sh`. `ENTRYPOINT`: the command is split into words,
    with a shell's quotes and no expansion, for the image's own entry point; without a container
    it is `/bin/sh`."""
    resources: StepRunResources | None = None
    """Share of the allocation."""
    container: ContainerRun | None = None
    """The container. Absent: on the host."""
    network: Annotated[Text | None, OneOf(("host", "slirp4netns", "pasta"))] = None
    """Kind of network. Absent: the host's."""
    dns: Annotated[list[Annotated[Text, Ip()]] | None, Go("DNS")] = None
    """Name servers; only with a network other than the host's."""
    custom_network_interfaces: list[NetworkInterface] | None = Field(
        default=None, alias="customNetworkInterfaces"
    )
    """Interfaces; only with a network other than the host's."""
    env: list[EnvVar] | None = None
    """Variables of this command; they win over all others."""
    map_uid: Annotated[Int | None, Gte(0), Go("MapUID")] = Field(default=None, alias="mapUid")
    """User id the command sees itself as. 0: root of its own user namespace."""
    map_gid: Annotated[Int | None, Gte(0), Go("MapGID")] = Field(default=None, alias="mapGid")
    """Group id the command sees itself as."""
    work_dir: Annotated[Text | None, StartsWith("/")] = Field(default=None, alias="workDir")
    """Directory the command starts in."""
    disable_cpu_binding: Annotated[bool | None, Go("DisableCPUBinding")] = Field(
        default=None, alias="disableCpuBinding"
    )
    """Tasks are not bound to processors."""
    mpi: Annotated[Text | None, OneOf(("none", "pmix_v4", "pmi2"))] = None
    """How MPI processes are started. Absent: the cluster's default."""


class ForRange(Model):
    """Whole numbers from `begin` to `end`, both included."""

    begin: Int
    """First number."""
    end: Int
    """Last number."""
    increment: Int | None = None
    """Distance; negative counts down. Absent or 0: 1."""


class StepFor(Model):
    """A loop over `range` or `items`."""

    parallel: bool
    """All rounds at once instead of one after the other."""
    max_parallel: Annotated[Int | None, Gte(1)] = Field(default=None, alias="maxParallel")
    """With `parallel`: how many rounds run at once. Absent: all."""
    items: list[Text] | None = None
    """Texts, one a round: `$item`."""
    range: ForRange | None = None
    """Numbers, one a round: `$index`."""
    steps: list[Step]
    """What each round does."""


class StepAsyncLaunch(Model):
    """Steps in the background."""

    handle_name: Annotated[Text | None, AlphanumUnderscore()] = Field(
        default=None, alias="handleName"
    )
    """Name for `dependsOn`, in any case."""
    signal_on_parent_step_exit: Annotated[Int | None, Gte(0), Lt(65)] = Field(
        default=None, alias="signalOnParentStepExit"
    )
    """Signal sent when the enclosing job or launch has done its steps. Absent: 15; 0: none."""
    steps: list[Step]
    """What runs in the background."""


class StepUse(Model):
    """A module: steps from a repository."""

    source: Annotated[Text, ModuleSource()]
    """`host/owner/repository[/directory][@tag or commit]`, or a path beginning with `./`, `../`
    or `/`, relative to the file that names it. A commit in full is fetched once and kept."""
    args: list[EnvVar] | None = None
    """Values of the module's inputs."""
    export_env_as: Annotated[VariableName | None, Go("ExportEnvAs")] = Field(
        default=None, alias="exportEnvAs"
    )
    """Prefix of the variables that the module's outputs are put in."""
    steps: list[Step] | None = None
    """Steps handed to the module."""
    module: Module | None = None
    """The module itself, filled in; clients put it here, and `source` then says only where it
    came from. Absent: it is fetched."""


class Step(Model):
    """A step: one of `steps`, `run`, `for`, `launch`, `use`; with none it prints its name."""

    name: Text | None = None
    """Printed before the step; name of the Slurm step."""
    depends_on: list[Annotated[Text, AlphanumUnderscore()]] | None = Field(
        default=None, alias="dependsOn"
    )
    """Handles of launches that must have ended well before this step."""
    if_: Annotated[Text | None, Go("If")] = Field(default=None, alias="if")
    """A conditional expression of bash (`[[ … ]]`); false skips the step."""
    timeout: Annotated[Int | None, Gte(1)] = None
    """Seconds that one attempt of the step's body may take; then its commands are ended and the
    attempt has failed with 124. `catch` and `finally` are not counted."""
    retries: Annotated[Int | None, Gte(0), Lt(101)] = None
    """How often the step's body is tried again when it failed, after a pause that doubles from one
    second to a minute. `catch` sees the last failure."""
    steps: list[Step] | None = None
    """A group, one after the other."""
    run: StepRun | None = None
    """One command."""
    for_: Annotated[StepFor | None, Go("For")] = Field(default=None, alias="for")
    """A loop."""
    launch: StepAsyncLaunch | None = None
    """Steps in the background."""
    use: StepUse | None = None
    """A module."""
    catch: list[Step] | None = None
    """Run when the step failed; the failure is then handled. `$DEEPSQUARE_ERROR_CODE`."""
    finally_: Annotated[list[Step] | None, Go("Finally")] = Field(default=None, alias="finally")
    """Run when the step ends, whatever happened."""


class ModuleInput(Model):
    """An argument of a module."""

    key: VariableName
    """Name of its variable."""
    description: Text
    """What it is for."""
    default: Text | None = None
    """Its value when it is not given."""


class ModuleOutput(Model):
    """A result of a module."""

    key: VariableName
    """Name of its variable."""
    description: Text
    """What it holds."""


class Module(Model):
    """The file `module.yaml`."""

    name: Text
    """Name of the module."""
    description: Text
    """What it does."""
    minimum_resources: JobResources = Field(alias="minimumResources")
    """What a job that uses it needs at least."""
    inputs: list[ModuleInput] | None = None
    """Its arguments."""
    outputs: list[ModuleOutput] | None = None
    """Its results."""
    steps: list[Step]
    """What it does."""


for _model in (StepFor, StepAsyncLaunch, StepUse, Step, Module):
    _model.model_rebuild()
