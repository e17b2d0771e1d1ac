"""No information is by colour alone: every state is looked at without any."""

from __future__ import annotations

import re

import pytest
from textual.color import Color

from dsq.console.widgets.words import STATUS_WORDS
from tests.screens.states import STATES, State, a_console
from tests.support.console import NARROW, Robot, jobs_shown, using
from tests.support.fake_grid import FakeGrid, some_jobs

SIGNS = frozenset("●○◷◑▶✓×∅¢!▲▸›→■▼↕‖━·⏎●−+")
"""What tells states apart without a colour."""

FRAMES = frozenset("─│┌┐└┘▌▐▎▊▄▀▁▔╭╮╰╯▍█▏▕┏┓┗┛━┃")


@pytest.mark.parametrize("name", STATES)
async def test_every_state_reads_without_colours(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With NO_COLOR nothing but greys is painted, and glyphs and words still say it all.

    What is painted in the colours of success, warning or error otherwise has a sign or a word.
    """
    monkeypatch.setenv("NO_COLOR", "1")
    state: State = STATES[name]
    async with using(state.app(), NARROW) as robot:
        await state.reach(robot)
        assert state.sees
        assert not coloured(robot)
        robot.app._filters.clear()
        for widget in robot.app.screen.walk_children(with_self=True):
            widget._styles_cache.clear()
            widget.refresh()
        await robot.settle()
        pieces = meaning(robot)
        assert pieces or name not in ("jobs", "provider", "submit"), "colours are on again"
        if not name.startswith("log"):
            assert [text for text in pieces if not speaks(text)] == []


def coloured(robot: Robot) -> list[str]:
    """The pieces of the screen that have a colour which is no grey."""
    found = []
    for strip in robot.app.screen._compositor.render_strips():
        for segment in strip:
            style = segment.style
            for colour in (style.color, style.bgcolor) if style else ():
                if colour is not None and colour.triplet is not None:
                    red, green, blue = colour.triplet
                    if max(red, green, blue) - min(red, green, blue) > 2:
                        found.append(f"{segment.text!r} {colour.name}")
    return found


def meaning(robot: Robot) -> list[str]:
    """The texts in the colours of success, warning or error."""
    variables = robot.app.theme_variables
    meant = {Color.parse(variables[key]).hex.lower() for key in ("success", "warning", "error")}
    return [
        segment.text
        for strip in robot.app.screen._compositor.render_strips()
        for segment in strip
        if segment.style is not None
        and segment.style.color is not None
        and segment.style.color.triplet is not None
        and segment.style.color.triplet.hex.lower() in meant
        and segment.text.strip()
    ]


def speaks(text: str) -> bool:
    """Whether a text has a sign or a word of its own, or is a frame."""
    framed = set(text.strip()) <= FRAMES
    return bool(set(text) & SIGNS or re.search(r"\w{2}|\d", text) or framed)


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
