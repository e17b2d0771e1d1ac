"""What the first picture does not need: imported after it, or when it is asked for.

Every module that is left out of the start is in :data:`REST`, which is read in a thread as
soon as something is painted, so that nobody waits for it at the first key either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any

from textual.screen import Screen

from dsq.console import quick

_SCREENS = "dsq.console.user.screens"

REST = (
    *(f"{_SCREENS}.{name}" for name in ("submit", "providers", "wallet", "grid", "notices")),
    *(f"dsq.console.dialogs.{name}" for name in ("first_run", "new_key", "top_up", "transfer")),
)
"""Modules of screens and dialogs that are imported late."""


def later(module: str, name: str) -> Callable[[], Screen[Any]]:
    """Makes a view whose module is imported when it is first shown.

    Args:
        module: Its name in :mod:`dsq.console.user.screens`.
        name: The class in it.
    """

    def make() -> Screen[Any]:
        made = getattr(import_module(f"{_SCREENS}.{module}"), name)()
        assert isinstance(made, Screen)
        return made

    return make


async def load_rest() -> None:
    """Imports :data:`REST` beside the screen."""
    for module in REST:
        await asyncio.to_thread(import_module, module)
    quick.steady()
