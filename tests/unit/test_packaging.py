"""The distribution carries every package and file of the tree."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("contracts", "core", "sbatch", "supervisor", "console", "themes")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SKIPPED = {"node_modules", "__pycache__", "src", "artifacts", "protos", "test"}


def packages_of_the_tree() -> set[str]:
    """Folders of the rooms that hold Python modules, as package names."""
    found = set()
    for room in ROOMS:
        for module in (ROOT / room).rglob("*.py"):
            parts = module.parent.relative_to(ROOT).parts
            if not SKIPPED & set(parts):
                found.add("dsq." + ".".join(parts))
    return found


def test_every_package_is_named() -> None:
    """A package that pyproject.toml does not list would be missing from the wheel."""
    named = set(PROJECT["tool"]["setuptools"]["packages"])
    assert packages_of_the_tree() - named == set()


def test_no_package_is_named_that_is_not_there() -> None:
    """A name without a folder breaks the build."""
    mapping = PROJECT["tool"]["setuptools"]["package-dir"]
    for name in PROJECT["tool"]["setuptools"]["packages"]:
        folder = mapping.get(name, name.removeprefix("dsq.").replace(".", "/"))
        assert (ROOT / folder).is_dir(), name


def test_each_room_is_typed() -> None:
    """Type checkers of users read our types only where py.typed lies."""
    assert [room for room in ROOMS if not (ROOT / room / "py.typed").exists()] == []


def test_each_dependency_has_its_reason() -> None:
    """docs/dependencies.md says why each package is there."""
    text = (ROOT / "docs" / "dependencies.md").read_text()
    names = [
        word.split(">")[0].split("[")[0].split(";")[0].strip()
        for word in PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]
    ]
    assert [name for name in names if f"`{name}`" not in text] == []
