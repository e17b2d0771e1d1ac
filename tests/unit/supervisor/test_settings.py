"""Settings of a provider: strict, explained, relative to their file."""

from __future__ import annotations

import os
import pwd
import tomllib
from pathlib import Path

import pytest

from dsq.core.errors import SettingsError
from dsq.core.model import Label, ProviderPrices
from dsq.supervisor.settings import (
    ClusterSettings,
    ProviderSettings,
    account_problem,
    is_this_host,
    load_settings,
    normalise,
)

ME = pwd.getpwuid(os.geteuid()).pw_name

GOOD = """
name = "gaia"
state_dir = "state"

[chain]
rpc_url = "http://127.0.0.1:8545"
chain_id = 31337
metascheduler = "0x5FbDB2315678afecb367f032d93F642f64180aa3"

[services]
sbatch_grpc = "127.0.0.1:3001"
logger_grpc = "127.0.0.1:3001"

[wallet]
key_file = "keys/provider.json"

[cluster]
kind = "slurm"
max_minutes = 600

[prices]
gpu_per_min = 8.5
cpu_per_min = "0.95"
mem_per_min = 8e-5

[labels]
Zone = "fr Paris/1"
"""


def load(tmp_path: Path, text: str) -> ProviderSettings:
    path = tmp_path / "provider.toml"
    path.write_text(text)
    return load_settings(path)


def test_a_whole_file(tmp_path: Path) -> None:
    """Every kind of value, exactly."""
    settings = load(tmp_path, GOOD)
    assert settings.cluster.max_minutes == 600
    assert settings.prices.wei == ProviderPrices(85 * 10**17, 95 * 10**16, 8 * 10**13)
    assert settings.operator_labels == (Label("name", "gaia"), Label("zone", "fr-paris-1"))


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """Not to the folder where the command was typed; paths on the cluster stay as they are."""
    text = GOOD.replace("max_minutes = 600", 'workdir = "jobs"')
    settings = load(tmp_path, text)
    assert settings.state_dir == tmp_path / "state"
    assert settings.wallet.key_file == tmp_path / "keys" / "provider.json"
    assert settings.cluster.workdir == "jobs"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_minutes", "max_minuts", "unknown field 'cluster.max_minuts'. Did you mean 'max_m"),
        ("[prices]", "[price]", "unknown field 'price'. Did you mean 'prices'"),
        ("rpc_url", "rpcurl", "unknown field 'chain.rpcurl'. Did you mean 'rpc_url'"),
        ("max_minutes = 600", "max_minutes = 0", "'cluster.max_minutes'"),
        ("max_minutes = 600", 'max_minutes = "600"', "'cluster.max_minutes'"),
        ('"slurm"', '"slrum"', "'cluster.kind'"),
        ("chain_id = 31337", "", "the field 'chain.chain_id' is missing"),
        ('rpc_url = "http', 'rpc_url = "ftp', "'chain.rpc_url': write http://host:port or http"),
        ("sbatch_grpc = ", 'sbatch_grpc = "nonsense" #', "'services.sbatch_grpc': write host:port"),
        ("0x5FbDB2315678afecb367f032d93F642f64180aa3", "0x12", "'0x12' is not an address"),
        ("aa3", "aA3", "checksum"),
        ("8e-5", "-1", "is not an amount of credits"),
        ("8e-5", "1e-19", "is not an amount of credits"),
        ("8e-5", "[1]", "a price is a decimal number"),
        ('"slurm"', '"ssh"', "kind 'ssh' needs 'host'"),
        ('kind = "slurm"', 'kind = "slurm"\nhost = "x"', "'host' is for kind ssh"),
        ('kind = "slurm"', 'kind = "slurm"\ncpus = 4', "'cpus' is for kind local"),
        ("Zone", '"/"', "is no label"),
        ('name = "gaia"', "name = gaia", "does not parse"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, words: str) -> None:
    """One sentence: the file, the field, and the close match."""
    assert old in GOOD
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert words in str(caught.value)
    assert "provider.toml" in str(caught.value)
    assert caught.value.exit_code == 78


def test_prices_cannot_all_be_nothing(tmp_path: Path) -> None:
    """A rate of 0 would lock up the contract's arithmetic."""
    text = GOOD.replace('"0.95"', "0").replace("8e-5", "0")
    with pytest.raises(SettingsError, match="cannot both be 0"):
        load(tmp_path, text)


def test_a_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    """And not only that it is missing."""
    with pytest.raises(SettingsError, match="--config FILE"):
        load_settings(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NVIDIA A100-SXM4-40GB", "nvidia-a100-sxm4-40gb"),
        ("fr Paris/1", "fr-paris-1"),
        ("-a-", "a"),
        ("Intel(R) Xeon(R) @ 2.20GHz", "intel-r-xeon-r-2.20ghz"),
        ("", ""),
    ],
)
def test_labels_are_spelt_as_the_grid_does(text: str, expected: str) -> None:
    """Letters, digits, dot, underscore and inner dashes; the rest becomes a dash."""
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("cluster", "is_shared"),
    [
        ('kind = "local"', True),
        ('kind = "slurm"', True),
        ('kind = "slurm"\njob_user = "nobody"', False),
        (f'kind = "local"\njob_user = "{ME}"', True),
        ('kind = "ssh"\nhost = "login.example.org"\nuser = "grid"', False),
        (f'kind = "ssh"\nhost = "login.example.org"\nuser = "{ME}"', False),
        ('kind = "ssh"\nhost = "127.0.0.1"\nuser = "grid"', False),
        (f'kind = "ssh"\nhost = "127.0.0.1"\nuser = "{ME}"', True),
        ('kind = "ssh"\nhost = "localhost"', True),
    ],
)
def test_whether_jobs_share_the_wallets_account(
    tmp_path: Path, cluster: str, is_shared: bool
) -> None:
    """The same account on this machine; the same name on another one is another account."""
    text = GOOD.replace('kind = "slurm"\nmax_minutes = 600', cluster)
    assert bool(account_problem(load(tmp_path, text))) is is_shared


def test_this_host_is_known_by_its_names() -> None:
    """Loopback addresses and names; others are not resolved."""
    assert is_this_host("localhost")
    assert is_this_host("::1")
    assert is_this_host("127.0.0.53")
    assert not is_this_host("login.example.org")
    assert not is_this_host("192.0.2.1")


def test_the_guide_names_every_field() -> None:
    """docs/provider.md has a row for each field of the settings, and no row too many."""
    guide = (Path(__file__).parents[3] / "docs" / "provider.md").read_text()
    rows = {line.split("`")[1] for line in guide.splitlines() if line.startswith("| `")}
    fields = set()
    for name, field in ProviderSettings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and hasattr(kind, "model_fields"):
            fields |= {f"{name}.{inner}" for inner in kind.model_fields}
        elif name == "labels":
            fields.add("labels.*")
        else:
            fields.add(name)
    assert fields <= rows
    assert {row for row in rows if row.split(".")[0] in ProviderSettings.model_fields} == fields


def test_the_guides_example_is_valid(tmp_path: Path) -> None:
    """What a reader copies works."""
    guide = (Path(__file__).parents[3] / "docs" / "provider.md").read_text()
    example = guide.split("```toml\n")[1].split("```")[0]
    tomllib.loads(example)
    settings = load(tmp_path, example)
    assert isinstance(settings.cluster, ClusterSettings)


def test_several_nodes_and_limits(tmp_path: Path) -> None:
    """More nodes, how far the chain may go back, and what gas may cost."""
    plain = load(tmp_path, GOOD).chain
    assert plain.endpoints == ("http://127.0.0.1:8545",)
    assert (plain.reorg_depth, plain.fee_cap) == (1_000, None)
    more = (
        'chain_id = 31337\nrpc_urls = ["http://b", "http://c"]\nreorg_depth = 12\nmax_fee_gwei = 3'
    )
    chain = load(tmp_path, GOOD.replace("chain_id = 31337", more)).chain
    assert chain.endpoints == ("http://127.0.0.1:8545", "http://b", "http://c")
    assert (chain.reorg_depth, chain.fee_cap) == (12, 3 * 10**9)
    with pytest.raises(SettingsError, match="reorg_depth"):
        load(tmp_path, GOOD.replace("chain_id = 31337", "chain_id = 1\nreorg_depth = 0"))
