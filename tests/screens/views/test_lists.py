"""Lists to choose from."""

from __future__ import annotations

from textual.containers import VerticalScroll
from textual.widgets import OptionList

from dsq.console.dialogs.choose import Choose
from tests.support.console import jobs_shown


async def test_lists_move_by_vim_keys_and_narrow_by_a_slash() -> None:
    """j, k, g and G move; what is typed behind / leaves the choices that have its words."""
    async with jobs_shown() as robot:
        await robot.press("2", "f2", "j", "j", "k")
        options = robot.app.screen.query_one(OptionList)
        assert options.highlighted == 1
        await robot.press("G")
        assert options.highlighted == options.option_count - 1
        await robot.press("g", "slash")
        await robot.type("HELLO world")
        await robot.sees("hello-world")
        await robot.misses("gpu-training")
        await robot.press("escape")
        await robot.sees("background", "gpu-training")
        await robot.press("slash")
        await robot.type("zzz")
        assert options.option_count == 0
        await robot.press("enter")
        assert isinstance(robot.app.screen, Choose)
        await robot.press("ctrl+u")
        await robot.type("hello")
        await robot.press("down", "down", "up", "enter")
        await robot.sees("hello-enroot  ● valid")


async def test_texts_scroll_by_vim_keys() -> None:
    """The page of keys goes down and back as lists do."""
    async with jobs_shown() as robot:
        await robot.press("question_mark")
        text = robot.app.screen.query_one(VerticalScroll)
        await robot.press("j", "j", "k")
        assert text.scroll_offset.y == 1
        await robot.press("G")
        assert text.scroll_offset.y == text.max_scroll_y > 1
        await robot.press("g")
        assert text.scroll_offset.y == 0
