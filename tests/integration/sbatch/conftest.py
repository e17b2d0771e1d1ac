from __future__ import annotations

import pytest

from dsq.core.chain import watcher
from tests.support.anvil import anvil, grid, grid_template

__all__ = ["anvil", "grid", "grid_template"]


@pytest.fixture(autouse=True)
def _short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are short here; looking for receipts more often saves most of the time."""
    monkeypatch.setattr(watcher, "BUSY_SECONDS", 0.04)
