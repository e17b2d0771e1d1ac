"""Limits of a workflow's size: steps, depth, turns of loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsq.sbatch.service.engine import DomainError
from dsq.sbatch.service.settings import ServiceSettings
from dsq.sbatch.service.size import check_size

STEP: dict[str, Any] = {"run": {"command": "true"}}


def check(tmp_path: Path, job: Any, **limits: int) -> None:
    check_size(job, ServiceSettings(data_dir=tmp_path, **limits))


def loop(steps: list[Any], **turns: Any) -> dict[str, Any]:
    return {"for": {"parallel": False, "steps": steps, **turns}}


def test_every_list_of_steps_counts(tmp_path: Path) -> None:
    """Steps at all levels together; whatever stands in the list is one."""
    job = {"steps": [{"finally": [1, 2]}, {"use": {"steps": [3]}}]}
    check(tmp_path, job, max_steps=5)
    with pytest.raises(DomainError, match="at most 4 steps"):
        check(tmp_path, job, max_steps=4)


def test_depth(tmp_path: Path) -> None:
    """A job of any depth is looked at without recursion."""
    deep: Any = {"steps": [STEP]}
    for _ in range(9):
        deep = {"steps": [deep]}
    check(tmp_path, deep, max_depth=10)
    with pytest.raises(DomainError, match="at most 9 deep"):
        check(tmp_path, deep, max_depth=9)
    for _ in range(50_000):
        deep = {"steps": [deep]}
    with pytest.raises(DomainError, match="at most 32 deep"):
        check(tmp_path, deep)


@pytest.mark.parametrize(
    ("turns", "count"),
    [
        ({"range": {"begin": 1, "end": 10}}, 10),
        ({"range": {"begin": 1, "end": 10, "increment": 4}}, 3),
        ({"range": {"begin": 10, "end": 1, "increment": -1}}, 10),
        ({"range": {"begin": 1, "end": 10, "increment": 0}}, 10),
        ({"range": {"begin": 10, "end": 1}}, 1),
        ({"items": ["a", "b", "c"]}, 3),
        ({"range": {"begin": "x", "end": None}}, 1),
        ({}, 1),
    ],
)
def test_turns_of_a_loop(tmp_path: Path, turns: Any, count: int) -> None:
    """Range and items, up and down; nonsense is for the rules of the language."""
    job = {"steps": [loop([STEP], **turns)]}
    check(tmp_path, job, max_iterations=count)
    if count > 1:
        with pytest.raises(DomainError, match="turn at most"):
            check(tmp_path, job, max_iterations=count - 1)


def test_nested_loops_multiply(tmp_path: Path) -> None:
    """Ten times ten times ten, and the loops before the inner one."""
    inner = loop([STEP], range={"begin": 1, "end": 10})
    middle = loop([inner], items=["x"] * 10)
    job = {"steps": [loop([middle], range={"begin": 0, "end": 9})]}
    check(tmp_path, job, max_iterations=10 + 100 + 1000)
    with pytest.raises(DomainError, match="turn at most 1109"):
        check(tmp_path, job, max_iterations=1109)


def test_a_loop_without_end_is_cheap(tmp_path: Path) -> None:
    """Looking takes no longer for a range of billions."""
    job = {"steps": [loop([STEP], range={"begin": 0, "end": 2**31 - 1})]}
    with pytest.raises(DomainError, match="turn at most"):
        check(tmp_path, job)
