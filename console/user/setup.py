"""What the guided page writes, all at its end: a key file, and the grid into the settings."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from dsq.core.config import Settings
from dsq.core.errors import SettingsError
from dsq.core.wallet import KeyRef, Wallet, create_key_file

_NAME = re.compile(r"[\w-][\w.-]{0,39}")


def name_problem(name: str, taken: set[str]) -> str:
    """Why a key cannot have this name; "" if it can."""
    if _NAME.fullmatch(name) is None:
        return "A name has letters, digits, _ . - and at most 40 of them."
    return f"There is a key '{name}' already; dsq never overwrites one." if name in taken else ""


def passphrase_problem(first: str, second: str) -> str:
    """Why the two typed passphrases will not do; "" if they will."""
    if not first:
        return "An empty passphrase protects nothing."
    return "" if first == second else "The two passphrases differ."


def free_name(folder: Path) -> str:
    """A name for a new key: ``default``, else the first that is free."""
    keys = folder / "keys"
    names = ["default", *(f"wallet-{number}" for number in range(2, 1000))]
    return next(name for name in names if not (keys / f"{name}.json").exists())


def keep_key(folder: Path, name: str, wallet: Wallet, passphrase: str) -> KeyRef:
    """Writes a key file into the settings folder; it takes a second, so call it in a thread.

    Raises:
        WalletError: There is one of that name, or it cannot be written.
    """
    path = folder / "keys" / f"{name}.json"
    create_key_file(path, wallet, passphrase)
    return KeyRef(wallet.address, path, None)


def remember(
    folder: Path, *, grid: str | None, home: Path | None = None, key_file: Path | None = None
) -> None:
    """Makes a grid and a key the usual ones in ``config.toml``, by rename.

    Comments and all that is in the file stay; what is decided there already is not changed.

    Args:
        folder: The settings folder.
        grid: The grid to make the default; None leaves that.
        home: The folder of that grid, if the settings do not know it yet.
        key_file: The user's key, if it is not ``keys/default.json``.

    Raises:
        SettingsError: The file that is there cannot be read or written.
    """
    path = folder / "config.toml"
    try:
        text = path.read_text() if path.exists() else ""
        known = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error}.") from error
    fresh = text
    if grid is not None and "default_grid" not in known:
        fresh = f"default_grid = {json.dumps(grid)}\n{fresh}"
        if home is not None and grid not in known.get("grids", {}):
            fresh += _table(f"grids.{json.dumps(grid)}", "home", home)
    if key_file is not None and key_file.stem != "default" and "wallet" not in known:
        fresh += _table("wallet", "key_file", key_file)
    if fresh == text:
        return
    Settings.model_validate(tomllib.loads(fresh))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = path.with_suffix(".new")
        beside.write_text(fresh)
        beside.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}.") from error


def _table(name: str, field: str, value: Path) -> str:
    return f"\n[{name}]\n{field} = {json.dumps(str(value))}\n"
