"""docs/reference says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from dsq.console.commands.log_steps import step_to_dict
from dsq.console.commands.providers import record_to_dict
from dsq.console.commands.reference import render_reference
from dsq.console.commands.watching import END_CODES
from dsq.console.steps import Step
from dsq.console.user.track_record import track_record
from dsq.core import errors
from dsq.core.grid import WhyReport
from dsq.core.model import JobStatus
from dsq.core.views import (
    balance_to_dict,
    job_to_dict,
    provider_to_dict,
    transition_to_dict,
    why_not_to_dict,
    why_to_dict,
)
from dsq.core.watching import Transition

from .double import ME, PROVIDER, job

DOCS = Path(__file__).parents[3] / "docs" / "reference"


def test_commands_are_those_of_the_code() -> None:
    """docs/reference/commands.md is what the generator prints now."""
    assert (DOCS / "commands.md").read_text() == render_reference(), (
        "run: python -m dsq.console.commands.reference > docs/reference/commands.md"
    )


def rows_of(text: str) -> dict[str, list[str]]:
    """Table rows of a page: the words of the first cell that stand in backticks -> cells."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall(r"`([^`]+)`", cells[0]) if line.startswith("|") else ():
            found[name] = cells
    return found


def test_errors_are_those_of_the_code() -> None:
    """Each error with its code and exit code, none missing, none invented."""
    page = rows_of((DOCS / "errors.md").read_text().split("## What a contract refuses")[0])
    classes = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.DsqError)
    }
    assert {name for name in page if name.endswith("Error")} == set(classes)
    for name, error in classes.items():
        assert page[name][1:3] == [f"`{error.code}`", str(error.exit_code)]


def test_ends_of_a_watched_job_are_those_of_the_code() -> None:
    """The exit codes of submit --watch."""
    page = rows_of((DOCS / "errors.md").read_text())
    for status, code in END_CODES.items():
        assert page[status.name][1] == str(code)
    assert JobStatus.FAILED.name in page


def test_json_fields_are_those_of_the_code() -> None:
    """Every field that is printed is described."""
    text = (DOCS / "json.md").read_text()
    for value in (
        job_to_dict(job(1)),
        provider_to_dict(PROVIDER),
        provider_to_dict(PROVIDER)["nodes"][0],
        balance_to_dict(ME, balance_wei=0, allowance_wei=0, locked_wei=0, native_wei=0),
        why_to_dict(WhyReport(1, JobStatus.PENDING, 1, 1, ())),
        transition_to_dict(Transition(JobStatus.PENDING, 1, 1, bytes(32))),
        record_to_dict(track_record([])),
        step_to_dict(Step("steps[0]", 0, 0, 0)),
    ):
        for field in value:
            assert f"`{field}`" in text, field
    for status in JobStatus:
        assert f"`{status.name}`" in text
    assert why_not_to_dict.__doc__
