"""How the console looks and what it tells: ``console.toml`` in the settings folder.

The file is written when something is chosen on a screen; it may be edited by hand as well.
docs/reference/settings.md describes its fields.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dsq.core.config import explain
from dsq.core.errors import SettingsError

FILE = "console.toml"
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
    lock_minutes: int = Field(default=15, ge=0, le=100_000)
    jobs: JobsTable = JobsTable()
    notify: Notify = Notify()


def load_preferences(folder: Path) -> Preferences:
    """Reads the file; without one everything is as usual.

    Raises:
        SettingsError: It cannot be read, or a field is unknown or wrong.
    """
    path = folder / FILE
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return Preferences()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
    try:
        return Preferences.model_validate(data)
    except ValidationError as error:
        known = {**Preferences.model_fields, **JobsTable.model_fields, **Notify.model_fields}
        raise SettingsError(explain(error, str(path), known)) from None


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
