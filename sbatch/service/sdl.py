"""The GraphQL schema, made from the classes of the workflow language."""

from __future__ import annotations

from collections.abc import Iterable

from graphql import GraphQLSchema, build_schema

from dsq.sbatch.model import FieldDescription, Module, TypeDescription, Workflow, describe
from dsq.sbatch.model.rules import Int32, NoNul, Rule

OF_THE_TYPE = (Int32, NoNul)
"""Rules that every value of a type keeps; they are not repeated at each field."""

_HEAD = '''"""
Rules of a field's value, separated by commas. They are checked after the request itself is
found well-formed, and reported with the extension type "validation".
"""
directive @constraint(format: String) on INPUT_FIELD_DEFINITION | FIELD_DEFINITION

type Query {
  """The script of a key. Scripts are for the job's provider only, so this always fails."""
  job(batchLocationHash: String!): String!
}

type Mutation {
  """
  Checks a job, makes its batch script, keeps it. Returns the script's key. The secrets that
  the job names have their values beside it.
  """
  submit(job: Job!, secrets: [SecretValue!]): String!
  """Checks a module. Returns "valid", or what is wrong, one line a rule."""
  validate(module: Module!): String!
}

"""The value of a secret that a job names: in the job's environment only, never in its script."""
input SecretValue {
  name: String!
  value: String!
}
'''


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n") + '"'


def _rule(rule: Rule) -> str:
    return f"{rule.tag}={rule.param}" if rule.param else rule.tag


def _field(field: FieldDescription) -> str:
    line = f"  {field.name}: {field.graphql_type}"
    rules = [_rule(rule) for rule in field.rules if not isinstance(rule, OF_THE_TYPE)]
    if rules:
        line += f" @constraint(format: {_string(','.join(rules))})"
    if field.deprecated:
        line += f" @deprecated(reason: {_string(field.deprecated)})"
    return f"  {_string(field.text)}\n{line}" if field.text else line


def _type(kind: TypeDescription) -> str:
    fields = "\n".join(_field(field) for field in kind.fields)
    text = " ".join(kind.text.split())
    return f"{_string(text)}\ninput {kind.name} {{\n{fields}\n}}\n"


def schema_text() -> str:
    """The schema in GraphQL's definition language, rules and deprecations included."""
    kinds: dict[str, TypeDescription] = {}
    for kind in _described():
        kinds.setdefault(kind.name, kind)
    return "\n".join([_HEAD, *(_type(kind) for kind in kinds.values())])


def _described() -> Iterable[TypeDescription]:
    yield from describe(Workflow, service=True)
    yield from describe(Module, service=True)


def make_schema() -> GraphQLSchema:
    """The schema for the service; it has no resolvers, results come as plain mappings."""
    return build_schema(schema_text())
