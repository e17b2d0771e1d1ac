"""``dsq-provider init``: from an SSH key to a settings file, by looking at the cluster."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsq.console.provider_config import CONFIG_NAME
from dsq.core.errors import SettingsError, UnreachableError, UsageError

if TYPE_CHECKING:
    from dsq.core.config import GridConfig
    from dsq.core.wallet import KeyRef
    from dsq.supervisor.scheduler.slurm_cluster import Partition
    from dsq.supervisor.setup import Look, Target

FILE = click.Path(path_type=Path)


@click.command("init")
@click.argument("target", metavar="[USER@HOST]", required=False)
@click.option("--port", type=click.IntRange(1, 65535), help="SSH port.")
@click.option("--identity", type=FILE, help="Private key [default: the agent, then the usual].")
@click.option("--identity-passphrase", type=FILE, help="File with that key's passphrase.")
@click.option("--known-hosts", type=FILE, help="File with the login node's host key.")
@click.option("--accept-host-key", metavar="SHA256:…", help="Fingerprint that is right.")
@click.option("--use-ssh-config", is_flag=True, help="Read ~/.ssh/config (jump hosts).")
@click.option("--partition", help="Partition of the jobs [default: the cluster's].")
@click.option("--workdir", help="Folder there that login and compute nodes share.")
@click.option("--name", help="What people call this provider [default: the host's name].")
@click.option("--grid", help="Grid of dsq's settings [default: its default grid].")
@click.option("--home", type=FILE, help="A local grid's folder, instead of --grid.")
@click.option("--key-file", type=FILE, help="The provider's key [default: the grid's wallet].")
@click.option("--passphrase-file", type=FILE, help="File with its passphrase.")
@click.option(
    "--output", type=FILE, help=f"Where to write [default: {CONFIG_NAME} in the settings folder]."
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def init(
    target: str | None,
    port: int | None,
    identity: Path | None,
    identity_passphrase: Path | None,
    known_hosts: Path | None,
    accept_host_key: str | None,
    use_ssh_config: bool,
    partition: str | None,
    workdir: str | None,
    name: str | None,
    grid: str | None,
    home: Path | None,
    key_file: Path | None,
    passphrase_file: Path | None,
    output: Path | None,
    force: bool,
    debug: bool,  # noqa: ARG001 - read by the entry
) -> None:
    """Look at a cluster over SSH, run one small job there, and write the settings.

    Nothing is installed on the cluster. Without USER@HOST it is the Slurm of this machine. What
    is not known is asked where there is a terminal, else it has to be a flag.
    """
    from dsq.core.config import load_grid, settings_dir
    from dsq.supervisor.setup import Target

    path = (output or settings_dir() / CONFIG_NAME).expanduser().absolute()
    if path.exists() and not force:
        raise UsageError(f"{path} is there already.", hint="Name another --output, or --force.")
    config = load_grid(grid, home)
    if not config.sbatch_grpc:
        raise SettingsError(f"The grid '{config.name}' has no sbatch_grpc: providers need it.")
    user, _, host = (target or "").rpartition("@")
    # As 'dsq up --cluster' takes it; an IPv6 address has more colons.
    if host.count(":") == 1:
        host, _, text = host.partition(":")
        if not text.isdecimal() or not 0 < int(text) < 65536 or port is not None:
            raise UsageError(
                f"'{target}' names no SSH port.", hint="Write USER@HOST or USER@HOST:PORT."
            )
        port = int(text)
    wanted = Target(
        host=host,
        user=user,
        port=port or 0,
        identity_file=_absolute(identity),
        identity_passphrase_file=_absolute(identity_passphrase),
        known_hosts=_absolute(known_hosts),
        use_ssh_config=use_ssh_config,
        partition=partition or "",
        workdir=workdir or "",
    )
    key = _key(config, key_file, passphrase_file)
    found = asyncio.run(_look(wanted, accept_host_key))
    _write(path, found, config, key, name or _short(host))
    _tell(path, found, key)


def _absolute(path: Path | None) -> Path | None:
    return path.expanduser().absolute() if path is not None else None


def _short(host: str) -> str:
    import socket

    return (host or socket.gethostname()).split(".")[0]


def _key(config: GridConfig, key_file: Path | None, passphrase_file: Path | None) -> KeyRef:
    """The provider's key: its files, which need not be opened here."""
    import os

    from dsq.core.config import settings_dir
    from dsq.core.wallet import KeyRef, key_file_address

    default = settings_dir() / "keys" / "provider.json"
    own = config.wallet or KeyRef()
    path = _absolute(key_file) or (default if default.exists() else own.key_file)
    passphrase = _absolute(passphrase_file)
    if passphrase is None and path is not None and path == own.key_file:
        passphrase = own.passphrase_file
    if path is None:
        if os.environ.get("ETH_PRIVATE_KEY"):
            return KeyRef()
        raise SettingsError(
            "The provider has no key yet.",
            hint="'dsq wallet new --name provider' makes one; or name it with --key-file.",
        )
    return KeyRef(key_file_address(path), path, passphrase)


async def _look(target: Target, accepted: str | None) -> Look:
    from dsq.supervisor.setup import choose, look

    target, found = await _reach(target, accepted)
    chosen = choose(found, target.partition)
    if chosen is None:
        names = [one.name for one in found]
        if not sys.stdin.isatty():
            raise UsageError(
                "The cluster has no default partition.",
                hint=f"Name one with --partition: {', '.join(names)}.",
            )
        name = click.prompt("Partition", type=click.Choice(names), err=True)
        chosen = choose(found, name)
        assert chosen is not None
    return await look(
        replace(target, partition=chosen.name), say=lambda words: click.echo(words, err=True)
    )


async def _reach(target: Target, accepted: str | None) -> tuple[Target, list[Partition]]:
    """The partitions; a host key that is not known is shown, and pinned if it is right."""
    from dsq.supervisor.setup import ask_host_key, partitions

    try:
        return target, await partitions(target)
    except UnreachableError as error:
        if not target.host or target.known_hosts or "known_hosts" not in str(error):
            raise
    key, fingerprint = await ask_host_key(target)
    if accepted is None and sys.stdin.isatty():
        click.echo(f"{target.host} shows the host key {fingerprint}.", err=True)
        if click.confirm("Is that what its operators say?", err=True):
            accepted = fingerprint
    if accepted != fingerprint:
        raise UnreachableError(
            f"The host key {fingerprint} of {target.host} is not known.",
            hint="Compare it with what its operators say, then add --accept-host-key "
            f"{fingerprint}.",
        )
    target = replace(target, host_key=key)
    return target, await partitions(target)


def _write(path: Path, found: Look, config: GridConfig, key: KeyRef, name: str) -> None:
    import tomllib

    from dsq.core.config import state_dir
    from dsq.supervisor.settings import normalise, parse_settings
    from dsq.supervisor.setup import settings_text

    text = settings_text(
        found,
        config,
        name=name,
        state_dir=state_dir() / f"provider-{normalise(name) or 'one'}",
        key_file=key.key_file,
        passphrase_file=key.passphrase_file,
    )
    parse_settings(tomllib.loads(text), base=path.parent, where=str(path))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)


def _tell(path: Path, found: Look, key: KeyRef) -> None:
    info = found.info
    nodes = f"{len(info.nodes)} nodes, {sum(node.cpus for node in info.nodes)} CPUs"
    runtimes = [key for key in sorted(found.labels) if key.endswith(".version")]
    click.echo(f"cluster    {info.version}, partition {info.partition}: {nodes}")
    click.echo(f"account    {found.account}")
    for label in runtimes:
        click.echo(f"runtime    {label.removesuffix('.version')} {found.labels[label]}")
    for worry in found.worries:
        click.echo(f"note       {worry}")
    click.echo(f"settings   {path}")
    if key.address is not None:
        click.echo(f"key        {key.address}; it needs some native coins for gas")
    option = "" if _is_default(path) else f" --config {path}"
    click.echo("next")
    click.echo(f"  dsq-provider register --dry-run{option}   # what the grid will be told")
    click.echo(f"  dsq-provider register --benchmark{option} # measure, and ask for approval")
    click.echo(f"  dsq-provider{option}                      # run; --headless as a service")


def _is_default(path: Path) -> bool:
    from dsq.core.config import settings_dir

    return path == (settings_dir() / CONFIG_NAME).absolute()
