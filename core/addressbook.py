"""Address books: what ``dsq deploy`` tells the settings of a grid that it made.

One JSON file a grid, ``grids/NAME.json`` in the settings folder. Its fields are those of a
``[grids.NAME]`` table in ``config.toml``; a table of the same name adds to them (the
services' endpoints) and wins. docs/reference/settings.md describes the file.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsq.core.errors import SettingsError, UsageError

log = logging.getLogger("dsq.core.addressbook")

VERSION = 1

FIELDS = ("rpc_url", "ws_url", "chain_id", "metascheduler", "faucet", "start_block", "operator")
"""What the settings read; ``addresses`` and ``record`` are there for people."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """A grid's name that can be a file's.

    Raises:
        UsageError: It has other signs than letters, digits, ``.``, ``_`` and ``-``.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be a grid's name.",
            hint="Use at most 64 letters, digits, '.', '_' and '-'; the first no sign.",
        )
    return name


def book_path(folder: Path, name: str) -> Path:
    """Where the address book of a grid lies in the settings folder."""
    return folder / "grids" / f"{check_name(name)}.json"


def write_book(folder: Path, name: str, values: Mapping[str, Any]) -> Path:
    """Writes a grid's address book, readable by its owner only: an endpoint may be secret.

    Raises:
        SettingsError: It cannot be written.
    """
    path = book_path(folder, name)
    text = json.dumps({"version": VERSION, "name": name, **values}, indent=1, sort_keys=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def read_book(path: Path) -> dict[str, Any]:
    """The fields of an address book that settings have.

    Raises:
        SettingsError: It cannot be read, or is damaged.
    """
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SettingsError(
            f"The address book {path} is damaged: {error}.",
            hint="'dsq deploy' with the same name writes it again.",
        ) from None
    if not isinstance(data, dict):
        raise SettingsError(f"The address book {path} is damaged: it holds no object.")
    return {field: data[field] for field in FIELDS if data.get(field) is not None}


def read_books(folder: Path) -> dict[str, dict[str, Any]]:
    """All address books of a settings folder, by name.

    A damaged one is left out: it must not keep the other grids from being used.
    """
    found = {}
    for path in sorted((folder / "grids").glob("*.json")):
        if _NAME.fullmatch(path.stem):
            try:
                found[path.stem] = read_book(path)
            except SettingsError as error:
                log.warning("address_book=%s error=%s", path, error.message)
    return found
