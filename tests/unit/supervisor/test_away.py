"""A cluster that goes away before a claimed job has started: the job goes back."""

from __future__ import annotations

import pytest

from dsq.core.model import JobStatus
from dsq.supervisor.actions import CancelSlurm
from dsq.supervisor.decide import decide
from tests.unit.supervisor.cases import NOW, POLICY, chain, sent, slurm


@pytest.mark.parametrize(
    ("reason", "waited", "goes_back"),
    [
        ("PartitionDown", 2000, True),
        ("PartitionInactive", 2000, True),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-2]", 2000, True),
        ("PartitionDown", 100, False),
        ("Resources", 100_000, False),
        ("Priority", 100_000, False),
    ],
)
def test_a_closed_cluster_is_waited_for_and_then_given_up(
    reason: str, waited: int, goes_back: bool
) -> None:
    """A full cluster is no closed one, however long it takes."""
    record = sent(slurm_state="PENDING", slurm_reason=reason, planned_at=NOW - waited)
    view = slurm("PENDING", reason=reason)
    actions = decide(chain(JobStatus.SCHEDULED), view, record, NOW, POLICY)
    assert any(isinstance(action, CancelSlurm) for action in actions) is goes_back


def test_a_job_that_runs_is_never_taken_out() -> None:
    """Whatever the reason beside it says."""
    record = sent(slurm_state="RUNNING", slurm_reason="PartitionDown", planned_at=NOW - 9999)
    view = slurm("RUNNING", reason="PartitionDown")
    actions = decide(chain(JobStatus.SCHEDULED), view, record, NOW, POLICY)
    assert not any(isinstance(action, CancelSlurm) for action in actions)
