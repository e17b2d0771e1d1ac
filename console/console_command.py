"""The ``dsq-console`` command: the user's console in the terminal.

Arguments and settings are checked before Textual is imported, so that a mistake costs no
screen. Everything slow, as the connection to the grid, happens behind the first picture; a
passphrase is asked for in the console.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dsq.console import quick
from dsq.console.entry import run_command
from dsq.core.errors import UsageError, WalletError

if TYPE_CHECKING:
    from dsq.console.user.job_store import JobStore
    from dsq.console.user.port import GridPort
    from dsq.core.config import GridConfig
    from dsq.core.model import Address
    from dsq.core.wallet import Wallet


@click.command("dsq-console", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--grid", metavar="NAME", help="A grid of the settings file.")
@click.option("--home", type=click.Path(path_type=Path), help="A local grid's folder.")
@click.option("--read-only", is_flag=True, help="Nothing that spends or changes anything works.")
@click.option("--key-file", type=click.Path(path_type=Path), help="Another key than the grid's.")
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path), help="File with the key's passphrase."
)
@click.option("--web", is_flag=True, help="Show the console in a browser on this machine.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="Where --web listens on loopback; else a free port.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Record what the grid answers into a new file.",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Show a recording; no grid is asked.",
)
@click.option("--debug", is_flag=True, help="Write a log, and show where an error came from.")
def command(
    grid: str | None,
    home: Path | None,
    read_only: bool,
    key_file: Path | None,
    passphrase_file: Path | None,
    web: bool,
    port: int | None,
    record: Path | None,
    replay: Path | None,
    debug: bool,
) -> None:
    """Your jobs on a grid, live: submit, watch, read logs, top up, cancel.

    ? shows the keys of every view. docs/console.md describes the views.
    """
    if record is not None and (web or replay is not None):
        raise UsageError("--record is for a console in a terminal, on a grid.")
    if replay is not None and (web or grid or home or key_file or passphrase_file):
        raise UsageError("--replay shows a recording: it takes no grid, no key and no --web.")
    if web:
        serve_console(grid, home, read_only, key_file, passphrase_file, port or 0)
        return
    if port is not None:
        raise UsageError("--port is for --web.", hint="Leave it out, or add --web.")
    if not (_in_browser() or (sys.stdin.isatty() and sys.stdout.isatty())):
        raise UsageError(
            "dsq-console needs a terminal.", hint="'dsq jobs --json' prints the same as text."
        )
    if replay is not None:
        replay_console(replay, debug=debug)
        return
    run_console(
        grid=grid,
        home=home,
        read_only=read_only,
        key_file=key_file,
        passphrase_file=passphrase_file,
        record=record,
        debug=debug,
    )


def _in_browser() -> bool:
    """textual-serve runs the console and says so; there is no terminal then."""
    return os.environ.get("TEXTUAL_DRIVER", "").startswith("textual.drivers.web_driver")


def serve_console(
    grid: str | None,
    home: Path | None,
    read_only: bool,
    key_file: Path | None,
    passphrase_file: Path | None,
    port: int,
) -> None:
    """Serves the console on loopback until it is interrupted; each tab runs one of its own.

    Raises:
        UsageError: textual-serve is missing, no wallet is known, or the port is taken.
    """
    from dsq.core.config import load_grid
    from dsq.core.wallet import KeyRef

    config = load_grid(grid, home)
    if key_file is not None:
        config = config.model_copy(update={"wallet": KeyRef(None, key_file, passphrase_file)})
    if not (read_only or _unattended(config, passphrase_file) or _is_known(config)):
        raise UsageError(
            "Before the browser shows anything the wallet has to be known, and here it is not.",
            hint="Name a key with --key-file, or look only with --read-only.",
        )
    try:
        from dsq.console.web import serve
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--web needs textual-serve, and {error.name} is not installed.",
            hint="pip install 'dsq[web]'",
        ) from None
    named = {
        "--grid": grid,
        "--home": home and home.expanduser().absolute(),
        "--key-file": key_file and key_file.expanduser().absolute(),
        "--passphrase-file": passphrase_file and passphrase_file.expanduser().absolute(),
    }
    arguments = [word for name, value in named.items() if value for word in (name, str(value))]
    serve([*arguments, *(["--read-only"] if read_only else [])], port)


def run_console(
    *,
    grid: str | None = None,
    home: Path | None = None,
    read_only: bool = False,
    key_file: Path | None = None,
    passphrase_file: Path | None = None,
    record: Path | None = None,
    debug: bool = False,
) -> None:
    """Shows the console until the user leaves it.

    Args:
        grid, home: The grid that is meant, as for every command.
        read_only: Nothing that spends or changes anything works; the wallet is opened only
            where that needs no question, to read logs.
        key_file, passphrase_file: Another wallet than the one that the settings name.
        record: Where to record what the grid answers; nothing may be there.
        debug: Write the log to ``console.log`` in the state folder.

    Raises:
        SettingsError: The settings name no such grid.
        WalletError: The wallet cannot be opened.
        WrongChainError: The endpoint serves another chain.
        UsageError: There is a recording already.
    """
    from dsq.core.wallet import KeyRef

    config = _config(grid, home, read_only=read_only)
    if config is not None:
        ref = KeyRef(None, key_file, passphrase_file) if key_file is not None else config.wallet
        config = config.model_copy(update={"wallet": ref})
    from dsq.console.user.access import Access

    access = Access(config, passphrase_file=passphrase_file, read_only=read_only)
    if config is not None:
        guided = not (read_only or _in_browser())
        if _must_ask(config, passphrase_file) or not (access.ready or guided):
            access.wallet = open_wallet(config, passphrase_file, read_only=read_only)
    _log_to_file(debug=debug)

    from dsq.console.user.app import ConsoleApp
    from dsq.console.user.job_store import JobStore
    from dsq.console.user.recording import Tape, recording
    from dsq.core.readmodel import ReadModel, read_model_path

    def open_store(account: Address) -> JobStore:
        assert access.config is not None
        if record is not None:
            return JobStore()  # A recording holds every job from the beginning.
        return JobStore(ReadModel(read_model_path(access.config, account)))

    tape = Tape(record) if record is not None else None
    name = _shown_name(config)
    try:
        ConsoleApp(
            recording(access.connect, tape, name) if tape is not None else None,
            access=access,
            grid_name=name,
            read_only=read_only,
            open_store=open_store,
            account=access.account,
            **_looks(),
        ).run()
    finally:
        if tape is not None:
            tape.close()


def replay_console(path: Path, *, debug: bool = False) -> None:
    """Shows a recording until the user leaves it.

    Raises:
        UsageError: The file cannot be read, or is no recording.
    """
    from dsq.console.user.replay import Recording, Replay

    played = Recording.read(path)
    _log_to_file(debug=debug)

    from dsq.console.user.app import ConsoleApp

    replay = Replay(played)

    async def connect() -> GridPort:
        return replay

    ConsoleApp(
        connect,
        grid_name=f"{played.grid_name} (recorded)",
        read_only=True,
        account=played.account,
        now=replay.now,
        **_looks(),
    ).run()


def _looks() -> dict[str, Any]:
    """The user's preferences, themes and what is wrong with them."""
    from dsq.console.preferences import read_preferences
    from dsq.core.config import settings_dir
    from dsq.themes.loader import user_themes

    themes, problems = user_themes(settings_dir() / "themes")
    preferences, problem = read_preferences(settings_dir())
    return {
        "themes": themes,
        "problems": [*problems, problem] if problem is not None else problems,
        "preferences": preferences,
        "folder": settings_dir(),
        # What is wrong in the file must not be overwritten by a choice on the screen.
        "keeps": problem is None,
    }


def _config(grid: str | None, home: Path | None, *, read_only: bool) -> GridConfig | None:
    """The grid that is meant; None asks the user, who must be able to answer."""
    from dsq.console.user.access import find_config
    from dsq.core.config import load_grid

    found = find_config(grid, home)
    return load_grid(grid, home) if found is None and (read_only or _in_browser()) else found


def _shown_name(config: GridConfig | None) -> str:
    if config is None:
        return "no grid yet"
    return config.home.name if config.home is not None else config.name


def _is_known(config: GridConfig) -> bool:
    """Whether the account is known without opening the key, which the screen then asks for."""
    from dsq.console.user.access import address_of

    return config.wallet is not None and address_of(config.wallet) is not None


def _must_ask(config: GridConfig, passphrase_file: Path | None) -> bool:
    """Whether the account is known only when the key is open, and that needs a question."""
    from dsq.core.wallet import key_file_address

    ref = config.wallet
    if ref is None or ref.key_file is None or _unattended(config, passphrase_file):
        return False
    return ref.address is None and key_file_address(ref.key_file) is None


def _unattended(config: GridConfig, passphrase_file: Path | None) -> bool:
    """Whether the wallet opens without a question."""
    named = config.wallet is not None and config.wallet.passphrase_file is not None
    variables = ("ETH_PRIVATE_KEY", "DSQ_PASSPHRASE_FILE")
    return named or passphrase_file is not None or any(os.environ.get(name) for name in variables)


def open_wallet(
    config: GridConfig, passphrase_file: Path | None, *, read_only: bool
) -> Wallet | None:
    """The wallet to use; None if only looking is wanted and it does not open by itself.

    Raises:
        WalletError: It cannot be opened, and without it no account is known either.
    """
    from dsq.core.wallet import load_wallet

    try:
        return load_wallet(config.wallet, passphrase_file=passphrase_file, prompt=not read_only)
    except WalletError:
        if read_only and config.wallet is not None and config.wallet.address is not None:
            return None
        raise


def _log_to_file(*, debug: bool) -> None:
    """Keeps log lines off the terminal, which belongs to the screen."""
    import logging

    if not debug:
        logging.getLogger().addHandler(logging.NullHandler())
        return
    from dsq.core.config import state_dir

    folder = state_dir()
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=folder / "console.log",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry of the ``dsq-console`` command."""
    quick.start()
    raise SystemExit(run_command(command, "dsq-console", arguments))


if __name__ == "__main__":
    main()
