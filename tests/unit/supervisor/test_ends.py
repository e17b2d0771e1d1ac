"""The end in Slurm and the end on chain."""

from __future__ import annotations

import pytest

from dsq.core.model import JobStatus
from dsq.supervisor.ends import LIMIT_DENIED, PARTITION_LIMIT, WORDS, end_of, lost_end, minutes_of
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.scheduler.port import ENDED_STATES
from tests.unit.supervisor.cases import NOW, sent


def ended(state: str, **changes: object) -> JobRecord:
    """A job that ran three minutes."""
    return sent(
        **{
            "phase": Phase.ENDED,
            "end_state": state,
            "started_at": NOW - 180,
            "ended_at": NOW,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("state", "status", "words"),
    [
        ("COMPLETED", JobStatus.FINISHED, ""),
        ("FAILED", JobStatus.FAILED, "the job's script exited with code 3"),
        ("NODE_FAIL", JobStatus.FAILED, WORDS["NODE_FAIL"]),
        ("OUT_OF_MEMORY", JobStatus.FAILED, WORDS["OUT_OF_MEMORY"]),
        ("BOOT_FAIL", JobStatus.FAILED, WORDS["BOOT_FAIL"]),
        ("PREEMPTED", JobStatus.FAILED, WORDS["PREEMPTED"]),
        ("REVOKED", JobStatus.FAILED, WORDS["REVOKED"]),
        ("TIMEOUT", JobStatus.OUT_OF_CREDITS, ""),
        ("DEADLINE", JobStatus.OUT_OF_CREDITS, ""),
        ("CANCELLED", JobStatus.FAILED, "the provider cancelled the job"),
    ],
)
def test_each_end_of_slurm_has_its_status(state: str, status: JobStatus, words: str) -> None:
    """Status, true minutes, wait status, and words where the customer needs them."""
    end = end_of(ended(state, exit_status=768))
    assert (end.status, end.minutes, end.exit_status, end.last_error) == (status, 3, 768, words)


def test_the_list_is_complete() -> None:
    """Every word that the port has for an ended job is mapped with words of its own."""
    for state in ENDED_STATES:
        assert "ended in Slurm as" not in end_of(ended(state)).last_error


def test_a_cancel_that_the_customer_wanted_is_cancelled() -> None:
    """And one with another cause fails with that cause."""
    assert end_of(ended("CANCELLED", cancel_requested=True)).status is JobStatus.CANCELLED
    end = end_of(ended("CANCELLED", cancel_cause="maintenance"))
    assert (end.status, end.last_error) == (JobStatus.FAILED, "maintenance")


@pytest.mark.parametrize("state", ["TIMEOUT", "DEADLINE"])
def test_a_lower_limit_than_the_bought_one_is_the_providers(state: str) -> None:
    """FAILED with "partition limit"; after a denied top-up with its own words."""
    low = ended(state, limit_minutes=30, limit_bought=60)
    assert end_of(low).status is JobStatus.FAILED
    assert end_of(low).last_error == PARTITION_LIMIT == "partition limit"
    denied = ended(state, limit_denied=True, bought_minutes=90)
    assert end_of(denied).last_error == LIMIT_DENIED


def test_a_top_up_that_came_too_late_leaves_it_out_of_credits() -> None:
    """The limit was the bought one when it was given, and nothing denied the raise."""
    late = ended("TIMEOUT", bought_minutes=90, limit_minutes=60, limit_bought=60)
    assert end_of(late).status is JobStatus.OUT_OF_CREDITS


def test_a_signal_is_named() -> None:
    """Wait status 9 is a kill."""
    words = "the job's script was ended by signal 9"
    assert end_of(ended("FAILED", exit_status=9)).last_error == words


@pytest.mark.parametrize(
    ("seconds", "minutes"), [(0, 1), (59, 1), (60, 1), (119, 1), (120, 2), (3600, 60)]
)
def test_minutes_follow_the_billing_rule(seconds: int, minutes: int) -> None:
    """At least one; begun minutes are free."""
    assert minutes_of(ended("COMPLETED", started_at=NOW - seconds)) == minutes


def test_a_lost_job_is_billed_to_its_last_sighting() -> None:
    """Not to now, and CANCELLED if the customer wanted its end."""
    lost = sent(started_at=NOW - 1000, last_alive_at=NOW - 400)
    assert (lost_end(lost).status, lost_end(lost).minutes) == (JobStatus.FAILED, 10)
    wanted = sent(started_at=NOW - 1000, last_alive_at=NOW - 400, cancel_requested=True)
    assert lost_end(wanted).status is JobStatus.CANCELLED
