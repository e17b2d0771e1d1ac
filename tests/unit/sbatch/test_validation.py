"""What the service tells clients about bad workflows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dsq.sbatch.workflow import InvalidWorkflow, load_workflow, parse_workflow, validate
from tests.unit.sbatch.builders import job, run


def test_the_error_shape_is_that_of_the_reference() -> None:
    """Message, extensions and names are those that clients know."""
    (problem,) = validate(job(run("x"), run("x", shell="/bin/zsh")))
    assert problem.extensions() == {
        "type": "validation",
        "tag": "oneof",
        "namespace": "Job.Steps[1].Run.Shell",
        "field": "Shell",
        "original_message": "Key: 'Job.Steps[1].Run.Shell' Error:Field validation for 'Shell' "
        "failed on the 'oneof' tag",
    }
    assert problem.graphql_message == (
        "Field 'Shell' (='/bin/zsh') must be one of /bin/bash /bin/ash /bin/sh ENTRYPOINT "
        '{"error": "oneof", "field": "Shell", "value": "/bin/zsh"}'
    )
    assert not problem.is_shape


@pytest.mark.parametrize(
    ("step", "namespace", "field"),
    [
        (run("x", dns=["a"]), "Job.Steps[0].Run.DNS[0]", "DNS[0]"),
        (run("x", env=[{"key": "", "value": ""}]), "Job.Steps[0].Run.Env[0].Key", "Key"),
        (run("x", mapUid=-1), "Job.Steps[0].Run.MapUID", "MapUID"),
        ({"dependsOn": ["a b"]}, "Job.Steps[0].DependsOn[0]", "DependsOn[0]"),
        (
            run("x", resources={"cpusPerTask": 0}),
            "Job.Steps[0].Run.Resources.CPUsPerTask",
            "CPUsPerTask",
        ),
        (
            {"finally": [run("x", workDir="w")]},
            "Job.Steps[0].Finally[0].Run.WorkDir",
            "WorkDir",
        ),
    ],
)
def test_namespaces_use_the_names_of_the_wire(step: Any, namespace: str, field: str) -> None:
    """The namespace has the reference's names, list elements in brackets."""
    (problem,) = validate(job(step))
    assert (problem.go_namespace, problem.go_field) == (namespace, field)


def test_the_first_broken_rule_of_each_field_is_told() -> None:
    """Of one field only the first rule is reported, of all fields all."""
    data = job(run("x", env=[{"key": "", "value": ""}], workDir="w", mpi="x"))
    assert sorted(each.tag for each in validate(data)) == ["oneof", "required", "startswith"]


SECRET = "hunter2-hunter2"

SECRETS: list[tuple[dict[str, Any], int]] = [
    (job(env=[{"key": "A", "value": SECRET + "\0"}]), 1),
    (job(env=[{"key": "A", "value": {SECRET: SECRET}}]), 1),
    (job(run("x", container={"image": "i", "username": "u", "password": SECRET + "\0"})), 1),
    (job(run("x", container={"image": "i", "username": "u", "password": [SECRET]})), 1),
    (job(input={"http": {"url": f"ftp://u:{SECRET}@h/"}}), 1),
    (
        job(
            run(
                "x",
                network="pasta",
                customNetworkInterfaces=[
                    {
                        "wireguard": {
                            "privateKey": SECRET + "\0",
                            "peers": [{"publicKey": "k", "preSharedKey": SECRET + "\0"}],
                        }
                    },
                    {"bore": {"targetPort": 1, "secret": SECRET + "\0"}},
                ],
            )
        ),
        3,
    ),
    (
        job(
            output={
                "s3": {
                    "region": "r",
                    "bucketUrl": "s3://b",
                    "path": "/",
                    "endpointUrl": "http://e",
                    "accessKeyId": SECRET + "\0",
                    "secretAccessKey": SECRET + "\0",
                }
            }
        ),
        2,
    ),
]


@pytest.mark.parametrize(("data", "count"), SECRETS)
def test_values_of_secret_fields_are_never_shown(data: dict[str, Any], count: int) -> None:
    """Whatever is wrong with a field that may bear a secret, its value is in no message."""
    problems = validate(data)
    assert len(problems) == count
    for problem in problems:
        shown = f"{problem} {problem.graphql_message} {problem.extensions()} {problem!r}"
        assert SECRET not in shown
    with pytest.raises(InvalidWorkflow) as caught:
        load_workflow(json.dumps(data))
    assert SECRET not in repr(caught.value) + str(caught.value) + repr(caught.value.__cause__)


def test_a_workflow_shows_no_secret_in_its_errors_chain() -> None:
    """A traceback of the error has no trace of the data that was checked."""
    with pytest.raises(InvalidWorkflow) as caught:
        parse_workflow(job(env=[{"key": "1", "value": SECRET}]))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_long_and_unprintable_values_are_shortened() -> None:
    """A message stays on one line and short."""
    (problem,) = validate(job(run("x", workDir="a\n" * 5000)))
    assert "\n" not in str(problem)
    assert len(problem.graphql_message) < 600


def test_credentials_belong_together() -> None:
    """A user without a password is a slip."""
    (problem,) = validate(job(run("x", container={"image": "i", "username": "u"})))
    assert str(problem) == "steps[0].run.container has 'username' but not 'password'"


def test_a_virtual_network_must_exist() -> None:
    """An interface names one of the job's networks."""
    step = run(
        "x",
        network="pasta",
        customNetworkInterfaces=[{"vnet": {"name": "front", "address": "10.0.0.2/24"}}],
    )
    networks = [{"name": "frnt", "gatewayAddress": "10.0.0.1/24"}]
    (problem,) = validate(job(step, virtualNetworks=networks))
    assert "(did you mean 'frnt'?)" in str(problem)
    assert problem.go_namespace == "Job.Steps[0].Run.CustomNetworkInterfaces[0].VNet.Name"


def test_handles_are_found_in_any_case_and_depth() -> None:
    """A handle of a nested launch counts; its case does not."""
    inner = {"launch": {"handleName": "Server", "steps": []}}
    assert validate(job({"steps": [inner]}, {"dependsOn": ["SERVER"], "name": "n"})) == []


@pytest.mark.parametrize(
    ("share", "words"),
    [
        ({"tasks": 3}, "steps[0].run.resources ask for 6 CPUs, the job has 4"),
        ({"cpusPerTask": 5}, "ask for 5 CPUs, the job has 4"),
        ({"memPerCpu": 201}, "ask for 402 MB of memory, the job has 400"),
        ({"tasks": 2, "gpusPerTask": 1}, "ask for 2 GPUs, the job has 1"),
    ],
)
def test_a_step_asks_for_no_more_than_the_job_has(share: dict[str, int], words: str) -> None:
    """Slurm would wait or refuse when the job is paid already; defaults are the job's."""
    resources = {"tasks": 2, "cpusPerTask": 2, "memPerCpu": 100, "gpus": 1}
    data = {"resources": resources, "steps": [{"run": {"command": "c", "resources": share}}]}
    (problem,) = validate(data)
    assert problem.message.endswith(words)
    assert problem.tag == "lte"


def test_a_step_may_ask_for_all_that_the_job_has() -> None:
    """In another shape too."""
    resources = {"tasks": 2, "cpusPerTask": 2, "memPerCpu": 100, "gpus": 1}
    share = {"tasks": 4, "cpusPerTask": 1, "memPerCpu": 100, "gpusPerTask": 0}
    steps = [{"run": {"command": "c", "resources": share}}]
    assert validate({"resources": resources, "steps": steps}) == []


@pytest.mark.parametrize("address", ["10.0.1.2/24", "10.0.0.1/24", "::2/64"])
def test_addresses_lie_in_their_virtual_network(address: str) -> None:
    """Elsewhere nothing would reach them; the hub's own is taken."""
    interface = {"vnet": {"name": "n", "address": address}}
    step = {"command": "c", "network": "pasta", "customNetworkInterfaces": [interface]}
    networks = [{"name": "n", "gatewayAddress": "10.0.0.1/24"}]
    data = job({"run": step}, virtualNetworks=networks)
    (problem,) = validate(data)
    assert "is not a free address of the network 10.0.0.0/24 of 'n'" in problem.message


def test_virtual_networks_have_names_of_their_own() -> None:
    """The reference takes the last of several without a word."""
    network = {"name": "n", "gatewayAddress": "10.0.0.1/24"}
    (problem,) = validate(job(virtualNetworks=[network, network]))
    assert (problem.tag, problem.path) == ("unique", ("virtualNetworks", 1, "name"))


def test_few_close_matches_are_looked_for() -> None:
    """Each is compared with every known name: a large file full of errors must not take long."""
    launches = [{"launch": {"handleName": f"handle_{n}", "steps": []}} for n in range(300)]
    waits = [{"dependsOn": [f"handel_{n}"]} for n in range(300)]
    problems = validate(job(*launches, *waits))
    assert len(problems) == 300
    assert sum("did you mean" in problem.message for problem in problems) == 20
