"""The ``dsq-console`` command and the page of keys."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Never

import pytest

from dsq.console import console_command
from dsq.console.console_command import command, open_wallet
from dsq.console.entry import run_command
from dsq.console.keys import reference
from dsq.core.config import GridConfig
from dsq.core.errors import WalletError
from dsq.core.model import Address
from dsq.core.wallet import KeyRef

ROOT = Path(console_command.__file__).resolve().parent.parent


def call(*arguments: str) -> int:
    return run_command(command, "dsq-console", arguments)


def test_the_page_of_keys_is_true() -> None:
    """docs/keys.md is what the bindings say (python -m dsq.console.keys prints it)."""
    assert (ROOT / "docs" / "keys.md").read_text() == reference()


def test_the_console_page_names_every_theme_and_filter() -> None:
    """docs/console.md describes what users rely on."""
    from dsq.core.readmodel.filters import FIELDS, STATUS_GROUPS
    from dsq.themes.loader import TABLES, builtin_themes

    page = (ROOT / "docs" / "console.md").read_text()
    names = [theme.name for theme in builtin_themes()]
    fields = [field for table in TABLES.values() for field in table]
    for word in (*names, *FIELDS, *STATUS_GROUPS, *fields):
        assert f"`{word}" in page, word
    for parameter in command.params:
        assert parameter.opts[-1] in page or parameter.opts[0] in page


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    """--help works without a terminal, a grid or a wallet."""
    assert call("--help") == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--grid", "--home", "--read-only"))


def test_without_a_terminal_it_says_what_to_use(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe there is no console; the command that prints text is named."""
    assert call() == 64
    assert "'dsq jobs --json'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--hom", "x"], ["surplus"]])
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped option is one sentence and exit code 64."""
    assert call(*arguments) == 64
    assert "Traceback" not in capsys.readouterr().err


def test_a_missing_grid_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A home without a grid ends before any screen, with the settings' exit code."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert call("--home", str(tmp_path)) == 78
    assert "no grid.json" in capsys.readouterr().err


def test_unexpected_errors_become_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback without --debug."""

    def broken() -> bool:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("sys.stdin.isatty", broken, raising=False)
    assert call() == 70
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: oops" in shown
    assert "Traceback" not in shown
    assert call("--debug") == 70
    assert "Traceback" in capsys.readouterr().err


def config(**changes: object) -> GridConfig:
    values = {"rpc_url": "http://127.0.0.1:1", "chain_id": 1, "metascheduler": "0x" + "1" * 40}
    return GridConfig.model_validate({**values, **changes})


def test_read_only_needs_no_key(tmp_path: Path) -> None:
    """Looking works with an address alone; without one the wallet is asked for."""
    ref = KeyRef(Address(b"\x01" * 20), tmp_path / "none.json", None)
    assert open_wallet(config(wallet=ref), None, read_only=True) is None
    with pytest.raises(WalletError):
        open_wallet(config(wallet=ref), None, read_only=False)
    with pytest.raises(WalletError):
        open_wallet(config(), None, read_only=True)


def test_help_imports_no_screen() -> None:
    """Arguments are parsed before Textual, web3 or gRPC are imported."""
    code = (
        "import sys\n"
        "from dsq.console.console_command import command\n"
        "from dsq.console.entry import run_command\n"
        "assert run_command(command, 'dsq-console', ['--help']) == 0\n"
        "heavy = {'textual', 'web3', 'grpc', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_wallet_that_does_not_open_ends_the_console() -> None:
    """The screen goes and the error is raised, with its exit code."""
    from dsq.console.user.app import ConsoleApp

    async def connect() -> Never:
        raise WalletError("The passphrase is wrong.")

    with pytest.raises(WalletError, match="passphrase"):
        await asyncio.to_thread(ConsoleApp(connect).run, headless=True)
