"""The ``dsq-provider`` command: a provider's supervisor, with or without its screen.

Arguments are parsed before anything heavy is imported; Textual only for the screen.
Exit codes are those of :mod:`dsq.core.errors`; a traceback shows with ``--debug`` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsq.console import quick
from dsq.console.commands.groups import Group
from dsq.console.entry import run_command
from dsq.console.provider_config import CONFIG_NAME, find_config
from dsq.console.provider_init import init
from dsq.console.provider_tasks import HOLDING, account, register, systemd_unit

if TYPE_CHECKING:
    from dsq.core.wallet import Wallet
    from dsq.supervisor.settings import ProviderSettings


@click.group(
    "dsq-provider",
    cls=Group,
    invoke_without_command=True,
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
@click.pass_context
def command(
    context: click.Context,
    /,
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

    Without a command it runs, and without --headless it shows its screen. It ends on ctrl+C or
    SIGTERM within five seconds; jobs go on in Slurm and are settled by the next start.
    """
    if context.invoked_subcommand is not None:
        return
    from dsq.core.wallet import load_wallet
    from dsq.supervisor.logcontext import configure_logging
    from dsq.supervisor.run import check_account
    from dsq.supervisor.settings import check_files, load_settings

    settings = load_settings(find_config(config, home, name))
    check_account(settings, shared_account=shared_account)
    check_files(settings)
    wallet = load_wallet(settings.wallet.ref, passphrase_file=passphrase_file)
    if check:
        click.echo(f"{wallet.address}: settings, key and account are fine.", err=True)
    elif headless:
        configure_logging(debug=debug, style=settings.log.format, level=settings.log.level)
        _headless(settings, wallet)
    else:
        _screen(settings, wallet)


for _task in (init, register, account, *HOLDING, systemd_unit):
    command.add_command(_task)


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
    quick.start()
    raise SystemExit(run())


if __name__ == "__main__":
    main()
