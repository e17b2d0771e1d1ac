"""The job: root of a workflow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, PrivateAttr

from dsq.core.model import Affinity, JobDefinition, Label, StorageType
from dsq.sbatch.model.base import ClientOnly, Int, Model
from dsq.sbatch.model.data import EnvVar, JobResources, JobSecret, TransportData
from dsq.sbatch.model.network import VirtualNetwork
from dsq.sbatch.model.rules import Gte, Lt
from dsq.sbatch.model.steps import Step
from dsq.sbatch.model.sweep import Sweep


class Workflow(Model):
    """A job: resources, variables, files and steps."""

    graphql_name = "Job"

    resources: JobResources
    """What the job gets from the cluster."""
    env: list[EnvVar] | None = None
    """Variables of all steps."""
    enable_logging: bool | None = Field(default=None, alias="enableLogging")
    """The output is sent to the log service while the job runs."""
    input: TransportData | None = None
    """Files brought to `$DEEPSQUARE_INPUT` before the steps."""
    input_mode: Annotated[Int | None, Gte(0), Lt(512)] = Field(default=None, alias="inputMode")
    """Permissions of everything in `$DEEPSQUARE_INPUT`, as a decimal number: 511 is `rwxrwxrwx`,
    493 `rwxr-xr-x`, 448 `rwx------`."""
    steps: list[Step]
    """What the job does, in order."""
    output: TransportData | None = None
    """Where `$DEEPSQUARE_OUTPUT` goes after the steps."""
    continuous_output_sync: bool | None = Field(default=None, alias="continuousOutputSync")
    """With S3: the output is brought there all the time, not only at the end."""
    virtual_networks: list[VirtualNetwork] | None = Field(default=None, alias="virtualNetworks")
    """Networks between steps."""
    secrets: list[JobSecret] | None = None
    """Names of secrets that the job needs; their values are given at submit."""
    sweep: Annotated[Sweep | None, ClientOnly()] = None
    """Makes many jobs of this one, one for each value of its parameters."""

    # Where each field stands in the user's file (a yaml_source.Node), for later complaints.
    _source: Any = PrivateAttr(default=None)

    def __eq__(self, other: object) -> bool:
        """Equal workflows ask for the same; where they were read does not matter."""
        return isinstance(other, Workflow) and self.to_wire() == other.to_wire()

    __hash__ = None  # type: ignore[assignment]

    def position(self, path: tuple[str | int, ...]) -> tuple[int, int] | None:
        """Line and column of a value in the user's file; None where there is no file."""
        found: tuple[int, int] | None = self._source.position(path) if self._source else None
        return found

    def definition(
        self,
        batch_location_hash: str = "",
        uses: Iterable[Label] = (),
        affinity: Iterable[Affinity] = (),
    ) -> JobDefinition:
        """What the grid is asked for: the job's resources and the demands of the submit."""
        return JobDefinition(
            ntasks=self.resources.tasks,
            cpus_per_task=self.resources.cpus_per_task,
            mem_per_cpu=self.resources.mem_per_cpu,
            gpus=self.resources.gpus,
            batch_location_hash=batch_location_hash,
            storage_type=StorageType.TRANSFER,
            uses=tuple(uses),
            affinity=tuple(affinity),
        )
