"""The formulas of the contracts and those of core/units.py, for a hundred thousand cases."""

from __future__ import annotations

import pytest
from hypothesis import settings

from dsq.core.model import JobDefinition, ProviderPrices
from tests.support.evm import Contract, World
from tests.unit.contracts.test_formulas import CASES, QUICK, compare


@pytest.fixture(scope="module")
def tools() -> Contract:
    """The Tools contract, which has no state."""
    return World().deploy("Tools")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(QUICK, max_examples=100_000)
@CASES
def test_cost_and_minutes(
    tools: Contract, definition: JobDefinition, price: ProviderPrices, minutes: int, wei: int
) -> None:
    """Cost of a time and time for a cost agree for all inputs; what does not fit saturates."""
    compare(tools, definition, price, minutes, wei)
