"""The forge tests are those that their specifications name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[3] / "contracts" / "test"
TREES = sorted((TESTS / "unit").rglob("*.tree"))


def functions(folder: Path, prefix: str) -> list[str]:
    """Names of the test functions below a folder."""
    text = "\n".join(file.read_text() for file in sorted(folder.rglob("*.t.sol")))
    return re.findall(rf"function ({prefix}_\w+)\(", text)


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.stem)
def test_each_branch_has_its_test(tree: Path) -> None:
    """A branch "When x" of a function's tree is the test of that name, and says what it should do."""
    root, *lines = tree.read_text().splitlines()
    assert root == f"{tree.parent.name}::{tree.stem}"
    branches = [line[4:] for line in lines if line[0] in "├└"]
    assert len(lines) == 2 * len(branches)
    assert all("── It should " in line for line in lines if line[0] not in "├└")
    wanted = {
        f"test_{tree.stem}_" + "".join(word[0].upper() + word[1:] for word in branch.split())
        for branch in branches
    }
    found = {
        name for name in functions(TESTS / "unit", "test") if name.startswith(f"test_{tree.stem}_")
    }
    assert found == wanted


def test_each_function_has_a_tree() -> None:
    """No unit test is without a specification."""
    named = {name.split("_")[1] for name in functions(TESTS / "unit", "test")}
    assert named == {tree.stem for tree in TREES}


def test_invariants_are_listed() -> None:
    """The README names each invariant, and there are at least 25."""
    listed = re.findall(
        r"^\| `(invariant_\w+)`", (TESTS / "invariants/README.md").read_text(), re.M
    )
    assert sorted(listed) == sorted(functions(TESTS / "invariants", "invariant"))
    assert len(listed) >= 25
