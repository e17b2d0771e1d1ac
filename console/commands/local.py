"""``up``, ``down``, ``demo``: grids that live in a folder of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dsq.console.commands.common import Session, debug_option, session
from dsq.console.output import put, say

HOME = click.Path(path_type=Path)
FILE = click.Path(path_type=Path)
CLUSTER_HELP = "local, mini-slurm, slurm, or USER@HOST[:PORT] over SSH."


def _home(call: Session, home: Path | None) -> Path:
    """The folder that is meant: ``--home`` at either place, DSQ_HOME, the state folder's."""
    import os

    from dsq.core.config import state_dir
    from dsq.core.errors import UsageError

    if call.grid is not None:
        raise UsageError("A local grid is a folder.", hint="Name it with --home DIR, not --grid.")
    named = os.environ.get("DSQ_HOME")
    return home or call.home or (Path(named) if named else state_dir() / "local")


@click.command(short_help="Start a whole grid on this machine.")
@click.option("--home", metavar="DIR", type=HOME, help="Folder of the grid and all its state.")
@click.option("--detach", is_flag=True, help="Return when every part is ready.")
@click.option("--json", "as_json", is_flag=True, help="Print grid.json when ready.")
@click.option("--chain", metavar="local|URL", help="A chain of its own, or an RPC endpoint.")
@click.option("--chain-id", type=int, metavar="N", help="Number of the chain; needed with a URL.")
@click.option("--operator-key", metavar="FILE", type=FILE, help="Operator's key file, for a URL.")
@click.option(
    "--operator-passphrase", metavar="FILE", type=FILE, help="File with that key's passphrase."
)
@click.option("--cluster", metavar="CLUSTER", help=CLUSTER_HELP)
@click.option("--providers", type=int, metavar="N", help="How many providers the grid has.")
@click.option("--job-user", metavar="NAME", help="Unix account that jobs run as.")
@click.option("--ssh-identity", metavar="FILE", type=FILE, help="SSH key for USER@HOST.")
@click.option("--ssh-known-hosts", metavar="FILE", type=FILE, help="Host keys for USER@HOST.")
@debug_option
@session
def up(call: Session, /, home: Path | None, detach: bool, as_json: bool, **asked: Any) -> None:
    """Start a whole grid on this machine.

    Chain, contracts, services, providers: all of it in DIR, which may exist and hold other
    files. Runs until ctrl+C, or on by itself with --detach. A grid that was stopped or
    killed starts again with all jobs and balances; it remembers its options.
    """
    from dsq.console.local.up import up as start

    folder = _home(call, home)

    def ready(text: str) -> None:
        if as_json:
            put(text.rstrip("\n"))
        else:
            say(f"The grid in {folder} is ready. 'export DSQ_HOME={folder}' makes it yours.")

    options = {name: _plain(value) for name, value in asked.items()}
    start(folder, options, detach=detach, on_ready=ready)


def _plain(value: Any) -> Any:
    """Paths as absolute text: a home remembers them."""
    return str(value.expanduser().absolute()) if isinstance(value, Path) else value


@click.command(short_help="Stop a local grid.")
@click.option("--home", metavar="DIR", type=HOME, help="Folder of the grid.")
@click.option("--wait", is_flag=True, help="Let jobs finish first.")
@debug_option
@session
def down(call: Session, home: Path | None, wait: bool) -> None:
    """Stop a local grid.

    Ends and settles the jobs of clusters that live in the home, then every process; jobs
    and balances stay. Jobs of clusters outside the home go on.
    """
    from dsq.console.local.down import down as stop

    stop(_home(call, home), wait=wait)


@click.command(short_help="Run one job's whole course on a throwaway grid.")
@click.option("--home", metavar="DIR", type=HOME, help="A folder to use and keep.")
@click.option("--tui", is_flag=True, help="End in the console on the demo's grid.")
@click.option("--cluster", metavar="CLUSTER", help=CLUSTER_HELP)
@debug_option
@session
def demo(call: Session, home: Path | None, tui: bool, cluster: str | None) -> int:
    """Run one job's whole course on a throwaway grid.

    Prints each status with its time, the job's output, and where every credit went.
    """
    from dsq.console.local.demo import demo as run

    return run(tui=tui, home=home or call.home, cluster=cluster)
