"""What a home remembers, and what it refuses."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path

import pytest

from dsq.console.local.clusters import _keep_edits
from dsq.console.local.home import Home, Options, State, jobs_root, merge_options, write_atomically
from dsq.console.local.up import options_for
from dsq.core.errors import SettingsError, UsageError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A new home in a folder that holds another file."""
    (tmp_path / "other").write_text("mine")
    made = Home(tmp_path)
    made.create()
    return made


def test_keys_are_private_and_made_once(home: Home) -> None:
    """A key and the passphrase survive every further start."""
    first = home.key("user")
    home.create()
    assert home.key("user") == first
    assert str(home.wallet("user").address) == first.address
    assert stat.S_IMODE(home.keys.stat().st_mode) == 0o700
    for path in home.keys.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (home.path / "other").read_text() == "mine"


def test_state_survives(home: Home) -> None:
    """Options and ports come back as they were; a damaged file is said to be one."""
    assert home.load_state() is None
    state = State(Options(cluster="local", providers=2), {"rpc": 1234}, "/jobs", "0x12")
    home.save_state(state)
    assert home.load_state() == state
    home.state_file.write_text("{")
    with pytest.raises(SettingsError, match="damaged"):
        home.load_state()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"cluster": "slurmm"}, "no cluster 'slurmm'"),
        ({"cluster": "me@host", "providers": 2}, "leave --providers"),
        ({"cluster": "local", "providers": 0}, "at least one"),
    ],
)
def test_options_that_make_no_sense(asked: dict[str, object], words: str) -> None:
    """Each with its sentence."""
    with pytest.raises(UsageError, match=words):
        merge_options(None, asked)


def test_a_home_keeps_its_chain_and_cluster() -> None:
    """Providers may be added; nothing else that jobs depend on changes."""
    known = State(Options(cluster="local", providers=2))
    assert merge_options(known, {"providers": 3}).providers == 3
    assert merge_options(known, {"cluster": None}) == known.options
    for asked in ({"cluster": "mini-slurm"}, {"chain": "http://x"}, {"providers": 1}):
        with pytest.raises(UsageError):
            merge_options(known, asked)


def test_another_chain_is_never_used_unasked(home: Home) -> None:
    """A URL needs its chain's number and an operator's key."""
    asked = {"chain": "http://x", "cluster": "local"}
    with pytest.raises(UsageError, match="--chain-id"):
        options_for(home, asked)
    with pytest.raises(UsageError, match="--operator-key"):
        options_for(home, {**asked, "chain_id": 7})


def test_replaced_by_rename(tmp_path: Path) -> None:
    """A reader never sees half a file, and only the owner reads it."""
    path = tmp_path / "file"
    write_atomically(path, "one")
    before = path.stat().st_ino
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_ino != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_jobs_of_another_account_stay_out_of_private_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that the jobs' account cannot pass through keeps their folder elsewhere."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "private").mkdir(mode=0o700)
    home = Home(tmp_path / "private")
    state = State()
    root = jobs_root(home, state, "nobody")
    assert home.path not in root.parents
    assert jobs_root(home, state, "nobody") == root
    assert jobs_root(home, State(), "") == home.path / "jobs"


def test_what_an_owner_edited_stays(tmp_path: Path) -> None:
    """Prices, labels and limits are the owner's; addresses are the grid's."""
    path = tmp_path / "provider.toml"
    path.write_text('[prices]\ncpu_per_min = "3"\n[cluster]\nkind = "local"\nclaim_ahead = 4\n')
    made = {
        "chain": {"rpc_url": "new"},
        "cluster": {"kind": "slurm"},
        "prices": {"cpu_per_min": "1"},
        "labels": {"name": "p1"},
    }
    kept = _keep_edits(path, made)
    assert kept["prices"] == {"cpu_per_min": "3"}
    assert kept["cluster"] == {"kind": "slurm", "claim_ahead": 4}
    assert kept["chain"] == {"rpc_url": "new"}
    assert kept["labels"] == {"name": "p1"}
    assert tomllib.loads(path.read_text())["cluster"]["kind"] == "local"


def test_grid_json_names_no_secret(home: Home) -> None:
    """It has paths of keys and passphrase, and neither of them."""
    from dsq.core.config import GridConfig, read_grid_json

    config = GridConfig(
        rpc_url="http://127.0.0.1:1",
        chain_id=31337,
        metascheduler="0x" + "12" * 20,
        user=home.key("user"),
        operator=home.key("operator"),
        providers=(home.key("provider-p1").model_copy(update={"name": "p1"}),),
    )
    text = home.write_grid(config)
    assert home.passphrase_file.read_text().strip() not in text
    assert json.loads(text)["providers"][0]["name"] == "p1"
    assert read_grid_json(home.path).providers[0].address == config.providers[0].address
