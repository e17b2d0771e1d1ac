"""The types of the workflow language, one class a type, the only source of the language."""

from __future__ import annotations

from dsq.sbatch.model.base import (
    FieldDescription,
    Model,
    TypeDescription,
    describe,
    describe_type,
)
from dsq.sbatch.model.data import EnvVar, HTTPData, JobResources, S3Data, TransportData
from dsq.sbatch.model.job import Workflow
from dsq.sbatch.model.module import Module, ModuleInput, ModuleOutput
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
    Mount,
    Step,
    StepAsyncLaunch,
    StepFor,
    StepRun,
    StepRunResources,
    StepUse,
)

__all__ = [
    "Bore",
    "ContainerRun",
    "EnvVar",
    "FieldDescription",
    "ForRange",
    "HTTPData",
    "JobResources",
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
