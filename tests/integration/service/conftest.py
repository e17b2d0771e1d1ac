from __future__ import annotations

from tests.support.anvil import anvil, grid, grid_template

__all__ = ["anvil", "grid", "grid_template"]
