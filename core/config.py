"""Settings: named grids in one TOML file and in address books, environment, flags.

Flags win over the environment, the environment over the file. ``--home DIR`` (or
``DSQ_HOME``) names a local grid by the ``grid.json`` that ``dsq up`` wrote there.
docs/reference/settings.md describes every field.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError, model_validator

from dsq.core.addressbook import read_book, read_books
from dsq.core.errors import SettingsError, UsageError, close_matches
from dsq.core.model import Address
from dsq.core.wallet import KeyRef

ENVIRONMENT = {
    "DSQ_RPC_URL": "rpc_url",
    "DSQ_RPC_URLS": "rpc_urls",
    "DSQ_WS_URL": "ws_url",
    "DSQ_CHAIN_ID": "chain_id",
    "DSQ_METASCHEDULER": "metascheduler",
    "DSQ_SBATCH_URL": "sbatch_url",
    "DSQ_SBATCH_GRPC": "sbatch_grpc",
    "DSQ_LOGGER_GRPC": "logger_grpc",
    "DSQ_ORACLE_URL": "oracle_url",
    "DSQ_FAUCET": "faucet",
}
"""Variables that replace a field of the chosen grid."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeySettings(_Strict):
    """A key in ``grid.json``."""

    address: str
    key_file: Path
    passphrase_file: Path | None = None
    name: str = ""

    @property
    def ref(self) -> KeyRef:
        return KeyRef(Address.parse(self.address), self.key_file, self.passphrase_file)


class GridConfig(_Strict):
    """Where one grid is.

    Attributes:
        name: Its name in the settings, or the home's path.
        chain_id: The chain that the endpoints must serve; another one is refused.
        metascheduler: Address of the MetaScheduler contract; the others are read from it.
        sbatch_url: GraphQL endpoint, with its path.
        sbatch_grpc: ``host:port``, or ``https://host:port`` for TLS.
        logger_grpc: Like ``sbatch_grpc``.
        faucet: Address of the faucet, which no other contract names.
        start_block: The block of the grid's first contract: its history begins there.
        operator: The key that administers the grid, if the settings name one.
        wallet: The user's key, if the settings name one.
        rpc_urls: Further nodes of the same chain, asked when ``rpc_url`` fails.
        reorg_depth: Blocks that the chain may go back before services stop.
    """

    name: str = ""
    rpc_url: str
    rpc_urls: tuple[str, ...] = ()
    reorg_depth: int = Field(default=1_000, ge=1)
    ws_url: str | None = None
    chain_id: int
    metascheduler: str
    sbatch_url: str = ""
    sbatch_grpc: str = ""
    logger_grpc: str = ""
    oracle_url: str = ""
    faucet: str | None = None
    start_block: int = 0
    home: Path | None = None
    user: KeySettings | None = None
    operator: KeySettings | None = None
    providers: tuple[KeySettings, ...] = ()
    wallet: InstanceOf[KeyRef] | None = None

    @model_validator(mode="before")
    @classmethod
    def _first_url(cls, values: Any) -> Any:
        """``rpc_urls`` alone is enough: its first one is preferred."""
        if isinstance(values, dict) and values.get("rpc_urls"):
            urls = _split(values["rpc_urls"])
            return {**values, "rpc_url": values.get("rpc_url") or urls[0], "rpc_urls": urls}
        return values

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The chain's nodes, the preferred one first."""
        return tuple(dict.fromkeys((self.rpc_url, *self.rpc_urls)))

    @property
    def metascheduler_address(self) -> Address:
        return Address.parse(self.metascheduler)

    @property
    def faucet_address(self) -> Address | None:
        return Address.parse(self.faucet) if self.faucet else None


def _split(urls: str | Iterable[str]) -> tuple[str, ...]:
    """A list, in the environment parted by commas or spaces."""
    return tuple(urls.replace(",", " ").split() if isinstance(urls, str) else urls)


class WalletSettings(_Strict):
    """``[wallet]``: the user's key on grids that name none."""

    key_file: Path | None = None
    passphrase_file: Path | None = None


class _GridTable(_Strict):
    home: Path | None = None
    rpc_url: str | None = None
    rpc_urls: tuple[str, ...] | None = None
    reorg_depth: int | None = None
    ws_url: str | None = None
    chain_id: int | None = None
    metascheduler: str | None = None
    sbatch_url: str | None = None
    sbatch_grpc: str | None = None
    logger_grpc: str | None = None
    oracle_url: str | None = None
    faucet: str | None = None
    start_block: int | None = None
    operator: KeySettings | None = None
    key_file: Path | None = None
    passphrase_file: Path | None = None


class Settings(_Strict):
    """The settings file ``config.toml``."""

    default_grid: str | None = None
    grids: dict[str, _GridTable] = Field(default_factory=dict)
    wallet: WalletSettings = WalletSettings()


def settings_dir(env: Mapping[str, str] | None = None) -> Path:
    """Folder of ``config.toml``, keys and the user's themes (``DSQ_CONFIG_DIR`` wins)."""
    named = (os.environ if env is None else env).get("DSQ_CONFIG_DIR")
    return Path(named) if named else Path(platformdirs.user_config_dir("dsq"))


def state_dir(env: Mapping[str, str] | None = None) -> Path:
    """Folder for what a user would miss but could rebuild (``DSQ_STATE_DIR`` wins)."""
    named = (os.environ if env is None else env).get("DSQ_STATE_DIR")
    return Path(named) if named else Path(platformdirs.user_state_dir("dsq"))


def cache_dir(env: Mapping[str, str] | None = None) -> Path:
    """Folder for downloads (``DSQ_CACHE_DIR`` wins)."""
    named = (os.environ if env is None else env).get("DSQ_CACHE_DIR")
    return Path(named) if named else Path(platformdirs.user_cache_dir("dsq"))


def explain(error: ValidationError, where: str, known: Mapping[str, Any] | None = None) -> str:
    """One sentence for the first thing that a settings model refuses."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        return f"{where}: unknown field '{path}'.{close_matches(name, known or {})}"
    return f"{where}: field '{path}': {first['msg'][:1].lower()}{first['msg'][1:]}."


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Reads ``config.toml`` and the address books; a missing file is an empty one.

    Raises:
        SettingsError: The file does not parse or has a wrong field.
    """
    path = settings_dir(env) / "config.toml"
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        data = {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error}.") from error
    try:
        return Settings.model_validate(_with_books(data, settings_dir(env)))
    except ValidationError as error:
        known = {**Settings.model_fields, **_GridTable.model_fields, **WalletSettings.model_fields}
        raise SettingsError(explain(error, str(path), known)) from None


def _with_books(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings with the grids of the address books; a table's fields win."""
    tables = data.get("grids", {})
    if not isinstance(tables, dict):
        return data
    grids = dict(tables)
    for name, values in read_books(folder).items():
        table = tables.get(name, {})
        if isinstance(table, dict) and "home" not in table:
            grids[name] = {**values, **table}
    return {**data, "grids": grids} if grids else data


def grid_json_path(home: Path) -> Path:
    """Where ``dsq up`` writes what others need to use a local grid."""
    return home / "grid.json"


def read_grid_json(home: Path) -> GridConfig:
    """Reads a local grid's ``grid.json``.

    Raises:
        SettingsError: There is none, or it is damaged.
    """
    path = grid_json_path(home)
    try:
        data = json.loads(path.read_text())
        data.pop("version", None)
        config = GridConfig.model_validate({**data, "name": str(home), "home": home})
    except FileNotFoundError:
        raise SettingsError(
            f"There is no grid in {home} (no grid.json).", hint=f"'dsq up --home {home}' makes one."
        ) from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise SettingsError(explain(error, str(path), GridConfig.model_fields)) from None
    except ValueError as error:
        raise SettingsError(f"{path} is damaged: {error}.") from error
    return config.model_copy(update={"wallet": config.user.ref if config.user else None})


def load_grid(
    grid: str | None = None,
    home: Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
) -> GridConfig:
    """Finds the grid that a command means.

    Order: ``home`` or ``grid`` (flags), ``DSQ_HOME`` or ``DSQ_GRID``, ``default_grid`` of
    the settings, the only grid there. Fields of :data:`ENVIRONMENT` then replace those of
    the grid, unless a flag named it.

    Raises:
        SettingsError: No grid is named, the name is unknown, or a field is missing or wrong.
    """
    env = os.environ if env is None else env
    if grid is not None and home is not None:
        raise UsageError("--grid and --home exclude each other.", hint="Name the grid once.")
    by_flag = grid is not None or home is not None
    if not by_flag:
        home = Path(env["DSQ_HOME"]) if env.get("DSQ_HOME") else None
        grid = None if home else env.get("DSQ_GRID") or None
    if home is not None:
        config = read_grid_json(home.expanduser().absolute())
        return config if by_flag else _overridden(dict(config), env, config.name)
    settings = load_settings(env)
    name = (
        grid
        or settings.default_grid
        or (next(iter(settings.grids)) if len(settings.grids) == 1 else None)
    )
    if name is None:
        if env.get("DSQ_RPC_URL"):
            return _overridden(_wallet_of(_GridTable(), settings), env, "environment")
        raise SettingsError(
            "No grid is chosen.",
            hint="Use --grid NAME or --home DIR, or start a local grid with 'dsq up'.",
        )
    table = settings.grids.get(name)
    if table is None:
        book = settings_dir(env) / "grids" / f"{Path(name).name}.json"
        if book.exists():
            read_book(book)  # It is damaged; this says how.
        raise SettingsError(
            f"There is no grid named '{name}' in the settings ({settings_dir(env)})."
            f"{close_matches(name, settings.grids)}"
        )
    used_env = {} if by_flag else env
    if table.home is not None:
        local = read_grid_json(table.home.expanduser().absolute())
        return _overridden({**dict(local), "name": name}, used_env, name)
    values = {**table.model_dump(exclude_none=True), "name": name}
    return _overridden({**values, **_wallet_of(table, settings)}, used_env, name)


def _wallet_of(table: _GridTable, settings: Settings) -> dict[str, Any]:
    key_file = table.key_file or settings.wallet.key_file
    passphrase_file = table.passphrase_file or settings.wallet.passphrase_file
    if key_file is None:
        default = settings_dir() / "keys" / "default.json"
        key_file = default if default.exists() else None
    return {
        "wallet": KeyRef(
            None,
            key_file.expanduser() if key_file else None,
            passphrase_file.expanduser() if passphrase_file else None,
        )
    }


def _overridden(values: dict[str, Any], env: Mapping[str, str], name: str) -> GridConfig:
    values = {
        key: value for key, value in values.items() if key not in ("key_file", "passphrase_file")
    }
    if env.get("DSQ_RPC_URL") or env.get("DSQ_RPC_URLS"):
        # Perhaps of another chain: the nodes of the settings do not belong to it.
        values = {key: value for key, value in values.items() if key not in ("rpc_url", "rpc_urls")}
    for variable, replaced in ENVIRONMENT.items():
        if env.get(variable):
            values[replaced] = env[variable]
    try:
        config = GridConfig.model_validate({**values, "name": values.get("name") or name})
        field = "metascheduler"
        Address.parse(config.metascheduler)
        field = "faucet"
        _ = config.faucet_address
    except ValidationError as error:
        raise SettingsError(explain(error, f"grid '{name}'", GridConfig.model_fields)) from None
    except UsageError as error:
        raise SettingsError(f"grid '{name}': field '{field}': {error}") from None
    return config
