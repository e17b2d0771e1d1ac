"""``dsq-provider init`` on a real Slurm over a real SSH server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.console.provider_command import run
from dsq.core.wallet import Wallet, create_key_file
from dsq.supervisor.settings import load_settings
from tests.support.sshd import SshServer, sshd

pytestmark = [pytest.mark.slurm, pytest.mark.sshd]


@pytest.fixture(scope="module")
def login(folder: Path, slurm: MiniSlurm, account: str) -> Iterator[SshServer]:
    """A login node of its own."""
    with sshd(folder / "login", account, env=slurm.env()) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """dsq's settings with one grid and a provider's key."""
    folder = tmp_path / "config"
    (folder / "keys").mkdir(parents=True)
    (folder / "config.toml").write_text(
        'default_grid = "lab"\n[grids.lab]\nrpc_url = "http://127.0.0.1:1"\nchain_id = 5\n'
        'metascheduler = "0x5FbDB2315678afecb367f032d93F642f64180aa3"\n'
        'sbatch_grpc = "127.0.0.1:2"\nlogger_grpc = "127.0.0.1:3"\n'
    )
    create_key_file(folder / "keys" / "provider.json", Wallet.generate(), "secret", light=True)
    monkeypatch.setenv("DSQ_CONFIG_DIR", str(folder))
    monkeypatch.setenv("DSQ_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


def words(login: SshServer, *more: str) -> list[str]:
    target = f"{login.user}@127.0.0.1"
    return ["init", target, "--port", str(login.port), "--identity", str(login.identity), *more]


def fingerprint(login: SshServer) -> str:
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", login.folder / "host.pub"], capture_output=True, text=True
    )
    return done.stdout.split()[1]


def test_from_a_key_to_settings(
    login: SshServer, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Partition, version and runtimes are found, the host key is pinned, the file is whole and
    private, and the next commands are named."""
    assert run(words(login, "--accept-host-key", fingerprint(login), "--name", "gaia")) == 0
    out = capsys.readouterr().out
    assert "partition batch: 2 nodes, 32 CPUs" in out
    assert "dsq-provider register --dry-run" in out
    path = config / "provider.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    settings = load_settings(path)
    assert settings.name == "gaia"
    assert (settings.cluster.kind, settings.cluster.user) == ("ssh", login.user)
    assert settings.cluster.partition == "batch"
    assert settings.cluster.host_key == login.host_key
    assert settings.chain.chain_id == 5
    assert settings.wallet.key_file == config / "keys" / "provider.json"
    text = path.read_text()
    assert "# Jobs run as" in text
    assert "secret" not in text


def test_a_host_key_is_not_taken_unseen(
    login: SshServer, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal its fingerprint has to be named; a wrong one stops it too."""
    assert run(words(login)) == 69
    assert f"--accept-host-key {fingerprint(login)}" in capsys.readouterr().err
    assert run(words(login, "--accept-host-key", "SHA256:no")) == 69
    assert not (config / "provider.toml").exists()


def test_what_is_there_is_not_replaced(
    login: SshServer, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is a partition taken that does not exist; known_hosts will do instead of a pin."""
    path = tmp_path / "mine.toml"
    path.write_text("mine")
    known = ["--known-hosts", str(login.known_hosts), "--output", str(path)]
    assert run(words(login, *known)) == 64
    assert path.read_text() == "mine"
    assert run(words(login, *known, "--force", "--partition", "dbug")) == 78
    assert "Did you mean 'debug'" in capsys.readouterr().err
    assert run(words(login, *known, "--force", "--partition", "debug")) == 0
    settings = load_settings(path)
    assert settings.cluster.partition == "debug"
    assert settings.cluster.known_hosts == login.known_hosts
    assert f"--config {path}" in capsys.readouterr().out


def test_without_a_key_it_says_how_to_make_one(
    login: SshServer, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything on the cluster is touched."""
    (config / "keys" / "provider.json").unlink()
    assert run(words(login)) == 78
    assert "dsq wallet new" in capsys.readouterr().err
