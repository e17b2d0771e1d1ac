"""What ``dsq-provider`` can do besides running: register, hold, describe itself to systemd."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dsq.console.provider_config import chosen_config
from dsq.core.errors import DsqError

if TYPE_CHECKING:
    from dsq.supervisor.enrolment import Enrolment
    from dsq.supervisor.settings import ProviderSettings

F = TypeVar("F", bound=Callable[..., Any])


def which_provider(function: F) -> F:
    """The options that name a provider's settings file."""
    for option in (
        click.option("--name", help="Which provider of --home [default: the first]."),
        click.option(
            "--home", type=click.Path(path_type=Path), help="A local grid's folder: its provider."
        ),
        click.option("--config", type=click.Path(path_type=Path), help="Its settings file."),
    ):
        function = option(function)
    return function


@click.command("register")
@which_provider
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path), help="File with the key's passphrase."
)
@click.option("--benchmark", is_flag=True, help="Measure everything now, also what is not due.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def register(
    config: Path | None,
    home: Path | None,
    name: str | None,
    passphrase_file: Path | None,
    benchmark: bool,
    dry_run: bool,
    as_json: bool,
    debug: bool,  # noqa: ARG001 - read by the entry
) -> None:
    """Show what would be registered and what that changes, and register it.

    Identical data is not registered again. A supervisor that runs registers by itself:
    beside it only --dry-run and --benchmark work, and it takes the measured labels over.
    """
    import asyncio

    above = click.get_current_context().find_root().params
    asyncio.run(
        _register(
            chosen_config(config, home, name),
            passphrase_file or above.get("passphrase_file"),
            benchmark=benchmark,
            dry_run=dry_run,
            as_json=as_json,
        )
    )


async def _register(
    path: Path, passphrase_file: Path | None, *, benchmark: bool, dry_run: bool, as_json: bool
) -> None:
    from dsq.core.wallet import load_wallet
    from dsq.supervisor.enrolment import connected, enrol, send
    from dsq.supervisor.settings import load_settings

    settings = load_settings(path)
    wallet = load_wallet(settings.wallet.ref, passphrase_file=passphrase_file)
    async with connected(settings) as chain:
        found = await enrol(
            settings,
            chain,
            wallet.address,
            benchmark=benchmark,
            say=lambda words: click.echo(words, err=True),
        )
        sent = bool(found.changes) and not dry_run
        if sent:
            await send(settings, chain, wallet, found)
    if as_json:
        click.echo(json.dumps({**found.as_json(), "registered": sent}, sort_keys=True, indent=1))
        return
    for line in describe(found):
        click.echo(line)
    if sent:
        click.echo(
            f"registered; waits for the grid's approval ('dsq providers approve {found.address}')"
        )
    elif found.changes:
        click.echo("nothing was sent (--dry-run)")


def describe(found: Enrolment) -> list[str]:
    """What would be registered, for people."""
    from dsq.supervisor.enrolment import facts

    limit = f"{found.info.max_minutes} min" if found.info.max_minutes else "none"
    lines = [
        f"provider {found.address} ({found.state})",
        f"partition {found.info.partition}, {found.info.version}, longest limit {limit}",
        "top-ups lengthen running jobs"
        if found.can_raise_limit
        else "top-ups cannot lengthen running jobs, their credits come back; remedy: "
        "sacctmgr modify user NAME set adminlevel=operator",
        *(f"  {what}: {value}" for what, value in facts(found.target).items()),
        *(f"benchmark {kind} gave nothing: {why}" for kind, why in sorted(found.failures.items())),
    ]
    changes = found.changes
    if not changes:
        return [*lines, "nothing changed: identical data is not registered again"]
    return [*lines, "changes against what the chain has:", *(f"  {one}" for one in changes)]


@click.command("systemd-unit")
@which_provider
@click.option("--user", help="The account it runs as [default: this one].")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def systemd_unit(
    config: Path | None,
    home: Path | None,
    name: str | None,
    user: str | None,
    debug: bool,  # noqa: ARG001 - read by the entry
) -> None:
    """Print a systemd unit for this provider, filled in and hardened.

    Put it into /etc/systemd/system/dsq-provider.service, then: systemctl daemon-reload,
    systemctl enable --now dsq-provider.
    """
    import getpass
    import shutil
    import sys

    from dsq.supervisor.settings import load_settings
    from dsq.supervisor.systemd import unit

    path = chosen_config(config, home, name).expanduser().absolute()
    settings = load_settings(path)
    beside = Path(sys.executable).with_name("dsq-provider")
    program = str(beside) if beside.exists() else shutil.which("dsq-provider") or str(beside)
    click.echo(
        unit(settings, program=program, config=path, user=user or getpass.getuser()), nl=False
    )


@click.command("account")
@which_provider
@click.argument("wallet", metavar="0xADDRESS")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def account(
    config: Path | None,
    home: Path | None,
    name: str | None,
    wallet: str,
    debug: bool,  # noqa: ARG001 - read by the entry
) -> None:
    """Print the account of the cluster that a wallet's jobs run as.

    For the script that makes accounts. An account of the template belongs to the wallet from
    then on.
    """
    from dsq.core.model import Address
    from dsq.supervisor.scheduler.build import account_map
    from dsq.supervisor.settings import load_settings

    settings = load_settings(chosen_config(config, home, name))
    click.echo(account_map(settings).account_of(Address.parse(wallet)))


def is_at_work(settings: ProviderSettings) -> bool:
    """Whether a supervisor is at work with a provider's settings on this machine."""
    import fcntl

    from dsq.supervisor.lock import LOCK_FILE

    try:
        with (settings.state_dir / LOCK_FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _holding(mode: str, summary: str, said: str) -> click.Command:
    @click.command(mode, help=summary)
    @which_provider
    @click.option("--debug", is_flag=True, help="Show where an error came from.")
    def hold(config: Path | None, home: Path | None, name: str | None, debug: bool) -> None:  # noqa: ARG001
        from dsq.supervisor.control import CONTROL_FILE
        from dsq.supervisor.settings import load_settings

        settings = load_settings(chosen_config(config, home, name))
        path = settings.state_dir / CONTROL_FILE
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part = path.with_suffix(".part")
            part.write_text(json.dumps({"mode": "run" if mode == "resume" else mode}) + "\n")
            part.replace(path)
        except OSError as error:
            raise DsqError(f"{path} cannot be written: {error.strerror}.") from error
        if is_at_work(settings):
            click.echo(said, err=True)
        else:
            click.echo(f"{said}, once it is started: no supervisor is at work now", err=True)

    return hold


HOLDING = (
    _holding(
        "pause",
        "Claim nothing new; jobs go on. It counts within a second, and after a restart too.",
        "claims nothing new",
    ),
    _holding("resume", "Claim jobs again.", "claims again"),
    _holding(
        "drain",
        "Claim nothing new, to run empty.",
        "claims nothing new; it is empty when no job is left",
    ),
)
"""Commands that write ``control.json``."""
