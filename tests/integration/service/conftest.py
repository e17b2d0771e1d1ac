from __future__ import annotations

from tests.support.anvil import anvil, grid

__all__ = ["anvil", "grid"]
