"""The artifacts and their loader."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dsq import contracts

ROOT = Path(__file__).parents[3]

MARGIN = 3_000
"""Bytes of code that stay free below the limit of 24,576."""


def test_loading_twice_gives_the_same_object() -> None:
    """An artifact is read once."""
    assert contracts.load("Credit") is contracts.load("Credit")


def test_unknown_name_lists_the_contracts() -> None:
    """A name that is no contract is refused with those that are."""
    with pytest.raises(KeyError, match="no contract 'Credits'; there are Constants, Credit"):
        contracts.load("Credits")


@pytest.mark.parametrize("name", contracts.ARTIFACTS)
def test_code_fits_with_a_margin(name: str) -> None:
    """Every contract stays well below the size limit of the EVM."""
    size = len(bytes.fromhex(contracts.load(name).deployed_bytecode[2:]))
    assert 0 < size <= 24_576 - MARGIN


@pytest.mark.parametrize("name", contracts.ARTIFACTS)
def test_nothing_is_left_to_link(name: str) -> None:
    """Libraries are built in: the bytecode can be deployed as it is."""
    artifact = contracts.load(name)
    assert artifact.link_references == {}
    assert "_" not in artifact.bytecode


def snapshot(labels: int) -> dict[str, int]:
    """Gas by step of a job with so many labels."""
    text = (ROOT / "contracts" / "snapshots" / f"{labels}_labels.json").read_text()
    return {step: int(gas) for step, gas in json.loads(text).items()}


def test_a_job_costs_less_than_its_bounds() -> None:
    """A whole job without labels takes under 600,000 gas, a request with 50 under 1.5 million."""
    assert snapshot(0)["6_whole_job"] < 600_000
    assert snapshot(50)["1_request"] < 1_500_000


def test_the_page_says_where_the_gas_goes() -> None:
    """The table of docs/contracts.md adds up to the snapshot, column by column."""
    page = (ROOT / "docs" / "contracts.md").read_text()
    table = page[page.index("| gas | request |") :].split("\n\n")[0].splitlines()[2:]
    rows = [[int(re.sub(r"\D", "", cell) or 0) for cell in line.split("|")[2:-1]] for line in table]
    *parts, total = rows
    assert [sum(column) for column in zip(*parts, strict=True)] == total
    assert total == list(snapshot(0).values())
