"""The simulation with everything that can go wrong: some seeds, and that it would notice.

``make test`` plays 200 seeds, ``make test-slow`` 10,000, ``make chaos SEEDS=N`` any number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsq.supervisor import rules
from dsq.supervisor.claims import Claims
from dsq.supervisor.ends import End
from dsq.supervisor.journal import Journal
from dsq.supervisor.records import JobRecord
from dsq.supervisor.scheduler.port import SlurmJob
from tests.support import chaos
from tests.support.fakes import FakeScheduler
from tests.support.virtual import run_virtual


@pytest.mark.parametrize("seed", [0, 3, 9, 12, 17, 24])
def test_whatever_happens(seed: int) -> None:
    """Seeds with lost journals (divisible by 4) and with two supervisors (ending in 9) among them."""
    assert chaos.run_seed(seed) == ""


def test_a_seed_is_told_again_exactly(tmp_path: Path) -> None:
    """The same seed, the same story: what failed once can be looked at."""
    first, second = (run_virtual(chaos.play(5, tmp_path / name)) for name in "ab")
    assert first == second
    assert len(first) > 50


def failing(seeds: range) -> Iterator[str]:
    """What goes wrong in some seeds, one after the other."""
    return filter(None, map(chaos.run_seed, seeds))


def test_a_wrong_bill_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute too much in the reports."""
    true = rules.end_of

    def dearer(record: Any) -> End:
        end = true(record)
        return dataclasses.replace(end, minutes=end.minutes + 1, start=end.start - 60)

    monkeypatch.setattr(rules, "end_of", dearer)
    assert any("min, it took" in problem for problem in failing(range(4)))


def test_a_job_that_runs_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that finds nothing, and leaves no mark that would stop the lost attempt."""

    async def blind(self: FakeScheduler, name: str, token: str, since: int) -> SlurmJob | None:
        return None

    monkeypatch.setattr(FakeScheduler, "find", blind)
    assert any("a second time" in problem for problem in failing(range(14, 40)))


def test_an_effect_that_does_not_wait_for_the_disk_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The plan of a submission is lost with the process, and the job is sent once more: the
    second one ends at its fence, but by then it is the one that counts."""

    async def at_once(self: Journal) -> None:
        pass

    monkeypatch.setattr(Journal, "settled", at_once)
    assert any("FAILED" in problem for problem in failing(range(33, 80)))


def test_a_job_that_is_forgotten_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that never comes into the journal."""
    adopt = Claims.adopt

    def forgetful(self: Claims, record: JobRecord, event: str) -> None:
        if record.job_id != 2:
            adopt(self, record, event)

    monkeypatch.setattr(Claims, "adopt", forgetful)
    monkeypatch.setattr(chaos, "SETTLE_SECONDS", 900.0)
    assert any("not all jobs" in problem for problem in failing(range(1, 2)))


def test_the_command_line_counts_and_exits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line says how many failed; the exit code is 1 if any did."""
    monkeypatch.setattr(chaos, "run_seeds", lambda first, count: int(first == 7))
    assert chaos.main(["30", "0"]) == 0
    assert capsys.readouterr().out == "30 seeds, 0 failed\n"
    assert chaos.main(["30", "7"]) == 1
    assert capsys.readouterr().out == "30 seeds, 1 failed\n"
