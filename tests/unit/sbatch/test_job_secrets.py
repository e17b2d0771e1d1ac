"""Secrets in scripts: by name only."""

from __future__ import annotations

import pytest

from dsq.sbatch.render import render
from dsq.sbatch.workflow import InvalidWorkflow, parse_workflow
from tests.support.standins import Standins
from tests.unit.sbatch.builders import job, run
from tests.unit.sbatch.test_examples import shellcheck

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


@pytest.mark.parametrize("apptainer", [True, False])
def test_containers_see_secrets_of_several_lines(standins: Standins, apptainer: bool) -> None:
    """Byte for byte in both runtimes, with backslashes, signs of shells and a last line break."""
    value = "-----BEGIN\n\\n &\\\\ '$(x)' \"é\"\n\t-----END\n"
    image = {"image": "/input/image", "apptainer": apptainer}
    step = run('printf "%s" "$KEY"; printf "|%s|" "${_dsq_lines_KEY-none}"', container=image)
    script = render(parse_workflow(job(step, secrets=[{"name": "KEY"}])))
    ended = standins.run(script, {"KEY": value})
    assert (ended.code, ended.errors) == (0, "")
    assert ended.output == f"{value}|none|"
    words = [
        word for name in ("srun", "enroot") for call in standins.calls(name) for word in call.args
    ]
    assert not any("-----BEGIN" in word for word in words)


def test_scripts_with_secrets_are_clean() -> None:
    """For shellcheck too."""
    step = run("c", container={"image": "a:b"})
    assert shellcheck(render(parse_workflow(job(step, secrets=[{"name": "KEY"}])))) == ""
