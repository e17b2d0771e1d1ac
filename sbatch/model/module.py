"""Modules: steps that other workflows use."""

from __future__ import annotations

from pydantic import Field

from dsq.sbatch.model.base import Model, Text
from dsq.sbatch.model.data import JobResources, VariableName
from dsq.sbatch.model.steps import Step


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
