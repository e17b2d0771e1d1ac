"""validate and render, as processes: they need no grid, no settings, no wallet."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from .conftest import GOOD, Dsq

BAD = GOOD.replace("command", "comand").replace("gpus: 0", "gpus: -1")


def test_a_good_workflow_is_valid(dsq: Dsq, workflow: str) -> None:
    """One word on stdout."""
    result = dsq("validate", workflow)
    assert (result.code, result.out, result.err) == (0, "valid\n", "")
    assert dsq("validate", workflow, "--json").json == {"problems": [], "valid": True}


def test_problems_come_one_a_line_with_their_place(dsq: Dsq, tmp_path: Path) -> None:
    """FILE:LINE:COLUMN and a sentence, as compilers do; exit code 65; stdout stays empty."""
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    result = dsq("validate", str(path))
    assert (result.code, result.out) == (65, "")
    first, second, last = result.err.splitlines()
    assert first.startswith(f"{path}:2:61: ")
    assert second.startswith(f"{path}:5:9: ")
    assert "did you mean 'command'" in second
    assert last == f"{path} is not valid: 2 problems, the first in line 2."


def test_problems_as_json(dsq: Dsq, tmp_path: Path) -> None:
    """Line, column, path and message of each."""
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    result = dsq("validate", str(path), "--json")
    assert result.code == 65
    problems = json.loads(result.out)["problems"]
    assert [(p["line"], p["column"]) for p in problems] == [(2, 61), (5, 9)]
    assert problems[0]["path"] == ["resources", "gpus"]


def test_yaml_that_does_not_parse(dsq: Dsq, tmp_path: Path) -> None:
    """Also that has line and column."""
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD.replace("- name: it", "- name: [it"))
    result = dsq("validate", str(path))
    assert result.code == 65
    assert result.err.startswith(f"{path}:5:")


@pytest.mark.parametrize("command", ["validate", "render"])
def test_a_file_that_is_not_there_is_66(dsq: Dsq, command: str, tmp_path: Path) -> None:
    """One sentence with its name."""
    result = dsq(command, "no-such.yaml")
    assert (result.code, result.out) == (66, "")
    assert "no-such.yaml" in result.err
    assert dsq(command, str(tmp_path)).code == 66


def test_bytes_that_are_no_text(dsq: Dsq, tmp_path: Path) -> None:
    """A binary file is a bad workflow."""
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00")
    assert dsq("validate", str(path)).code == 65


def test_standard_input(dsq: Dsq, monkeypatch: pytest.MonkeyPatch) -> None:
    """``-`` reads the workflow from standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    assert dsq("validate", "-").code == 0
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    assert dsq("validate", "-").err.startswith("standard input:2:61: ")


def test_render_prints_the_script(dsq: Dsq, workflow: str) -> None:
    """The script alone, as it would be run."""
    result = dsq("render", workflow)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("#!/bin/bash\n")
