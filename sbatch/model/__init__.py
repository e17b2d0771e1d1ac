"""The types of the workflow language, one class a type, the only source of the language."""

from __future__ import annotations

from dsq.sbatch.model.base import (
    FieldDescription,
    Model,
    TypeDescription,
    describe,
    describe_type,
)
from dsq.sbatch.model.data import (
    EnvVar,
    HTTPData,
    JobResources,
    JobSecret,
    S3Data,
    TransportData,
)
from dsq.sbatch.model.job import Workflow
from dsq.sbatch.model.network import (
    Bore,
    NetworkInterface,
    VirtualNetwork,
    VNet,
    Wireguard,
    WireguardPeer,
)
from dsq.sbatch.model.steps import (
    ContainerRun,
    ForRange,
    Module,
    ModuleInput,
    ModuleOutput,
    Mount,
    Step,
    StepAsyncLaunch,
    StepFor,
    StepRun,
    StepRunResources,
    StepUse,
)
from dsq.sbatch.model.sweep import Sweep, SweepParameter

__all__ = [
    "Bore",
    "ContainerRun",
    "EnvVar",
    "FieldDescription",
    "ForRange",
    "HTTPData",
    "JobResources",
    "JobSecret",
    "Model",
    "Module",
    "ModuleInput",
    "ModuleOutput",
    "Mount",
    "NetworkInterface",
    "S3Data",
    "Step",
    "StepAsyncLaunch",
    "StepFor",
    "StepRun",
    "StepRunResources",
    "StepUse",
    "Sweep",
    "SweepParameter",
    "TransportData",
    "TypeDescription",
    "VNet",
    "VirtualNetwork",
    "Wireguard",
    "WireguardPeer",
    "Workflow",
    "describe",
    "describe_type",
]
