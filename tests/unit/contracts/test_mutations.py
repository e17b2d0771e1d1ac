"""The changes that the contracts' tests must notice fit the contracts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.mutations import CONTRACTS, Edit, read_mutations, with_switches, write_sources

MUTATIONS = read_mutations()


def test_all_changes_fit_the_sources(tmp_path: Path) -> None:
    """Each change finds its text, exactly once, and is behind a switch of its own."""
    files = write_sources(tmp_path, MUTATIONS)
    text = "".join((tmp_path / "src" / name).read_text() for name in files)
    found = {int(number) for number in re.findall(r"Switch\.isOn\((\d+)\)", text)}
    assert found == {mutation.number for mutation in MUTATIONS}


def test_each_invariant_and_each_weakness_has_a_change() -> None:
    """There is a change for every invariant, and one for every test of the table of weaknesses."""
    noticed = {test for mutation in MUTATIONS for test in mutation.tests}
    invariants = (CONTRACTS / "test/invariants/README.md").read_text()
    listed = set(re.findall(r"^\| `(invariant_\w+)`", invariants, re.M))
    assert listed - noticed == set()
    weaknesses = (CONTRACTS / "test/README.md").read_text().split("## Weaknesses")[1]
    tests = set(re.findall(r"`(test_\w+)`", weaknesses))
    assert tests - noticed == set()


def test_a_statement_is_chosen_and_an_expression_too() -> None:
    """A statement gets two branches, an expression two values, a declaration is made once."""
    edits = [(1, Edit("f", "a();", "b();")), (2, Edit("f", "int x = y", "int x = z"))]
    assert with_switches("a(); int x = y;", edits) == (
        "if (Switch.isOn(1)) { b(); } else { a(); } int x = (Switch.isOn(2) ? z : y);"
    )


def test_a_text_that_is_not_there_once_is_refused() -> None:
    """A change that fits nothing, or several places, or another change's text, is an error."""
    for source in ("", "a; a;"):
        with pytest.raises(ValueError, match=r"'a' is [02] times in f, not once"):
            with_switches(source, [(1, Edit("f", "a", "b"))])
    with pytest.raises(ValueError, match="overlap"):
        with_switches("abc", [(1, Edit("f", "abc", "x")), (2, Edit("f", "b", "y"))])
