"""What the supervisor asks of a cluster.

:class:`Scheduler` has two adapters, ``slurm.SlurmScheduler`` and
``local.scheduler.LocalScheduler``; both pass the same contract tests.
The line to its machine is another port (:mod:`.line`).
Times are unix seconds of the cluster's clock, memory is in MB, limits are in minutes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from dsq.core.errors import DsqError, UnreachableError

LIVE_STATES = frozenset(
    {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING"}
    | {"REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "SIGNALING", "STAGE_OUT"}
)
"""States in which a job still waits, runs or is being cleaned up."""

ENDED_STATES = frozenset(
    {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}
    | {"PREEMPTED", "DEADLINE", "BOOT_FAIL", "REVOKED"}
)
"""States that never change again."""

FORGOTTEN = "UNKNOWN"
"""State of a job that did start, of which the cluster keeps no record any more."""

UNTOLD = "UNTOLD"
"""State of a job that has left the queue, while the accounting that would tell its end is silent:
whether and when it ended is not known yet."""

OUTPUT_FILE = "out.log"
"""Name of a job's output file inside its attempt's folder."""

_SAFE_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class SubmitRefused(DsqError):  # noqa: N818 - an answer
    """The cluster said no to a job, and it is certain that the job is not in it."""

    code = "submit_refused"
    exit_code = 75


class NotPermitted(DsqError):  # noqa: N818 - an answer
    """The account on the cluster may not do what was asked."""

    code = "not_permitted"
    exit_code = 78


class SchedulerError(DsqError):
    """The cluster answered a command with an error that is neither of the two above."""

    code = "scheduler"
    exit_code = 75


class LoginRefused(UnreachableError):  # noqa: N818 - an answer
    """The machine answers, and does not let the account in: nothing was done there."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node as the cluster describes it.

    Attributes:
        name: Its name in the cluster.
        cpus: CPUs that jobs can have.
        mem_mb: Memory that jobs can have, in MB.
        gpus: GPUs of all types together.
        gpu_type: The type named most often ("a100"), "" if none is named.
        state: The cluster's words for its state ("IDLE", "MIXED+PLANNED").
        features: Its features, as jobs may ask for them.
    """

    name: str
    cpus: int
    mem_mb: int
    gpus: int = 0
    gpu_type: str = ""
    state: str = ""
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """The usable part of a cluster.

    Attributes:
        nodes: Nodes of the partition that can run jobs; drained and down ones are left out.
        partition: The partition jobs go to.
        max_minutes: Its longest time limit, None if there is none.
        version: The scheduler and its version ("slurm 22.05.8", "local").
        configured: All nodes of the partition, also those that cannot run jobs now; empty if
            the scheduler does not tell them apart.
        max_nodes: Most nodes that one job can have, None if there is no limit.
        max_cpus_per_node: Most CPUs that jobs can have on one node, None if there is no limit.
        max_mem_per_node: Most MB that a job can have on one node, None if there is no limit.
    """

    nodes: tuple[Node, ...]
    partition: str
    max_minutes: int | None
    version: str
    configured: tuple[Node, ...] = ()
    max_nodes: int | None = None
    max_cpus_per_node: int | None = None
    max_mem_per_node: int | None = None


@dataclass(frozen=True, slots=True)
class NodeFree:
    """What a job could still get on one node now; memory in MB."""

    name: str
    cpus: int
    mem_mb: int
    gpus: int


@dataclass(frozen=True, slots=True)
class Free:
    """What could start now, node by node.

    Attributes:
        nodes: The nodes.
        closed: Why no job starts at all ("the partition is DOWN"), "" while jobs start.
    """

    nodes: tuple[NodeFree, ...] = ()
    closed: str = ""

    @property
    def cpus(self) -> int:
        """Free CPUs of all nodes."""
        return sum(node.cpus for node in self.nodes)

    @property
    def mem_mb(self) -> int:
        """Free memory of all nodes in MB."""
        return sum(node.mem_mb for node in self.nodes)

    @property
    def gpus(self) -> int:
        """Free GPUs of all nodes."""
        return sum(node.gpus for node in self.nodes)

    def fits(self, *, ntasks: int, cpus_per_task: int, mem_per_cpu: int, gpus: int = 0) -> bool:
        """Whether a job of this size could start now.

        A task does not span nodes; GPUs are counted a job, on the nodes that get tasks.
        """
        left, gpus_left = ntasks, gpus
        for node in sorted(self.nodes, key=lambda node: -node.gpus):
            tasks = min(
                node.cpus // max(1, cpus_per_task),
                node.mem_mb // max(1, mem_per_cpu * cpus_per_task),
            )
            if tasks > 0 and (left > 0 or gpus_left > 0):
                left -= tasks
                gpus_left -= node.gpus
        return left <= 0 and gpus_left <= 0


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One attempt to run a job.

    Attributes:
        name: The job's id on chain, as ``0x`` and hexadecimal digits.
        token: Random word of this attempt; part of the path of its output.
        ntasks: Tasks.
        cpus_per_task: CPUs of each task.
        mem_per_cpu: MB of memory for each CPU.
        gpus: GPUs of the whole job.
        minutes: Time limit.
        env: Variables the script finds exported. They travel inside the script, so secrets may
            be among them.
        job_path: The script's PATH; None keeps the one the cluster gives.
        comment: Words for the cluster's operators.
        nodes: Nodes that the tasks are spread over; 0 leaves that to the cluster.
        once: Token of the job; its script ends at once if any attempt of a job of this name
            with this token has run here. "" for a script that may run again.
    """

    name: str
    token: str
    ntasks: int
    cpus_per_task: int
    mem_per_cpu: int
    gpus: int
    minutes: int
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    job_path: str | None = None
    comment: str = ""
    nodes: int = 0
    once: str = ""

    def check(self) -> None:
        """Refuses what no cluster could take literally.

        Slurm reads a zero limit as "no limit" and zero memory as "all of the node", so
        neither may ever reach it.

        Raises:
            SubmitRefused: A number is out of range, or name or token is no plain word.
        """
        for label, word in (("name", self.name), ("token", self.token), ("once", self.once or "x")):
            if not _SAFE_WORD.fullmatch(word):
                raise SubmitRefused(f"The {label} {word!r} of the job is not a plain word.")
        least = {
            "ntasks": 1,
            "cpus_per_task": 1,
            "mem_per_cpu": 1,
            "minutes": 1,
            "gpus": 0,
            "nodes": 0,
        }
        for label, low in least.items():
            if getattr(self, label) < low:
                raise SubmitRefused(
                    f"The job's {label} is {getattr(self, label)}; it must be at least {low}."
                )


@dataclass(frozen=True, slots=True)
class SlurmJobId:
    """A job in the cluster. Ids come again when a cluster is set up anew, so both count.

    Attributes:
        id: The cluster's id.
        submit_time: When the cluster took it; 0 until that has been seen.
    """

    id: str
    submit_time: int


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """What the cluster says about a job.

    Attributes:
        id: The cluster's id.
        submit_time: When the cluster took it.
        name: Its name if it was asked for, else "". A job's user can change it.
        user: The account it runs as.
        state: The base state: one of LIVE_STATES, ENDED_STATES, FORGOTTEN or UNTOLD.
        reason: The cluster's word why it waits or why it ended, "" if none.
        start: When it started, 0 if it has not.
        end: When it ended, 0 if it has not.
        exit_code: The script's exit code (0 to 255).
        signal: The signal that ended it, 0 if none.
        nodes: Its nodes, in the cluster's notation.
        time_limit_minutes: Its limit, 0 if it has none or is not known.
        restarts: How often the cluster has put it back into its queue, as far as it is told.
        output: Path of its output file if that was asked for, else "".
    """

    id: str
    submit_time: int
    name: str = ""
    user: str = ""
    state: str = ""
    reason: str = ""
    start: int = 0
    end: int = 0
    exit_code: int = 0
    signal: int = 0
    nodes: str = ""
    time_limit_minutes: int = 0
    restarts: int = 0
    output: str = ""

    @property
    def job_id(self) -> SlurmJobId:
        """Its identity."""
        return SlurmJobId(self.id, self.submit_time)

    @property
    def ended(self) -> bool:
        """Whether its state can no longer change."""
        return self.state in ENDED_STATES or self.state == FORGOTTEN


class Scheduler(Protocol):
    """A cluster that runs batch scripts.

    Every method raises :class:`~dsq.core.errors.UnreachableError` when the cluster does not
    answer; after that nothing is known about what the call did.
    """

    async def check(self) -> str:
        """Asks the cluster for a sign of life; returns its version."""
        ...

    async def discover(self) -> ClusterInfo:
        """Returns the hardware that jobs can have."""
        ...

    async def submit(self, spec: JobSpec, script: str) -> SlurmJobId:
        """Hands a job to the cluster.

        The adapter puts its own lines before ``script``: a shebang, a no-op (so that no
        ``#SBATCH`` line of the script counts), ``spec.env`` and PATH.

        Raises:
            SubmitRefused: The cluster said no; the job is certainly not in it.
            UnreachableError: The outcome is not known; ask :meth:`find`.
        """
        ...

    async def find(self, name: str, token: str, since: int) -> SlurmJob | None:
        """Looks for an attempt whose submission had an unknown outcome.

        None is certain, for ever: even if the lost submission still arrives, its script will
        not run. A job is matched by ``token`` alone, never by its name.

        Args:
            name: The job's id on chain.
            token: The attempt's token.
            since: Unix time of the plan; the cluster's records are read from a little before.
        """
        ...

    async def poll(self, jobs: Sequence[SlurmJobId]) -> dict[str, SlurmJob]:
        """Returns what is known about each of ``jobs``, by id.

        One command for all that are in the queue or ended lately; one more for those that are
        not. A job that nobody knows any more has no key.
        """
        ...

    async def cancel(self, job: SlurmJobId) -> None:
        """Takes a job out of the cluster; on return it neither waits nor goes on running.

        A job that has ended or that nobody knows is no error.
        """
        ...

    async def set_time_limit(self, job: SlurmJobId, minutes: int) -> None:
        """Sets the whole limit of a job that has not ended.

        Raises:
            NotPermitted: The account may not raise it.
            NotFoundError: The job has ended, or there is none.
        """
        ...

    async def can_raise_limit(self) -> bool:
        """Whether the account may raise the limit of a running job."""
        ...

    async def read_output(
        self, spec_name: str, token: str, offset: int, limit: int = 65536
    ) -> bytes:
        """Returns at most ``limit`` bytes of an attempt's output from ``offset`` on.

        No bytes: the file is not there yet, or has no more.
        """
        ...

    async def free(self) -> Free:
        """Returns what could start now."""
        ...

    async def close(self) -> None:
        """Lets go of connections. Jobs run on."""
        ...
