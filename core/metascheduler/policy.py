"""Which waiting job goes where. Pure: the service and simulations drive this same code.

Late binding: a job is placed only on a provider that can start it now; until there is
one it stays ``PENDING``, and younger jobs that fit somewhere do not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from dsq.core.metascheduler.backoff import BackOff
from dsq.core.metascheduler.matching import can_start, why_labels_differ
from dsq.core.metascheduler.occupation import Occupation
from dsq.core.model import Address, Affinity, Job, JobDefinition, Label, Provider
from dsq.core.units import wei_per_minute


@dataclass(frozen=True, slots=True)
class Placement:
    """A decision: this job goes to this provider."""

    job_id: int
    provider: Address


class View(Protocol):
    """What :func:`decide` looks at; it changes nothing of it."""

    @property
    def pending(self) -> Mapping[int, Job]:
        """Waiting jobs that are not being placed."""
        ...

    @property
    def providers(self) -> Mapping[Address, Provider]: ...

    @property
    def occupations(self) -> Mapping[Address, Occupation]: ...

    @property
    def backoff(self) -> BackOff: ...


def order(jobs: Iterable[Job], now: float) -> list[Job]:  # noqa: ARG001 - a fair policy needs it
    """In which order waiting jobs are looked at: the oldest request first.

    Args:
        jobs: Waiting jobs.
        now: Unix seconds.
    """
    return sorted(jobs, key=lambda job: (job.time.submit, job.id))


def decide(view: View, now: float, *, limit: int | None = None) -> list[Placement]:
    """Places every job that some provider can start now.

    Among providers that can, the cheapest gets the job, then the least loaded, then the
    one with the lowest address.

    Args:
        view: The grid as known.
        now: Unix seconds, for what holds only for a while.
        limit: How many placements are enough.
    """
    trial = _Trial(view, now)
    placements: list[Placement] = []
    for job in order(view.pending.values(), now):
        if not trial.open or len(placements) == limit:
            break
        if view.backoff.held(job.id, now):
            continue
        provider = trial.best(job)
        if provider is not None:
            trial.take(job, provider)
            placements.append(Placement(job.id, provider))
    return placements


class _Trial:
    """The grid as it becomes while :func:`decide` places one job after the other."""

    def __init__(self, view: View, now: float) -> None:
        self.view = view
        self.now = now
        self.occupations = dict(view.occupations)
        self.copied: set[Address] = set()
        # A provider without a free CPU can start nothing: a full grid costs one look at each.
        self.open = {
            address
            for address, provider in view.providers.items()
            if provider.is_valid and self.occupations[address].free.cpus > 0
        }
        # Space only shrinks while we place, so what did not fit once does not fit again.
        self.misfits: set[tuple[object, ...]] = set()
        self.by_labels: dict[
            tuple[tuple[Label, ...], tuple[Affinity, ...]], frozenset[Address]
        ] = {}

    def best(self, job: Job) -> Address | None:
        """The provider that gets a job, None when it must wait."""
        definition, wei, backoff = job.definition, job.cost.max_cost, self.view.backoff
        key = (
            definition.ntasks,
            definition.cpus_per_task,
            definition.mem_per_cpu,
            definition.gpus,
            definition.uses,
            definition.affinity,
            wei,
        )
        if key in self.misfits:
            return None
        labelled = self._labelled(definition)
        roomy = [one for one in self.open & labelled if self.occupations[one].may_fit(definition)]
        for address in sorted(roomy, key=lambda one: self._rank(job, one)):
            refused = backoff.reason(job.id, address, self.now)
            provider, occupation = self.view.providers[address], self.occupations[address]
            if can_start(definition, wei, provider, occupation, refused):
                return address
        if backoff.is_clear(job.id):
            self.misfits.add(key)
        return None

    def _labelled(self, definition: JobDefinition) -> frozenset[Address]:
        """Providers with the labels that a job asks for; many jobs ask for the same."""
        key = (definition.uses, definition.affinity)
        if key not in self.by_labels:
            self.by_labels[key] = frozenset(
                address
                for address, provider in self.view.providers.items()
                if not why_labels_differ(definition, provider.labels)
            )
        return self.by_labels[key]

    def _rank(self, job: Job, address: Address) -> tuple[int, float, Address]:
        prices = self.view.providers[address].prices
        return wei_per_minute(job.definition, prices), self.occupations[address].load, address

    def take(self, job: Job, address: Address) -> None:
        """Reserves a job's space at a provider."""
        if address not in self.copied:
            self.copied.add(address)
            self.occupations[address] = self.occupations[address].copy()
        self.occupations[address].add(job.id, job.definition)
        if self.occupations[address].free.cpus <= 0:
            self.open.discard(address)
