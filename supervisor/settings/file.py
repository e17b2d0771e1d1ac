"""Reading the settings from their file; one clear sentence about what is wrong in it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dsq.core.errors import SettingsError, close_matches
from dsq.supervisor.settings.tables import ProviderSettings

_PATH_FIELDS = {
    "wallet": ("key_file", "passphrase_file"),
    "cluster": (
        *("identity_file", "identity_passphrase_file", "known_hosts", "ssh_config"),
        *("slurm_conf", "root", "users_file"),
    ),
}
"""Paths on this machine; paths on the cluster (``workdir``…) are taken as they are."""


def load_settings(path: Path) -> ProviderSettings:
    """Reads a provider's settings file.

    Raises:
        SettingsError: It cannot be read, does not parse, or a field is unknown or wrong.
    """
    path = path.expanduser().absolute()
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(
            f"The settings file {path} cannot be read: {error.strerror}.",
            hint="'dsq-provider init USER@HOST' writes one; --config FILE names another, "
            "--home DIR that of a local grid.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} does not parse: {error}.") from error
    return parse_settings(data, base=path.parent, where=str(path))


def parse_settings(data: dict[str, Any], *, base: Path, where: str) -> ProviderSettings:
    """Checks settings that are already parsed; relative paths are below ``base``.

    Raises:
        SettingsError: A field is unknown or wrong; ``where`` says in which file.
    """
    data = _with_absolute_paths(data, base)
    try:
        return ProviderSettings.model_validate(data)
    except ValidationError as error:
        raise SettingsError(_explain(error, where)) from None


def check_files(settings: ProviderSettings) -> None:
    """Makes sure that the files which the settings name can be read; their wallet says so itself.

    Raises:
        SettingsError: One cannot, with the field that names it.
    """
    for name in _PATH_FIELDS["cluster"]:
        path: Path | None = getattr(settings.cluster, name)
        if path is None or name == "root":
            continue
        try:
            path.open("rb").close()
        except OSError as error:
            raise SettingsError(
                f"cluster.{name}: {path} cannot be read: {error.strerror}.",
                hint="Correct the setting, or put the file there.",
            ) from error


def _with_absolute_paths(data: dict[str, Any], base: Path) -> dict[str, Any]:
    resolved = dict(data)
    if isinstance(data.get("state_dir"), str):
        resolved["state_dir"] = base / Path(data["state_dir"]).expanduser()
    for table, names in _PATH_FIELDS.items():
        if not isinstance(data.get(table), dict):
            continue
        values = dict(data[table])
        for name in names:
            if isinstance(values.get(name), str):
                values[name] = base / Path(values[name]).expanduser()
        resolved[table] = values
    return resolved


def _explain(error: ValidationError, where: str) -> str:
    """One sentence; a misspelt field comes before the field that is missing because of it."""
    problems = error.errors(include_url=False, include_input=False)
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    path = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "extra_forbidden":
        known = close_matches(str(first["loc"][-1]), _siblings(first["loc"]))
        return f"{where}: unknown field '{path}'.{known}"
    if first["type"] == "missing":
        return f"{where}: the field '{path}' is missing."
    words = first["msg"].removeprefix("Value error, ")
    return f"{where}: field '{path}': {words[:1].lower()}{words[1:]}."


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """The fields that can stand at ``location``."""
    model: type[BaseModel] = ProviderSettings
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type):
            return []
        if issubclass(field.annotation, BaseModel):
            model = field.annotation
    return list(model.model_fields)
