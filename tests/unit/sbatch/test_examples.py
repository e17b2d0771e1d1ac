"""The example workflows: valid, clean shell, and doing what they say."""

from __future__ import annotations

import asyncio
import subprocess
import sysconfig
from pathlib import Path

import pytest

from dsq.sbatch.expand import expand
from dsq.sbatch.modules.resolving import with_modules
from dsq.sbatch.render import RenderSettings, render
from dsq.sbatch.workflow import Workflow, load_workflow, parse_workflow
from tests.support.standins import Ended, Standins
from tests.unit.sbatch.builders import EVERYTHING, SHA256, job
from tests.unit.sbatch.test_render import big

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").glob("*.yaml"))
SHELLCHECK = Path(sysconfig.get_path("scripts")) / "shellcheck"


def shellcheck(script: str) -> str:
    """What shellcheck has to say, warnings and worse."""
    words = [str(SHELLCHECK), "--severity=warning", "--shell=bash", "-"]
    return subprocess.run(words, input=script, capture_output=True, text=True).stdout


def example(path: Path, text: str | None = None) -> Workflow:
    """An example with its modules; of a sweep the first job."""
    workflow = load_workflow(path.read_text() if text is None else text, source=path.name)
    workflow = asyncio.run(with_modules(workflow, None, folder=path.parent))
    return next(expand(workflow)).workflow


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid_and_their_scripts_clean(path: Path) -> None:
    """Each example has a title, needs little, is logged, and renders to clean shell."""
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=workflow.schema.json\n# ")
    workflow = example(path)
    assert workflow.enable_logging
    assert workflow.resources.gpus or workflow.definition().mem <= 2000
    assert shellcheck(render(workflow)) == ""


def test_there_are_examples_of_everything() -> None:
    """At least fifteen, all of them on the page of the language."""
    page = (EXAMPLES[0].parents[1] / "workflow.md").read_text()
    assert len(EXAMPLES) >= 15
    for path in EXAMPLES:
        assert f"(examples/{path.name})" in page, path.name


def test_a_script_with_everything_is_clean() -> None:
    """All parts of the library and all kinds of steps together pass shellcheck."""
    data = {**EVERYTHING, "steps": EVERYTHING["steps"] + big(4)["steps"]}
    assert shellcheck(render(parse_workflow(data))) == ""
    url = {"url": "https://h/x?k=1"}
    small = job(input={"http": {**url, "checksum": SHA256}}, output={"http": url})
    assert shellcheck(render(parse_workflow(small))) == ""


def execute(standins: Standins, name: str, **environment: str) -> Ended:
    """Runs an example."""
    path = next(path for path in EXAMPLES if path.stem == name)
    text = path.read_text().replace('value: "20"', 'value: "2"')
    script = render(load_workflow(text), settings=RenderSettings(markers=False))
    ended = standins.run(script, environment)
    assert standins.leftovers() == []
    return ended


def test_hello_world(standins: Standins) -> None:
    """It greets and names the host."""
    ended = execute(standins, "hello-world")
    assert ended.code == 0
    assert ended.output.startswith("Running: hello\nHello world\nThis is ")


def test_exit_code(standins: Standins) -> None:
    """It ends with 3."""
    ended = execute(standins, "exit-code")
    assert (ended.code, "never" in ended.output) == (3, False)


def test_env(standins: Standins) -> None:
    """Each kind of variable is where it belongs."""
    shown = [
        line
        for line in execute(standins, "env").output.splitlines()
        if not line.startswith("Running")
    ]
    assert shown == [
        "Good morning, this job has 2 CPUs and 400 MB.",
        "Good evening, says the step's own variable.",
        "The answer is 42.",
        "It is morning.",
    ]


def test_counter(standins: Standins) -> None:
    """It counts."""
    assert execute(standins, "counter").output == "Running: count\n1\n2\n"


def test_loop(standins: Standins) -> None:
    """All rounds run."""
    output = execute(standins, "loop").output.splitlines()
    assert sorted(output[1:4]) == [f"Round {index} of 3" for index in (1, 2, 3)]
    assert output[5:] == ["There are apples", "There are pears"]


def test_catch_finally(standins: Standins) -> None:
    """The failure is handled."""
    ended = execute(standins, "catch-finally")
    assert ended.code == 0
    assert "It failed with 7, and that is handled.\nCleaned up.\n" in ended.output


def test_background(standins: Standins) -> None:
    """The client finds the server's sign of life."""
    ended = execute(standins, "background")
    assert (ended.code, ended.errors) == (0, "")
    assert "The server is stopped when the steps are done." in ended.output


def test_multi_node(standins: Standins) -> None:
    """All tasks run."""
    output = execute(standins, "multi-node", SLURM_NTASKS="4").output
    assert [f"Task {rank} of 4" in output for rank in range(4)] == [True] * 4


def test_hello_apptainer(standins: Standins) -> None:
    """The image is pulled once and run as the reference runs it."""
    assert "Hello from Apptainer" in execute(standins, "hello-apptainer").output
    pull, run = standins.calls("apptainer")
    image = pull.args[3]
    assert Path(image).name.startswith("7-")
    assert Path(image).suffix == ".sif"
    assert pull.args == [
        *("--silent", "pull", "--disable-cache", image),
        "docker://registry-1.docker.io/library/alpine:3.20",
    ]
    assert run.args[:-1] == [
        *("--silent", "exec", "--disable-cache", "--contain", "--writable-tmpfs", "--no-home"),
        *("--nv", image, "/bin/sh", "-c"),
    ]
    storage = str(Path(image).parent)
    assert run.env["APPTAINER_BIND"].split(",") == [
        f"{storage}:/deepsquare:rw",
        f"{run.env['APPTAINER_BIND'].split(',')[1].split(':')[0]}:/deepsquare/tmp:rw",
        f"{standins.cache}/world-tmp:/deepsquare/world-tmp:rw",
        f"{run.env['APPTAINER_BIND'].split(',')[3].split(':')[0]}:/deepsquare/disk/tmp:rw",
        f"{standins.cache}/disk/world-tmp:/deepsquare/disk/world-tmp:rw",
    ]


def test_hello_enroot(standins: Standins) -> None:
    """The image is imported once; each task has a container of its own, removed at its end."""
    assert "Hello from Enroot" in execute(standins, "hello-enroot").output
    imported, create, start, remove = standins.calls("enroot")
    image = imported.args[2]
    assert imported.args == [
        *("import", "-o", image, "--"),
        "docker://registry-1.docker.io#library/alpine:3.20",
    ]
    name = create.args[2]
    assert name.startswith("container-7.")
    assert create.args == ["create", "--name", name, "--", image]
    assert start.args[:2] == ["start", "--conf"]
    assert start.args[3:6] == [name, "/bin/sh", "-c"]
    assert remove.args == ["remove", "-f", name]
    conf = start.file("conf").splitlines()
    assert conf[:3] == ["#ENROOT_REMAP_ROOT=n", "#ENROOT_ROOTFS_WRITABLE=y", "#ENROOT_MOUNT_HOME=n"]
    assert "STORAGE_PATH=/deepsquare" in start.file("environ").splitlines()
    assert "FROM_IMAGE=yes" in start.file("environ").splitlines()
    storage = Path(image).parent
    assert start.file("mounts").splitlines()[0] == (
        f"{storage} /deepsquare none x-create=dir,bind,rw"
    )
    # The configuration may bear secrets: it lies outside of what containers see.
    assert not Path(start.args[2]).is_relative_to(storage)
