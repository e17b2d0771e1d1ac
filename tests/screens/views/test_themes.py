"""Themes: the files, and whether they can be read."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from textual.color import Color
from textual.widgets import Static

from dsq.console.user.many_logs import SOURCE_COLOURS
from dsq.console.widgets.palette import (
    Palette,
    contrast,
    default_variables,
    is_high_contrast,
    to_textual,
    variables,
)
from dsq.core.errors import SettingsError
from dsq.themes.loader import (
    DEFAULT_THEME,
    ThemeFile,
    builtin_themes,
    load_theme,
    user_themes,
)
from tests.screens.colours import unreadable
from tests.support.console import jobs_shown

THEMES = builtin_themes()
NAMES = [theme.name for theme in THEMES]
TEXTS = ("foreground", "muted", "primary", "secondary", "accent", "success", "warning", "error")


def test_what_comes_with_dsq() -> None:
    """At least four themes, a dark, a light and a high contrast one; the default first."""
    assert len(THEMES) >= 4
    assert NAMES[0] == DEFAULT_THEME
    assert {theme.dark for theme in THEMES} == {True, False}
    assert "dsq-contrast" in NAMES


@pytest.mark.parametrize("theme", THEMES, ids=NAMES)
def test_text_can_be_read(theme: ThemeFile) -> None:
    """Every text colour stands out on every ground (4.5:1, 7:1 in high contrast)."""
    least = 7.0 if theme.name == "dsq-contrast" else 4.5
    grounds = [Color.parse(theme.colors[name]) for name in ("background", "surface", "panel")]
    for name in TEXTS:
        for ground in grounds:
            assert contrast(Color.parse(theme.colors[name]), ground) >= least, name
    for name, value in [*theme.status.items(), *theme.syntax.items()]:
        assert contrast(Color.parse(value), grounds[0]) >= least, name
    cursor = Color.parse(theme.colors["cursor"])
    assert contrast(Color.parse(theme.colors["cursor-text"]), cursor) >= least


@pytest.mark.parametrize("theme", THEMES, ids=NAMES)
def test_states_stay_readable_on_the_cursor(theme: ThemeFile) -> None:
    """Where a state's colour would drown in the cursor row, the row's text colour is used."""
    palette = Palette({**to_textual(theme).to_color_system().generate(), **variables(theme)})
    for name in theme.status:
        style = palette.style(f"status-{name}", "cursor")
        assert style.color is not None
        assert style.bgcolor is not None
        front, back = (Color.from_rich_color(each) for each in (style.color, style.bgcolor))
        assert contrast(front, back) >= 4.5


def test_high_contrast_is_told_by_what_it_is() -> None:
    """One of ours has it, whatever a theme is called."""
    strong = {theme.name for theme in THEMES if is_high_contrast(to_textual(theme))}
    assert strong == {"dsq-contrast"}


@pytest.mark.parametrize("theme", THEMES, ids=NAMES)
def test_names_in_several_logs_are_told_apart(theme: ThemeFile) -> None:
    """The first three, of which there are mostly no more, differ by more than a shade."""
    palette = Palette({**to_textual(theme).to_color_system().generate(), **variables(theme)})
    shown = [palette.style(name).color for name in SOURCE_COLOURS[:3]]
    triplets = [color.get_truecolor() for color in shown if color is not None]
    for one, other in itertools.combinations(triplets, 2):
        assert math.dist(one, other) > 50, (one, other)


async def test_the_list_of_themes_tells_the_kind() -> None:
    """Dark or light, and high contrast where it is."""
    async with jobs_shown() as robot:
        await robot.press("ctrl+t")
        await robot.sees("dsq-contrast  dark, high contrast", "dsq-dark      dark, in use",
                         "dsq-light     light")  # fmt: skip


async def test_words_that_drown_are_found() -> None:
    """The look at the pictures' contrast sees grey words on a white row, and not black ones."""
    async with jobs_shown() as robot:
        robot.app.theme = "dsq-contrast"
        await robot.settle()
        assert unreadable(robot) == []
        words = Static("drowning", markup=False)
        words.styles.background, words.styles.color = "#ffffff", "#d6d6d6"
        await robot.app.screen.mount(words)
        await robot.settle()
        assert unreadable(robot) == ["'drowning' 1.5"]
        words.styles.color = "#000000"
        await robot.settle()
        assert unreadable(robot) == []


def test_unknown_names_fall_back() -> None:
    """A style name that no theme has shows as plain text, it does not raise."""
    palette = Palette(default_variables() | {"foreground": "#ffffff", "background": "#000000"})
    assert palette.style("no-such-colour").color is not None


GOOD = Path(load_theme.__code__.co_filename).with_name("dsq-dark.toml").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[colors]", "[colours]"), "unknown field 'colours'. Did you mean 'colors'?"),
        (("muted =", "mutd ="), "unknown field 'colors.mutd'. Did you mean 'muted'?"),
        (('primary = "#56b6c2"', 'primary = "teal"'), "must be a colour"),
        (('accent = "#e6b673"\n', ""), "'colors.accent' is missing"),
        (('name = "dsq-dark"', 'name = "Dsq Dark!"'), "'name' must be"),
        (("dark = true", 'dark = "yes"'), "'dark' true or false"),
        (("[syntax]", "[syntax"), "cannot be read"),
    ],
)
def test_damaged_files_are_explained(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    """Each mistake in a theme is one sentence that names the file and the field."""
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(SettingsError) as caught:
        load_theme(path)
    assert words in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_a_damaged_file_does_not_hide_the_others(tmp_path: Path) -> None:
    """The user's folder gives what it can and says what is wrong with the rest."""
    (tmp_path / "a.toml").write_text("not toml at all [")
    (tmp_path / "b.toml").write_text(GOOD.replace("dsq-dark", "mine"))
    themes, problems = user_themes(tmp_path)
    assert [theme.name for theme in themes] == ["mine"]
    assert len(problems) == 1
    assert user_themes(tmp_path / "none") == ([], [])
