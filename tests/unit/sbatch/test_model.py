"""The types of the language: strictness, names, what is made from them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dsq.core.model import Affinity, Label, StorageType
from dsq.sbatch.workflow import (
    InvalidWorkflow,
    Module,
    Workflow,
    describe,
    parse_workflow,
    validate,
    validate_module,
)

FULL: dict[str, Any] = {
    "resources": {"tasks": 1, "cpusPerTask": 2, "memPerCpu": 3, "gpus": 4},
    "env": [{"key": "A", "value": ""}],
    "enableLogging": True,
    "input": {"http": {"url": "https://a.b/c", "checksum": "sha256:" + "0" * 64}},
    "inputMode": 493,
    "output": {
        "s3": {
            "region": "r",
            "bucketUrl": "s3://bucket",
            "path": "/p",
            "accessKeyId": "i",
            "secretAccessKey": "s",
            "endpointUrl": "https://e",
            "deleteSync": True,
        }
    },
    "continuousOutputSync": False,
    "virtualNetworks": [{"name": "n", "gatewayAddress": "10.0.0.1/24"}],
    "secrets": [{"name": "TOKEN", "description": "d"}],
    "sweep": {
        "parameters": [
            {"name": "P", "values": ["1", ""]},
            {"name": "Q", "range": {"begin": 1, "end": 2}},
        ],
        "combine": "zip",
        "limit": 2,
    },
    "steps": [
        {
            "name": "s",
            "if": "1 == 1",
            "dependsOn": ["H"],
            "timeout": 60,
            "retries": 2,
            "run": {
                "command": "c",
                "shell": "/bin/bash",
                "resources": {"tasks": 1, "cpusPerTask": 1, "memPerCpu": 1, "gpusPerTask": 0},
                "container": {
                    "image": "i",
                    "mounts": [{"hostDir": "/a", "containerDir": "/b", "options": "ro"}],
                    "username": "u",
                    "password": "p",
                    "registry": "reg.io",
                    "apptainer": True,
                    "deepsquareHosted": False,
                    "x11": False,
                    "mountHome": False,
                    "readOnlyRootFS": False,
                },
                "network": "pasta",
                "dns": ["1.1.1.1"],
                "customNetworkInterfaces": [
                    {
                        "wireguard": {
                            "address": ["10.0.0.2/32"],
                            "privateKey": "k",
                            "peers": [
                                {
                                    "publicKey": "k",
                                    "preSharedKey": "k",
                                    "allowedIPs": ["0.0.0.0/0"],
                                    "endpoint": "h.io:1",
                                    "persistentKeepalive": 0,
                                }
                            ],
                        }
                    },
                    {"bore": {"address": "a.b", "port": 1, "targetPort": 2, "secret": "t"}},
                    {"bore": {"boreAddress": "a.b:1", "targetPort": 2}},
                    {"vnet": {"name": "n", "address": "10.0.0.3/24"}},
                ],
                "env": [{"key": "B", "value": "v"}],
                "mapUid": 0,
                "mapGid": 0,
                "workDir": "/w",
                "disableCpuBinding": True,
                "mpi": "pmi2",
            },
            "catch": [{"name": "c"}],
            "finally": [{"name": "f"}],
        },
        {"steps": [{"name": "inner"}]},
        {
            "for": {
                "parallel": True,
                "maxParallel": 2,
                "range": {"begin": 1, "end": 2, "increment": 1},
                "steps": [],
            }
        },
        {"for": {"parallel": False, "items": ["a"], "steps": [{}]}},
        {"launch": {"handleName": "h", "signalOnParentStepExit": 0, "steps": []}},
        {
            "use": {
                "source": "h/o/r@v1",
                "args": [{"key": "A", "value": "v"}],
                "exportEnvAs": "P",
                "steps": [{"name": "given"}],
                "module": {
                    "name": "m",
                    "description": "d",
                    "minimumResources": {"tasks": 1, "cpusPerTask": 1, "memPerCpu": 1, "gpus": 0},
                    "inputs": [{"key": "A", "description": "d", "default": "x"}],
                    "outputs": [{"key": "OUT", "description": "d"}],
                    "steps": [{"name": "s"}],
                },
            }
        },
    ],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all mappings in ``value``."""
    if isinstance(value, dict):
        return [path, *(p for key, item in value.items() for p in places(item, (*path, key)))]
    if isinstance(value, list):
        return [p for index, item in enumerate(value) for p in places(item, (*path, index))]
    return []


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all scalars in ``value``."""
    if isinstance(value, dict):
        return [p for key, item in value.items() for p in leaves(item, (*path, key))]
    if isinstance(value, list):
        return [p for index, item in enumerate(value) for p in leaves(item, (*path, index))]
    return [path]


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of :data:`FULL` with another value at ``path``."""
    data = copy.deepcopy(FULL)
    target: Any = data
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    return data


def test_every_field_of_the_language_is_read_and_written_back() -> None:
    """A workflow with every field is valid, and comes back from the wire as it was."""
    workflow = parse_workflow(FULL)
    assert workflow.to_wire() == FULL
    used = {str(part) for path in places(FULL) + leaves(FULL) for part in path}
    known = {field.name for kind in describe(Workflow) for field in kind.fields}
    assert known - used == set()


@pytest.mark.parametrize("path", places(FULL), ids=str)
def test_an_unknown_field_is_an_error_at_every_level(path: tuple[Any, ...]) -> None:
    """No mapping of the language takes a field that it does not have."""
    (problem,) = validate(changed((*path, "no_such"), 1))
    assert (problem.tag, problem.path) == ("unknown_field", (*path, "no_such"))


@pytest.mark.parametrize("path", leaves(FULL), ids=str)
def test_no_scalar_is_converted(path: tuple[Any, ...]) -> None:
    """Numbers, booleans and texts never stand in for each other; 1.0 is no whole number."""
    value: Any = FULL
    for part in path:
        value = value[part]
    for wrong in ("1", 1, 1.0, True, [], {}):
        if type(wrong) is not type(value):
            (problem,) = validate(changed(path, wrong))
            assert (problem.tag, problem.path) == ("type", path)


@pytest.mark.parametrize(
    "path", [path for path in leaves(FULL) if isinstance(path[-1], int)], ids=str
)
def test_lists_hold_no_null(path: tuple[Any, ...]) -> None:
    """An element of a list is never null."""
    assert validate(changed(path, None))[0].tag == "null"


def test_null_is_the_same_as_absent_for_optional_fields() -> None:
    """A null optional field is accepted and left out on the wire; a required one is not."""
    data = changed(("steps", 0, "run", "workDir"), None)
    assert "workDir" not in parse_workflow(data).to_wire()["steps"][0]["run"]
    refused = set()
    for path in leaves(FULL):
        refused |= {each.tag for each in validate(changed(path, None))}
    assert refused == {"null", "required_with", "handle_exists"}


@pytest.mark.parametrize(
    ("path", "value", "tag"),
    [
        (("resources", "tasks"), 0, "gte"),
        (("resources", "tasks"), -1, "gte"),
        (("resources", "memPerCpu"), 2**31, "int32"),
        (("resources", "gpus"), -1, "gte"),
        (("inputMode",), 512, "lt"),
        (("inputMode",), -1, "gte"),
        (("env", 0, "key"), "", "required"),
        (("env", 0, "key"), "a b", "valid_envvar_name"),
        (("env", 0, "key"), "A\nB", "valid_envvar_name"),
        (("env", 0, "key"), "PATH", "ne"),
        (("env", 0, "key"), "LD_LIBRARY_PATH", "ne"),
        (("env", 0, "key"), "UID", "reserved"),
        (("env", 0, "value"), "a\0b", "no_nul"),
        (("input", "http", "url"), "file:///x", "url"),
        (("input", "http", "checksum"), "0" * 64, "sha256"),
        (("input", "http", "checksum"), "sha256:" + "A" * 64, "sha256"),
        (("secrets", 0, "name"), "LD_LIBRARY_PATH", "ne"),
        (("secrets", 0, "name"), "A", "unique"),
        (("sweep", "parameters"), [], "min"),
        (("sweep", "parameters", 0, "values"), [], "min"),
        (("sweep", "parameters", 0, "name"), "TOKEN", "unique"),
        (("sweep", "parameters", 1, "name"), "P", "unique"),
        (("sweep", "parameters", 1, "values"), ["a", "b"], "excluded_with"),
        (("sweep", "parameters", 1), {"name": "Q", "range": {"begin": 1, "end": 3}}, "eq"),
        (("sweep", "combine"), "all", "oneof"),
        (("sweep", "limit"), 0, "gte"),
        (("steps", 0, "timeout"), 0, "gte"),
        (("steps", 0, "retries"), 101, "lt"),
        (("steps", 0, "catch", 0), {"name": "c", "timeout": 1}, "required_with"),
        (("output", "s3", "bucketUrl"), "http://b", "startswith"),
        (("output", "s3", "bucketUrl"), "s3://b/", "endsnotwith"),
        (("output", "s3", "path"), "p", "startswith"),
        (("virtualNetworks", 0, "gatewayAddress"), "10.0.0.1", "cidr"),
        (("steps", 0, "dependsOn", 0), "a-b", "alphanum_underscore"),
        (("steps", 0, "run", "shell"), "", "oneof"),
        (("steps", 0, "run", "network"), "", "oneof"),
        (("steps", 0, "run", "mpi"), "openmpi", "oneof"),
        (("steps", 0, "run", "workDir"), "", "startswith"),
        (("steps", 0, "run", "dns", 0), "example.org", "ip"),
        (("steps", 0, "run", "mapUid"), -1, "gte"),
        (("steps", 0, "run", "resources", "tasks"), 0, "gte"),
        (("steps", 0, "run", "container", "registry"), "", "hostname"),
        (("steps", 0, "run", "container", "image"), "", "valid_container_image_url"),
        (("steps", 0, "run", "container", "mounts", 0, "options"), "x", "oneof"),
        (("steps", 0, "run", "container", "mounts", 0, "hostDir"), "a", "startswith"),
        (("steps", 4, "launch", "handleName"), "", "alphanum_underscore"),
        (("steps", 4, "launch", "signalOnParentStepExit"), 65, "lt"),
        (("steps", 5, "use", "exportEnvAs"), "PATH", "ne"),
        (("steps", 5, "use", "args", 0, "key"), "a b", "valid_envvar_name"),
    ],
)
def test_rules_of_fields(path: tuple[Any, ...], value: Any, tag: str) -> None:
    """A value that breaks its rule is reported with the rule's tag; empty is not absent."""
    problems = validate(changed(path, value))
    assert [each.tag for each in problems] == [tag]
    assert problems[0].path[: len(path)] == path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("steps", 0, "name"), ""),
        (("steps", 0, "if"), ""),
        (("steps", 0, "run", "container", "username"), ""),
        (("steps", 0, "run", "customNetworkInterfaces", 1, "bore", "secret"), ""),
        (("inputMode",), 0),
        (("inputMode",), 511),
        (("steps", 2, "for", "range", "increment"), 0),
        (("virtualNetworks", 0, "name"), "n"),
        (("steps", 1, "steps"), []),
    ],
)
def test_values_without_a_rule_may_be_empty(path: tuple[Any, ...], value: Any) -> None:
    """What has no rule may be empty or 0."""
    assert validate(changed(path, value)) == []


def test_fields_of_a_workflow_are_never_changed() -> None:
    """A checked workflow cannot be edited into an unchecked one."""
    with pytest.raises(ValueError, match="frozen"):
        parse_workflow(FULL).enable_logging = False  # type: ignore[misc]


def test_definition_is_what_the_contract_takes() -> None:
    """The definition has the job's resources and the demands of the submit."""
    definition = parse_workflow(FULL).definition(
        "key", uses=[Label("a", "b")], affinity=[Affinity("mem", ">=", "1")]
    )
    assert (definition.ntasks, definition.cpus_per_task) == (1, 2)
    assert (definition.mem_per_cpu, definition.gpus) == (3, 4)
    assert definition.batch_location_hash == "key"
    assert definition.storage_type is StorageType.TRANSFER
    assert definition.uses == (Label("a", "b"),)
    assert definition.affinity == (Affinity("mem", ">=", "1"),)


def test_the_description_has_the_names_of_all_wires() -> None:
    """A schema can be made from the description alone."""
    kinds = {kind.name: kind for kind in describe(Workflow)}
    assert {"Job", "Step", "StepRun", "EnvVar", "VNet", "WireguardPeer"} <= set(kinds)
    resources = kinds["JobResources"]
    assert [field.go_name for field in resources.fields] == [
        "Tasks",
        "CPUsPerTask",
        "MemPerCPU",
        "GPUs",
    ]
    step = kinds["Step"]
    steps, condition = step.field("steps"), step.field("if")
    assert steps is not None
    assert steps.graphql_type == "[Step!]"
    assert condition is not None
    assert (condition.attribute, condition.graphql_type) == ("if_", "String")
    command = kinds["StepRun"].field("command")
    assert command is not None
    assert command.graphql_type == "String!"
    assert all(field.text for kind in kinds.values() for field in kind.fields)


def test_modules_are_checked_too() -> None:
    """A module is checked with names that begin with its type."""
    module = {
        "name": "m",
        "description": "d",
        "minimumResources": FULL["resources"],
        "inputs": [{"key": "1a", "description": "d", "default": "x"}],
        "outputs": [{"key": "OK", "description": "d"}],
        "steps": [{"name": "s"}],
    }
    (problem,) = validate_module(module)
    assert problem.go_namespace == "Module.Inputs[0].Key"
    module["inputs"] = None
    assert validate_module(module) == []
    assert {kind.name for kind in describe(Module)} >= {"Module", "ModuleInput", "ModuleOutput"}


def test_depth_is_limited_without_recursion() -> None:
    """A workflow that is nested without end is an error, not a crash."""
    steps: list[Any] = []
    for _ in range(100_000):
        steps = [{"steps": steps}]
    (problem,) = validate({**FULL, "steps": steps})
    assert "nested more than 100 deep" in problem.message
    with pytest.raises(InvalidWorkflow):
        parse_workflow({**FULL, "steps": steps})
