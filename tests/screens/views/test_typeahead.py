"""Keys typed faster than the screen follows: each goes where the one before has led."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from dsq.console.dialogs.top_up import TopUp
from dsq.console.user.screens.jobs import JobsScreen
from dsq.console.user.screens.submit import SubmitScreen
from dsq.console.widgets import typeahead
from dsq.console.widgets.typeahead import TypeAhead
from tests.support.console import Robot, jobs_shown

NAMES = {"/": "slash", "\r": "enter", ":": "colon", "-": "minus", " ": "space"}


async def at_once(robot: Robot, text: str) -> None:
    """Types as a terminal sends it that was slow: all keys wait before the first is read."""
    for character in text:
        key = NAMES.get(character, character)
        robot.app.post_message(events.Key(key, character))
    await robot.settle()


async def test_a_filter_takes_all_its_letters() -> None:
    """Letters right behind the slash are text: none cancels, submits or switches the view."""
    async with jobs_shown() as robot:
        await at_once(robot, "/sct2 train\r")
        assert isinstance(robot.app.screen, JobsScreen)
        assert robot.app.screen.query_one("#filter", Input).value == "sct2 train"
        assert len(robot.app.screen_stack) == 1
        await at_once(robot, "/")
        await robot.press("end", "ctrl+u")
        await at_once(robot, "jj\r")
        assert robot.app.screen.query_one("#filter", Input).value == "jj"


async def test_a_dialog_takes_what_is_typed_behind_its_key() -> None:
    """The amount of a top-up may follow its key at once."""
    async with jobs_shown() as robot:
        await at_once(robot, "t50")
        assert isinstance(robot.app.screen, TopUp)
        assert robot.app.screen.query_one(Input).value == "50"
        await robot.sees("20 min more")


async def test_a_view_takes_what_is_typed_behind_its_number() -> None:
    """The editor gets the text, though it is made only when it is first looked at."""
    async with jobs_shown() as robot:
        await at_once(robot, "2steps")
        screen: Any = robot.app.screen
        assert isinstance(screen, SubmitScreen)
        assert screen.editor.text == "steps"


async def test_commands_take_what_is_typed_behind_the_colon() -> None:
    """The palette searches for all of the letters."""
    async with jobs_shown() as robot:
        await at_once(robot, ":wall")
        assert robot.app.screen.query_one(Input).value == "wall"


async def test_going_back_and_on_in_one_go() -> None:
    """A key behind the one that closes a page is for what is below."""
    async with jobs_shown() as robot:
        await robot.press("enter")
        robot.app.post_message(events.Key("escape", None))
        await at_once(robot, "j")
        assert isinstance(robot.app.screen, JobsScreen)
        assert robot.app.screen.table.cursor == 1


class Stuck(Widget, can_focus=True):
    """Never ends with its first key."""

    async def on_key(self, event: events.Key) -> None:
        event.stop()
        await asyncio.Event().wait()


class StuckApp(TypeAhead):
    """An app with such a widget."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("x", "note", "Note", priority=True)]
    noted = 0

    def compose(self) -> ComposeResult:
        yield Stuck()

    def action_note(self) -> None:
        self.noted += 1


async def test_a_widget_that_hangs_holds_no_key_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while the next key goes on, so that one can leave."""
    monkeypatch.setattr(typeahead, "PATIENCE", 0.02)
    app = StuckApp()
    async with app.run_test() as pilot:
        app.query_one(Stuck).focus()
        await pilot.pause()
        for key in "ax":
            app.post_message(events.Key(key, key))
        for _ in range(200):
            if app.noted:
                break
            await asyncio.sleep(0.01)
        assert app.noted == 1
        app._exit = True
        app.query_one(Stuck)._task.cancel()  # type: ignore[union-attr]
