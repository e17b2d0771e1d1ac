"""What jobs have cost, added up exactly."""

from __future__ import annotations

import dataclasses

import pytest

from dsq.core.model import Job, JobCost, JobStatus
from dsq.core.readmodel import ReadModel
from dsq.core.readmodel.spending import Spent, spent_by
from tests.support.fake_grid import GAIA, IRIS, job


def cost(one: Job, wei: int) -> Job:
    return dataclasses.replace(one, cost=JobCost(10**21, wei))


JOBS = [
    cost(job(1, JobStatus.FINISHED, at=GAIA, end=-86_400), 3),
    cost(job(2, JobStatus.FAILED, at=IRIS, end=-100), 10**20 + 1),
    cost(job(3, JobStatus.FINISHED, at=GAIA, end=-50), 10**20),
    cost(job(4, JobStatus.CANCELLED, end=-40), 0),
    cost(job(5, JobStatus.RUNNING, at=GAIA, start=-40), 0),
]


def model(jobs: list[Job]) -> ReadModel:
    made = ReadModel()
    made.put_all(jobs)
    return made


@pytest.mark.parametrize(
    ("way", "rows"),
    [
        ("day", [Spent("2026-11-18", 2, 2 * 10**20 + 1), Spent("2026-11-17", 1, 3)]),
        ("job", [Spent("3", 1, 10**20), Spent("2", 1, 10**20 + 1), Spent("1", 1, 3)]),
        ("provider", [Spent(str(GAIA), 2, 10**20 + 3), Spent(str(IRIS), 1, 10**20 + 1)]),
    ],
)
def test_costs_are_added_up(way: str, rows: list[Spent]) -> None:
    """To the last wei, by day of the end, by job, or by provider with the dearest first."""
    assert spent_by(model(JOBS), way) == rows
    assert spent_by(model(JOBS), way, limit=1) == rows[:1]


def test_sums_of_many_large_costs_are_exact() -> None:
    """More wei than 64 bits hold, added up without loss."""
    large = 2**87 + 12_345
    jobs = [cost(job(n, JobStatus.FINISHED, at=GAIA, end=-50), large) for n in range(1, 50)]
    assert spent_by(model(jobs), "day") == [Spent("2026-11-18", 49, 49 * large)]


def test_without_ended_jobs_there_is_nothing() -> None:
    """Jobs that run, or cost nothing, are in no sum."""
    assert spent_by(model(JOBS[3:]), "day") == []
