"""The commands below ``dsq-provider``: what they write, print and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from dsq.console.provider_command import command, run
from dsq.core.model import Address
from dsq.supervisor.lock import only_supervisor

GUIDE = Path(__file__).parents[3] / "docs" / "provider.md"
WALLET = "0x" + "a1" * 20


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A provider over SSH, with an account for each wallet."""
    path = tmp_path / "provider.toml"
    path.write_text(
        'name = "gaia"\nstate_dir = "state"\n'
        '[chain]\nrpc_url = "http://127.0.0.1:1"\nchain_id = 1\n'
        'metascheduler = "0x5FbDB2315678afecb367f032d93F642f64180aa3"\n'
        '[services]\nsbatch_grpc = "127.0.0.1:2"\n'
        '[cluster]\nkind = "ssh"\nhost = "login.example.org"\n'
        'user_template = "dsq-{address[2:14]}"\n'
    )
    return path


@pytest.mark.parametrize("name", [*command.commands, "--headless", "--check", "--shared-account"])
def test_each_command_is_in_the_guide(name: str) -> None:
    """Those that hold claims stand together."""
    text = GUIDE.read_text()
    assert f"dsq-provider {name}" in text or f"| {name}" in text or f"`{name}`" in text, name


@pytest.mark.parametrize("name", [*command.commands])
def test_each_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, and words for each option."""
    assert run([name, "--help"]) == 0
    assert "Usage: dsq-provider" in capsys.readouterr().out
    found = command.commands[name]
    assert found.help
    for option in found.params:
        assert not isinstance(option, click.Option) or option.help


@pytest.mark.parametrize(
    ("word", "mode"), [("pause", "pause"), ("resume", "run"), ("drain", "drain")]
)
def test_claims_are_held_by_a_file(config: Path, tmp_path: Path, word: str, mode: str) -> None:
    """The one that a supervisor follows; the flag may stand on either side of the command."""
    for words in ([word, "--config", str(config)], ["--config", str(config), word]):
        assert run(words) == 0
        control = tmp_path / "state" / "control.json"
        assert json.loads(control.read_text()) == {"mode": mode}
        control.unlink()


def test_a_wallets_account_is_printed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the account of another wallet with the same digits is not."""
    assert run(["account", WALLET, "--config", str(config)]) == 0
    assert capsys.readouterr().out == "dsq-a1a1a1a1a1a1\n"
    twin = "0x" + "a1" * 6 + "ff" * 14
    assert run(["account", twin, "--config", str(config)]) == 75
    assert "belongs to another wallet" in capsys.readouterr().err
    assert run(["account", "0x12", "--config", str(config)]) == 64


def test_a_unit_is_printed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the absolute path of the settings, for the account that was named."""
    assert run(["systemd-unit", "--user", "dsq", "--config", str(config)]) == 0
    text = capsys.readouterr().out
    assert f"--config {config}" in text
    assert "User=dsq\n" in text


def test_a_typo_names_the_close_match(capsys: pytest.CaptureFixture[str]) -> None:
    """As everywhere in dsq."""
    assert run(["regsiter"]) == 64
    assert "Did you mean 'register'" in capsys.readouterr().err


def test_a_hold_says_when_nobody_hears_it(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It counts at the next start; beside a supervisor at work it counts at once."""
    me = Address.parse(WALLET)
    assert run(["pause", "--config", str(config)]) == 0
    assert "no supervisor is at work now" in capsys.readouterr().err
    with only_supervisor(tmp_path / "state", 1, me, me):
        assert run(["resume", "--config", str(config)]) == 0
        assert capsys.readouterr().err == "claims again\n"
    assert run(["drain", "--config", str(config)]) == 0
    assert "no supervisor is at work now" in capsys.readouterr().err


@pytest.mark.parametrize(
    "field",
    ["identity_file", "identity_passphrase_file", "known_hosts", "ssh_config", "users_file"],
)
def test_files_that_are_not_there_are_named_at_the_start(
    config: Path, field: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not tried again and again as a cluster that does not answer; --check says it, too."""
    monkeypatch.setenv("ETH_PRIVATE_KEY", "11" * 32)
    config.write_text(config.read_text() + f'{field} = "nowhere"\n')
    for mode in ("--check", "--headless"):
        assert run([mode, "--config", str(config)]) == 78
        shown = capsys.readouterr().err
        assert f"cluster.{field}: {config.parent / 'nowhere'} cannot be read" in shown
    (config.parent / "nowhere").touch()
    assert run(["--check", "--config", str(config)]) == 0


def test_who_has_no_settings_learns_how_to_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first thing that many will see."""
    monkeypatch.setenv("DSQ_CONFIG_DIR", str(tmp_path))
    assert run([]) == 78
    assert "dsq-provider init USER@HOST" in capsys.readouterr().err
