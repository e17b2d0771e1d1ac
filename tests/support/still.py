"""Waits until an app has done what it was told, by looking at it instead of at a watch.

An app is still when its event loop has nothing ready, no thread works for it, and its screen
has nothing left to paint. What only time brings (a timer, a debounce) is not waited for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

import pytest
from textual._context import active_app
from textual.app import App
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

PATIENCE = 5.0
"""Seconds after which a busy app is looked at as it is."""
THREAD_PAUSE = 0.001


class ThreadWatch:
    """Knows whether the threads of an event loop work for it.

    It looks at what the loop gets of them, not at them: a thread that is done may be held up
    before it says so.

    Attributes:
        working: Calls whose results the loop has not got yet.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.working = 0
        self._run = loop.run_in_executor

    def run(
        self,
        executor: concurrent.futures.Executor | None,
        func: Callable[..., Any],
        *args: Any,
    ) -> asyncio.Future[Any]:
        """Stands for the loop's ``run_in_executor``."""
        future = self._run(executor, func, *args)
        if executor is None:
            self.working += 1
            future.add_done_callback(self._done)
        return future

    def _done(self, _future: object) -> None:
        self.working -= 1


def watch_threads() -> None:
    """Lets :func:`until_still` see what threads do for the running loop."""
    loop: Any = asyncio.get_running_loop()
    if _watch_of(loop) is None:
        loop.run_in_executor = ThreadWatch(loop).run


def _watch_of(loop: asyncio.AbstractEventLoop) -> ThreadWatch | None:
    owner = getattr(loop.run_in_executor, "__self__", None)
    return owner if isinstance(owner, ThreadWatch) else None


async def until_still(*_: float, app: App[Any] | None = None) -> None:
    """Waits until the app is still.

    Args:
        app: The app; the active one when None.
    """
    seen = app if app is not None else active_app.get(None)
    loop: Any = asyncio.get_running_loop()
    watch = _watch_of(loop)
    end = loop.time() + PATIENCE
    while loop.time() < end:
        await asyncio.sleep(0)
        if loop._ready:
            continue
        held = seen is not None and seen.is_running and seen._batch_count
        if held or (watch is not None and watch.working):
            await asyncio.sleep(THREAD_PAUSE)
        elif seen is None or not _paint(seen):
            return


def _paint(app: App[Any]) -> bool:
    """Paints what is due; False if nothing was."""
    if not app.is_running or not app._screen_stack:
        return False
    screen = app.screen
    due = (
        screen._layout_required
        or screen._scroll_required
        or screen._repaint_required
        or screen._recompose_required
        or screen._dirty_widgets
        or screen._callbacks
    )
    if due and screen.is_current:
        screen._on_timer_update()
        return True
    return False


_parsed: dict[tuple[object, ...], list[RuleSet]] = {}
_parse = Stylesheet._parse_rules


def _parse_once(
    self: Stylesheet,
    css: str,
    read_from: tuple[str, str],
    is_default_rules: bool = False,
    tie_breaker: int = 0,
    scope: str = "",
) -> list[RuleSet]:
    place = (css, read_from, is_default_rules, tie_breaker, scope)
    key = (*place, frozenset(self._variables.items()))
    if key not in _parsed:
        _parsed[key] = _parse(self, *place)
    return _parsed[key]


def make_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a test's apps quick and the same each time.

    Textual's own waits become :func:`until_still`, nothing glides or is held back, and the style
    sheets, which are the same in all apps, are parsed once.
    """
    monkeypatch.setattr("textual.app.wait_for_idle", until_still)
    monkeypatch.setattr("textual.pilot.wait_for_idle", until_still)
    monkeypatch.setattr("textual.constants.TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setattr(App, "delay_update", lambda *_: None)
    monkeypatch.setattr(Stylesheet, "_parse_rules", _parse_once)
