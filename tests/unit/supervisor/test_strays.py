"""A lost journal, a second supervisor, a clock that is set, a chain that goes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from dsq.core.model import JobStatus
from dsq.core.units import CREDIT
from dsq.supervisor.lock import RivalError
from dsq.supervisor.rivals import KNOCK
from dsq.supervisor.rivals import LISTEN_SECONDS as LISTEN
from dsq.supervisor.strays import LISTEN_SECONDS
from dsq.supervisor.tokens import attempt_token
from tests.support.fakes import ME, FakeSender
from tests.support.provider import Provider, provider
from tests.support.virtual import EPOCH, run_virtual


def scenario(tmp_path: Path, story: Callable[[Provider], Awaitable[None]], **options: Any) -> None:
    """Runs a story in virtual time."""

    async def main() -> None:
        async with provider(tmp_path, **options) as made:
            await story(made)

    run_virtual(main())


async def lose_journal(p: Provider) -> None:
    """kill -9, and the journal's file is gone."""
    await p.kill()
    for path in p.settings.state_dir.glob("journal.db*"):
        path.unlink()
    p.start()


def test_a_job_whose_journal_was_lost_is_known_by_its_token(tmp_path: Path) -> None:
    """It runs on in Slurm, is taken up again, reported once and billed by Slurm's times."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=400")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        await lose_journal(p)
        await p.until_over(job_id)
        assert p.chain.ends[job_id] == [(JobStatus.FINISHED, 6, "", 0)]
        assert len(p.accepted(job_id)) == 1

    scenario(tmp_path, story)


def test_the_first_claim_comes_after_the_mark_of_a_whole_journal(tmp_path: Path) -> None:
    """Killed as it sends its very first claim, it knows at its next start that it lost nothing."""

    async def story(p: Provider) -> None:
        p.world.crash_kind = "sent tx claimNextJob"
        p.chain.batches = False
        job_id = p.chain.request(script="seconds=5")
        p.chain.offer(job_id)
        await p.until_over(job_id, seconds=200)
        assert p.world.crashes["sent tx claimNextJob"] == 1
        assert p.chain.ends[job_id][0][0] is JobStatus.FINISHED

    scenario(tmp_path, story)


def test_a_job_does_not_run_again_when_nothing_of_it_is_known(tmp_path: Path) -> None:
    """The chain went back over its claim, which got another time, and the journal was lost: not
    even its tokens can be made again. It is handed back and claimed anew; its script ends."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(20)  # there are blocks to be undone
        job_id = p.chain.request(script="seconds=400")
        p.chain.offer(job_id)
        await p.until(lambda: p.accepted(job_id) and p.accepted(job_id)[0].runs, 20)
        p.chain.is_stalled = True  # the claim is mined again after a while
        p.chain.reorganise(6)
        assert p.job(job_id).status is not JobStatus.SCHEDULED
        await asyncio.sleep(5)
        await p.kill()
        p.chain.is_stalled = False
        await asyncio.sleep(3)
        for path in p.settings.state_dir.glob("journal.db*"):
            path.unlink()
        p.chain.pool.clear()
        p.slurm.lost_journal = True
        p.start()

        def is_sent_again() -> bool:
            if p.job(job_id).status is JobStatus.PENDING:
                p.chain.offer(job_id)
            return len(p.accepted(job_id)) == 2

        await p.until(is_sent_again, 600)
        await p.until(lambda: p.job(job_id).status.is_final, 600)
        assert [one.runs for one in p.accepted(job_id)] == [1, 0]
        assert not p.world.violations

    scenario(tmp_path, story)


def test_a_claim_whose_journal_was_lost_is_handed_back(tmp_path: Path) -> None:
    """Nothing is submitted for it; it comes back as a claim of its own, and runs."""

    async def story(p: Provider) -> None:
        p.slurm.is_down = True
        await asyncio.sleep(1)
        p.slurm.is_down = False
        p.scripts.error = RuntimeError("no script")
        job_id = p.chain.request(script="seconds=5")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.SCHEDULED, 20)
        p.scripts.error = None
        began = p.world.clock.monotonic()
        await lose_journal(p)
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 300)
        assert p.world.clock.monotonic() - began >= LISTEN_SECONDS
        assert p.accepted(job_id) == []
        p.chain.offer(job_id)
        await p.until_over(job_id)
        assert p.chain.ends[job_id][0][0] is JobStatus.FINISHED

    scenario(tmp_path, story)


def test_a_running_job_without_its_token_is_left_alone(tmp_path: Path) -> None:
    """Another key's secret made the token: it is neither adopted, ended nor submitted."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=4000")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        p.slurm.tokens.clear()
        p.slurm.fences.clear()
        await lose_journal(p)
        await asyncio.sleep(200)
        assert p.job(job_id).status is JobStatus.RUNNING
        assert p.record(job_id) is None
        assert [job.state for job in p.accepted(job_id)] == ["RUNNING"]

    scenario(tmp_path, story)


def test_a_second_supervisor_with_the_same_key_gives_way(tmp_path: Path) -> None:
    """Of two that begin together the one stays whose first claim is older; the other stops with
    exit code 71, and what it had claimed is taken over."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(5)
        rival = p.rival(tmp_path / "rival")
        rival.start_task()
        await asyncio.sleep(5)
        jobs = []
        for _ in range(6):
            jobs.append(p.chain.request(script="seconds=30"))
            p.chain.offer(jobs[-1])
            await asyncio.sleep(3)
        await asyncio.sleep(60)
        (stopped,) = [one for one in (p, rival) if one.has_stopped]
        (stays,) = [one for one in (p, rival) if not one.has_stopped]
        error = stopped.error()
        assert isinstance(error, RivalError)
        assert error.exit_code == 71
        first = next(event for event in p.chain.log if event.name == "ClaimJobEvent")
        assert stays.sender.knows(first.tx_hash)
        for job_id in jobs:
            assert sum(job.runs for job in p.accepted(job_id)) <= 1
            if not p.job(job_id).status.is_final:
                p.chain.offer(job_id)
        await stays.until_over(*jobs)
        for job_id in jobs:
            assert sum(job.runs for job in p.accepted(job_id)) <= 1
        if stays is rival:
            await rival.stop()
        else:
            rival.journal.close()

    scenario(tmp_path, story)


def test_a_second_supervisor_leaves_the_first_at_its_work(tmp_path: Path) -> None:
    """Started by mistake beside one that had nothing to do just then: the newcomer asks first,
    is answered, and stops before it has claimed anything."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(5)
        jobs = [p.chain.request(script="seconds=30")]
        p.chain.offer(jobs[0])
        await p.until_over(*jobs)
        await asyncio.sleep(200)
        rival = p.rival(tmp_path / "rival")
        rival.start_task()
        await asyncio.sleep(LISTEN)
        assert isinstance(rival.error(), RivalError)
        assert "it answers in transaction" in str(rival.error())
        assert rival.sender.sent == [f"note({KNOCK.decode()})"]
        for _ in range(12):
            jobs.append(p.chain.request(script="seconds=20"))
            p.chain.offer(jobs[-1])
            await asyncio.sleep(4)
        assert not p.has_stopped
        rival.journal.close()
        await p.until_over(*jobs, seconds=3000)
        for job_id in jobs:
            assert sum(job.runs for job in p.accepted(job_id)) == 1

    scenario(tmp_path, story)


def test_the_next_supervisor_claims_when_nobody_answers(tmp_path: Path) -> None:
    """The first one has gone for good: the newcomer listens for a while, then takes its place."""

    async def story(p: Provider) -> None:
        first = p.chain.request(script="seconds=5")
        p.chain.offer(first)
        await p.until_over(first)
        next_one = p.rival(tmp_path / "next")
        await p.stop()
        next_one.start_task()
        began = p.world.clock.monotonic()
        job_id = p.chain.request(script="seconds=5")
        p.chain.offer(job_id)
        await next_one.until_over(job_id)
        claimed = [event for event in p.chain.log if event.name == "ClaimJobEvent"][-1]
        block = p.chain.block_at(claimed.block_number)
        assert block is not None
        assert block.time - EPOCH >= began + LISTEN
        assert next_one.job(job_id).status is JobStatus.FINISHED
        await next_one.stop()
        p.start()

    scenario(tmp_path, story)


def test_of_two_newcomers_one_stays(tmp_path: Path) -> None:
    """Both ask at the same time, and both know which of them it is."""

    async def story(p: Provider) -> None:
        first = p.chain.request(script="seconds=5")
        p.chain.offer(first)
        await p.until_over(first)
        one, two = p.rival(tmp_path / "one"), p.rival(tmp_path / "two")
        one.sender.rivals, two.sender.rivals = [p.sender, two.sender], [p.sender, one.sender]
        two.sender._name = "c"
        await p.stop()
        one.start_task()
        two.start_task()
        await asyncio.sleep(2 * LISTEN)
        (gone,) = [each for each in (one, two) if each.has_stopped]
        assert isinstance(gone.error(), RivalError)
        gone.journal.close()
        stays = two if gone is one else one
        job_id = p.chain.request(script="seconds=5")
        p.chain.offer(job_id)
        await stays.until_over(job_id)
        await stays.stop()
        p.start()

    scenario(tmp_path, story)


def test_what_the_owner_sends_by_hand_changes_nothing(tmp_path: Path) -> None:
    """A transfer from the same wallet while jobs come: told in the log, no more."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(5)
        owner = FakeSender(p.chain, "by hand")
        p.sender.rivals = [owner]
        await owner.send(p.chain.calls.note(ME, b"rent of June"))
        job_id = p.chain.request(script="seconds=5")
        p.chain.offer(job_id)
        await p.until_over(job_id, seconds=60)
        assert p.chain.ends[job_id][0][0] is JobStatus.FINISHED
        assert not [label for label in p.sender.sent if label.startswith("note")]

    scenario(tmp_path, story)


def test_tokens_come_out_the_same_and_cannot_be_guessed() -> None:
    """The same for one attempt, another for each job, claim, attempt and key."""
    token = attempt_token(b"seed", 7, 1000, 1)
    assert token == attempt_token(b"seed", 7, 1000, 1)
    others = {
        attempt_token(b"seed", 8, 1000, 1),
        attempt_token(b"seed", 7, 1001, 1),
        attempt_token(b"seed", 7, 1000, 2),
        attempt_token(b"other", 7, 1000, 1),
        attempt_token(b"", 7, 1000, 1),
        attempt_token(b"seed", 7, 0, 1),
    }
    assert len(others | {token}) == 7
    assert all(len(one) == 16 for one in others)


def test_a_top_up_that_the_chain_dropped_is_taken_back(tmp_path: Path) -> None:
    """The limit goes down to what is paid, and the job is out of credits there."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(credits=4, script="seconds=900")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        p.chain.top_up(job_id, 20 * CREDIT)
        await p.until(lambda: p.accepted(job_id)[0].limit == 21, 20)
        p.chain.reorganise(6, lambda: True)
        await p.until(lambda: p.accepted(job_id)[0].limit == 3, 60)
        await p.until_over(job_id)
        assert p.chain.ends[job_id] == [(JobStatus.OUT_OF_CREDITS, 3, "", 0)]

    scenario(tmp_path, story)


def test_a_clock_that_is_set_calls_no_job_lost(tmp_path: Path) -> None:
    """An hour forward while Slurm shows the job no more: the grace begins anew."""

    async def story(p: Provider) -> None:
        p.slurm.min_job_age = 0
        job_id = p.chain.request(script="seconds=200")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        await asyncio.sleep(190)
        p.slurm.is_down = True
        await asyncio.sleep(30)
        p.slurm.is_down = False
        back = p.world.clock.monotonic()
        await asyncio.sleep(10)
        p.world.clock.step(3600)
        await p.until_over(job_id)
        assert p.world.clock.monotonic() - back >= 120

    scenario(tmp_path, story)
