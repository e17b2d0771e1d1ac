"""How the console looks and what it tells: ``console.toml`` in the settings folder.

The file is written when something is chosen on a screen; it may be edited by hand as well.
docs/reference/settings.md describes its fields.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dsq.core.config import explain
from dsq.core.errors import SettingsError

FILE = "console.toml"
LONGEST_LOCK = 100_000
"""Minutes."""
_COLUMN = re.compile(r"[a-z]+(:[1-9][0-9]?)?")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class JobsTable(_Table):
    """The table of jobs.

    Attributes:
        columns: Keys of columns from left to right, each perhaps with ``:width`` in cells;
            none means the usual ones.
        sort: What it is sorted by, ``-`` before it for downward.
        fold: Show one row for the jobs of a sweep.
    """

    columns: tuple[str, ...] = ()
    sort: str = "-id"
    fold: bool = False

    @field_validator("columns", mode="before")
    @classmethod
    def _tuple(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("columns")
    @classmethod
    def _known_shape(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for column in value:
            if _COLUMN.fullmatch(column) is None:
                raise ValueError(f"'{column}' is no column; write its key, or key:width")
        return value


class Notify(_Table):
    """What is done when a job ends.

    Attributes:
        bell: Ring the terminal's bell.
        terminal: Send the terminal's own notification (OSC 9 and OSC 777).
        desktop: Call ``notify-send`` where the desktop has it.
    """

    bell: bool = True
    terminal: bool = True
    desktop: bool = True


class Preferences(_Table):
    """All of ``console.toml``.

    Attributes:
        theme: The name of a theme.
        lock_minutes: Minutes without a key pressed after which the wallet is locked; 0 never.
    """

    theme: str = "dsq-dark"
    lock_minutes: int = Field(default=15, ge=0, le=LONGEST_LOCK)
    jobs: JobsTable = JobsTable()
    notify: Notify = Notify()


def load_preferences(folder: Path) -> Preferences:
    """Reads the file; without one everything is as usual.

    Raises:
        SettingsError: It cannot be read, or a field is unknown or wrong.
    """
    preferences, problem = read_preferences(folder)
    if problem is not None:
        raise problem
    return preferences


def read_preferences(folder: Path) -> tuple[Preferences, SettingsError | None]:
    """What is right in the file, and what is wrong with it: a mistake costs its field only."""
    path = folder / FILE
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return Preferences(), None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Preferences(), SettingsError(f"{path} cannot be read: {error}.")
    try:
        return Preferences.model_validate(data), None
    except ValidationError as error:
        known = {**Preferences.model_fields, **JobsTable.model_fields, **Notify.model_fields}
        problem = SettingsError(
            explain(error, str(path), known), hint="The rest of the file is used."
        )
        return Preferences.model_validate(_without(data, error)), problem


def _without(data: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """The data less the fields that an error names."""
    wrong = {tuple(each["loc"][:2]) for each in error.errors()}
    kept: dict[str, Any] = {}
    for name, value in data.items():
        if (name,) in wrong:
            continue
        if isinstance(value, dict):
            value = {key: each for key, each in value.items() if (name, key) not in wrong}
        elif any(place[0] == name for place in wrong):
            continue
        kept[name] = value
    return kept


def save_preferences(folder: Path, preferences: Preferences) -> None:
    """Writes the file by rename; only what differs from the usual is in it.

    Raises:
        OSError: It cannot be written.
    """
    import tomli_w

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    fresh = path.with_suffix(".new")
    data = preferences.model_dump(mode="json", exclude_defaults=True)
    fresh.write_text(tomli_w.dumps(data))
    fresh.replace(path)
