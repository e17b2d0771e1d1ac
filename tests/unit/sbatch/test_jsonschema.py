"""The JSON Schema for editors: it says what the checks say, as far as it has words."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from dsq.sbatch.model import Module, Workflow, describe
from dsq.sbatch.model.jsonschema import json_schema
from dsq.sbatch.workflow import validate, validate_module
from tests.unit.sbatch.test_model import FULL, changed, leaves, places

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").glob("*.yaml"))
WORKFLOW = Draft7Validator(json_schema())

UNSAID = {
    *("valid_container_image_url", "hostname", "hostname_port", "ip", "ip|fqdn", "cidr", "url"),
    *("module_source", "no_nul", "reserved", "required_with", "excluded_with", "handle_exists"),
    *("unique", "eq", "lte", "empty_range", "network_exists", "input_exists"),
    "minimum_resources",
}
"""Tags of rules that the schema cannot say, or says in part."""


def test_the_schema_is_a_schema() -> None:
    """By its dialect's own rules; also that of modules."""
    Draft7Validator.check_schema(json_schema())
    Draft7Validator.check_schema(json_schema(Module))


def test_every_type_and_field_is_there() -> None:
    """With its meaning, and whether it must be there."""
    schema = json_schema()
    for kind in describe(Workflow):
        made = schema["definitions"][kind.name]
        assert list(made["properties"]) == [field.name for field in kind.fields]
        assert made["required"] == [field.name for field in kind.fields if field.required]
        for field in kind.fields:
            assert field.text in made["properties"][field.name]["description"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_pass(path: Path) -> None:
    """An editor complains about none of them."""
    assert list(WORKFLOW.iter_errors(yaml.safe_load(path.read_text()))) == []


def test_everything_passes_at_the_root_and_below_job() -> None:
    """Both forms of a file."""
    assert WORKFLOW.is_valid(FULL)
    assert WORKFLOW.is_valid({"job": FULL})
    assert not WORKFLOW.is_valid({"job": {}})


@pytest.mark.parametrize("path", places(FULL), ids=str)
def test_unknown_fields_fail(path: tuple[Any, ...]) -> None:
    """At every level."""
    assert not WORKFLOW.is_valid(changed((*path, "no_such"), 1))


def test_the_schema_agrees_with_the_checks() -> None:
    """What the checks take it takes; types, null and rules that it has words for it refuses."""
    wrong: tuple[Any, ...] = (None, "", -1, 70000, True, [])
    for path in leaves(FULL):
        for value in wrong:
            data = changed(path, value)
            tags = {problem.tag for problem in validate(data)}
            if not tags or tags - UNSAID:
                assert WORKFLOW.is_valid(data) == (not tags), (path, value, tags)


def test_modules_have_a_schema_of_their_own() -> None:
    """For the files of modules."""
    data: Any = copy.deepcopy(FULL["steps"][-1]["use"]["module"])
    validator = Draft7Validator(json_schema(Module))
    assert validator.is_valid(data)
    assert validate_module(data) == []
    data["steps"] = [{"nam": "x"}]
    assert not validator.is_valid(data)
