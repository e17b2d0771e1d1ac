"""What is said about a job: entries of a batch, and the journal's words before and after it."""

from __future__ import annotations

from dataclasses import replace

from dsq.core.chain.calls import Report
from dsq.core.model import JobDefinition, JobStatus
from dsq.supervisor.ends import End
from dsq.supervisor.records import JobRecord
from dsq.supervisor.wishes import Wish, entries_of, intent_of, outcome_of
from tests.support.fakes import CUSTOMER

CLAIMED, NOW = 1_000, 2_000
RECORD = JobRecord(7, CUSTOMER, JobDefinition(1, 1, 10), claim_time=CLAIMED, started_at=1_200)
END = End(JobStatus.FAILED, 5, 256, "it broke", start=1_200, end=1_500)


def test_a_start_and_an_end_are_two_entries_of_one_run() -> None:
    """Both tell the same start, by the chain's clock."""
    both = Wish(7, running=True, end=END)
    assert both.size == 2
    assert entries_of(both, RECORD, NOW) == [
        Report(7, JobStatus.RUNNING, 1_200),
        Report(7, JobStatus.FAILED, 1_200, 1_500, "it broke", 256),
    ]


def test_a_start_is_never_before_the_claim_nor_after_the_newest_block() -> None:
    """The contract takes no other; a start that is not known is now."""
    for started, said in ((900, CLAIMED), (2_500, NOW), (0, NOW)):
        record = replace(RECORD, started_at=started)
        assert entries_of(Wish(7, running=True), record, NOW) == [
            Report(7, JobStatus.RUNNING, said)
        ]


def test_a_run_waits_for_the_chains_clock() -> None:
    """Five minutes that were run do not fit between the claim and a block 290 s later."""
    assert entries_of(Wish(7, end=END), RECORD, CLAIMED + 290) is None
    assert entries_of(Wish(7, end=END), RECORD, CLAIMED + 300) is not None


def test_of_a_job_that_the_journal_does_not_know_nothing_is_said() -> None:
    """It was forgotten since."""
    assert entries_of(Wish(7, running=True), None, NOW) == []


def test_only_an_end_is_written_before_it_is_said() -> None:
    """A start, or a sign of life, may be said twice."""
    assert intent_of(Wish(7, running=True)) is None
    words = "reporting FAILED, 5 min"
    assert intent_of(Wish(7, end=END)) == (7, words, {"last_error": "it broke"})


def test_what_was_taken_is_written() -> None:
    """An end before a start; of a start that is known already, and of a sign of life, the time."""
    alive = {"proved_at": NOW}
    assert outcome_of(Wish(7, running=True, end=END), RECORD, NOW) == (
        7,
        "reported FAILED, 5 min",
        {"reported": JobStatus.FAILED},
    )
    assert outcome_of(Wish(7, running=True), RECORD, NOW) == (
        7,
        "reported RUNNING",
        {"reported": JobStatus.RUNNING, **alive},
    )
    known = replace(RECORD, reported=JobStatus.RUNNING)
    assert outcome_of(Wish(7, running=True), known, NOW) == (7, "", alive)
    assert outcome_of(Wish(7, running=True, is_proof=True), RECORD, NOW) == (7, "", alive)
