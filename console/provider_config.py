"""Which settings file of a provider is meant."""

from __future__ import annotations

from pathlib import Path

import click

from dsq.core.errors import SettingsError, UsageError, close_matches

CONFIG_NAME = "provider.toml"


def find_config(config: Path | None, home: Path | None, name: str | None) -> Path:
    """The settings file that the flags mean.

    ``--config`` names it; ``--home`` has one for each provider of a local grid, of which
    ``--name`` chooses one and the first is the default. Without either it is
    ``provider.toml`` in the settings folder.

    Raises:
        UsageError: The flags exclude each other.
        SettingsError: There is no such provider, or no local grid.
    """
    if config is not None and (home is not None or name is not None):
        raise UsageError("--config excludes --home and --name.", hint="Name the file once.")
    if config is not None:
        return config
    if home is None:
        if name is not None:
            raise UsageError("--name chooses a provider of --home DIR.")
        from dsq.core.config import settings_dir

        return settings_dir() / CONFIG_NAME
    found = {path.parent.name: path for path in sorted(home.glob(f"providers/*/{CONFIG_NAME}"))}
    if not found:
        raise SettingsError(
            f"There are no providers in {home}.", hint=f"'dsq up --home {home}' makes a grid there."
        )
    if name is None:
        return next(iter(found.values()))
    if name not in found:
        raise SettingsError(
            f"There is no provider '{name}' in {home}.{close_matches(name, found)}",
            hint=f"It has {', '.join(found)}.",
        )
    return found[name]


def chosen_config(config: Path | None, home: Path | None, name: str | None) -> Path:
    """The same for a command below ``dsq-provider``; the flags may also stand before its name.

    Raises:
        UsageError: The flags exclude each other.
        SettingsError: There is no such provider, or no local grid.
    """
    context = click.get_current_context(silent=True)
    above = context.parent.params if context is not None and context.parent is not None else {}
    return find_config(
        config or above.get("config"), home or above.get("home"), name or above.get("name")
    )
