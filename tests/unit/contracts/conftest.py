"""Fixtures for the contracts in an embedded EVM."""

from __future__ import annotations

import pytest

from tests.support.evm import Contract, World


@pytest.fixture
def world() -> World:
    """All contracts, fresh and wired."""
    return World()


@pytest.fixture(scope="session")
def tools() -> Contract:
    """The Tools contract, which has no state."""
    return World().deploy("Tools")
