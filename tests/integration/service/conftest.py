from __future__ import annotations

from tests.support.anvil import anvil, grid, grid_template
from tests.support.redis import redis_url

__all__ = ["anvil", "grid", "grid_template", "redis_url"]
