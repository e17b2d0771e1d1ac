"""Secrets in scripts: by name only."""

from __future__ import annotations

import pytest

from dsq.sbatch.render import render
from dsq.sbatch.workflow import InvalidWorkflow, parse_workflow
from tests.support.standins import Standins
from tests.unit.sbatch.builders import job, run

WORKFLOW = job(run('printf %s "$TOKEN"'), secrets=[{"name": "TOKEN"}, {"name": "OTHER"}])


def test_steps_see_the_secrets_of_the_jobs_environment(standins: Standins) -> None:
    """Byte for byte, and no program gets one as an argument."""
    value = "hunter2 'and\n$(more)"
    ended = standins.run(render(parse_workflow(WORKFLOW)), {"TOKEN": value, "OTHER": ""})
    assert (ended.code, ended.output, ended.errors) == (0, value, "")
    assert not any("hunter2" in word for call in standins.calls("srun") for word in call.args)


def test_a_missing_secret_ends_the_job_with_its_name(standins: Standins) -> None:
    """Before anything is made or run."""
    ended = standins.run(render(parse_workflow(WORKFLOW)), {"OTHER": "x"})
    assert (ended.code, ended.output) == (1, "")
    assert ended.errors == "These secrets did not come with the job: TOKEN.\n"
    assert standins.calls("srun") == []


def test_a_sweep_has_no_script() -> None:
    """It is refused rather than left out."""
    workflow = parse_workflow(
        job(run("true"), sweep={"parameters": [{"name": "A", "values": ["1"]}]})
    )
    with pytest.raises(InvalidWorkflow, match="a sweep has no script of its own"):
        render(workflow)
