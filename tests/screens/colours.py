"""Looks at a screen for information that colour alone carries."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.segment import Segment
from textual.color import Color
from textual.filter import Monochrome
from textual.screen import ModalScreen

from dsq.console.widgets.palette import contrast
from tests.support.console import Robot

SIGNS = frozenset("●○◷◑▶✓×∅¢!▲▸›→■▼↕‖━·⏎●−+")
"""What tells states apart without a colour."""

READABLE = 3.0
"""Contrast that any word has, also on the row of the cursor and on what is dimmed as stale."""

FRAMES = frozenset("─│┌┐└┘▌▐▎▊▄▀▁▔╭╮╰╯▍█▏▕┏┓┗┛━┃")


async def check_colours(robot: Robot, name: str) -> None:
    """Every text in a colour that means something has a sign or a word; greys show it all.

    No word is in the colour that is for lines and gaps only.

    The robot's app has no colours afterwards.

    Args:
        robot: Shows the state.
        name: The state; the output of jobs has the colours that they wrote.
    """
    assert [text for text in faint(robot) if re.search(r"\w\w|\d", text)] == []
    pieces = meaning(robot)
    assert pieces or name not in ("jobs", "provider", "submit"), "there are no colours"
    if not name.startswith("log"):
        assert [text for text in pieces if not speaks(text)] == []
    robot.app._filters.append(Monochrome())
    for widget in robot.app.screen.walk_children(with_self=True):
        widget._styles_cache.clear()
        widget.refresh()
    await robot.settle()
    assert not coloured(robot)


def unreadable(robot: Robot) -> list[str]:
    """Words that hardly stand out from what is behind them; of a dialog those in its box.

    What is behind a dialog is dimmed on purpose.
    """
    screen = robot.app.screen
    whole = not isinstance(screen, ModalScreen)
    # The palette is Textual's own.
    boxes = [screen] if whole else screen.query(".box, #--input, CommandList")
    strips = screen._compositor.render_strips()
    found = []
    for box in (widget.region for widget in boxes):
        assert box
        for strip in strips[box.y : box.bottom]:
            found += _unreadable(strip.crop(box.x, box.right))
    return found


def _unreadable(segments: Iterable[Segment]) -> list[str]:
    found = []
    for segment in segments:
        style = segment.style
        if style is None or style.color is None or style.bgcolor is None:
            continue
        if re.search(r"\w\w|\d", segment.text):
            ratio = contrast(Color.from_rich_color(style.color),
                             Color.from_rich_color(style.bgcolor))  # fmt: skip
            if ratio < READABLE:
                found.append(f"{segment.text.strip()!r} {ratio:.1f}")
    return found


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
    return texts(robot, "success", "warning", "error")


def faint(robot: Robot) -> list[str]:
    """The texts in the colour of lines and gaps, which has little contrast."""
    return texts(robot, "faint")


def texts(robot: Robot, *names: str) -> list[str]:
    """The texts in these colours of the theme."""
    variables = robot.app.theme_variables
    meant = {Color.parse(variables[key]).hex.lower() for key in names}
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
