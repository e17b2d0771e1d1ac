"""Reading and checking workflows: the face of the language.

::

    workflow = load_workflow(Path("hello.yaml").read_text(), source="hello.yaml")
    workflow.resources.tasks, workflow.steps[0].run.command
    workflow.to_wire()                    # what GraphQL's `submit` takes
    workflow.definition("the script's key")   # what the contract takes

The types are in :mod:`dsq.sbatch.model`; :func:`describe` lists their fields with
GraphQL names and types, error names, rules and meaning, which is all that a schema
generator needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsq.sbatch.model import (
    FieldDescription,
    Module,
    TypeDescription,
    Workflow,
    describe,
    describe_type,
)
from dsq.sbatch.nodes import Node, SourceError
from dsq.sbatch.problems import InvalidWorkflow, Problem
from dsq.sbatch.validation import check, validate, validate_module
from dsq.sbatch.yaml_source import read_text

__all__ = [
    "FieldDescription",
    "InvalidWorkflow",
    "Module",
    "Problem",
    "TypeDescription",
    "Workflow",
    "describe",
    "describe_type",
    "load_workflow",
    "parse_workflow",
    "validate",
    "validate_module",
]


def load_workflow(text: str | bytes, *, source: str = "workflow") -> Workflow:
    """Reads a workflow from YAML or JSON.

    The job stands at the root, or below the only field ``job``.

    Args:
        text: The text; bytes must be UTF-8.
        source: Name of the text in messages: its file.

    Raises:
        InvalidWorkflow: A ``WorkflowError`` (exit code 65); every problem with line and column.
    """
    try:
        root = read_text(text)
    except SourceError as error:
        raise InvalidWorkflow(source, [error.problem()]) from None
    node = _unwrap(root)
    workflow, problems = check(Workflow, node.data(), node)
    if workflow is None:
        raise InvalidWorkflow(source, problems)
    workflow._source = node
    return workflow


def parse_workflow(data: Mapping[str, Any], *, source: str = "workflow") -> Workflow:
    """Makes a workflow from data as a GraphQL client sends it (no wrapper, no positions).

    Raises:
        InvalidWorkflow: A ``WorkflowError`` (exit code 65); every problem with its path.
    """
    workflow, problems = check(Workflow, data)
    if workflow is None:
        raise InvalidWorkflow(source, problems)
    return workflow


def _unwrap(root: Node) -> Node:
    """The node of the job: the root, or what its only field ``job`` holds."""
    if root.fields is not None and set(root.fields) == {"job"}:
        return root.fields["job"][1]
    return root
