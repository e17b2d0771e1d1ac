"""The scripts as texts: how they begin, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dsq.sbatch.render import RenderSettings, render, unsupported
from dsq.sbatch.workflow import InvalidWorkflow, load_workflow, parse_workflow
from tests.unit.sbatch.builders import EVERYTHING, RESOURCES, S3, env, job, run


def test_a_script_begins_so_that_slurm_reads_no_directive() -> None:
    """The first line is bash's, without a login shell; the second is a command."""
    lines = render(parse_workflow(job({"name": "#SBATCH --time=1"}))).splitlines()
    assert lines[:3] == ["#!/bin/bash", ":", "set -e"]


def test_no_program_has_an_absolute_path() -> None:
    """Programs are found by name, on the PATH that the site sets."""
    steps = [
        run("c", container={"image": "i"}),
        run("c", container={"image": "i", "apptainer": True}),
        run("c", mapUid=0),
        {"launch": {"steps": [run("c")]}},
    ]
    data = job(*steps, input={"http": {"url": "http://h/"}}, output={"http": {"url": "http://h/"}})
    script = render(parse_workflow(data))
    assert "/usr/bin" not in script
    assert "grid-logger-writer" not in script


def test_nothing_lies_in_tmp() -> None:
    """Files of a job are in places that are its own, never under names that others can guess."""
    script = render(parse_workflow(EVERYTHING))
    assert script.count("/tmp") == script.count("/tmp/.X11-unix") + script.count("/tmp=/") + sum(
        script.count(place)
        for place in ("/deepsquare/tmp", "/disk/tmp", "_dsq_scratch/tmp", "/{tmp,")
    )


def test_logging_starts_no_writer() -> None:
    """The supervisor reads the job's output: logging is a comment that tells it to send it on."""
    plain = render(parse_workflow(job(run("c")))).splitlines()
    with_logging = render(parse_workflow(job(run("c"), enableLogging=True))).splitlines()
    assert with_logging[2] == "# dsq: enable-logging"
    assert with_logging[:2] + with_logging[3:] == plain


def test_hooks_of_the_operator() -> None:
    """The operator's text stands near the top and at the end."""
    settings = RenderSettings(pre_hook="module load x", post_hook="echo bye")
    lines = render(parse_workflow(job(run("c"))), settings=settings).splitlines()
    assert lines[3] == "module load x"
    assert lines[-1] == "echo bye"


def private(**fields: Any) -> dict[str, Any]:
    """A container of a registry that asks who one is."""
    secret = {"username": "u", "password": "p"}
    return {"image": "i", "registry": "reg.io", **secret, **fields}


def network(*interfaces: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A step with a network of its own."""
    return run("c", network="pasta", customNetworkInterfaces=list(interfaces), **fields)


MOUNT = {"hostDir": "/a\nb", "containerDir": "/c", "options": ""}
WIREGUARD = {"wireguard": {"privateKey": "k"}}

REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        job(output={"s3": {**S3, "path": "/a*"}}),
        "output.s3.path: s5cmd writes to no place with '*' or '?' in its name",
    ),
    (
        job(output={"s3": {**S3, "bucketUrl": "s3://b?"}}),
        "output.s3.bucketUrl: s5cmd writes to no place with '*' or '?' in its name",
    ),
    (
        job({"name": "n", "catch": [{"use": {"source": "h/o/r"}}]}),
        "steps[0].catch[0].use: the module has not been fetched",
    ),
    (
        job(run("c", container=private(username="a b"))),
        "steps[0].run.container.username: Enroot takes names of letters, digits and "
        "_.!~'()%;:&=+$,@- only (set apptainer: true)",
    ),
    (
        job(run("c", container={"image": "i", "apptainer": True, "mounts": [MOUNT]})),
        "steps[0].run.container.mounts[0].hostDir: Apptainer takes no line break in a mounted path",
    ),
    (
        job(network({"wireguard": {"privateKey": "k\nPostUp = id"}})),
        "steps[0].run.customNetworkInterfaces[0].wireguard.privateKey: a key of WireGuard has "
        "no line breaks",
    ),
    (
        job(network({})),
        "steps[0].run.customNetworkInterfaces[0]: an interface is one of wireguard, vnet, bore, "
        "not nothing",
    ),
    (
        job(network({**WIREGUARD, "bore": {"targetPort": 1, "boreAddress": "b:1"}})),
        "steps[0].run.customNetworkInterfaces[0]: an interface is one of wireguard, vnet, bore, "
        "not wireguard and bore",
    ),
    (
        job(network(WIREGUARD, resources={"tasks": 2}), resources={**RESOURCES, "tasks": 2}),
        "steps[0].run.customNetworkInterfaces[0]: 2 tasks cannot have one address, but a step each",
    ),
    (
        job(network({"bore": {"targetPort": 1}})),
        "steps[0].run.customNetworkInterfaces[0].bore.boreAddress: the proxy has one address, "
        "boreAddress or address",
    ),
]


@pytest.mark.parametrize(("data", "sentence"), REFUSED, ids=[s for _, s in REFUSED])
def test_what_is_not_rendered_is_refused(data: dict[str, Any], sentence: str) -> None:
    """Nothing of a workflow is dropped: the field is named in one sentence."""
    workflow = parse_workflow(data)
    assert [str(each) for each in unsupported(workflow)] == [sentence]
    with pytest.raises(InvalidWorkflow) as caught:
        render(workflow)
    assert caught.value.problems == (sentence,)


def test_a_refusal_has_its_place_in_the_file() -> None:
    """Line and column are kept from the user's text."""
    text = (
        "resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 1, gpus: 0}\n"
        "steps:\n  - use: {source: h/o/r}\n"
    )
    with pytest.raises(InvalidWorkflow, match=r"line 3, column 10: steps\[0\].use"):
        render(load_workflow(text))


def test_everything_of_the_language_is_rendered() -> None:
    """A workflow with every field of the language is refused for nothing."""
    assert unsupported(parse_workflow(EVERYTHING)) == []


def big(count: int) -> dict[str, Any]:
    """A job of ``count`` steps of several kinds."""
    kinds: list[dict[str, Any]] = [
        run("echo 'x'", env=env(A="1", B="it's")),
        run("echo y", container={"image": "debian:12", "apptainer": True}),
        {"if": "$A == 1", "steps": [run("echo z")], "catch": [run("echo c")]},
        {"for": {"parallel": True, "range": {"begin": 1, "end": 2}, "steps": [run("echo f")]}},
    ]
    return job(*[kinds[index % len(kinds)] for index in range(count)])


def test_time_grows_with_the_number_of_steps_only() -> None:
    """2,000 steps take a fraction of a second, four times as many about four times as long."""

    def seconds(count: int) -> float:
        data = big(count)
        render(parse_workflow(big(10)))
        began = time.process_time()
        render(parse_workflow(data))
        return time.process_time() - began

    small = min(seconds(500) for _ in range(3))
    assert small < 1.5
    assert min(seconds(2000) for _ in range(2)) < 10 * small
