"""Groups of jobs: submitted together, finished later, shown and cancelled as one."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from dsq.core.errors import ContractError, UnreachableError
from dsq.core.groups import member_name, membership
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT

from .conftest import Dsq
from .double import GridDouble, job

SWEEP = """\
resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 100, gpus: 0}
sweep:
  parameters:
    - {name: RATE, values: ["0.1", "0.2"]}
    - {name: SEED, range: {begin: 1, end: 2}}
steps:
- name: it
  run: {command: "true"}
"""


@pytest.fixture
def sweep(tmp_path: Path) -> str:
    """A workflow of four jobs."""
    path = tmp_path / "train.yaml"
    path.write_text(SWEEP)
    return str(path)


def submitted(grid: GridDouble) -> list[tuple[object, ...]]:
    """What was submitted."""
    return [one[1:] for one in grid.did if one[0] == "submit"]


def test_a_sweep_becomes_a_group(dsq: Dsq, grid: GridDouble, sweep: str) -> None:
    """Each job has its values, the group's name and its number; numbers go to stdout."""
    result = dsq("submit", sweep, "--credits", "100")
    assert (result.code, result.out) == (0, "41\n42\n43\n44\n")
    sent = submitted(grid)
    member = membership(str(sent[0][0]))
    assert member is not None
    assert [one[0] for one in sent] == [
        f"train#{member.group}.{number}/4" for number in range(1, 5)
    ]
    assert [one[1] for one in sent] == [
        f"sweep {member.group} {number}/4" for number in range(1, 5)
    ]
    assert {one[2] for one in sent} == {100 * CREDIT}
    values = itertools.product(("0.1", "0.2"), ("1", "2"))
    assert [one[3] for one in sent] == [
        {"RATE": rate, "SEED": seed, "SWEEP_INDEX": str(number), "SWEEP_COUNT": "4"}
        for number, (rate, seed) in enumerate(values, start=1)
    ]
    assert f"--group {member.group}" in result.err


def test_a_group_in_json_is_a_list(dsq: Dsq, grid: GridDouble, sweep: str) -> None:
    """The objects of its jobs in the order of their numbers."""
    result = dsq("submit", sweep, "--credits", "100", "--json")
    assert [one["id"] for one in result.json] == [41, 42, 43, 44]


def test_what_fails_half_way_is_told_and_finished_later(
    dsq: Dsq, grid: GridDouble, sweep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--resume submits only what is missing, under the same names."""
    real = grid._signed

    def fail(*what: object) -> None:
        if len(submitted(grid)) == 3:
            raise UnreachableError("The chain is away.")
        real(*what)

    with monkeypatch.context() as patch:
        patch.setattr(grid, "_signed", fail)
        result = dsq("submit", sweep, "--credits", "100")
    assert result.code == 69
    member = membership(str(submitted(grid)[0][0]))
    assert member is not None
    assert f"3 of 4 jobs of the group {member.group} are submitted." in result.err
    assert f"--resume {member.group}" in result.err
    grid.sent.clear()
    del grid.known[42]
    assert dsq("submit", sweep, "--credits", "100", "--resume", member.group).code == 0
    assert [one[0] for one in submitted(grid)] == [
        f"train#{member.group}.2/4",
        f"train#{member.group}.4/4",
    ]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--resume", "222222"], "no jobs of the group 222222"),
        (["--resume", "nope"], "'nope' names no group"),
        (["--watch"], "for workflows of one job"),
        (["--idempotency-key", "k"], "for workflows of one job"),
    ],
)
def test_options_that_make_no_sense(
    dsq: Dsq, grid: GridDouble, sweep: str, args: list[str], words: str
) -> None:
    """Exit code 64, nothing sent."""
    result = dsq("submit", sweep, "--credits", "100", *args)
    assert (result.code, submitted(grid)) == (64, [])
    assert words in result.err


def test_a_group_of_another_file_is_not_resumed(dsq: Dsq, grid: GridDouble, sweep: str) -> None:
    """The number of jobs, or the name, shows it."""
    grid.add(job(1, name=member_name("train", "222222", 1, 5)))
    result = dsq("submit", sweep, "--credits", "100", "--resume", "222222")
    assert result.code == 64
    assert "is not of this sweep of 4 jobs" in result.err


def test_a_limit_keeps_jobs_back_until_others_end(
    dsq: Dsq, grid: GridDouble, tmp_path: Path
) -> None:
    """At most so many are open at any time; in the end all were submitted."""
    path = tmp_path / "train.yaml"
    path.write_text(SWEEP.replace("sweep:\n", "sweep:\n  limit: 1\n"))
    most = 0
    real = grid.add

    def add(*jobs: object) -> None:
        nonlocal most
        real(*jobs)  # type: ignore[arg-type]
        most = max(most, sum(not one.status.is_final for one in grid.known.values()))

    grid.add = add  # type: ignore[method-assign]
    assert dsq("submit", str(path), "--credits", "100").out == "41\n42\n43\n44\n"
    assert most == 1


def test_a_group_is_one_line_of_the_table(dsq: Dsq, grid: GridDouble) -> None:
    """With its ids, how many have which status, and sums; --group shows its jobs."""
    for number, status in enumerate(
        [JobStatus.FINISHED, JobStatus.RUNNING, JobStatus.RUNNING], start=1
    ):
        grid.add(job(number, status, name=member_name("t", "222222", number, 4)))
    grid.add(job(7, JobStatus.RUNNING, name="alone"))
    lines = dsq("jobs").out.splitlines()
    assert len(lines) == 3
    assert "alone" in lines[1]
    assert lines[2].split()[:6] == ["1-3", "t#222222", "(3/4)", "2", "RUNNING,", "1"]
    assert "300.00" in lines[2]
    inside = dsq("jobs", "--group", "222222").out.splitlines()
    assert [line.split()[0] for line in inside[1:]] == ["1", "2", "3"]
    assert [one["id"] for one in dsq("jobs", "--json").json] == [7, 3, 2, 1]
    assert [one["id"] for one in dsq("jobs", "--json", "--group", "222222").json] == [1, 2, 3]
    assert dsq("jobs", "--group", "x").code == 64


def test_a_group_is_cancelled_at_once(dsq: Dsq, grid: GridDouble) -> None:
    """Its open jobs, and no other; what ended stays as it is."""
    for number, status in enumerate([JobStatus.FINISHED, JobStatus.RUNNING, JobStatus.PENDING], 1):
        grid.add(job(number, status, name=member_name("t", "222222", number, 3)))
    grid.add(job(9, name="other"))
    result = dsq("cancel", "--group", "222222")
    assert result.code == 0
    assert grid.did == [("cancel", 2), ("cancel", 3)]
    assert "2 of 3 jobs of the group 222222 were cancelled; 1 ended at once" in result.err
    assert dsq("cancel", "--group", "333333").code == 64
    assert dsq("cancel").code == 64
    assert dsq("cancel", "1", "--group", "222222").code == 64


def test_one_job_that_cannot_be_cancelled_keeps_no_other(
    dsq: Dsq, grid: GridDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are; the exit code says that something failed."""
    for number in (1, 2):
        grid.add(job(number, name=member_name("t", "222222", number, 2)))
    real = grid.cancel

    async def cancel(job_id: int) -> object:
        if job_id == 1:
            raise ContractError("It ended.")
        return await real(job_id)

    monkeypatch.setattr(grid, "cancel", cancel)
    result = dsq("cancel", "--group", "222222")
    assert (result.code, grid.did) == (75, [("cancel", 2)])
    assert "Job 1 cannot be cancelled" in result.err


def test_a_job_with_a_cancel_request_is_not_asked_again(dsq: Dsq, grid: GridDouble) -> None:
    """Its provider knows."""
    one = job(1, JobStatus.RUNNING, name=member_name("t", "222222", 1, 1))
    grid.add(dataclasses.replace(one, has_cancel_request=True))
    assert dsq("cancel", "--group", "222222").code == 0
    assert grid.did == []
