"""The page of the language says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from dsq.sbatch.model.reference import put_into
from dsq.sbatch.render import render
from dsq.sbatch.workflow import load_workflow

PAGE = Path(__file__).parents[3] / "docs" / "workflow.md"


def test_the_tables_are_those_of_the_model() -> None:
    """docs/workflow.md is up to date; its docstring says how to make it so."""
    text = PAGE.read_text(encoding="utf-8")
    assert put_into(text) == text


def test_the_workflows_of_the_page_work() -> None:
    """Each YAML block is a valid workflow that renders."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        assert render(load_workflow(block))


def test_the_schema_beside_the_examples_is_that_of_the_model() -> None:
    """Editors find it by the first line of each example; 'dsq schema --write' makes it."""
    from dsq.sbatch.model.jsonschema import FILE_NAME, schema_text

    place = PAGE.parent / "examples" / FILE_NAME
    assert place.read_text(encoding="utf-8") == schema_text()
