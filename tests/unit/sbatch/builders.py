"""Workflows for tests, from few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RESOURCES = {"tasks": 1, "cpusPerTask": 1, "memPerCpu": 200, "gpus": 0}


def job(*steps: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A job of the given steps; ``fields`` are further fields of the job."""
    return {"resources": dict(RESOURCES), "steps": list(steps), **fields}


def run(command: str, **fields: Any) -> dict[str, Any]:
    """A step that runs a command; ``fields`` are further fields of ``run``."""
    return {"run": {"command": command, **fields}}


def env(**values: str) -> list[dict[str, str]]:
    """Variables as the language writes them."""
    return [{"key": key, "value": value} for key, value in values.items()]


def group(steps: Sequence[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
    """A group of steps; ``fields`` are further fields of the step."""
    return {"steps": list(steps), **fields}
