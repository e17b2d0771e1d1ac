"""No information is by colour alone.

Every state is looked at so where its picture is taken (``check_colours``).
"""

from __future__ import annotations

import re

import pytest

from dsq.console.widgets.words import STATUS_WORDS
from tests.screens.colours import coloured
from tests.screens.states import STATES, State, a_console
from tests.support.console import NARROW, jobs_shown, using
from tests.support.fake_grid import FakeGrid, some_jobs


@pytest.mark.parametrize("name", ["jobs", "submit", "provider"])
async def test_no_color_is_obeyed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR nothing but greys is painted from the beginning."""
    monkeypatch.setenv("NO_COLOR", "1")
    state: State = STATES[name]
    async with using(state.app(), NARROW) as robot:
        await state.reach(robot)
        assert not coloured(robot)


async def test_states_have_a_sign_and_a_word_each() -> None:
    """Nine states, nine signs, nine words, all of them in the table."""
    assert len({shown.glyph for shown in STATUS_WORDS.values()}) == len(STATUS_WORDS)
    assert len({shown.word for shown in STATUS_WORDS.values()}) == len(STATUS_WORDS)
    async with jobs_shown(FakeGrid().add(*some_jobs())) as robot:
        for shown in STATUS_WORDS.values():
            await robot.sees(f"{shown.glyph} {shown.word}")


async def test_the_current_view_is_told_by_more_than_colour() -> None:
    """The tab in front is bold or underlined, or reversed, the others are not."""
    async with using(a_console(), NARROW) as robot:
        await robot.sees("train-llm")
        for key, name in (("1", "Jobs"), ("3", "Providers"), ("4", "Wallet")):
            await robot.press(key)
            strong = set()
            for segment in robot.app.screen._compositor.render_strips()[1]:
                style = segment.style
                if style is not None and (style.bold or style.underline or style.reverse):
                    strong.update(re.findall("[A-Z][a-z]+", segment.text))
            assert strong == {name}


async def test_cursor_and_marks_are_signs() -> None:
    """The row of the cursor and the marked rows have a sign in front."""
    async with using(a_console(), NARROW) as robot:
        await robot.sees("›   41")
        before = {line[:2] for line in robot.text.splitlines()[3:13]}
        assert len(before) == 2
        await robot.press("space", "j", "j")
        marked = next(line for line in robot.text.splitlines() if "train-llm" in line)
        plain = next(line for line in robot.text.splitlines() if "cfd-wing" in line)
        assert marked[:3].strip()
        assert not plain[:3].strip()


async def test_the_connection_is_told_in_words() -> None:
    """Live, connecting, offline: a sign and a word each."""
    for name, words in (
        ("jobs", "● live"),
        ("jobs-loading", "◷ connecting"),
        ("jobs-offline", "× offline"),
    ):
        state = STATES[name]
        async with using(state.app(), NARROW) as robot:
            await state.reach(robot)
            assert words in robot.text.splitlines()[0]
