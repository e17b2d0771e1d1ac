"""Fixtures for the contracts in an embedded EVM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # without pyrevm the import skips a module, which must not be this one
    from tests.support.evm import Contract, World


@pytest.fixture
def world() -> World:
    """All contracts, fresh and wired."""
    from tests.support.evm import World

    return World()


@pytest.fixture(scope="session")
def tools() -> Contract:
    """The Tools contract, which has no state."""
    from tests.support.evm import World

    return World().deploy("Tools")
