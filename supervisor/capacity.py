"""What the cluster could start now, and what it never could. Pure.

A claim takes a job away from every other provider, so only as many are claimed as could
start soon: what fits into the free nodes beside the jobs already on their way there,
and ``claim_ahead`` more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dsq.core.model import JobDefinition, ProviderHardware
from dsq.supervisor.scheduler.port import ClusterInfo, Free, Node


@dataclass(slots=True)
class _Place:
    cpus: int
    mem_mb: int
    gpus: int

    def tasks_of(self, job: JobDefinition) -> int:
        """How many of the job's tasks fit here; a task does not span nodes."""
        mem = job.cpus_per_task * job.mem_per_cpu
        by_mem = self.mem_mb // mem if mem else job.ntasks
        return max(0, min(self.cpus // max(1, job.cpus_per_task), by_mem))


class Room:
    """Free nodes into which jobs are put one after the other."""

    def __init__(self, places: Iterable[tuple[int, int, int]]) -> None:
        self._places = [_Place(*place) for place in places]

    @classmethod
    def of_free(cls, free: Free) -> Room:
        """What the cluster could start now."""
        return cls((node.cpus, node.mem_mb, node.gpus) for node in free.nodes)

    @classmethod
    def of_nodes(cls, nodes: Iterable[Node]) -> Room:
        """The cluster when nothing runs on it."""
        return cls((node.cpus, node.mem_mb, node.gpus) for node in nodes)

    @classmethod
    def of_partition(cls, info: ClusterInfo) -> Room:
        """The whole partition, also nodes that are down now, below its limits for a node."""
        cpus, mem = info.max_cpus_per_node, info.max_mem_per_node
        return cls(
            (
                min(node.cpus, cpus or node.cpus),
                min(node.mem_mb, mem or node.mem_mb),
                node.gpus,
            )
            for node in info.configured or info.nodes
        )

    @classmethod
    def of_hardware(cls, hardware: ProviderHardware) -> Room:
        """What a provider has registered."""
        return cls(
            zip(hardware.cpus_per_node, hardware.mem_per_node, hardware.gpus_per_node, strict=True)
        )

    def put(self, job: JobDefinition) -> bool:
        """Takes the job in if it fits."""
        tasks, gpus = job.ntasks, job.gpus
        taken: list[tuple[_Place, int, int]] = []
        # Jobs with GPUs look at nodes with many of them first, others spare those.
        sign = -1 if gpus else 1
        for place in sorted(self._places, key=lambda place: sign * place.gpus):
            fits = min(tasks, place.tasks_of(job))
            here = min(gpus, place.gpus)
            if fits == 0 and not (here and tasks == 0):
                continue
            taken.append((place, fits, here))
            tasks, gpus = tasks - fits, gpus - here
            if tasks == 0 and gpus == 0:
                break
        if tasks or gpus:
            return False
        for place, fits, here in taken:
            place.cpus -= fits * job.cpus_per_task
            place.mem_mb -= fits * job.cpus_per_task * job.mem_per_cpu
            place.gpus -= here
        return True

    def never_fits(self, job: JobDefinition) -> str:
        """Why the job could not even run on these nodes alone; "" if it could.

        Only what Slurm itself could never do counts, so that no job is refused in error.
        """
        if not self._places:
            return ""
        if all(place.cpus < job.cpus_per_task for place in self._places):
            most = max(place.cpus for place in self._places)
            return f"a task needs {job.cpus_per_task} CPUs on one node, the largest has {most}"
        if all(place.tasks_of(job) == 0 for place in self._places):
            need = job.cpus_per_task * job.mem_per_cpu
            most = max(place.mem_mb for place in self._places)
            return f"a task needs {need} MB on one node, the largest has {most}"
        tasks = sum(place.tasks_of(job) for place in self._places)
        if tasks < job.ntasks:
            return f"it has {job.ntasks} tasks, {tasks} of them fit on the cluster"
        gpus = sum(place.gpus for place in self._places)
        if gpus < job.gpus:
            return f"it needs {job.gpus} GPUs, the cluster has {gpus}"
        return ""

    def least_nodes(self, job: JobDefinition) -> int:
        """How few nodes could hold the job's tasks and GPUs, were they all idle."""
        tasks, gpus, count = job.ntasks, job.gpus, 0
        by_tasks = sorted((place.tasks_of(job) for place in self._places), reverse=True)
        by_gpus = sorted((place.gpus for place in self._places), reverse=True)
        for held, devices in zip(by_tasks, by_gpus, strict=True):
            if tasks <= 0 and gpus <= 0:
                break
            tasks, gpus, count = tasks - held, gpus - devices, count + 1
        return count


def never_runs(job: JobDefinition, info: ClusterInfo) -> str:
    """Why a job could never run in a partition, however idle it is; "" if it could.

    Time is no reason: a job gets the lower of what was bought and what the partition allows.
    """
    room = Room.of_partition(info)
    if why := room.never_fits(job):
        return why
    if info.max_nodes and (least := room.least_nodes(job)) > info.max_nodes:
        return f"it needs {least} nodes, a job can have {info.max_nodes} here"
    return ""


def claimable(
    free: Free,
    waiting: Sequence[JobDefinition],
    offered: Sequence[JobDefinition],
    claim_ahead: int,
) -> int:
    """How many of the offered jobs to claim now, in their order.

    Args:
        free: What could start now.
        waiting: Jobs claimed already that do not run yet.
        offered: Jobs the chain holds for us, oldest first.
        claim_ahead: How many may wait in Slurm beyond what is free.

    Returns:
        0 while the cluster starts no jobs at all: then nobody knows how long one would wait.
    """
    if free.closed:
        return 0
    room = Room.of_free(free)
    ahead = sum(not room.put(job) for job in waiting)
    count = 0
    for job in offered:
        if not room.put(job):
            ahead += 1
            if ahead > claim_ahead:
                break
        count += 1
    return count
