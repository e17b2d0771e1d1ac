"""Reads themes: ours, and those of the user's own folder.

A theme is one TOML file with ``name``, ``title``, ``dark`` and the tables ``colors``,
``status`` and ``syntax``; every colour is ``#rrggbb``. docs/console.md lists the fields.
Nothing here knows the screen: a theme is data.
"""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsq.core.errors import SettingsError, close_matches

DEFAULT_THEME = "dsq-dark"
"""The theme of a first start."""

COLORS = (
    "background",
    "surface",
    "panel",
    "foreground",
    "muted",
    "faint",
    "primary",
    "secondary",
    "accent",
    "success",
    "warning",
    "error",
    "cursor",
    "cursor-text",
)
STATUS = (
    "pending",
    "placed",
    "running",
    "finished",
    "cancelled",
    "failed",
    "out-of-credits",
    "panicked",
)
SYNTAX = ("key", "string", "number", "comment", "mark")
TABLES: Mapping[str, tuple[str, ...]] = {"colors": COLORS, "status": STATUS, "syntax": SYNTAX}
"""The fields of each table; all are required."""

_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


@dataclass(frozen=True)
class ThemeFile:
    """One theme.

    Attributes:
        name: What settings and commands call it.
        title: What people read.
        dark: The ground is darker than the text.
    """

    name: str
    title: str
    dark: bool
    colors: Mapping[str, str]
    status: Mapping[str, str]
    syntax: Mapping[str, str]


def parse_theme(data: Mapping[str, Any], where: str) -> ThemeFile:
    """Checks the parsed TOML of a theme.

    Raises:
        SettingsError: A field is missing, unknown or no colour.
    """
    known = ("name", "title", "dark", *TABLES)
    for field in data:
        if field not in known:
            raise SettingsError(f"{where}: unknown field '{field}'.{close_matches(field, known)}")
    name, title, dark = data.get("name"), data.get("title", data.get("name")), data.get("dark")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise SettingsError(f"{where}: 'name' must be lower-case letters, digits and '-'.")
    if not isinstance(title, str) or not isinstance(dark, bool):
        raise SettingsError(f"{where}: 'title' must be text and 'dark' true or false.")
    tables = {table: _colours(data.get(table), table, where) for table in TABLES}
    return ThemeFile(name, title, dark, **tables)


def _colours(table: object, name: str, where: str) -> dict[str, str]:
    if not isinstance(table, dict):
        raise SettingsError(f"{where}: the table [{name}] is missing.")
    fields = TABLES[name]
    for field, value in table.items():
        if field not in fields:
            raise SettingsError(
                f"{where}: unknown field '{name}.{field}'.{close_matches(field, fields)}"
            )
        if not isinstance(value, str) or _HEX.fullmatch(value) is None:
            raise SettingsError(f"{where}: '{name}.{field}' must be a colour like \"#56b6c2\".")
    missing = [field for field in fields if field not in table]
    if missing:
        raise SettingsError(f"{where}: '{name}.{missing[0]}' is missing.")
    return dict(table)


def load_theme(path: Path) -> ThemeFile:
    """Reads one theme file.

    Raises:
        SettingsError: It cannot be read, or is no theme.
    """
    try:
        data = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"The theme {path} cannot be read: {error}.") from error
    return parse_theme(data, str(path))


def builtin_themes() -> list[ThemeFile]:
    """The themes that come with dsq, the default first."""
    themes = [load_theme(path) for path in Path(__file__).parent.glob("*.toml")]
    return sorted(themes, key=lambda theme: (theme.name != DEFAULT_THEME, theme.name))


def user_themes(folder: Path) -> tuple[list[ThemeFile], list[SettingsError]]:
    """Themes of the user's folder, and what is wrong with the files that are none.

    A damaged file must not keep the console from starting.
    """
    themes: list[ThemeFile] = []
    problems: list[SettingsError] = []
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
        try:
            themes.append(load_theme(path))
        except SettingsError as error:
            problems.append(error)
    return themes, problems


def stamps(folder: Path) -> dict[Path, int]:
    """When each theme file of a folder was written last, to see that one has changed."""
    found: dict[Path, int] = {}
    for path in folder.glob("*.toml") if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            found[path] = path.stat().st_mtime_ns
    return found
