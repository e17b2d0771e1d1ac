"""Hostile texts in every field: they arrive byte for byte, and nothing else runs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsq.sbatch.render import render
from dsq.sbatch.workflow import load_workflow, parse_workflow
from tests.support.standins import Call, Standins
from tests.unit.sbatch.builders import env, job, run

CANARY = "canary"

FRAGMENTS = [
    *("'", '"', "`", "$", "\\", "\n", "\r", "\t", " ", ";", "&", "|", "<", ">", "(", ")"),
    *("{", "}", "[", "]", "*", "?", "~", "!", "#", "%", "=", ",", ":", "-", "--", "@", "^"),
    *(f"$(touch {CANARY})", f"`touch {CANARY}`", f"'; touch {CANARY}; '", f'"; touch {CANARY}; "'),
    *(
        f"\ntouch {CANARY}\n",
        f"'\"'\"'$(touch {CANARY})",
        "${HOME}",
        "$'\\n'",
        "\nEND\n",
        "\nEOF\n",
    ),
    *(
        "{{ 1 }}",
        "{% raw %}",
        "{# x #}",
        "]] ; touch canary; [[",
        "é",
        "日本",
        "\U0001f600",
        "\u2028",
    ),
    *("\x01", "\x7f", "a" * 300, "0", "--version"),
]

HOSTILE = (
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=4)), min_size=0, max_size=5)
    .map("".join)
    .filter(lambda text: "\0" not in text and text.encode("utf-8", "ignore").decode() == text)
)


def directory_name(text: str) -> str:
    """The text as a name that a directory of the test can have."""
    return "d" + text.replace("/", "_").encode()[:200].decode("utf-8", "ignore")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Standins:
    """Stand-ins that note and do nothing more; containers see their variables all the same."""
    standins = Standins(tmp_path_factory.mktemp("quoting") / "machine")
    standins.write("probe", "exit 0")
    standins.write("unshare", 'while [[ $1 == --* ]]; do shift; done; exec "$@"')
    return standins


FAST = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def executed(machine: Standins, data: dict[str, Any]) -> list[Call]:
    """Runs a job to a good end; returns the calls of ``probe``, which its commands are."""
    machine.forget()
    # By way of JSON, as the service gets it, and as users may write it.
    workflow = load_workflow(json.dumps(data))
    assert workflow == parse_workflow(data)
    ended = machine.run(render(workflow))
    assert (ended.code, ended.errors) == (0, "")
    assert list(machine.root.rglob(CANARY)) == []
    assert machine.leftovers() == []
    return machine.calls("probe")


@FAST
@given(texts=st.lists(HOSTILE, min_size=5, max_size=5))
def test_texts_of_commands(machine: Standins, texts: list[str]) -> None:
    """Names, commands and images reach srun as the arguments that they are."""
    name, command, image, other, words = texts
    machine.write("srun", "exit 0")
    quoted = shlex.join([words, other])
    data = job(
        {"name": name, **run(command)},
        run(command, shell="/bin/bash", container={"image": f"/{image}", "apptainer": True}),
        run(command, container={"image": f"/{image}"}),
        run(quoted, shell="ENTRYPOINT", container={"image": "i", "deepsquareHosted": True}),
        run(quoted, shell="ENTRYPOINT", container={"image": f"/{image}"}),
        {"launch": {"steps": [run(other)], "handleName": "h"}},
        {"dependsOn": ["h"], "catch": [run(command)], **run(words)},
        {"for": {"parallel": False, "items": [other], "steps": [run(name)]}},
    )
    assert executed(machine, data) == []
    calls = machine.calls("srun")
    host, apptainer, enroot, hosted, entry = (call.command for call in calls[:5])
    assert calls[0].flags[0] == (f"--job-name={name}" if name else "--export=ALL")
    assert host == ["/bin/sh", "-c", command]
    as_image = apptainer[: apptainer.index("--nv") + 1]
    tail = ["/bin/bash", "-c", command] if command else []
    assert as_image[2] == ("exec" if command else "run")
    assert apptainer[len(as_image) + 1 :] == tail
    assert apptainer[len(as_image)].startswith(str(machine.cache))
    assert enroot[5:] == ["0", *(["/bin/sh", "-c", command] if command else [])]
    assert hosted[-3:] == ["/opt/software/i", words, other]
    assert entry[5:] == ["0", words, other]
    assert [call.command[-1] for call in calls[5:]] == [other, words, name]
    assert calls[7].env["item"] == other


@FAST
@given(value=HOSTILE, other=HOSTILE, place=HOSTILE)
def test_texts_of_variables_and_places(
    machine: Standins, value: str, other: str, place: str
) -> None:
    """Variables and working directories are right where the command runs, on the host and in
    both kinds of containers."""
    machine.write("srun", _SRUN)
    work = machine.root / "work" / directory_name(place)
    shared: dict[str, Any] = {"env": env(OWN=other), "workDir": str(work)}
    data = job(
        run("probe host", **shared, mapUid=0),
        run("probe apptainer", env=env(OWN=other), container={"image": "i", "apptainer": True}),
        run("probe enroot", **shared, container={"image": "i"}),
        env=env(JOB=value),
    )
    calls = executed(machine, data)
    assert [call.args for call in calls] == [["host"], ["apptainer"], ["enroot"]]
    for call in calls:
        assert (call.env["JOB"], call.env["OWN"]) == (value, other)
    assert [calls[0].cwd, calls[2].cwd] == [str(work), str(work)]
    for call in machine.calls("srun"):
        assert not any(other in arg for arg in call.args if len(other) > 10 and other not in place)


@FAST
@given(texts=st.lists(HOSTILE, min_size=4, max_size=4))
def test_texts_of_images_mounts_and_credentials(machine: Standins, texts: list[str]) -> None:
    """Credentials go to the pull alone and through its environment; mounts are lines of fstab."""
    user, password, source, target = texts
    machine.write("srun", _SRUN)
    mount = {"hostDir": f"/{source}", "containerDir": f"/{target}", "options": "ro"}
    private = {"image": "a/b:c", "registry": "reg.io", "username": user, "password": password}
    data = job(
        run("probe", container={**private, "apptainer": True}),
        run("probe", container={"image": "i", "mounts": [mount]}),
    )
    machine.forget()
    ended = machine.run(render(parse_workflow(data)))
    assert ended.code == 0
    assert list(machine.root.rglob(CANARY)) == []
    pull, execute = machine.calls("apptainer")
    assert pull.args[-1] == "docker://reg.io/a/b:c"
    assert pull.env["APPTAINER_DOCKER_USERNAME"] == user
    assert pull.env["APPTAINER_DOCKER_PASSWORD"] == password
    assert "APPTAINER_DOCKER_PASSWORD" not in execute.env
    (start,) = [call for call in machine.calls("enroot") if call.args[0] == "start"]
    line = start.file("mounts").split("\n")[5]
    fields = [_unescape(field) for field in line.split(" ")]
    assert fields == [f"/{source}", f"/{target}", "none", "x-create=auto,bind,ro"]


URL_TEXT = st.text(st.sampled_from("abz09'\"`$(){};&|\\*?#%=,:@!~^[]<>-_."), max_size=30).filter(
    lambda text: "[" not in text and "]" not in text
)


@FAST
@given(text=URL_TEXT)
def test_texts_of_addresses(machine: Standins, text: str) -> None:
    """Addresses reach wget and curl through their input, and nobody's arguments."""
    url = f"https://host.example/{text}"
    machine.write("wget", 'cat >"$record.stdin"')
    data = job(input={"http": {"url": url}}, output={"http": {"url": url}})
    executed(machine, data)
    (wget,), (curl,) = machine.calls("wget"), machine.calls("curl")
    assert wget.file("stdin") == url + "\n"
    line = curl.file("stdin").strip()
    assert json.loads(line.removeprefix("url = ")) == url
    assert url not in " ".join(wget.args + curl.args)


def test_a_very_long_text(machine: Standins) -> None:
    """A script of 100 KB in one field arrives whole."""
    command = "true # " + "it's " * 20_000
    machine.write("srun", "exit 0")
    executed(machine, job(run(command)))
    assert machine.calls("srun")[0].command[-1] == command


def test_templates_hold_no_unquoted_text() -> None:
    """Each value that a template puts into a script is quoted there, a number, or made of
    words that were quoted before."""
    folder = Path(render.__code__.co_filename).parent / "templates"
    ready = {
        # shell text that was put together from quoted words
        *("pre_hook", "post_hook", "library", "late_library", "networks", "input", "output"),
        *("transfer", "steps", "body", "catch", "finally_", "prepare", "line", "flags", "command"),
        *("items", "outputs", "object", "source", "sync", "copy", "mark"),
        # names that a rule of the model has checked, and paths of the model
        *("variable.key", "prefix", "where", "variable", "name", "status"),
        # numbers
        *("number", "begin", "end", "increment", "signal", "attempts", "timeout", "gpus_per_task"),
        *("patience * 20", "patience", "patience + 5", "hurry", "limit"),
        *('">=" if increment < 0 else "<="', '"%o" | format(input_mode)'),
        'endings | map(attribute=0) | join(" ")',
        'secrets | join(" ")',
    }
    assert "name | quote" in (folder / "envelope.sh.j2").read_text()
    for template in folder.glob("*.j2"):
        text = template.read_text()
        for part in text.split("{{")[1:]:
            value = part.partition("}}")[0].strip(" -")
            known = value in ready or value.startswith("resources.") or value.endswith("| quote")
            assert known, f"{template.name}: {value}"


def _unescape(field: str) -> str:
    for code, sign in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        field = field.replace(f"\\{code}", sign) if code != "134" else field
    return field.replace("\\134", "\\")


_SRUN = 'while [[ $1 == --* ]]; do shift; done; export SLURM_STEP_ID=$$ SLURM_PROCID=0; exec "$@"'
