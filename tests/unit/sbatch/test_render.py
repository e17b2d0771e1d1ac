"""The scripts as texts: how they begin, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dsq.sbatch.render import RenderSettings, render, unsupported
from dsq.sbatch.workflow import InvalidWorkflow, load_workflow, parse_workflow
from tests.unit.sbatch.builders import env, group, job, run

S3 = {
    "region": "r",
    "bucketUrl": "s3://b",
    "path": "/",
    "accessKeyId": "i",
    "secretAccessKey": "s",
    "endpointUrl": "https://e",
}


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


REFUSED: list[tuple[dict[str, Any], str]] = [
    (job(input={"s3": S3}), "input.s3: S3 is not supported by this version"),
    (job(output={"s3": S3}), "output.s3: S3 is not supported by this version"),
    (
        job(virtualNetworks=[{"name": "n", "gatewayAddress": "10.0.0.1/24"}]),
        "virtualNetworks are not supported by this version",
    ),
    (
        job(group([run("c", network="pasta")])),
        "steps[0].steps[0].run.network: networks are not supported by this version",
    ),
    (
        job({"name": "n", "catch": [{"use": {"source": "h/o/r"}}]}),
        "steps[0].catch[0].use: modules are not supported by this version",
    ),
    (
        job(
            run(
                "c",
                container={"image": "i", "registry": "reg.io", "username": "u", "password": "p"},
            )
        ),
        "steps[0].run.container.password: credentials of a registry are not supported with "
        "Enroot by this version (set apptainer: true)",
    ),
    (
        job(
            run(
                "c",
                container={
                    "image": "i",
                    "apptainer": True,
                    "mounts": [{"hostDir": "/a,b", "containerDir": "/c", "options": ""}],
                },
            )
        ),
        "steps[0].run.container.mounts[0].hostDir: a blank, ':', ',' or '^' in a mounted path "
        "is not supported with Apptainer",
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
        "steps:\n  - run: {command: c, network: slirp4netns}\n"
    )
    with pytest.raises(InvalidWorkflow, match=r"line 3, column 32: steps\[0\].run.network"):
        render(load_workflow(text))


def test_fields_of_a_namespace_mean_nothing_on_the_host_network() -> None:
    """Name servers and interfaces belong to a namespace; without one they are no error."""
    assert render(parse_workflow(job(run("c", network="host", dns=["1.1.1.1"]))))


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
