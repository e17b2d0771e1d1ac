"""How a sighting changes a record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsq.core.model import JobStatus
from dsq.supervisor.observe import Sight, SlurmView, observe
from dsq.supervisor.records import Phase
from dsq.supervisor.scheduler.port import UNTOLD
from dsq.supervisor.states import BodyState, body_state
from tests.unit.supervisor.cases import (
    ABSENT,
    CHAINS,
    DARK,
    FORGOTTEN_JOB,
    NONE,
    NOW,
    POLICY,
    ChainState,
    chain,
    record,
    sent,
    slurm,
)

PLANNED = record(phase=Phase.PLANNED, attempt=1, token="t", planned_at=NOW - 50)
RUNNING = sent(slurm_state="RUNNING", started_at=NOW - 80, last_alive_at=NOW - 20)


def test_a_found_attempt_gets_its_id() -> None:
    """The search by token found the job: id and submit time are kept from then on."""
    seen, words = observe(PLANNED, None, slurm("PENDING"), NOW)
    assert (seen.phase, seen.slurm_id, seen.submit_time) == (Phase.SEEN, "41", NOW - 89)
    assert "waits in Slurm as 41" in words


def test_an_attempt_that_was_not_found_is_counted_once() -> None:
    """The port's "not there" is certain: one is enough."""
    seen, _ = observe(PLANNED, None, ABSENT, NOW)
    assert seen.missing_count == 1
    assert seen.phase is Phase.PLANNED


def test_a_forgotten_attempt_is_never_sent_again() -> None:
    """It did start: it counts as sent, and as missing."""
    seen, _ = observe(PLANNED, None, FORGOTTEN_JOB, NOW)
    assert seen.phase is Phase.SENT
    assert seen.missing_count == 1


def test_a_running_job_is_sighted() -> None:
    """Start from Slurm, last sighting from our clock."""
    seen, words = observe(sent(slurm_state="PENDING"), None, slurm("RUNNING"), NOW)
    assert (seen.started_at, seen.last_alive_at) == (NOW - 80, NOW)
    assert words == "runs in Slurm as 41 on n1"
    again, words = observe(seen, None, slurm("RUNNING"), NOW + 5)
    assert again.last_alive_at == NOW + 5
    assert words == ""


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"])
def test_an_end_is_taken_from_slurms_record(state: str) -> None:
    """Start, end and exit are Slurm's, not ours."""
    look = slurm(state, start=NOW - 300, end=NOW - 100, exit_code=3)
    seen, words = observe(RUNNING, None, look, NOW)
    assert (seen.phase, seen.end_state) == (Phase.ENDED, state)
    assert (seen.started_at, seen.ended_at, seen.exit_status) == (NOW - 300, NOW - 100, 768)
    assert words == f"ended in Slurm: {state}, exit 3"


def test_a_signal_goes_into_the_wait_status() -> None:
    """0:9 is wait status 9."""
    seen, _ = observe(RUNNING, None, slurm("FAILED", end=NOW, signal=9), NOW)
    assert seen.exit_status == 9


@pytest.mark.parametrize(
    ("state", "changes", "has_run"),
    [
        ("CANCELLED", {"start": 0, "nodes": ""}, False),
        ("CANCELLED", {"start": NOW - 5, "end": NOW - 5, "nodes": ""}, False),
        ("CANCELLED", {"start": NOW - 5, "end": NOW - 5}, True),
        ("DEADLINE", {"start": NOW - 5, "end": NOW - 5, "nodes": ""}, False),
        ("BOOT_FAIL", {"start": NOW - 50, "end": NOW - 5}, False),
        ("FAILED", {"start": NOW - 5, "end": NOW - 5}, True),
        ("COMPLETED", {"start": NOW - 5, "end": NOW - 5}, True),
    ],
)
def test_whether_an_ended_job_has_run(state: str, changes: dict[str, int], has_run: bool) -> None:
    """Only a job that certainly never ran may be handed back."""
    seen, _ = observe(sent(slurm_state="PENDING"), None, slurm(state, **changes), NOW)
    assert bool(seen.started_at) is has_run


def test_a_job_seen_running_has_run_whatever_the_end_says() -> None:
    """The journal's own sighting counts even if the last record has no start."""
    seen, _ = observe(RUNNING, None, slurm("CANCELLED", start=0, nodes="", end=NOW), NOW)
    assert seen.started_at == RUNNING.started_at


def test_an_end_before_the_start_is_no_negative_time() -> None:
    """A clock that was set back on the cluster gives 0 seconds, not less."""
    seen, _ = observe(RUNNING, None, slurm("COMPLETED", end=NOW - 500), NOW)
    assert seen.ended_at == seen.started_at


def test_a_requeued_job_keeps_its_first_run() -> None:
    """Put back after it ran: the bill ends with the last sighting of the first run."""
    queued, words = observe(RUNNING, None, slurm("PENDING", submit_time=NOW), NOW)
    assert queued.requeued
    assert "back into its queue" in words
    again, _ = observe(queued, None, slurm("RUNNING", start=NOW + 50), NOW + 60)
    assert again.last_alive_at == RUNNING.last_alive_at
    end, _ = observe(again, None, slurm("CANCELLED", start=NOW + 50, end=NOW + 70), NOW + 70)
    assert (end.started_at, end.ended_at) == (RUNNING.started_at, RUNNING.last_alive_at)


@pytest.mark.parametrize("state", ["PENDING", "REQUEUE_HOLD"])
def test_a_run_that_nobody_saw_is_one_run(state: str) -> None:
    """Slurm counts how often it put a job back: its script may have begun before."""
    waiting, _ = observe(sent(), None, slurm("PENDING"), NOW)
    assert not waiting.requeued
    back, words = observe(sent(), None, slurm(state, start=0, nodes="", restarts=1), NOW)
    assert back.requeued
    assert not back.started_at
    assert "back into its queue" in words


def test_an_end_in_the_queue_after_a_run_that_nobody_saw_is_no_end_before_the_start() -> None:
    """Such a job must not run elsewhere; with no record of its run it costs nothing."""
    gone = slurm("CANCELLED", start=0, nodes="", end=NOW)
    fresh, _ = observe(sent(), None, gone, NOW)
    assert body_state(gone, fresh, NOW, POLICY) is BodyState.UNRUN
    again = slurm("CANCELLED", start=0, nodes="", end=NOW, restarts=1)
    record, _ = observe(sent(), None, again, NOW)
    assert body_state(again, record, NOW, POLICY) is BodyState.LOST_UNSEEN


def test_absences_are_counted_by_looks_not_by_judgements() -> None:
    """The same look judged twice is one sighting; the next look is the second."""
    once, _ = observe(RUNNING, None, ABSENT, NOW)
    twice, _ = observe(once, None, ABSENT, NOW)
    assert (once.missing_count, twice.missing_count) == (1, 1)
    later, _ = observe(twice, None, replace(ABSENT, at=NOW + 2), NOW + 2)
    assert (later.missing_count, later.missing_since) == (2, NOW)


def test_a_clock_that_is_set_back_begins_an_absence_anew() -> None:
    """Else the grace would last as long as the clock went back."""
    absent = replace(RUNNING, missing_count=2, missing_since=NOW + 3600)
    seen, _ = observe(absent, None, ABSENT, NOW)
    assert (seen.missing_count, seen.missing_since) == (1, NOW)


def test_a_sighting_ends_an_absence() -> None:
    """Found again: the count starts anew."""
    missing = replace(RUNNING, missing_count=2, missing_since=NOW - 50)
    seen, _ = observe(missing, None, slurm("RUNNING"), NOW)
    assert (seen.missing_count, seen.missing_since) == (0, 0)


@pytest.mark.parametrize("look", [DARK, NONE])
def test_no_answer_changes_nothing(look: SlurmView) -> None:
    """Darkness is no sighting of anything."""
    assert observe(RUNNING, None, look, NOW) == (RUNNING, "")


def test_a_cancel_on_chain_is_remembered() -> None:
    """A request, or the job already CANCELLED: an end as CANCELLED is then the customer's."""
    for view in (CHAINS[ChainState.STOPPING], CHAINS[ChainState.OVER]):
        seen, words = observe(RUNNING, view, NONE, NOW)
        assert seen.cancel_requested
        assert words == "the customer cancelled it"


def test_readings_that_the_job_is_not_ours_are_counted() -> None:
    """And forgotten as soon as it is ours again."""
    stranger = chain(JobStatus.RUNNING, mine=False)
    once, _ = observe(RUNNING, stranger, NONE, NOW)
    assert once.stranger_count == 1
    later = replace(stranger, at=NOW + 10)
    twice, _ = observe(once, later, NONE, NOW + 10)
    assert (twice.stranger_count, twice.stranger_since) == (2, NOW)
    ours, _ = observe(twice, CHAINS[ChainState.RUNNING], NONE, NOW + 20)
    assert ours.stranger_count == 0


def test_a_closed_record_does_not_change() -> None:
    """What is final stays as it is."""
    closed = replace(RUNNING, phase=Phase.FINAL)
    assert observe(closed, CHAINS[ChainState.STOPPING], slurm("FAILED"), NOW) == (closed, "")


def test_a_claimed_job_has_no_sightings() -> None:
    """Before an attempt, a look into Slurm says nothing about the job."""
    look = SlurmView(Sight.FOUND, slurm("RUNNING").job, NOW)
    assert observe(record(), None, look, NOW) == (record(), "")


def test_a_job_of_which_nothing_can_be_told_is_as_in_a_silent_cluster() -> None:
    """It left the queue, and the accounting does not answer: no absence is counted."""
    look = SlurmView.of(replace(slurm("RUNNING").job, state=UNTOLD, start=0, nodes=""), NOW)
    assert look.sight is Sight.DARK
    assert observe(RUNNING, None, look, NOW) == (RUNNING, "")


def test_a_run_that_began_later_is_not_the_one_that_is_billed() -> None:
    """A controller that lost its last seconds starts the job again, and the data base keeps the
    last run: the first start stands, and its last sighting is the end."""
    job = slurm("RUNNING").job
    assert job is not None
    again = replace(job, start=NOW - 5)
    seen, words = observe(RUNNING, None, SlurmView.of(again, NOW), NOW)
    assert (seen.started_at, seen.last_alive_at, words) == (NOW - 80, NOW - 20, "")
    end = replace(again, state="FAILED", end=NOW - 4, exit_code=75)
    for before in (RUNNING, seen):
        over, _ = observe(before, None, SlurmView.of(end, NOW), NOW)
        assert (over.started_at, over.ended_at) == (NOW - 80, NOW - 20)
