"""Claims and reports of many jobs in few transactions, on a fake grid in virtual time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from dsq.core.errors import TryAgainError
from dsq.core.model import JobStatus
from tests.support.fakes import FakeSender, refused
from tests.support.provider import Provider, provider
from tests.support.virtual import run_virtual


def scenario(tmp_path: Path, story: Callable[[Provider], Awaitable[None]], **options: Any) -> None:
    """Runs a story in virtual time; ``batches=False`` has the published contract."""
    batches = options.pop("batches", True)

    async def main() -> None:
        async with provider(tmp_path, **options) as made:
            made.chain.batches = batches
            await story(made)

    run_virtual(main())


def sent(p: Provider, name: str) -> list[str]:
    """Labels of the transactions of one kind."""
    return [label for label in p.sender.sent if label.startswith(name)]


def offered(p: Provider, count: int, script: str = "seconds=65") -> list[int]:
    jobs = [p.chain.request(script=script) for _ in range(count)]
    for job_id in jobs:
        p.chain.offer(job_id)
    return jobs


def test_a_busy_provider_sends_two_transactions_a_block(tmp_path: Path) -> None:
    """Forty jobs: one transaction claims as many as fit, one reports all that is new."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(5)
        blocks = p.chain.block
        jobs = offered(p, 40, "seconds=3")
        await p.until_over(*jobs)
        blocks = p.chain.block - blocks
        assert len(sent(p, "claimNextJobs(")) <= blocks / 2
        assert len(sent(p, "reportJobs(")) <= blocks
        assert any(label.count(":FINISHED") >= 6 for label in sent(p, "reportJobs("))
        assert {end[0][:2] for end in p.chain.ends.values()} == {(JobStatus.FINISHED, 1)}

    scenario(tmp_path, story)


def test_a_contract_without_batches_gets_single_calls(tmp_path: Path) -> None:
    """The published version: claims, starts and ends one by one, with the same result."""

    async def story(p: Provider) -> None:
        jobs = offered(p, 6)
        await p.until_over(*jobs)
        assert not sent(p, "claimNextJobs(")
        assert not sent(p, "reportJobs(")
        assert len(sent(p, "claimNextJob()")) >= 6
        assert {end[0][:2] for end in p.chain.ends.values()} == {(JobStatus.FINISHED, 1)}

    scenario(tmp_path, story, batches=False)


def test_a_report_that_does_not_fit_spoils_no_other(tmp_path: Path) -> None:
    """One of the jobs was cancelled in the same block: left out; the others count."""

    async def story(p: Provider) -> None:
        p.slurm.start_delay = 4
        jobs = offered(p, 4)
        await p.until(lambda: all(p.accepted(job_id) for job_id in jobs), 20)
        p.chain.is_stalled = True
        await p.until(lambda: sent(p, "reportJobs("), 20)
        p.chain.cancel(jobs[0])
        p.chain.is_stalled = False
        await p.until_over(*jobs)
        assert p.job(jobs[0]).status is JobStatus.CANCELLED
        assert [p.job(job_id).status for job_id in jobs[1:]] == [JobStatus.FINISHED] * 3
        assert [job.state for job in p.accepted(jobs[0])] == ["CANCELLED"]

    scenario(tmp_path, story)


def test_a_report_that_spoils_the_batch_is_found_and_left_alone(tmp_path: Path) -> None:
    """The contract refuses all because of one: the others go through, that one is tried again."""

    async def story(p: Provider) -> None:
        spoils = True
        on_report = p.chain.on_report

        def strict(made: Any) -> Any:
            if spoils and any(report.job_id == 2 for report in made):
                raise refused("TextTooLong")
            return on_report(made)

        p.chain.on_report = strict  # type: ignore[method-assign]
        jobs = offered(p, 6)
        await p.until_over(*(job_id for job_id in jobs if job_id != 2))
        assert p.job(2).status is JobStatus.SCHEDULED
        spoils = False
        await p.until_over(2)
        assert p.chain.ends[2] == [(JobStatus.FINISHED, 1, "", 0)]

    scenario(tmp_path, story)


def test_times_that_the_contract_knows_better_are_corrected(tmp_path: Path) -> None:
    """A claim that came into another block: the contract tells its time, and the report fits."""

    async def story(p: Provider) -> None:
        p.slurm.start_delay = 20
        (job_id,) = offered(p, 1)
        await p.until(lambda: p.accepted(job_id), 20)
        p.journal.update(job_id, claim_time=p.chain.now() - 5000)
        terms = p.chain.state.terms[job_id]
        p.chain.state.terms[job_id] = type(terms)(p.chain.now() + 30, terms.rate)
        await p.until_over(job_id)
        assert p.chain.ends[job_id] == [(JobStatus.FINISHED, 1, "", 0)]
        record = p.record(job_id)
        assert record is not None
        assert record.claim_time == p.chain.state.terms[job_id].claimed_at

    scenario(tmp_path, story)


def test_a_transaction_that_is_too_large_is_halved(tmp_path: Path, monkeypatch: Any) -> None:
    """A node that takes three reports or claims at once: all still go through."""
    submit = FakeSender.submit

    async def small(self: FakeSender, call: Any, *, gas: int | None = None) -> bytes:
        claims = re.fullmatch(r"claimNextJobs\((\d+)\)", call.label)
        if call.label.count(":") > 3 or (claims and int(claims[1]) > 3):
            raise TryAgainError("gas required exceeds allowance")
        return await submit(self, call, gas=gas)

    monkeypatch.setattr(FakeSender, "submit", small)

    async def story(p: Provider) -> None:
        jobs = offered(p, 8)
        await p.until_over(*jobs)
        assert {end[0][:2] for end in p.chain.ends.values()} == {(JobStatus.FINISHED, 1)}

    scenario(tmp_path, story)


def test_an_end_does_not_wait_for_the_block_of_its_start(tmp_path: Path) -> None:
    """The start's transaction is stuck: the end goes out with the start said again."""

    async def story(p: Provider) -> None:
        (job_id,) = offered(p, 1, "seconds=3")
        await p.until(lambda: p.accepted(job_id), 20)
        p.chain.is_stalled = True
        end = f"reportJobs({job_id}:RUNNING {job_id}:FINISHED)"
        await p.until(lambda: end in p.sender.sent, 12)
        p.chain.is_stalled = False
        await p.until_over(job_id)
        assert len(p.chain.ends[job_id]) == 1

    scenario(tmp_path, story)


def test_an_end_is_told_while_other_reports_are_under_way(tmp_path: Path) -> None:
    """Blocks are slow, and ends come one after the other: each is in the mempool within a
    moment, and the more transactions wait there, the more goes with the next one."""

    async def story(p: Provider) -> None:
        p.chain.block_seconds = 6.0
        jobs = [p.chain.request(script=f"seconds={40 + n}") for n in range(8)]
        for job_id in jobs:
            p.chain.offer(job_id)
        said: dict[int, float] = {}

        def all_said() -> bool:
            for label in sent(p, "reportJobs("):
                for job_id in re.findall(r"(\d+):FINISHED", label):
                    said.setdefault(int(job_id), p.world.true_time())
            return len(said) == len(jobs)

        await p.until(all_said, 120)
        lags = sorted(said[i] - p.accepted(i)[0].end for i in jobs)
        assert lags[len(lags) // 2] < 3.0, lags
        assert lags[-1] < 6.0, lags
        await p.until_over(*jobs)
        assert len(sent(p, "reportJobs(")) < 2 * len(jobs)

    scenario(tmp_path, story)


def test_running_jobs_are_proved_together_and_not_too_often(tmp_path: Path) -> None:
    """One transaction with a sign of life of each job, every ``prove_every`` seconds."""

    async def story(p: Provider) -> None:
        jobs = [p.chain.request(script="seconds=4000") for _ in range(3)]
        for job_id in jobs:
            p.chain.offer(job_id)
            await asyncio.sleep(5)
        p.sender.sent.clear()
        await asyncio.sleep(195)
        proofs = sent(p, "reportJobs(")
        assert proofs == ["reportJobs(1:RUNNING 2:RUNNING 3:RUNNING)"] * 3
        began = min(p.job(job_id).time.start for job_id in jobs)
        assert all(p.chain.state.proved[job_id] - began > 170 for job_id in jobs)
        p.slurm.is_down = True
        await asyncio.sleep(100)
        assert len(sent(p, "reportJobs(")) == 3  # what is not seen to run is not said to

    scenario(tmp_path, story, timing={"prove_every": 60})


def test_the_expiry_pays_what_was_proved(tmp_path: Path) -> None:
    """A provider that dies for good is paid up to its last sign of life."""

    async def story(p: Provider) -> None:
        (job_id,) = offered(p, 1, "seconds=90000")
        await asyncio.sleep(260)
        await p.kill()
        await asyncio.sleep(100)
        p.chain.expire(job_id)
        assert p.chain.bills[job_id] in (3, 4)
        p.start()

    scenario(tmp_path, story, timing={"prove_every": 60})
