"""The GraphQL schema is the workflow language."""

from __future__ import annotations

from typing import Any

from dsq.sbatch.model import Workflow, describe
from dsq.sbatch.service.sdl import make_schema, schema_text


def test_every_type_and_field_is_there() -> None:
    """The schema has the fields of the model, in their notation, and no others."""
    schema = make_schema()
    for kind in describe(Workflow, service=True):
        type_: Any = schema.type_map[kind.name]
        assert {name: str(field.type) for name, field in type_.fields.items()} == {
            field.name: field.graphql_type for field in kind.fields
        }


def test_a_few_fields_of_the_reference() -> None:
    """Samples of the contract: required and nullable, lists, deprecations."""
    types: Any = make_schema().type_map
    assert str(types["Job"].fields["steps"].type) == "[Step!]!"
    assert str(types["Step"].fields["finally"].type) == "[Step!]"
    assert str(types["JobResources"].fields["memPerCpu"].type) == "Int!"
    assert str(types["StepRun"].fields["dns"].type) == "[String!]"
    assert str(types["ModuleInput"].fields["default"].type) == "String"
    assert str(types["Mutation"].fields["submit"].args["job"].type) == "Job!"
    assert "boreAddress" in types["Bore"].fields["port"].deprecation_reason
    assert not types["Bore"].fields["boreAddress"].deprecation_reason


def test_rules_are_shown() -> None:
    """``@constraint`` carries the rules of a field, without those of its type."""
    lines = schema_text().splitlines()
    shell = next(line for line in lines if line.strip().startswith("shell:"))
    assert '@constraint(format: "oneof=/bin/bash /bin/ash /bin/sh ENTRYPOINT")' in shell
    tasks = next(line for line in lines if line.strip().startswith("tasks: Int!"))
    assert tasks == '  tasks: Int! @constraint(format: "gte=1")'
    assert "no_nul" not in schema_text()
