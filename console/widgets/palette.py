"""From themes to the screen: Textual themes, and styles by name for the Line API."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from rich.style import Style
from textual.app import App
from textual.color import Color, ColorParseError
from textual.theme import Theme

from dsq.themes.loader import DEFAULT_THEME, ThemeFile, builtin_themes

READABLE = 4.5
"""Contrast that text needs on its ground (WCAG 2 AA)."""


STRONG = 7.0
"""Contrast of every text on every ground of a high contrast theme (WCAG 2 AAA)."""

TEXTS = ("foreground", "muted", "primary", "secondary", "accent", "success", "warning", "error")
"""The colours of a theme that text has."""


def is_high_contrast(theme: Theme) -> bool:
    """All text of a theme of ours stands out as high contrast asks for."""
    made = {"muted": theme.variables.get("muted")}
    fronts = [made.get(name) or getattr(theme, name) for name in TEXTS]
    backs = [Color.parse(each) for each in (theme.background, theme.surface, theme.panel) if each]
    return all(contrast(Color.parse(front), back) >= STRONG for front in fronts for back in backs)


def to_textual(theme: ThemeFile) -> Theme:
    """The Textual theme of a theme file. ``docs/console.md`` names the variables."""
    colors = theme.colors
    return Theme(
        name=theme.name,
        dark=theme.dark,
        background=colors["background"],
        surface=colors["surface"],
        panel=colors["panel"],
        foreground=colors["foreground"],
        primary=colors["primary"],
        secondary=colors["secondary"],
        accent=colors["accent"],
        success=colors["success"],
        warning=colors["warning"],
        error=colors["error"],
        variables=variables(theme),
    )


def variables(theme: ThemeFile) -> dict[str, str]:
    """The variables that style sheets and cells use besides Textual's own."""
    colors = theme.colors
    return {
        "muted": colors["muted"],
        "faint": colors["faint"],
        "cursor": colors["cursor"],
        "cursor-text": colors["cursor-text"],
        **{f"status-{name}": value for name, value in theme.status.items()},
        **{f"syntax-{name}": value for name, value in theme.syntax.items()},
        "text": colors["foreground"],
        "text-muted": colors["muted"],
        "text-disabled": colors["faint"],
        "foreground-muted": colors["muted"],
        "border": colors["primary"],
        "border-blurred": colors["faint"],
        "block-cursor-background": colors["cursor"],
        "block-cursor-foreground": colors["cursor-text"],
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": colors["panel"],
        "block-cursor-blurred-foreground": colors["foreground"],
        "input-selection-background": colors["cursor"],
        "input-selection-foreground": colors["cursor-text"],
        "scrollbar": colors["faint"],
        "scrollbar-hover": colors["muted"],
        "scrollbar-active": colors["primary"],
        "scrollbar-background": colors["background"],
        "scrollbar-background-hover": colors["background"],
        "scrollbar-background-active": colors["background"],
        "scrollbar-corner-color": colors["background"],
    }


@lru_cache(maxsize=1)
def default_variables() -> dict[str, str]:
    """Values for themes that are not ours."""
    return variables(next(theme for theme in builtin_themes() if theme.name == DEFAULT_THEME))


class Palette:
    """Rich styles by the names that cells use, for one theme.

    A name is a theme variable (``status-running``, ``muted``, ``foreground``), with ``bold``
    or ``dim`` words before it.
    """

    def __init__(self, theme_variables: Mapping[str, str]) -> None:
        self._variables = theme_variables
        self._cache: dict[tuple[str, str, bool], Style] = {}

    @classmethod
    def of(cls, app: App[Any]) -> Palette:
        """The palette of the theme in force."""
        found = _palettes.get(app)
        if found is None or found._variables is not app.theme_variables:
            found = _palettes[app] = cls(app.theme_variables)
        return found

    def color(self, name: str) -> Color:
        """The colour behind a variable; the foreground for one that is none."""
        try:
            return Color.parse(self._variables.get(name, self._variables["foreground"]))
        except (ColorParseError, KeyError):
            return Color.parse("white")

    def style(self, name: str, ground: str = "background", *, plain: bool = False) -> Style:
        """The style of text ``name`` on ``ground``.

        Where the colour would not be readable on that ground (a bright cursor row), the
        ground's own text colour is used instead.

        Args:
            plain: Use the ground's text colour in any case.
        """
        key = (name, ground, plain)
        if key not in self._cache:
            *words, colour = name.split()
            back = self.color(ground)
            front = self.color(colour)
            if plain or (contrast(front, back) < READABLE and ground == "cursor"):
                front = self.color("cursor-text" if ground == "cursor" else "foreground")
            self._cache[key] = Style(
                color=front.rich_color,
                bgcolor=back.rich_color,
                bold="bold" in words or None,
                underline="underline" in words or None,
            )
        return self._cache[key]


_palettes: WeakKeyDictionary[App[Any], Palette] = WeakKeyDictionary()


def contrast(front: Color, back: Color) -> float:
    """The contrast ratio of two colours (WCAG 2), 1 to 21."""
    lighter, darker = sorted((_luminance(front), _luminance(back)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: Color) -> float:
    def linear(part: int) -> float:
        value = part / 255
        return value / 12.92 if value <= 0.03928 else float(((value + 0.055) / 1.055) ** 2.4)

    return 0.2126 * linear(color.r) + 0.7152 * linear(color.g) + 0.0722 * linear(color.b)


def register_themes(app: App[Any], extra: list[ThemeFile] | None = None) -> None:
    """Offers dsq's themes and the user's instead of Textual's own."""
    ours = [*builtin_themes(), *(extra or [])]
    for theme in ours:
        app.register_theme(to_textual(theme))
    app.theme = DEFAULT_THEME
    names = {theme.name for theme in ours}
    for name in list(app.available_themes):
        if name not in names:
            app.unregister_theme(name)
