"""The page of the language says what the code does."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from dsq.console.templates import templates
from dsq.sbatch.expand import expand
from dsq.sbatch.model.reference import put_into
from dsq.sbatch.modules.functions import FUNCTIONS
from dsq.sbatch.modules.resolving import with_modules
from dsq.sbatch.render import render
from dsq.sbatch.workflow import load_workflow

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
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
        workflow = asyncio.run(with_modules(load_workflow(block), None, folder=EXAMPLES))
        assert render(next(expand(workflow)).workflow)


def test_the_schema_beside_the_examples_is_that_of_the_model() -> None:
    """Editors find it by the first line of each example; 'dsq schema --write' makes it."""
    from dsq.sbatch.model.jsonschema import FILE_NAME, schema_text

    place = PAGE.parent / "examples" / FILE_NAME
    assert place.read_text(encoding="utf-8") == schema_text()


def test_the_examples_and_functions_of_the_page_are_those_that_there_are() -> None:
    """Each example with its title, and each function that modules may call."""
    text = PAGE.read_text(encoding="utf-8")
    for template in templates():
        assert f"| [{template.name}](examples/{template.name}.yaml) | {template.title} |" in text
    assert ", ".join(f"`{name}`" for name in sorted(FUNCTIONS)) in text
