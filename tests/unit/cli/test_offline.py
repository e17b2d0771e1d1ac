"""What needs no grid and no network: validate, render, schema, templates."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from dsq.console.templates import templates
from dsq.sbatch.model.jsonschema import FILE_NAME, schema_text

from .conftest import GOOD, Dsq

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
MODULE = "name: m\ndescription: d\nsteps: [{run: {command: echo from-a-file}}]\n"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every name and every connection fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("DSQ_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("DSQ_HOME", "DSQ_GRID", "DSQ_RPC_URL", "ETH_PRIVATE_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_validated_and_rendered_offline(dsq: Dsq, path: Path) -> None:
    """With no grid named, no key and no network."""
    assert dsq("validate", str(path)).out == "valid\n"
    assert dsq("render", str(path)).out.startswith("#!/bin/bash\n")


def test_modules_in_files_are_read(dsq: Dsq, tmp_path: Path) -> None:
    """Relative to the workflow's file, wherever the command runs; a wrong one is told."""
    path = tmp_path / "w.yaml"
    path.write_text(GOOD + "- use: {source: ./m.yaml}\n")
    assert dsq("validate", str(path)).code == 66
    (tmp_path / "m.yaml").write_text(MODULE)
    assert "from-a-file" in dsq("render", str(path)).out
    (tmp_path / "m.yaml").write_text(MODULE.replace("command", "comand"))
    result = dsq("validate", str(path))
    assert result.code == 65
    assert "unknown field 'comand'" in result.err


def test_modules_of_other_hosts_are_not_asked_for(dsq: Dsq, tmp_path: Path) -> None:
    """validate says that it did not look, render says what to do; the cache serves both."""
    commit = "c" * 40
    path = tmp_path / "w.yaml"
    path.write_text(GOOD + f"- use: {{source: github.com/o/r@{commit}}}\n")
    result = dsq("validate", str(path))
    assert (result.code, result.out) == (0, "valid\n")
    assert "is not in the cache" in result.err
    result = dsq("render", str(path))
    assert result.code == 69
    assert "--fetch" in result.err
    place = tmp_path / "cache" / "modules" / "github.com" / "o" / "r" / commit / "module.yaml"
    place.parent.mkdir(parents=True)
    place.write_text(MODULE)
    assert dsq("validate", str(path)).err == ""
    assert "from-a-file" in dsq("render", str(path)).out


def test_modules_of_hosts_that_are_not_listed_are_refused(dsq: Dsq, tmp_path: Path) -> None:
    """Also with --fetch, before any name is looked up."""
    path = tmp_path / "w.yaml"
    path.write_text(GOOD + "- use: {source: internal.example/o/r@v1}\n")
    result = dsq("render", "--fetch", str(path))
    assert result.code == 78
    assert "not one of the hosts that may be asked" in result.err


def test_a_sweep_shows_one_of_its_jobs(dsq: Dsq, tmp_path: Path) -> None:
    """The first, or the one that is named."""
    path = tmp_path / "w.yaml"
    path.write_text(GOOD + "sweep: {parameters: [{name: P, values: [a, b]}]}\n")
    assert "export P=a\n" in dsq("render", str(path)).out
    result = dsq("render", "--point", "2", str(path))
    assert "export P=b\n" in result.out
    assert "Job 2 of 2" in result.err
    assert dsq("render", "--point", "3", str(path)).code == 64


def test_explain_names_fields_and_lines(dsq: Dsq, workflow: str) -> None:
    """As a table, and as JSON whose lines are those of the script."""
    table = dsq("render", "--explain", workflow).out
    assert f"{workflow}:5:18" in table
    script = dsq("render", workflow).out.split("\n")
    rows = {one["field"]: one for one in dsq("render", "--explain", "--json", workflow).json}
    command = rows["steps[0].run.command"]
    assert (command["path"], command["line"], command["column"]) == (
        ["steps", 0, "run", "command"],
        5,
        18,
    )
    ((first, last),) = command["lines"]
    assert "/bin/sh -c true" in "".join(script[first - 1 : last])
    assert dsq("render", "--json", workflow).code == 64


def test_the_schema_is_printed_or_written(dsq: Dsq, tmp_path: Path) -> None:
    """Into a folder it gets the name that templates name."""
    assert dsq("schema").out == schema_text()
    result = dsq("schema", "--write", str(tmp_path))
    assert result.out == f"{tmp_path / FILE_NAME}\n"
    assert (tmp_path / FILE_NAME).read_text() == schema_text()
    dsq("schema", "--write", str(tmp_path / "other.json"))
    assert (tmp_path / "other.json").read_text() == schema_text()


def test_templates_are_listed_and_printed(dsq: Dsq) -> None:
    """Each begins with the line by which an editor finds the schema, then with its title."""
    listed = dsq("templates", "--json").json
    assert [one["name"] for one in listed] == [one.name for one in templates()]
    assert all(one["title"].endswith(".") for one in listed)
    text = dsq("templates", "hello-world").out
    assert text.split("\n")[0] == f"# yaml-language-server: $schema={FILE_NAME}"
    assert json.loads(dsq("templates", "hello-world", "--json").out)["text"] == text
    result = dsq("templates", "helo-world")
    assert (result.code, "Did you mean 'hello-world'" in result.err) == (66, True)
