"""What docs/clusters.md says about names that others rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsq.supervisor.scheduler import slurm_tools
from dsq.supervisor.scheduler.port import OUTPUT_FILE
from dsq.supervisor.scheduler.script import RAN, STARTED
from dsq.supervisor.scheduler.transport import KEPT_VARIABLES

PAGE = Path(__file__).parents[3] / "docs" / "clusters.md"


@pytest.mark.parametrize(
    "name", [*slurm_tools.KEPT_VARIABLES[:-1], OUTPUT_FILE, STARTED, f"`{RAN}TOKEN`"]
)
def test_the_page_names_what_jobs_find(name: str) -> None:
    """Every variable kept, the output's file and the fences are documented."""
    assert name in PAGE.read_text()


def test_a_line_keeps_no_more_than_a_job_may_see() -> None:
    """What commands inherit from the supervisor is a part of what the page lists."""
    assert set(KEPT_VARIABLES) <= set(slurm_tools.KEPT_VARIABLES)
