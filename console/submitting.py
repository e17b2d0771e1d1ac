"""Submits, as the command and the console send them: one job, or the jobs of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dsq.console.sweeps import Sweep, Told, plan, submit_sweep
from dsq.core.model import Affinity, Job, Label

if TYPE_CHECKING:
    from dsq.console.user.port import GridPort
    from dsq.sbatch.workflow import Workflow


@dataclass(frozen=True)
class Order:
    """What is to be submitted.

    Attributes:
        workflow: The checked workflow, with its modules.
        title: The name of the job, or what the names of a sweep's jobs begin with.
        wei: Credits to lock, for each job.
        approve: Sign a permit for, or approve, what the allowance lacks.
        secrets: Values of the secrets that the workflow names.
        key: A name for this submit; see ``Grid.submit``.
    """

    workflow: Workflow
    title: str
    wei: int
    uses: tuple[Label, ...] = ()
    affinity: tuple[Affinity, ...] = ()
    approve: bool = True
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    key: str = ""

    @property
    def is_sweep(self) -> bool:
        """It makes a group of jobs."""
        return self.workflow.sweep is not None

    @property
    def _demands(self) -> dict[str, Any]:
        return {
            "uses": self.uses,
            "affinity": self.affinity,
            "approve": self.approve,
            "secrets": self.secrets,
        }

    def sweep(self, group: str = "") -> Sweep:
        """The jobs of the sweep before any is submitted; a new group unless one is named."""
        from dsq.core.groups import new_group
        from dsq.sbatch.expand import expand

        assert self.workflow.sweep is not None
        limit = self.workflow.sweep.limit
        return plan(expand(self.workflow), self.title, group or new_group(), limit=limit)

    async def submit(self, grid: GridPort) -> Job:
        """Submits one job; errors as ``Grid.submit``."""
        wire = self.workflow.to_wire()
        return await grid.submit(wire, self.wei, name=self.title, key=self.key, **self._demands)

    async def submit_missing(self, grid: GridPort, sweep: Sweep, told: Told) -> None:
        """Submits what is missing of a sweep; errors as :func:`dsq.console.sweeps.submit_sweep`."""
        await submit_sweep(grid, sweep, self.wei, told=told, **self._demands)
