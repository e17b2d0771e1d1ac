"""The simulation with everything that can go wrong: some seeds, and that it would notice.

``make test`` plays 200 seeds, ``make test-slow`` 10,000, ``make chaos SEEDS=N`` any number.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsq.core.model import JobStatus
from dsq.core.units import CREDIT
from dsq.supervisor import rules
from dsq.supervisor.claims import Claims
from dsq.supervisor.ends import End
from dsq.supervisor.journal import Journal
from dsq.supervisor.records import JobRecord
from dsq.supervisor.scheduler.port import SlurmJob
from tests.support import chaos
from tests.support.boundaries import KINDS, kinds_of
from tests.support.fakes import FakeScheduler
from tests.support.provider import provider
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
    assert any("a second time" in problem for problem in failing(range(1, 40)))


def test_an_effect_that_does_not_wait_for_the_disk_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before each effect the journal's file is asked for its intent."""

    async def at_once(self: Journal) -> None:
        pass

    monkeypatch.setattr(Journal, "settled", at_once)
    assert any("on the disk" in problem for problem in failing(range(33, 80)))


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
    monkeypatch.setattr(chaos, "run_seeds", lambda first, _count: chaos.Tally(int(first == 7)))
    assert chaos.main(["30", "0"]) == 0
    assert capsys.readouterr().out.endswith("\n30 seeds, 0 failed\n")
    assert chaos.main(["30", "7"]) == 1
    assert capsys.readouterr().out.endswith("\n30 seeds, 1 failed\n")


def test_what_is_never_met_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over 200 seeds the process must have died at every kind of boundary, and every fault come."""
    total = chaos.Tally(crashes=Counter(KINDS[1:]), faults=Counter(chaos.FAULTS))
    monkeypatch.setattr(chaos, "run_seeds", lambda _first, _count: total)
    assert chaos.main(["200"]) == 1
    assert f"never met in 200 seeds: a death {KINDS[0]}\n" in capsys.readouterr().out
    total.crashes[KINDS[0]] += 1
    assert chaos.main(["200"]) == 0


def test_every_boundary_is_of_a_known_kind(tmp_path: Path) -> None:
    """A kind that the list does not have would never be counted."""
    met: set[str] = set()

    async def main(folder: Path, *, batches: bool) -> None:
        async with provider(folder) as p:
            p.chain.batches = batches
            job_id = p.chain.request(credits=2, script="seconds=100")
            p.chain.offer(job_id)
            await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 60)
            p.chain.top_up(job_id, 3 * CREDIT)
            await asyncio.sleep(20)
            p.chain.cancel(job_id)
            await p.until_over(job_id)
            met.update(kind for name in p.world.boundaries for kind in kinds_of(name))

    run_virtual(main(tmp_path / "a", batches=True))
    run_virtual(main(tmp_path / "b", batches=False))
    assert met - set(KINDS) == {f"{when} tx register" for when in ("before", "sent", "mined")}
    assert len(met) > 35


def test_credits_that_drift_are_noticed_at_that_step(tmp_path: Path) -> None:
    """Not only when all is over."""

    async def main() -> None:
        async with provider(tmp_path) as p:
            story = chaos.Story(0, p, random.Random(0))
            story.watch()
            story.submit()
            await asyncio.sleep(5)
            story.check_now()
            p.chain.state = p.chain.state.copied()
            p.chain.state.fees += 1
            await asyncio.sleep(5)
            with pytest.raises(AssertionError, match="credits drift"):
                story.check_now()

    run_virtual(main())
