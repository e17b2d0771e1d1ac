"""Which grid a command means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from dsq.core.addressbook import FIELDS, book_path, check_name, write_book
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


def test_several_nodes(env: dict[str, str], tmp_path: Path) -> None:
    """rpc_urls follow rpc_url or stand alone; a variable replaces both, for it may be elsewhere."""
    path = tmp_path / "config.toml"
    both = '\nrpc_urls = ["http://two", "http://lab"]\nreorg_depth = 12'
    text = path.read_text()
    path.write_text(text.replace('"http://lab"', f'"http://lab"{both}'))
    config = load_grid(env=env)
    assert config.endpoints == ("http://lab", "http://two")
    assert config.reorg_depth == 12
    assert load_grid(env={**env, "DSQ_RPC_URL": "http://env"}).endpoints == ("http://env",)
    listed = load_grid(env={**env, "DSQ_RPC_URLS": "http://a, http://b"})
    assert (listed.rpc_url, listed.endpoints) == ("http://a", ("http://a", "http://b"))
    path.write_text(text.replace('rpc_url = "http://lab"', 'rpc_urls = ["http://x", "http://y"]'))
    assert load_grid(env=env).endpoints == ("http://x", "http://y")


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
    from dsq.core.config import ENVIRONMENT, Settings

    text = (Path(__file__).resolve().parents[3] / "docs/reference/settings.md").read_text()
    names = [*ENVIRONMENT, *ENVIRONMENT.values(), *("DSQ_GRID", "DSQ_HOME", "DSQ_CONFIG_DIR")]
    names += ["DSQ_STATE_DIR", "DSQ_CACHE_DIR", "DSQ_PASSPHRASE_FILE", "ETH_PRIVATE_KEY"]
    table = get_args(Settings.model_fields["grids"].annotation)[1]
    names += [*table.model_fields, *FIELDS]
    assert [name for name in names if f"`{name}`" not in text] == []
    assert (
        set(FIELDS)
        <= set(table.model_fields)
        <= {*GridConfig.model_fields, "key_file", "passphrase_file"}
    )


def _book(env: dict[str, str], name: str, **changes: object) -> None:
    values = {"rpc_url": "http://book", "chain_id": 9, "metascheduler": CONTRACT, "faucet": CONTRACT,
              "start_block": 3, "addresses": {"credit": CONTRACT}, **changes}  # fmt: skip
    write_book(Path(env["DSQ_CONFIG_DIR"]), name, values)


def test_address_book_is_a_grid(env: dict[str, str], tmp_path: Path) -> None:
    """What was deployed is there by its name, with its faucet and its operator's key."""
    key = {"address": CONTRACT, "key_file": "/keys/op.json"}
    _book(env, "new", operator=key)
    grid = load_grid("new", env=env)
    assert (grid.rpc_url, grid.chain_id, grid.start_block) == ("http://book", 9, 3)
    assert grid.faucet_address == grid.metascheduler_address
    assert grid.operator is not None
    assert grid.operator.ref.key_file == Path("/keys/op.json")
    path = book_path(tmp_path, "new")
    assert path.stat().st_mode & 0o777 == 0o600


def test_table_adds_to_an_address_book_and_wins(env: dict[str, str], tmp_path: Path) -> None:
    """The services' endpoints come from config.toml; a home replaces the book."""
    _book(env, "lab", faucet=CONTRACT)
    grid = load_grid("lab", env=env)
    assert (grid.rpc_url, grid.chain_id, grid.faucet) == ("http://lab", 7, CONTRACT)
    _book(env, "home")
    assert load_grid("home", env=env).rpc_url == "http://home"


def test_damaged_address_book(env: dict[str, str], tmp_path: Path) -> None:
    """One sentence: which file, and what writes it again."""
    _book(env, "new")
    path = book_path(tmp_path, "new")
    path.write_text("{")
    with pytest.raises(SettingsError, match=r"new.json is damaged"):
        load_grid("new", env=env)
    assert load_grid("lab", env=env).rpc_url == "http://lab"
    path.write_text('{"rpc_url": "x", "chain_id": "many"}')
    with pytest.raises(SettingsError, match="grids.new.chain_id"):
        load_grid("new", env=env)
    _book(env, "new", faucet="0x12")
    with pytest.raises(SettingsError, match="field 'faucet': '0x12' is not an address"):
        load_grid("new", env=env)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a b"])
def test_names_that_no_file_can_have(name: str) -> None:
    """A grid's name never leads out of the settings folder."""
    with pytest.raises(UsageError, match="cannot be a grid's name"):
        check_name(name)
