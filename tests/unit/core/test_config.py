"""Which grid a command means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsq.core.config import GridConfig, load_grid
from dsq.core.errors import SettingsError, UsageError

CONTRACT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with a settings file of two grids, and a home."""
    grid = {"rpc_url": "http://home", "chain_id": 31337, "metascheduler": CONTRACT, "version": 1,
            "user": {"address": CONTRACT, "key_file": "/k", "passphrase_file": "/p"}}  # fmt: skip
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "grid.json").write_text(json.dumps(grid))
    (tmp_path / "config.toml").write_text(
        f"""
        default_grid = "lab"
        [wallet]
        key_file = "/keys/mine.json"
        [grids.lab]
        rpc_url = "http://lab"
        chain_id = 7
        metascheduler = "{CONTRACT}"
        [grids.home]
        home = "{tmp_path / "home"}"
        """
    )
    return {"DSQ_CONFIG_DIR": str(tmp_path)}


def test_default_named_and_home(env: dict[str, str], tmp_path: Path) -> None:
    """default_grid, --grid, and --home; a home brings its user's key."""
    assert load_grid(env=env).rpc_url == "http://lab"
    assert load_grid("home", env=env).rpc_url == "http://home"
    home = load_grid(home=tmp_path / "home", env=env)
    assert home.wallet is not None
    assert home.wallet.key_file == Path("/k")
    lab = load_grid(env=env)
    assert lab.wallet is not None
    assert lab.wallet.key_file == Path("/keys/mine.json")


def test_flags_win_over_environment_over_file(env: dict[str, str]) -> None:
    """DSQ_RPC_URL replaces the file's, but not that of a grid a flag names."""
    env = {**env, "DSQ_RPC_URL": "http://env", "DSQ_GRID": "home"}
    assert load_grid(env=env).rpc_url == "http://env"
    assert load_grid("lab", env=env).rpc_url == "http://lab"


def test_environment_alone(tmp_path: Path) -> None:
    """No file at all: three variables are a grid."""
    env = {
        "DSQ_CONFIG_DIR": str(tmp_path),
        "DSQ_RPC_URL": "http://env",
        "DSQ_CHAIN_ID": "5",
        "DSQ_METASCHEDULER": CONTRACT,
    }
    assert load_grid(env=env).chain_id == 5
    with pytest.raises(SettingsError, match="chain_id"):
        load_grid(env={**env, "DSQ_CHAIN_ID": "five"})


def test_one_sentence_each(env: dict[str, str], tmp_path: Path) -> None:
    """Unknown names get their close match; files name their field."""
    with pytest.raises(SettingsError, match="Did you mean 'home'"):
        load_grid("hoem", env=env)
    with pytest.raises(SettingsError, match="no grid.json"):
        load_grid(home=tmp_path, env=env)
    with pytest.raises(UsageError):
        load_grid("lab", tmp_path, env=env)
    (tmp_path / "config.toml").write_text("[grids.lab]\nrpc_ulr = 'x'\n")
    with pytest.raises(SettingsError, match="Did you mean 'rpc_url'"):
        load_grid(env=env)
    (tmp_path / "config.toml").write_text("[grids.lab\n")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_grid(env=env)


def test_every_setting_is_documented() -> None:
    """docs/reference/settings.md names every field and variable."""
    from dsq.core.config import ENVIRONMENT

    text = (Path(__file__).resolve().parents[3] / "docs/reference/settings.md").read_text()
    names = [*ENVIRONMENT, *ENVIRONMENT.values(), *("DSQ_GRID", "DSQ_HOME", "DSQ_CONFIG_DIR")]
    names += ["DSQ_STATE_DIR", "DSQ_CACHE_DIR", "DSQ_PASSPHRASE_FILE", "ETH_PRIVATE_KEY"]
    assert [name for name in names if f"`{name}`" not in text] == []
    assert GridConfig.model_fields
