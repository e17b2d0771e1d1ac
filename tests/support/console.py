"""Drives the consoles in tests: press, wait, read the screen as text."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from typing import Any, cast

from textual import events
from textual.app import App
from textual.pilot import Pilot

from dsq.console.provider.app import ProviderApp
from dsq.console.user.app import ConsoleApp
from dsq.supervisor.ending import Ending
from tests.support.fake_grid import NOW, FakeGrid, some_jobs
from tests.support.fake_supervisor import FakeSupervisor
from tests.support.still import until_still, watch_threads

WIDE, NARROW = (160, 48), (80, 24)
LOOK_AGAIN = 0.01
"""Seconds between two looks at what is waited for."""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Robot:
    """A user at the keyboard: what he presses, and what he sees."""

    def __init__(self, pilot: Pilot[Any]) -> None:
        self.pilot = pilot
        self.app: App[Any] = pilot.app

    async def press(self, *keys: str) -> None:
        """Presses keys, one after the other."""
        await self.pilot.press(*keys)
        await self.settle()

    async def type(self, text: str) -> None:
        """Types a text into what has the focus, all at once as a paste does."""
        assert self.app.focused is not None
        self.app.focused.post_message(events.Paste(text))
        await self.settle()

    async def settle(self) -> None:
        """Lets what was asked for happen, and paints it."""
        await until_still(app=self.app)
        cast("Any", self.app).tick()
        await until_still(app=self.app)

    async def until(self, condition: Callable[[], bool], seconds: float = 3.0) -> None:
        """Waits until something is so."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not condition():
            if loop.time() > end:
                raise AssertionError(f"It did not become so. The screen:\n{self.text}")
            await self.settle()
            if not condition():
                # Only time can bring it now.
                await asyncio.sleep(LOOK_AGAIN)

    async def sees(self, *texts: str) -> None:
        """Waits until the screen shows these texts."""
        await self.until(lambda: all(text in self.text for text in texts))

    async def told(self, *texts: str) -> None:
        """Waits until the messages at the edge say these texts, on however many lines."""
        await self.until(lambda: all(text in self._messages for text in texts))

    @property
    def _messages(self) -> str:
        return "\n".join(f"{one.title} {one.message}" for one in self.app._notifications)

    async def misses(self, *texts: str) -> None:
        """Waits until the screen shows none of these texts."""
        await self.until(lambda: not any(text in self.text for text in texts))

    async def fill(self, field: str, text: str) -> None:
        """Writes a text into a field of the form in front, over what was there."""
        self.app.screen.query_one(f"#{field}").focus()
        await self.press("end", "ctrl+u")
        await self.type(text)

    async def write(self, workflow: str) -> None:
        """Goes to the submit view, and pastes a workflow over what is there."""
        await self.press("2")
        editor = cast("Any", self.app.screen.query_one("#editor"))
        editor.focus()
        editor.load_text("")
        # As the terminal sends it: to the app, which hands it on.
        self.app.post_message(events.Paste(workflow))
        await self.settle()

    async def filter(self, words: str) -> None:
        """Filters the jobs, over what was filtered before."""
        await self.press("slash", "end", "ctrl+u")
        await self.type(words)
        await self.press("enter")

    @property
    def rows(self) -> list[str]:
        """The names in the table of jobs, from the top."""
        store = cast("Any", self.app).state.jobs
        return [store.row(index).name for index in range(len(store))]

    @property
    def text(self) -> str:
        """The screen as lines of text."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text[:width].rstrip() for strip in strips[:height])


def console(grid: FakeGrid | None = None, **options: Any) -> ConsoleApp:
    """A console on a grid in memory, at a time that stands still."""
    shown = grid if grid is not None else FakeGrid().add(*some_jobs())

    async def connect() -> FakeGrid:
        shown._check("connect")
        return shown

    options = {"grid_name": "local", "now": lambda: NOW, "zone": UTC, **options}
    return ConsoleApp(connect, **options)


def provider_screen(supervisor: FakeSupervisor | None = None, **options: Any) -> ProviderApp:
    """A provider's screen on a supervisor in memory."""
    # A process that leaves would take the tests with it.
    harmless = Ending(leave=lambda _code: None)
    options = {"now": lambda: NOW, "zone": UTC, "ending": harmless, **options}
    settings = cast("Any", None)
    return ProviderApp(settings, runner=supervisor or FakeSupervisor(), **options)


@contextlib.asynccontextmanager
async def using(app: App[Any], size: tuple[int, int] = NARROW) -> AsyncIterator[Robot]:
    """Runs an app without a terminal; begins when it shows what it knows."""
    watch_threads()
    async with app.run_test(size=size, notifications=True) as pilot:
        robot = Robot(pilot)
        await robot.settle()
        yield robot


@contextlib.asynccontextmanager
async def jobs_shown(
    grid: FakeGrid | None = None, size: tuple[int, int] = NARROW, **options: Any
) -> AsyncIterator[Robot]:
    """A console that has read its jobs."""
    app = console(grid, **options)
    async with using(app, size) as robot:
        await robot.until(lambda: app.state.loaded and app.state.link.online)
        yield robot
