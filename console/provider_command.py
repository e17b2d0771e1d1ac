"""The ``dsq-provider`` command: a provider's supervisor, with or without its screen.

Arguments are parsed before anything heavy is imported; Textual only for the screen.
Exit codes are those of :mod:`dsq.core.errors`; a traceback shows with ``--debug`` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsq.console.entry import run_command
from dsq.core.errors import SettingsError, UsageError, close_matches

if TYPE_CHECKING:
    from dsq.core.wallet import Wallet
    from dsq.supervisor.settings import ProviderSettings

CONFIG_NAME = "provider.toml"


def find_config(config: Path | None, home: Path | None, name: str | None) -> Path:
    """The settings file that the flags mean.

    ``--config`` names it; ``--home`` has one for each provider of a local grid, of which
    ``--name`` chooses one and the first is the default. Without either it is
    ``provider.toml`` in the settings folder.

    Raises:
        UsageError: The flags exclude each other.
        SettingsError: There is no such provider, or no local grid.
    """
    if config is not None and (home is not None or name is not None):
        raise UsageError("--config excludes --home and --name.", hint="Name the file once.")
    if config is not None:
        return config
    if home is None:
        if name is not None:
            raise UsageError("--name chooses a provider of --home DIR.")
        from dsq.core.config import settings_dir

        return settings_dir() / CONFIG_NAME
    found = {path.parent.name: path for path in sorted(home.glob(f"providers/*/{CONFIG_NAME}"))}
    if not found:
        raise SettingsError(
            f"There are no providers in {home}.", hint=f"'dsq up --home {home}' makes a grid there."
        )
    if name is None:
        return next(iter(found.values()))
    if name not in found:
        raise SettingsError(
            f"There is no provider '{name}' in {home}.{close_matches(name, found)}",
            hint=f"It has {', '.join(found)}.",
        )
    return found[name]


@click.command(
    "dsq-provider",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="docs/provider.md describes the settings and what happens on a restart.",
)
@click.option("--headless", is_flag=True, help="Run without a screen; log to standard error.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help=f"The provider's settings file [default: {CONFIG_NAME} in the settings folder].",
)
@click.option(
    "--home", type=click.Path(path_type=Path), help="A local grid's folder: use its provider."
)
@click.option("--name", help="Which provider of --home [default: the first].")
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path), help="File with the key's passphrase."
)
@click.option(
    "--shared-account",
    is_flag=True,
    help="Accept that jobs run as the account that owns the wallet, and can read it.",
)
@click.option("--check", is_flag=True, help="Check settings, key and account, and exit.")
@click.option("--debug", is_flag=True, help="Log more, and show where an error came from.")
def command(
    headless: bool,
    config: Path | None,
    home: Path | None,
    name: str | None,
    passphrase_file: Path | None,
    shared_account: bool,
    check: bool,
    debug: bool,
) -> None:
    """Runs a provider: claims jobs of the grid, runs them on a cluster, reports their cost.

    Without --headless it shows its screen. It ends on ctrl+C or SIGTERM within five
    seconds; jobs go on running in Slurm and are settled by the next start.
    """
    from dsq.core.wallet import load_wallet
    from dsq.supervisor.logcontext import configure_logging
    from dsq.supervisor.run import check_account
    from dsq.supervisor.settings import load_settings

    settings = load_settings(find_config(config, home, name))
    check_account(settings, shared_account=shared_account)
    wallet = load_wallet(settings.wallet.ref, passphrase_file=passphrase_file)
    if check:
        click.echo(f"{wallet.address}: settings, key and account are fine.", err=True)
    elif headless:
        configure_logging(debug=debug)
        _headless(settings, wallet)
    else:
        _screen(settings, wallet)


def _headless(settings: ProviderSettings, wallet: Wallet) -> None:
    import asyncio

    from dsq.supervisor.run import run_headless

    asyncio.run(run_headless(settings, wallet))


def _screen(settings: ProviderSettings, wallet: Wallet) -> None:
    from dsq.console.provider.app import ProviderApp

    ProviderApp(settings, wallet=wallet).run()


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one call and returns its exit code; every error has become words.

    Args:
        arguments: What stands behind ``dsq-provider``; None takes the process's own.
    """
    return run_command(command, "dsq-provider", arguments)


def main() -> None:
    """Entry of the ``dsq-provider`` command."""
    raise SystemExit(run())


if __name__ == "__main__":
    main()
