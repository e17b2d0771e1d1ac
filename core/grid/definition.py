"""What the chain is told of a workflow: the resources, and where its files are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsq.core.errors import WorkflowError
from dsq.core.model import StorageType

_NAMES = {
    "ntasks": "tasks",
    "cpus_per_task": "cpusPerTask",
    "mem_per_cpu": "memPerCpu",
    "gpus": "gpus",
}


def resources_of(workflow: Mapping[str, Any]) -> dict[str, int]:
    """Tasks, CPUs, memory and GPUs of a workflow, by the names of the job definition.

    Raises:
        WorkflowError: One of them is no whole number from 0; or the workflow is many jobs.
    """
    if workflow.get("sweep"):
        raise WorkflowError(
            "The workflow has a sweep, which is many jobs.", hint="'dsq submit' makes them."
        )
    resources = workflow.get("resources")
    if not isinstance(resources, Mapping):
        raise WorkflowError("The workflow has no 'resources'.")
    values = {field: resources.get(name) for field, name in _NAMES.items()}
    for field, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise WorkflowError(f"resources.{_NAMES[field]} is not a whole number from 0.")
    return {field: int(value or 0) for field, value in values.items()}


def storage_type_of(workflow: Mapping[str, Any]) -> StorageType:
    """Where the workflow's output goes."""
    output = workflow.get("output")
    if not isinstance(output, Mapping):
        return StorageType.NONE
    return StorageType.HTTP if output.get("http") else StorageType.S3
