"""The agent's work, on a fake grid in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsq.core.chain import Batch, Event
from dsq.core.errors import NotFoundError, UnreachableError
from dsq.core.model import JobDefinition, JobStatus, job_hex_id
from dsq.core.units import CREDIT
from dsq.supervisor.journal import Journal
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.snapshot import Mode
from tests.support.fakes import CUSTOMER, ME, OTHER
from tests.support.provider import Provider, provider
from tests.support.virtual import run_virtual


def scenario(tmp_path: Path, story: Any, **options: Any) -> None:
    """Runs a story (an async function of a :class:`Provider`) in virtual time."""

    async def main() -> None:
        async with provider(tmp_path, **options) as made:
            await story(made)

    run_virtual(main())


def test_a_job_runs_and_is_billed_by_slurms_times(tmp_path: Path) -> None:
    """Claimed, submitted, RUNNING, FINISHED; 150 seconds are two minutes."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=150")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 10)
        await p.until_over(job_id)
        assert p.chain.ends[job_id] == [(JobStatus.FINISHED, 2, "", 0)]
        assert len(p.accepted(job_id)) == 1
        record = p.record(job_id)
        assert record is not None
        assert record.final_cost == p.job(job_id).cost.final_cost > 0
        assert record.earned == record.final_cost * 80 // 100 == p.chain.balances[ME]

    scenario(tmp_path, story)


def test_request_to_running_takes_few_blocks(tmp_path: Path) -> None:
    """From the offer to RUNNING in Slurm: one block for the claim, then no pause of ours."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(20)
        job_id = p.chain.request()
        began = p.world.clock.monotonic()
        p.chain.offer(job_id)
        await p.until(lambda: p.accepted(job_id), 10)
        # A block for the offer to be seen, one for the claim, and the polls between them.
        assert p.world.clock.monotonic() - began < 3.0

    scenario(tmp_path, story)


def test_the_exit_code_goes_to_the_chain_as_a_wait_status(tmp_path: Path) -> None:
    """A job that exits 3 is FAILED with 768 and billed."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=10 exit=3")
        p.chain.offer(job_id)
        await p.until_over(job_id)
        words = "the job's script exited with code 3"
        assert p.chain.ends[job_id] == [(JobStatus.FAILED, 1, words, 768)]
        assert p.job(job_id).cost.final_cost > 0

    scenario(tmp_path, story)


def test_a_job_too_short_to_be_seen_running_is_reported_running_first(tmp_path: Path) -> None:
    """SCHEDULED -> FINISHED does not exist: RUNNING and the end go in one transaction."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=0")
        p.chain.offer(job_id)
        await p.until_over(job_id)
        assert p.chain.ends[job_id] == [(JobStatus.FINISHED, 1, "", 0)]
        assert f"reportJobs({job_id}:RUNNING {job_id}:FINISHED)" in p.sender.sent

    scenario(tmp_path, story)


def test_output_reaches_the_log_service_whole(tmp_path: Path) -> None:
    """Lines in order, a last line without its end included, and the log is closed."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=5 output=one\\ntwo\\nthree")
        p.chain.offer(job_id)
        await p.until(lambda: job_hex_id(job_id) in p.logs.complete, 120)
        assert p.logs.lines[job_hex_id(job_id)] == [b"one", b"two", b"three"]

    scenario(tmp_path, story)


def test_a_log_service_that_is_down_delays_no_settlement(tmp_path: Path) -> None:
    """The job settles; its output is delivered when the service is back."""

    async def story(p: Provider) -> None:
        p.logs.is_down = True
        job_id = p.chain.request(script="seconds=5 output=late")
        p.chain.offer(job_id)
        await p.until_over(job_id, seconds=60)
        p.logs.is_down = False
        await p.until(lambda: job_hex_id(job_id) in p.logs.complete, 200)
        assert p.logs.lines[job_hex_id(job_id)] == [b"late"]

    scenario(tmp_path, story)


def test_a_running_job_is_cancelled(tmp_path: Path) -> None:
    """The cancelling queue leads to scancel, and the end is CANCELLED with its true minutes."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=5000")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        await asyncio.sleep(130)
        p.chain.cancel(job_id)
        began = p.world.clock.monotonic()
        await p.until_over(job_id)
        assert p.world.clock.monotonic() - began < 8
        status, minutes, _, _ = p.chain.ends[job_id][0]
        assert (status, minutes) == (JobStatus.CANCELLED, 2)

    scenario(tmp_path, story)


def test_a_scheduled_job_that_is_cancelled_leaves_slurm(tmp_path: Path) -> None:
    """The contract ends it at once; the supervisor hears the transition and cancels in Slurm."""

    async def story(p: Provider) -> None:
        p.slurm.start_delay = 10_000
        job_id = p.chain.request()
        p.chain.offer(job_id)
        await p.until(lambda: p.accepted(job_id), 20)
        p.chain.cancel(job_id)
        await p.until_over(job_id)
        assert [job.state for job in p.accepted(job_id)] == ["CANCELLED"]
        assert job_id not in p.chain.ends  # the chain had ended it already
        assert p.chain.balances[CUSTOMER] == 1000 * CREDIT

    scenario(tmp_path, story)


def test_a_job_cancelled_before_its_claim_is_never_submitted(tmp_path: Path) -> None:
    """Between offer and claim the job goes away: nothing reaches Slurm."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request()
        p.chain.offer(job_id)
        p.chain.cancel(job_id)
        await asyncio.sleep(30)
        assert p.accepted(job_id) == []

    scenario(tmp_path, story)


def test_a_job_at_its_bought_limit_is_out_of_credits(tmp_path: Path) -> None:
    """Credits for so many minutes, and Slurm's TIMEOUT after them."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(credits=2, script="seconds=5000")
        p.chain.offer(job_id)
        await p.until_over(job_id)
        assert p.accepted(job_id)[0].spec.minutes == 1
        assert p.chain.ends[job_id][0][:2] == (JobStatus.OUT_OF_CREDITS, 1)

    scenario(tmp_path, story)


@pytest.mark.parametrize(("partition", "own"), [(2, None), (None, 2), (2, 3), (3, 2)])
def test_a_job_at_a_lower_limit_failed(
    tmp_path: Path, partition: int | None, own: int | None
) -> None:
    """The lower of partition limit and max_minutes holds; its end is not the customer's."""

    async def story(p: Provider) -> None:
        p.slurm.max_minutes = partition
        job_id = p.chain.request(script="seconds=5000")
        p.chain.offer(job_id)
        await p.until_over(job_id)
        assert p.accepted(job_id)[0].spec.minutes == 2
        assert p.chain.ends[job_id][0][:3] == (JobStatus.FAILED, 2, "partition limit")

    scenario(tmp_path, story, max_minutes=own)


def test_a_top_up_lengthens_a_running_job(tmp_path: Path) -> None:
    """More credits, a longer limit in Slurm, and the job ends by itself."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(credits=2, script="seconds=100")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        p.chain.top_up(job_id, 3 * CREDIT)
        await p.until(lambda: p.accepted(job_id)[0].limit == 3, 20)
        await p.until_over(job_id)
        assert p.chain.ends[job_id] == [(JobStatus.FINISHED, 1, "", 0)]

    scenario(tmp_path, story)


def test_a_top_up_the_cluster_does_not_allow_comes_back(tmp_path: Path) -> None:
    """The record says why; the job ends at its old limit and is billed for that only."""

    async def story(p: Provider) -> None:
        p.slurm.may_raise = False
        job_id = p.chain.request(credits=2, script="seconds=500")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        p.chain.top_up(job_id, 30 * CREDIT)
        await p.until_over(job_id)
        texts = [note.text for note in p.journal.history(job_id)]
        assert any("the top-up comes back" in text for text in texts)
        told = [
            line for line in p.logs.lines[job_hex_id(job_id)] if b"credits of the top-up" in line
        ]
        assert len(told) == 1
        assert b"it stays at 1 min" in told[0]
        assert p.chain.bills[job_id] == 1
        status, _, words, _ = p.chain.ends[job_id][0]
        assert (status, words) == (
            JobStatus.FAILED,
            "the cluster did not let the time limit be raised",
        )

    scenario(tmp_path, story)


def test_a_refused_job_is_handed_back_with_a_word_in_its_log(tmp_path: Path) -> None:
    """Slurm says no: refuseJob, no second try, and the customer reads why."""

    async def story(p: Provider) -> None:
        p.slurm.refuses = "Requested node configuration is not available"
        job_id = p.chain.request()
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 30)
        assert p.accepted(job_id) == []
        assert p.logs.lines[job_hex_id(job_id)] == [
            b"the cluster refused the job: Requested node configuration is not available"
        ]
        assert p.sender.sent.count(f"refuseJob({job_id})") == 1

    scenario(tmp_path, story)


def test_a_job_that_comes_back_after_a_refusal_starts_anew(tmp_path: Path) -> None:
    """The journal opens a new life for it; the old one is not repeated."""

    async def story(p: Provider) -> None:
        p.slurm.refuses = "no"
        job_id = p.chain.request(script="seconds=5")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 30)
        p.slurm.refuses = ""
        await asyncio.sleep(5)
        p.chain.offer(job_id)
        await p.until_over(job_id)
        record = p.record(job_id)
        assert record is not None
        assert record.claims == 2
        assert p.chain.ends[job_id][0][0] is JobStatus.FINISHED

    scenario(tmp_path, story)


def test_what_can_never_run_here_goes_back_unclaimed(tmp_path: Path) -> None:
    """A job larger than the cluster is refused from the queue, without a claim."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(5)
        job_id = p.chain.request(definition=JobDefinition(1, 64, 10, 0, "x"))
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 30)
        assert not [label for label in p.sender.sent if label.startswith("claimNextJob")]

    scenario(tmp_path, story)


def test_credits_for_less_than_a_minute_are_handed_back(tmp_path: Path) -> None:
    """A limit of 0 minutes would be no limit for Slurm; the job is refused instead."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(credits=1)
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 30)
        assert p.accepted(job_id) == []

    scenario(tmp_path, story)


def test_an_unreachable_script_service_is_waited_for(tmp_path: Path) -> None:
    """An outage of the sbatch service fails no job."""

    async def story(p: Provider) -> None:
        p.scripts.error = UnreachableError("down")
        job_id = p.chain.request(script="seconds=5")
        p.chain.offer(job_id)
        await asyncio.sleep(120)
        assert p.job(job_id).status is JobStatus.SCHEDULED
        p.scripts.error = None
        await p.until_over(job_id)
        assert p.chain.ends[job_id][0][0] is JobStatus.FINISHED

    scenario(tmp_path, story)


def test_a_script_that_stays_away_too_long_sends_the_job_back(tmp_path: Path) -> None:
    """Patience ends after ``fetch_patience``: another provider may try."""

    async def story(p: Provider) -> None:
        p.scripts.error = UnreachableError("down")
        job_id = p.chain.request()
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 700)

    scenario(tmp_path, story)


def test_a_script_that_is_refused_sends_the_job_back_soon(tmp_path: Path) -> None:
    """The service says no for good: seconds, not minutes."""

    async def story(p: Provider) -> None:
        p.scripts.error = NotFoundError("There is no such script.")
        job_id = p.chain.request()
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 60)
        record = p.record(job_id)
        assert record is not None
        assert "no such script" in record.refuse_reason

    scenario(tmp_path, story)


def test_a_lost_reply_of_sbatch_is_looked_up(tmp_path: Path) -> None:
    """Slurm took the job, the answer was lost: found by its token, run once, paid."""

    async def story(p: Provider) -> None:
        p.slurm.lose_replies = 1
        job_id = p.chain.request(script="seconds=70")
        p.chain.offer(job_id)
        await p.until_over(job_id)
        assert len(p.accepted(job_id)) == 1
        assert p.chain.ends[job_id] == [(JobStatus.FINISHED, 1, "", 0)]

    scenario(tmp_path, story)


def test_a_lost_request_of_sbatch_is_repeated_once_it_is_certain(tmp_path: Path) -> None:
    """The search is certain: the attempt never came, so a second one is made."""

    async def story(p: Provider) -> None:
        p.slurm.lose_requests = 1
        job_id = p.chain.request(script="seconds=5")
        p.chain.offer(job_id)
        await p.until_over(job_id)
        assert len(p.accepted(job_id)) == 1
        assert len(p.slurm.given_up) == 1
        assert p.accepted(job_id)[0].spec.token not in p.slurm.given_up

    scenario(tmp_path, story)


def test_a_silent_cluster_tears_nothing_down(tmp_path: Path) -> None:
    """An hour without the cluster: the job ran on and is billed by Slurm's times."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=600")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        p.slurm.is_down = True
        await asyncio.sleep(3000)
        assert p.job(job_id).status is JobStatus.RUNNING
        p.slurm.is_down = False
        await p.until_over(job_id)
        assert p.chain.ends[job_id] == [(JobStatus.FINISHED, 10, "", 0)]

    scenario(tmp_path, story)


def test_a_silent_chain_tears_nothing_down(tmp_path: Path) -> None:
    """The job ends while the chain is away; it is reported when it is back."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=120")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        p.chain.is_down = True
        await asyncio.sleep(1000)
        p.chain.is_down = False
        await p.until_over(job_id)
        assert p.chain.ends[job_id] == [(JobStatus.FINISHED, 2, "", 0)]

    scenario(tmp_path, story)


def test_a_cluster_that_stays_away_gets_its_unstarted_jobs_taken(tmp_path: Path) -> None:
    """Claimed, never submitted, cluster gone: handed back after ``hand_back_after``."""

    async def story(p: Provider) -> None:
        p.scripts.error = UnreachableError("down")
        job_id = p.chain.request()
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.SCHEDULED, 20)
        p.slurm.is_down = True
        await asyncio.sleep(30)
        p.scripts.error = None
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 400)

    scenario(tmp_path, story, timing={"hand_back_after": 300})


def test_a_job_that_slurm_forgot_is_billed_to_its_last_sighting(tmp_path: Path) -> None:
    """Two sightings of its absence and the grace, then FAILED, billed as far as it was seen."""

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
        await p.until_over(job_id)
        assert p.world.clock.monotonic() - back >= 120
        status, minutes, words, _ = p.chain.ends[job_id][0]
        assert (status, minutes) == (JobStatus.FAILED, 3)
        assert "knows this job no more" in words

    scenario(tmp_path, story)


def test_a_job_that_slurm_put_back_is_found_by_its_token_and_taken_out(tmp_path: Path) -> None:
    """It has a new time of submission; what waits there would do nothing, and must not stay."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=200")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        await asyncio.sleep(50)
        p.slurm.closed = "DOWN"  # else the second run begins, and ends, at once
        p.slurm.requeue("1000")
        await p.until_over(job_id)
        assert p.slurm.jobs_by_id["1000"].state == "CANCELLED"
        status, minutes, words, _ = p.chain.ends[job_id][0]
        assert (status, minutes) == (JobStatus.FAILED, 1)
        assert "requeued" in words

    scenario(tmp_path, story)


def test_a_job_killed_by_the_operator_failed(tmp_path: Path) -> None:
    """CANCELLED in Slurm without a request on chain is no CANCELLED there."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=900")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        p.slurm.kill(p.accepted(job_id)[0].id)
        await p.until_over(job_id)
        assert p.chain.ends[job_id][0][0] is JobStatus.FAILED
        assert p.chain.ends[job_id][0][2] == "the provider cancelled the job"

    scenario(tmp_path, story)


def test_a_job_killed_before_it_started_goes_back(tmp_path: Path) -> None:
    """It certainly never ran: another provider may have it."""

    async def story(p: Provider) -> None:
        p.slurm.start_delay = 10_000
        job_id = p.chain.request()
        p.chain.offer(job_id)
        await p.until(lambda: (r := p.record(job_id)) and r.phase is Phase.SEEN, 20)
        p.slurm.kill(p.accepted(job_id)[0].id)
        await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 20)
        assert job_id not in p.chain.ends

    scenario(tmp_path, story)


def test_a_job_given_to_another_provider_is_taken_out_after_a_second_look(tmp_path: Path) -> None:
    """The chain says twice, some time apart, that the job is not ours: scancel, no report."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=5000")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        p.chain.force(job_id, provider=OTHER)
        p.chain.emit(
            "JobTransitionEvent",
            {"job_id": job_id, "from_status": JobStatus.RUNNING, "to_status": JobStatus.RUNNING},
        )
        await asyncio.sleep(20)
        assert p.accepted(job_id)[0].state == "RUNNING"
        await p.until(lambda: p.accepted(job_id)[0].state == "CANCELLED", 60)
        assert job_id not in p.chain.ends

    scenario(tmp_path, story)


def test_only_what_could_start_soon_is_claimed(tmp_path: Path) -> None:
    """Eight CPUs: two jobs of four are claimed, the third waits on chain until one ends."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(5)
        jobs = [
            p.chain.request(definition=JobDefinition(1, 4, 100, 0, "seconds=100")) for _ in range(3)
        ]
        for job_id in jobs:
            p.chain.offer(job_id)
        await asyncio.sleep(60)
        statuses = sorted(p.job(job_id).status for job_id in jobs)
        assert statuses == [JobStatus.META_SCHEDULED, JobStatus.RUNNING, JobStatus.RUNNING]
        await p.until_over(*jobs)

    scenario(tmp_path, story, claim_ahead=0)


def test_claim_ahead_lets_jobs_wait_in_slurm(tmp_path: Path) -> None:
    """With claim_ahead = 1 one more than fits is claimed."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(5)
        jobs = [
            p.chain.request(definition=JobDefinition(1, 4, 100, 0, "seconds=100")) for _ in range(4)
        ]
        for job_id in jobs:
            p.chain.offer(job_id)
        await asyncio.sleep(60)
        statuses = sorted(p.job(job_id).status for job_id in jobs)
        assert statuses.count(JobStatus.META_SCHEDULED) == 1
        assert statuses.count(JobStatus.SCHEDULED) == 1

    scenario(tmp_path, story, claim_ahead=1)


def test_fifty_jobs_at_once_all_end_and_the_money_adds_up(tmp_path: Path) -> None:
    """Every job FINISHED once; provider, fee and refunds make up what was locked."""

    async def story(p: Provider) -> None:
        jobs = [p.chain.request(script=f"seconds={5 + i % 70}") for i in range(50)]
        for job_id in jobs:
            p.chain.offer(job_id)
        await p.until_over(*jobs, seconds=2000)
        assert all(len(p.chain.ends[job_id]) == 1 for job_id in jobs)
        assert all(len(p.accepted(job_id)) == 1 for job_id in jobs)
        costs = sum(p.job(job_id).cost.final_cost for job_id in jobs)
        fees = sum(p.job(job_id).cost.final_cost * 20 // 100 for job_id in jobs)
        assert p.chain.balances[ME] + fees == costs
        assert p.chain.balances[CUSTOMER] + costs == 50 * 1000 * CREDIT

    scenario(tmp_path, story)


@pytest.mark.parametrize("delay", [0.0, 5.0], ids=["receipt", "follower"])
def test_the_time_of_a_claim_is_that_of_its_block(tmp_path: Path, delay: float) -> None:
    """Whichever is first to tell of a claim, receipt or follower, brings its time: it is not
    asked for job by job."""

    async def story(p: Provider) -> None:
        terms, asked = p.chain.claim_terms, list[int]()
        block_timestamp = p.chain.block_timestamp

        async def late(block_number: int) -> int:
            await asyncio.sleep(delay)
            return await block_timestamp(block_number)

        async def counted(ids: Sequence[int]) -> Any:
            asked.extend(ids)
            return await terms(ids)

        p.chain.claim_terms = counted  # type: ignore[method-assign]
        p.chain.block_timestamp = late  # type: ignore[method-assign]
        jobs = [p.chain.request(script="seconds=30") for _ in range(8)]
        for job_id in jobs:
            p.chain.offer(job_id)
        await p.until(lambda: all(p.accepted(job_id) for job_id in jobs), 60)
        for job_id in jobs:
            record = p.record(job_id)
            assert record is not None
            assert record.claim_time == p.chain.state.terms[job_id].claimed_at > 0
        assert asked == []

    scenario(tmp_path, story)


def test_one_poll_serves_all_jobs(tmp_path: Path) -> None:
    """The number of polls does not grow with the number of jobs."""

    async def story(p: Provider) -> None:
        jobs = [p.chain.request(script="seconds=300") for _ in range(8)]
        for job_id in jobs:
            p.chain.offer(job_id)
        await p.until(lambda: all(p.job(i).status is JobStatus.RUNNING for i in jobs), 60)
        before = p.slurm.polls
        await asyncio.sleep(60)
        assert p.slurm.polls - before <= 130

    scenario(tmp_path, story)


def test_an_error_of_one_job_stops_no_other(tmp_path: Path) -> None:
    """One job whose script never comes; the other runs as if alone."""

    async def story(p: Provider) -> None:
        fetch = p.scripts.fetch

        async def broken_for_one(job: Any) -> Any:
            if job.id == 1:
                raise RuntimeError("a bug")
            return await fetch(job)

        p.scripts.fetch = broken_for_one  # type: ignore[method-assign]
        first, second = (p.chain.request(script="seconds=5") for _ in range(2))
        p.chain.offer(first)
        p.chain.offer(second)
        await p.until_over(second, seconds=60)
        assert p.job(first).status is JobStatus.SCHEDULED

    scenario(tmp_path, story)


def test_paused_it_claims_nothing_and_goes_on_with_the_rest(tmp_path: Path) -> None:
    """pause leaves running jobs alone, what is placed then goes elsewhere; resume claims."""

    async def story(p: Provider) -> None:
        first, second = (p.chain.request(script="seconds=60") for _ in range(2))
        p.chain.offer(first)
        await p.until(lambda: p.job(first).status is JobStatus.RUNNING, 20)
        assert p.agent is not None
        p.agent.pause()
        p.chain.offer(second)
        await p.until_over(first)
        assert p.job(second).status is JobStatus.PENDING
        p.chain.offer(second)
        p.agent.resume()
        await p.until_over(second)

    scenario(tmp_path, story)


def test_draining_ends_empty(tmp_path: Path) -> None:
    """drain claims nothing new and is drained when its last job is closed."""

    async def story(p: Provider) -> None:
        first, second = (p.chain.request(script="seconds=60") for _ in range(2))
        p.chain.offer(first)
        await p.until(lambda: p.job(first).status is JobStatus.RUNNING, 20)
        agent = p.agent
        assert agent is not None
        agent.drain()
        p.chain.offer(second)
        assert not agent.is_drained
        await p.until_over(first)
        await p.until(lambda: agent.is_drained, 20)
        assert agent.mode is Mode.DRAINING

    scenario(tmp_path, story)


def test_a_stop_ends_within_five_seconds_and_leaves_jobs_running(tmp_path: Path) -> None:
    """SIGTERM in the midst of work: out in time, Slurm goes on, the next start settles all."""

    async def story(p: Provider) -> None:
        jobs = [p.chain.request(script="seconds=100") for _ in range(6)]
        for job_id in jobs:
            p.chain.offer(job_id)
        await p.until(lambda: any(j.state == "RUNNING" for j in p.accepted(jobs[0])), 20)
        assert await p.stop() < 5
        assert p.accepted(jobs[0])[0].state == "RUNNING"
        await asyncio.sleep(400)
        p.start()
        await p.until_over(*jobs)
        assert all(len(p.accepted(job_id)) == 1 for job_id in jobs)
        assert {p.chain.ends[job_id][0][:2] for job_id in jobs} == {(JobStatus.FINISHED, 1)}

    scenario(tmp_path, story)


def test_the_journal_is_searched_for_logs_once_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With thousands of jobs, each line of a log would else look at all of them."""
    searches = 0
    search = Journal.log_records

    def counted(journal: Journal) -> list[JobRecord]:
        nonlocal searches
        searches += 1
        return search(journal)

    monkeypatch.setattr(Journal, "log_records", counted)

    async def story(p: Provider) -> None:
        jobs = [p.chain.request(script="seconds=20") for _ in range(4)]
        for job_id in jobs:
            p.chain.offer(job_id)
        await p.until_over(*jobs)
        await asyncio.sleep(10)
        assert len(p.logs.complete) == 4
        assert searches == 1

    scenario(tmp_path, story)


def test_without_a_log_service_jobs_run_all_the_same(tmp_path: Path) -> None:
    """There is nothing to deliver logs to, and no reason to stop."""

    async def story(p: Provider) -> None:
        await p.stop()
        p.logs = None  # type: ignore[assignment]
        p.start()
        job_id = p.chain.request(script="seconds=20")
        p.chain.offer(job_id)
        await p.until_over(job_id)
        assert p.chain.ends[job_id][0][0] is JobStatus.FINISHED
        assert not p.has_stopped
        assert await p.stop() < 5

    scenario(tmp_path, story)


def test_the_last_report_goes_out_before_the_stop_is_over(tmp_path: Path) -> None:
    """An end that is noticed as the stop comes: it is written and sent, then the journal closes."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=20")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        agent = p.agent
        assert agent is not None
        while not agent.reporter.waiting:
            await asyncio.sleep(0.005)
        sent = len(p.sender.sent)
        await p.stop()
        assert len(p.sender.sent) == sent + 1
        assert all(task.get_name() != "dsq-report" for task in asyncio.all_tasks())

    scenario(tmp_path, story)


def test_a_killed_supervisor_reports_once_with_the_true_duration(tmp_path: Path) -> None:
    """Killed while a job runs, started long after its end: one report, Slurm's minutes."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=250")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        await p.kill()
        await asyncio.sleep(3000)
        p.start()
        await p.until_over(job_id)
        assert p.chain.ends[job_id] == [(JobStatus.FINISHED, 4, "", 0)]

    scenario(tmp_path, story)


def test_a_chain_that_went_back_is_read_again(tmp_path: Path) -> None:
    """A reset undoes an end: the closed record is taken up and the end reported again."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=70")
        p.chain.offer(job_id)
        await p.until_over(job_id)
        undone = p.job(job_id)
        p.chain.force(
            job_id,
            status=JobStatus.RUNNING,
            cost=type(undone.cost)(undone.cost.max_cost),
        )
        assert p.feed is not None
        p.feed.reset_next = True
        await p.until(lambda: len(p.chain.ends[job_id]) == 2, 60)
        assert p.chain.ends[job_id][0] == p.chain.ends[job_id][1]
        assert len(p.accepted(job_id)) == 1

    scenario(tmp_path, story)


def test_a_rolled_back_claim_is_claimed_again_and_submitted_once(tmp_path: Path) -> None:
    """The job runs in Slurm while its claim is undone; after the new claim it is reported."""

    async def story(p: Provider) -> None:
        p.slurm.start_delay = 30
        job_id = p.chain.request(script="seconds=70")
        p.chain.offer(job_id)
        await p.until(lambda: p.accepted(job_id), 20)
        p.chain.force(job_id, status=JobStatus.META_SCHEDULED)
        p.chain._claimable.append(job_id)
        assert p.feed is not None
        p.feed.reset_next = True
        await p.until_over(job_id)
        assert len(p.accepted(job_id)) == 1
        claims = [label for label in p.sender.sent if label.startswith("claimNextJobs(")]
        assert len(claims) == 2

    scenario(tmp_path, story)


def test_the_operator_can_cancel_a_job(tmp_path: Path) -> None:
    """A running job ends FAILED with the operator's words, billed as far as it ran."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=5000")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        assert p.agent is not None
        p.agent.cancel_job(job_id, "maintenance")
        await p.until_over(job_id)
        assert p.chain.ends[job_id][0][:3] == (JobStatus.FAILED, 1, "maintenance")

    scenario(tmp_path, story)


def test_evicted_jobs_end_and_unstarted_ones_go_back(tmp_path: Path) -> None:
    """Closing a cluster: what runs ends FAILED and billed, what waits is handed back."""

    async def story(p: Provider) -> None:
        jobs = [
            p.chain.request(definition=JobDefinition(1, 4, 100, 0, "seconds=5000"))
            for _ in range(3)
        ]
        for job_id in jobs:
            p.chain.offer(job_id)
        await p.until(lambda: len([i for i in jobs if p.accepted(i)]) == 3, 60)
        await p.until(lambda: [p.job(i).status for i in jobs].count(JobStatus.RUNNING) == 2, 60)
        assert p.agent is not None
        p.agent.evict()
        await p.until(lambda: p.agent is not None and p.agent.is_drained, 60)
        statuses = sorted(p.job(job_id).status for job_id in jobs)
        assert statuses == [JobStatus.PENDING, JobStatus.FAILED, JobStatus.FAILED]
        assert {end[0][2] for end in p.chain.ends.values()} == {"the provider closed its cluster"}

    scenario(tmp_path, story)


def test_old_events_that_come_again_have_nothing_read_again(tmp_path: Path) -> None:
    """What a start has read shows what was heard before it; what is new has the job read."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=5000")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        await asyncio.sleep(60)
        await p.stop()
        agent = p.start()
        await p.until(lambda: agent.services.views.peek(job_id), 20)
        view, head = agent.services.views.peek(job_id), await p.chain.head()
        args = {
            "job_id": job_id,
            "from_status": JobStatus.META_SCHEDULED,
            "to_status": JobStatus.SCHEDULED,
        }
        old = Event("JobTransitionEvent", "JobRepository", args, 1, b"", b"", 0)
        await agent.hearing.hear(Batch((old,), head, False))
        assert agent.services.views.peek(job_id) is view
        await agent.hearing.hear(Batch((replace(old, block_number=head.number),), head, False))
        assert agent.services.views.peek(job_id) is None
        assert not agent.claims.offered

    scenario(tmp_path, story)


def test_what_is_heard_while_a_step_ends_is_not_lost(tmp_path: Path) -> None:
    """A wake in the very moment in which the step of a job comes to rest starts a new one."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=5000")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        agent = p.agent
        assert agent is not None
        await asyncio.sleep(2)
        judged = 0
        judge = agent._stepper.judge

        async def counted(*args: Any) -> Any:
            nonlocal judged
            judged += 1
            found = await judge(*args)
            if judged == 1:
                # Runs when the step's coroutine has ended, before its task's callbacks do.
                asyncio.get_running_loop().call_soon(agent.wake, job_id)
            return found

        agent._stepper.judge = counted  # type: ignore[method-assign]
        agent.wake(job_id)
        await asyncio.sleep(0.2)
        assert judged == 2

    scenario(tmp_path, story)


def test_a_job_that_the_cluster_forgot_before_it_began_is_submitted_again(tmp_path: Path) -> None:
    """Nothing of it ran, and what is left of it never will: the second attempt is the only run."""

    async def story(p: Provider) -> None:
        blockers = [p.chain.request(script="seconds=300") for _ in range(8)]
        job_id = p.chain.request(script="seconds=5")
        for one in (*blockers, job_id):
            p.chain.offer(one)
        await p.until(lambda: len(p.accepted(job_id)) == 1, 60)
        await asyncio.sleep(5)
        p.slurm.lose(p.accepted(job_id)[0].id)
        await p.until_over(job_id)
        first, second = p.accepted(job_id)
        assert (first.runs, second.runs) == (0, 1)
        assert p.chain.ends[job_id][0][0] is JobStatus.FINISHED

    scenario(tmp_path, story, timing={"lost_grace": 20})


def test_a_clock_that_was_set_back_between_two_starts_delays_nothing(tmp_path: Path) -> None:
    """A grace that begins in an hour, by the clock of now, begins at the start instead."""

    async def story(p: Provider) -> None:
        blockers = [p.chain.request(script="seconds=300") for _ in range(8)]
        job_id = p.chain.request(script="seconds=5")
        for one in (*blockers, job_id):
            p.chain.offer(one)
        await p.until(lambda: len(p.accepted(job_id)) == 1, 60)
        await asyncio.sleep(5)
        p.slurm.lose(p.accepted(job_id)[0].id)
        await p.until(lambda: (r := p.record(job_id)) and r.missing_count == 2, 60)
        p.journal.flush()
        await asyncio.sleep(1)
        await p.kill()
        p.world.clock.step(-3600)
        p.start()
        await p.until(lambda: len(p.accepted(job_id)) == 2, 60)

    scenario(tmp_path, story, timing={"lost_grace": 20})


def test_a_job_that_began_unseen_and_was_forgotten_is_not_submitted_again(tmp_path: Path) -> None:
    """It may have done its work: FAILED, with the words, and nothing is billed."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=3")
        p.slurm.lose_replies = 1
        p.chain.offer(job_id)
        await p.until(lambda: p.accepted(job_id), 60)
        p.slurm.is_down = True
        await p.until(lambda: p.accepted(job_id)[0].state == "COMPLETED", 60)
        p.slurm.forget(p.accepted(job_id)[0].id)
        p.slurm.is_down = False
        await p.until_over(job_id)
        assert len(p.accepted(job_id)) == 1
        status, minutes, words, _ = p.chain.ends[job_id][0]
        assert (status, minutes) == (JobStatus.FAILED, 0)
        assert "never seen running" in words

    scenario(tmp_path, story, timing={"lost_grace": 20})


def test_two_jobs_with_one_slurm_id_are_told_apart(tmp_path: Path) -> None:
    """A controller that was killed gave the id of a job it forgot to another one: that one's end
    is not the first one's, who runs later and is billed for itself."""

    async def story(p: Provider) -> None:
        first, second = (p.chain.request(script=f"seconds={n}") for n in (5, 65))
        blockers = [p.chain.request(script="seconds=40") for _ in range(8)]
        for one in blockers:
            p.chain.offer(one)
        await p.until(lambda: all(map(p.accepted, blockers)), 60)
        await asyncio.sleep(10)
        p.chain.offer(first)
        await p.until(lambda: (r := p.record(first)) and r.phase is Phase.SEEN, 60)
        [lost] = p.slurm.lose_state(seconds=8)
        await asyncio.sleep(3)
        p.chain.offer(second)
        await p.until(lambda: (r := p.record(second)) and r.phase is Phase.SEEN, 60)
        ids = {r.slurm_id for i in (first, second) if (r := p.record(i)) is not None}
        assert ids == {lost.id}
        await p.until_over(first, second)
        assert p.chain.ends[first] == [(JobStatus.FINISHED, 1, "", 0)]
        assert p.chain.ends[second] == [(JobStatus.FINISHED, 1, "", 0)]
        assert [job.runs for job in p.accepted(first)] == [0, 1]

    scenario(tmp_path, story, timing={"lost_grace": 20}, claim_ahead=5)
