"""The command itself: start, help, typos, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from dsq.console.cli import COMMANDS, cli
from dsq.console.commands.reference import commands_of

from .conftest import Dsq
from .double import GridDouble

HEAVY = {
    "aiohttp", "asyncio", "asyncssh", "dsq.core.config", "dsq.core.grid", "eth_account",
    "eth_utils", "google.protobuf", "grpc", "httpx", "jinja2", "pydantic", "rich", "starlette",
    "textual", "uvicorn", "web3", "yaml",
}  # fmt: skip

EVERY = [
    (command, context) for command, context in commands_of(cli, click.Context(cli, info_name="dsq"))
]


def test_help_imports_nothing_heavy() -> None:
    """dsq --help and a usage error start at once: none of the big libraries is loaded."""
    script = (
        "import sys\n"
        "from dsq.console.cli import run\n"
        "run(['--help']); run(['sumbit'])\n"
        f"print(sorted(set(sys.modules) & {HEAVY!r}), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stderr.splitlines()[-1] == "[]"
    for name, (_, text) in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert text in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    """The line of help that is known without importing a command is the command's own."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert COMMANDS[name][1] == command.get_short_help_str(limit=200)
    assert (command.help or "").strip()


@pytest.mark.parametrize(
    ("command", "context"), EVERY, ids=[context.command_path for _, context in EVERY]
)
def test_every_option_is_explained(command: click.Command, context: click.Context) -> None:
    """No command and no option without a sentence; every command takes --debug."""
    assert (command.help or "").strip().endswith((".", ".\n"))
    for option in command.get_params(context):
        if isinstance(option, click.Option):
            assert (option.help or "").strip().endswith("."), option.opts
    if not isinstance(command, click.Group):
        names = {name for option in command.params for name in option.opts}
        assert "--debug" in names


def test_commands_that_use_a_grid_let_it_be_named() -> None:
    """--home everywhere a grid is used, --grid where it may be another than a local one."""
    local = {"dsq validate", "dsq render", "dsq up", "dsq down", "dsq demo", "dsq deploy",
             "dsq wallet new", "dsq wallet import", "dsq schema", "dsq templates",
             "dsq wallet contacts list", "dsq wallet contacts add",
             "dsq wallet contacts remove"}  # fmt: skip
    for command, context in EVERY:
        if isinstance(command, click.Group) or context.command_path in local:
            continue
        names = {name for option in command.params for name in option.opts}
        assert {"--grid", "--home"} <= names, context.command_path


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["sumbit"], "Did you mean 'submit'?"),
        (["providers", "aprove"], "Did you mean 'approve'"),
        (["credits", "balanse"], "Did you mean 'balance'"),
        (["job", "shwo", "1"], "Did you mean 'show'?"),
        (["jobs", "--custmer", "x"], "Did you mean '--customer'?"),
        (["jobs", "--status", "RUNING"], "'RUNNING'"),
        (["job", "show", "x"], "'x' is not a job id"),
        (["job", "show"], "Missing argument 'ID'"),
        (["submit", "f.yaml"], "Missing option '--credits'"),
        (["submit", "f.yaml", "--credits", "9", "--affinity", "no-op"], "'no-op'"),
        (["submit", "f.yaml", "--credits", "9", "--uses", "gpu"], "'gpu' is not a label"),
        (["jobs", "--grid", "a", "--home", "b"], "--grid and --home"),
        (["--grid", "a", "up"], "--home"),
        (["metascheduler", "run", "--listen", "3000"], "HOST:PORT"),
        (["wallet", "new", "--name", "../x"], "'../x'"),
    ],
)
def test_what_makes_no_sense_is_64(dsq: Dsq, args: list[str], words: str) -> None:
    """One sentence with the close match, nothing on stdout."""
    result = dsq(*args)
    assert (result.code, result.out) == (64, "")
    assert words in result.err
    assert len(result.err.splitlines()) <= 2


def test_no_command_is_64_with_the_help(dsq: Dsq) -> None:
    """The help goes to stderr: there was nothing to print."""
    result = dsq()
    assert (result.code, result.out) == (64, "")
    assert "submit" in result.err


def test_no_grid_is_78(dsq: Dsq, tmp_path: Path) -> None:
    """With what to do about it; a folder without a grid says so."""
    result = dsq("jobs")
    assert result.code == 78
    assert "dsq up" in result.err
    result = dsq("jobs", "--home", str(tmp_path))
    assert result.code == 78
    assert "grid.json" in result.err


def test_home_and_debug_may_stand_before_the_command(dsq: Dsq, tmp_path: Path) -> None:
    """A value given before the command is seen by it."""
    assert str(tmp_path) in dsq("--home", str(tmp_path), "jobs").err
    assert str(tmp_path) in dsq("jobs", "--home", str(tmp_path)).err


def test_an_error_inside_is_70_and_one_sentence(
    dsq: Dsq, grid: GridDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of dsq itself shows no traceback either."""
    monkeypatch.setattr(GridDouble, "job", None)
    result = dsq("job", "show", "1")
    assert result.code == 70
    assert "--debug" in result.err


def test_debug_shows_the_traceback(grid: GridDouble, capfd: pytest.CaptureFixture[str]) -> None:
    """Only then."""
    from dsq.console.cli import run

    assert run(["job", "show", "1", "--debug"]) == 66
    assert "Traceback" in capfd.readouterr().err


def test_a_reader_that_has_enough_is_no_error(workflow: str) -> None:
    """dsq render FILE | head -1 ends quietly."""
    result = subprocess.run(
        f"'{sys.executable}' -m dsq.console.cli jobs --help | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
    )
    assert result.stdout.splitlines()[-1] in ("0", "141")
    assert result.stderr == ""


def test_the_version(dsq: Dsq) -> None:
    """One line."""
    assert dsq("--version").out.startswith("dsq ")
