"""Every custom error is raised by some call, but for those that libraries only declare."""

from __future__ import annotations

import ast
from pathlib import Path

from dsq import contracts

UNREACHABLE = {"Empty", "OutOfBounds", "InvalidShortString", "StringTooLong"}
"""Errors of libraries: pops look at the length first, and the token has a short name."""


def test_each_error_is_raised_in_a_test() -> None:
    """Each error of the interface is named by a test of this folder as what a call raised."""
    errors = {
        entry["name"]
        for name in contracts.ARTIFACTS
        for entry in contracts.load(name).abi
        if entry["type"] == "error"
    }
    words = {
        node.value
        for file in Path(__file__).parent.glob("test_*.py")
        if file.name not in ("test_errors.py", "test_abi.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert errors - words == UNREACHABLE
