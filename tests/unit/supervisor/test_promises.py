"""docs/promises.md names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
PAGE = (TESTS.parent / "docs" / "promises.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))


@cache
def functions_of(path: str) -> frozenset[str]:
    """Names of a file's test functions."""
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_named_test_is_there(path: str, name: str) -> None:
    """A test that is renamed or removed takes its promise with it, unless the page is mended."""
    assert name in functions_of(path), f"docs/promises.md names {path}::{name}"


def test_each_promise_names_tests() -> None:
    """Thirteen rows, none of them empty."""
    rows = re.findall(r"^\| (\d+) \|.*\|(.*)\|$", PAGE, flags=re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 14))
    assert all("::" in tests for _, tests in rows)
