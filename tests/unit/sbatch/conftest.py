"""Fixtures for tests that run scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.standins import Standins


@pytest.fixture
def standins(tmp_path: Path) -> Standins:
    """Stand-ins for the programs that scripts call, in a directory of the test."""
    return Standins(tmp_path / "machine")
