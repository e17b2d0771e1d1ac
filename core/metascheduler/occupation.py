"""What the grid's jobs take of one provider's nodes, as far as the chain tells.

The chain says which jobs a provider has, not on which nodes; they are packed here as
Slurm would. A cluster's own jobs are not seen: a provider that has no room after all
refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dsq.core.metascheduler.packing import Share, Space, fits, pack
from dsq.core.model import JobDefinition, ProviderHardware


@dataclass(frozen=True, slots=True)
class Free:
    """Free resources of a provider (memory in MB).

    Attributes:
        most_cpus: Free CPUs of the node that has most.
    """

    cpus: int
    mem: int
    gpus: int
    most_cpus: int


class Occupation:
    """Free and used resources of one provider, job by job.

    Args:
        hardware: Its nodes.
    """

    def __init__(self, hardware: ProviderHardware) -> None:
        self.hardware = hardware
        self.spaces = empty_spaces(hardware)
        self._jobs: dict[int, tuple[JobDefinition, tuple[Share, ...]]] = {}
        self._free: Free | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def copy(self) -> Occupation:
        """The same in a new object, to try things out."""
        other = Occupation(self.hardware)
        other.spaces = [replace(space) for space in self.spaces]
        other._jobs = dict(self._jobs)
        return other

    @property
    def jobs(self) -> dict[int, JobDefinition]:
        """The jobs it holds."""
        return {job_id: definition for job_id, (definition, _) in self._jobs.items()}

    def may_fit(self, definition: JobDefinition) -> bool:
        """False when sums alone say that a job does not fit: a look that costs nothing."""
        free = self.free
        return (
            definition.cpus <= free.cpus
            and definition.cpus_per_task <= free.most_cpus
            and definition.gpus <= free.gpus
            and definition.mem <= free.mem
        )

    def fits(self, definition: JobDefinition) -> bool:
        """Whether the job could start beside those that are there."""
        return self.may_fit(definition) and fits(definition, self.spaces)

    def add(self, job_id: int, definition: JobDefinition) -> None:
        """Takes a job in, also one for which there is no room (then space goes negative)."""
        if job_id in self._jobs or not self.spaces:
            return
        shares = pack(definition, self.spaces)
        if shares is None:
            roomiest = max(range(len(self.spaces)), key=lambda node: self.spaces[node].cpus)
            shares = (Share(roomiest, definition.ntasks, definition.gpus),)
        self._jobs[job_id] = (definition, shares)
        self._take(definition, shares, 1)

    def remove(self, job_id: int) -> None:
        """Gives a job's space back; an unknown job is no error."""
        definition, shares = self._jobs.pop(job_id, (None, ()))
        if definition is not None:
            self._take(definition, shares, -1)

    def _take(self, definition: JobDefinition, shares: tuple[Share, ...], sign: int) -> None:
        self._free = None
        for share in shares:
            space = self.spaces[share.node]
            cpus = share.tasks * definition.cpus_per_task
            space.cpus -= sign * cpus
            space.mem -= sign * cpus * definition.mem_per_cpu
            space.gpus -= sign * share.gpus

    @property
    def free(self) -> Free:
        """What is free in sum."""
        if self._free is None:
            self._free = Free(
                sum(max(space.cpus, 0) for space in self.spaces),
                sum(max(space.mem, 0) for space in self.spaces),
                sum(max(space.gpus, 0) for space in self.spaces),
                max((space.cpus for space in self.spaces), default=0),
            )
        return self._free

    @property
    def load(self) -> float:
        """Used part of the CPUs, from 0."""
        total = sum(self.hardware.cpus_per_node)
        return 1 - sum(space.cpus for space in self.spaces) / total if total else 1.0


def empty_spaces(hardware: ProviderHardware) -> list[Space]:
    """The nodes of a provider with nothing on them."""
    rows = zip(hardware.cpus_per_node, hardware.mem_per_node, hardware.gpus_per_node, strict=False)
    return [Space(cpus, mem, gpus) for cpus, mem, gpus in rows]
