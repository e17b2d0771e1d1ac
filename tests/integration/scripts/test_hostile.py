"""Hostile texts in every field of the language at once: they arrive byte for byte, nothing else runs.

The fields are read from the model, so that a new one is covered on the day it appears: it must
be in :data:`EVERYTHING`, and its text must turn up where the script's programs were called.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from dsq.sbatch.model import FieldDescription, Model, Workflow, describe, describe_type
from dsq.sbatch.problems import Path as FieldPath
from dsq.sbatch.render import render, unsupported
from dsq.sbatch.workflow import parse_workflow
from tests.support.standins import Standins
from tests.unit.sbatch.builders import EVERYTHING
from tests.unit.sbatch.test_quoting import CANARY, FRAGMENTS, directory_name

# Fields that no program of a job is told.
SILENT = {
    ("JobSecret", "name"),
    ("JobSecret", "description"),
    ("VirtualNetwork", "name"),
    ("VNet", "name"),
    ("Step", "if"),  # it is evaluated
    ("StepUse", "source"),
    ("Module", "name"),
    ("Module", "description"),
    ("ModuleInput", "description"),
    ("ModuleOutput", "description"),
}


def fields_of(model: type[Model], data: Any, path: FieldPath = ()) -> Iterator[Any]:
    """Yields path, type and field of every text in ``data``."""
    kind = describe_type(model)
    for field in kind.fields:
        if field.name not in data or field.client_only:
            continue
        value = data[field.name]
        elements = enumerate(value) if field.is_list else [(None, value)]
        for index, element in elements:
            where = (*path, field.name) if index is None else (*path, field.name, index)
            if field.model is not None:
                yield from fields_of(field.model, element, where)
            elif field.type_name == "String":
                yield where, kind.name, field


def at(data: Any, path: FieldPath) -> Any:
    """The value at a path."""
    for part in path:
        data = data[part]
    return data


def put(data: Any, path: FieldPath, value: str) -> None:
    """Changes the value at a path."""
    at(data, path[:-1])[path[-1]] = value


def hostile(field: FieldDescription, kind: str, text: str, old: str, root: Path) -> str | None:
    """A text for a field that holds ``text``, None when the field's rules let none in."""
    if field.name == "command":
        return f": {shlex.quote(text)}"  # it runs: as code it must do nothing
    if (kind, field.name) == ("Step", "if"):
        return f"{shlex.quote(text)} != ''"
    if field.name == "workDir":
        return f"{root}/inside/{directory_name(text)}"
    if field.name == "image" and not old.startswith("/"):
        return None  # with a path nothing would be fetched
    address = percent(text, safe="'()!*;:@&=+$,/~")
    candidates = [text, f"/{text}", f"https://h.example/{address}", f"s3://bucket/{address}x"]
    return next(
        (each for each in candidates if all(rule.holds(each) for rule in field.rules)), None
    )


def forms(text: str) -> list[bytes]:
    """The ways in which a text may be written down for a program that unwrites it."""
    fstab = text
    for sign, code in (("\\", "134"), (" ", "040"), ("\t", "011"), ("\n", "012")):
        fstab = fstab.replace(sign, f"\\{code}")
    netrc = text.replace("\\", "\\\\").replace('"', '\\"')
    curl = netrc
    for sign, code in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        netrc = netrc.replace(sign, code)
    read_as_text = text.replace("\r\n", "\n").replace("\r", "\n")  # as Python reads output
    words = (text, read_as_text, fstab, netrc, curl, text.replace('"', '""'), shlex.quote(text))
    return [each.encode() for each in words]


TEXT = st.lists(
    st.one_of(
        st.sampled_from(FRAGMENTS),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
    ),
    min_size=1,
    max_size=5,
).map("".join)

# Every sign and trick of the list once, in another field each time.
TEXTS = st.tuples(st.permutations(FRAGMENTS), st.lists(TEXT, min_size=10, max_size=40)).map(
    lambda parts: parts[0] + parts[1]
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Standins:
    """Stand-ins whose work ends where it would leave the machine."""
    return Standins(tmp_path_factory.mktemp("hostile") / "machine")


def workflow_with(texts: list[str], root: Path) -> tuple[dict[str, Any], dict[FieldPath, str]]:
    """A workflow with a text in every field that takes one, and what stands where."""
    data = json.loads(json.dumps(EVERYTHING))  # the parts of the original are shared
    put(data, ("input", "s3", "path"), "/a/")
    del data["input"]["s3"]["checksum"]
    placed: dict[FieldPath, str] = {}
    places = list(fields_of(Workflow, data))
    for number, (path, kind, field) in enumerate(places):
        # A mark before and after makes each text the only one of its kind.
        text = f"<{number}>{texts[number % len(texts)]}<{number}/>"
        value = hostile(field, kind, text, at(data, path), root)
        if value is not None:
            put(data, path, value)
            if (kind, field.name) not in SILENT and "catch" not in path:
                placed[path] = value
    for vnet in (step for step in data["steps"] if "run" in step):
        for interface in vnet["run"].get("customNetworkInterfaces", ()):
            if "vnet" in interface:
                interface["vnet"]["name"] = data["virtualNetworks"][0]["name"]
    for problem in unsupported(parse_workflow(data)):
        put(data, problem.path, at(EVERYTHING, problem.path))
        placed.pop(problem.path)
    return data, placed


# Programs in the background of a step.
BEHIND = ("slirp4netns", "pasta", "setpriv", "dpsproxy")


def run(machine: Standins, data: dict[str, Any]) -> tuple[Counter[str], bytes]:
    """Runs a workflow to a good end; what was called how often, and all that was told then."""
    machine.forget()
    bucket = machine.s3 / "bucket"
    bucket.mkdir(parents=True, exist_ok=True)
    machine.write("s5cmd", "exit 0")
    machine.write("dpsproxy", "exit 0")
    # Name servers come last: by then what runs behind has noted what it was told.
    machine.write("mount", 'sleep 0.3; cp "$2" "$record.resolv"')
    secrets = {each["name"]: "value" for each in data["secrets"]}
    ended = machine.run(render(parse_workflow(data)), secrets, timeout=60)
    assert (ended.code, ended.output.count("<-- steps[0] ok")) == (0, 1), ended.errors
    assert machine.leftovers() == []
    assert list(machine.root.rglob(CANARY)) == []
    names: Counter[str] = Counter()
    for args in machine.records.glob("*.args"):
        names[args.suffixes[-2][1:]] += 1
    for name in ("ip", "readlink", "s5cmd", *BEHIND):
        names[name] = min(names[name], 1)  # asked until they agree, or ended at any time
    told = [path.read_bytes() for path in machine.records.glob("*.*") if path.is_file()]
    return names, b"\n".join([ended.output.encode(), *told])


_tame: dict[Path, Counter[str]] = {}


def tame(machine: Standins) -> Counter[str]:
    """What is called when the texts are harmless."""
    if machine.root not in _tame:
        data, _ = workflow_with(["tame"], machine.root)
        _tame[machine.root], _ = run(machine, data)
    return _tame[machine.root]


def check(machine: Standins, texts: list[str]) -> None:
    """Runs a hostile workflow beside a tame one: the same programs run, the texts arrive."""
    data, placed = workflow_with(texts, machine.root)
    assert len(placed) > 40
    called, told = run(machine, data)
    assert called == tame(machine)
    for path, text in placed.items():
        assert any(form in told for form in forms(text)), (path, text)


# A run takes a second: a failing example is not made smaller, its field is named anyway.
LONG: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate],
}


@settings(max_examples=2, **LONG)
@given(texts=TEXTS)
@example(texts=["*"])  # a bucket's name that no output can be written to
def test_hostile_texts_in_all_fields(machine: Standins, texts: list[str]) -> None:
    """Whatever a text holds, in whatever field it stands, only its program sees it."""
    check(machine, texts)


@pytest.mark.slow
@settings(max_examples=60, **LONG)
@given(texts=TEXTS)
def test_many_hostile_texts_in_all_fields(machine: Standins, texts: list[str]) -> None:
    """The same with many more texts."""
    check(machine, texts)


def test_all_text_fields_take_part() -> None:
    """No text of the language is missing from the workflow that is tested."""
    present = {(kind, field.name) for _, kind, field in fields_of(Workflow, EVERYTHING)}
    http = {("HTTPData", "url"), ("HTTPData", "checksum")}  # tested with wget and curl alone
    for kind in describe(Workflow, service=True):
        for field in kind.fields:
            if field.type_name == "String" and (kind.name, field.name) not in http:
                assert (kind.name, field.name) in present, f"{kind.name}.{field.name}"
