"""The settings that a first look writes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.config import GridConfig
from dsq.core.errors import SettingsError
from dsq.supervisor.scheduler.port import ClusterInfo, Node
from dsq.supervisor.scheduler.slurm_cluster import Partition
from dsq.supervisor.settings import parse_settings
from dsq.supervisor.setup import Look, Target, choose, quoted, settings_text

GRID = GridConfig(
    rpc_url="https://rpc.example.org",
    chain_id=7,
    metascheduler="0x5FbDB2315678afecb367f032d93F642f64180aa3",
    sbatch_grpc="https://sbatch.example.org:443",
)
INFO = ClusterInfo((Node("n1", 8, 32_000, 2, "a100"),), "main", 600, "slurm 22.05.8")
BATCH = Partition("batch", True, "UP", 60, "n[1-2]")
DEBUG = Partition("debug", False, "UP", 30, "n1")


def test_the_file_is_what_the_settings_take(tmp_path: Path) -> None:
    """Every field that was found, in the right table."""
    target = Target(
        host="login.example.org", user="grid", port=2222, host_key="ssh-ed25519 AAAA", partition="m"
    )
    text = settings_text(
        Look(target, "grid", INFO, {"apptainer.version": "1.3.4"}),
        GRID,
        name='the "best"',
        state_dir=tmp_path / "state",
        key_file=tmp_path / "key.json",
        passphrase_file=None,
    )
    settings = parse_settings(tomllib.loads(text), base=tmp_path, where="test")
    assert settings.name == 'the "best"'
    assert settings.cluster.port == 2222
    assert settings.cluster.host_key == "ssh-ed25519 AAAA"
    assert settings.cluster.partition == "main"
    assert settings.services.logger_grpc == ""
    assert "apptainer 1.3.4" in text
    assert "1 nodes, 8 CPUs, 2 GPUs" in text


def test_the_partition_that_is_meant() -> None:
    """The one named, the default one, the only one; else a person has to say."""
    assert choose([DEBUG, BATCH]) is BATCH
    assert choose([DEBUG, BATCH], "debug") is DEBUG
    assert choose([DEBUG]) is DEBUG
    assert choose([DEBUG, DEBUG]) is None
    with pytest.raises(SettingsError, match="Did you mean 'batch'"):
        choose([DEBUG, BATCH], "bacth")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_can_be_a_toml_string(text: str) -> None:
    """It is read back as it was."""
    assert tomllib.loads(f"x = {quoted(text)}")["x"] == text
