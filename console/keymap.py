"""The user's own keys: ``keys.toml`` in the settings folder.

Each line gives a binding other keys: ``"jobs.submit" = "n"``; several are parted by commas.
docs/keys.md lists the names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from textual.binding import Binding
from textual.dom import DOMNode

from dsq.core.errors import SettingsError, close_matches

FILE = "keys.toml"


def binding_ids() -> set[str]:
    """Names of all bindings of dsq's screens, dialogs and widgets that are loaded."""
    return {
        binding.id
        for owner in _classes(DOMNode)
        if owner.__module__.startswith("dsq.")
        for binding in owner.__dict__.get("BINDINGS", ())
        if isinstance(binding, Binding) and binding.id
    }


def _classes(base: type) -> Iterator[type]:
    each: type
    for each in base.__subclasses__():
        yield each
        yield from _classes(each)


def load_keymap(folder: Path) -> tuple[dict[str, str], list[SettingsError]]:
    """The user's keys by binding, and what is wrong with the file.

    A mistake must not keep the console from starting: that line is left out.
    """
    path = folder / FILE
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return {}, [SettingsError(f"{path} cannot be read: {error}.")]
    known, keys, problems = binding_ids(), dict[str, str](), list[SettingsError]()
    for name, value in _flat(data):
        if name not in known:
            problems.append(
                SettingsError(
                    f"{path}: there is no key named '{name}'.{close_matches(name, known)}",
                    hint="docs/keys.md lists the names.",
                )
            )
        elif not isinstance(value, str) or not value.strip():
            problems.append(SettingsError(f"{path}: '{name}' must be keys, such as \"ctrl+n\"."))
        else:
            keys[name] = ",".join(each.strip() for each in value.split(","))
    return keys, problems


def _flat(data: dict[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """``[jobs] submit = "n"`` and ``"jobs.submit" = "n"`` mean the same."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
