"""Which status may follow which."""

from __future__ import annotations

import itertools

import pytest

from dsq.core.model import ZERO_ADDRESS, JobStatus
from tests.support.evm import Contract, RevertedError, World, refusal

ALLOWED = {
    JobStatus.PENDING: "META_SCHEDULED CANCELLED PANICKED",
    JobStatus.META_SCHEDULED: "PENDING SCHEDULED CANCELLED PANICKED",
    JobStatus.SCHEDULED: "PENDING RUNNING CANCELLED FAILED PANICKED",
    JobStatus.RUNNING: "CANCELLED FINISHED FAILED OUT_OF_CREDITS PANICKED",
}
PAIRS = list(itertools.product(JobStatus, JobStatus))


def verdict(before: JobStatus, after: JobStatus) -> tuple[str, tuple[object, ...]] | None:
    """The refusal that the table demands, None if the step is allowed."""
    if before == after:
        return ("SameStatusError", ())
    if before.is_final:
        return ("JobHotStatusOnly", (int(before),))
    if after.name in ALLOWED[before].split():
        return None
    return ("InvalidTransition", (int(before), int(after)))


def test_there_are_81_pairs() -> None:
    """The table is complete: nine statuses to nine."""
    assert len(PAIRS) == 81
    assert sum(verdict(*pair) is None for pair in PAIRS) == 17


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=lambda status: status.name)
def test_pair(tools: Contract, before: JobStatus, after: JobStatus) -> None:
    """A step is allowed, or refused with the error the table names and its values."""
    step = refusal(lambda: tools.call("checkNewJobStatus", int(before), int(after)))
    assert step == verdict(before, after)


def test_hot_cold_and_topable(tools: Contract) -> None:
    """Jobs are hot up to RUNNING; claimed and running ones take top-ups."""
    for status in JobStatus:
        assert tools.call("isJobHot", int(status)) is status.is_hot
        assert tools.call("isJobCold", int(status)) is status.is_final
        topable = status in (JobStatus.SCHEDULED, JobStatus.RUNNING)
        assert tools.call("isDelegateTopable", int(status)) is topable


def test_numbers_that_are_no_status_are_refused(tools: Contract) -> None:
    """Status 9 does not decode."""
    with pytest.raises(RevertedError) as error:
        tools.call("isJobHot", 9)
    assert error.value.name == ""


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=lambda status: status.name)
def test_provider_reports(world: World, before: JobStatus, after: JobStatus) -> None:
    """A provider's report moves a job along the same table, and only to RUNNING or an end."""
    job_id = world.job_at(before)
    expected = verdict(before, after)
    if after < JobStatus.RUNNING:
        expected = ("RunningColdStatusOnly", (int(after),))
    if before == JobStatus.PENDING:
        expected = ("JobProviderOnly", (world.p1.lower, ZERO_ADDRESS.lower))
    assert refusal(lambda: world.report(job_id, after)) == expected
    assert world.job(job_id).status == (before if expected else after)
