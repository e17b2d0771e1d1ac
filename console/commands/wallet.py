"""``wallet``: key files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsq.console.commands.common import (
    Session,
    debug_option,
    grid_options,
    json_option,
    key_options,
    session,
)
from dsq.console.commands.contacts import contacts
from dsq.console.commands.groups import DefaultGroup
from dsq.console.commands.ledger import history, spent
from dsq.console.output import put, put_json, say

if TYPE_CHECKING:
    from dsq.core.wallet import Wallet


@click.group(
    cls=DefaultGroup,
    default="address",
    short_help="Make, import and show keys; where credits went.",
)
def wallet() -> None:
    """Make, import and show keys; where credits went. Without a command: the address in use."""


def name_option(function: click.decorators.FC) -> click.decorators.FC:
    """``--name``: which key of the settings folder."""
    return click.option(
        "--name",
        metavar="S",
        default="default",
        show_default=True,
        help="Name of the key file in the settings folder.",
    )(function)


@wallet.command()
@name_option
@json_option
@key_options
@debug_option
@session
def new(call: Session, name: str, as_json: bool) -> None:
    """Make a new key.

    The key file (keystore v3) goes to NAME.json in the settings folder's keys, or to
    --key-file; an existing one is never overwritten. The passphrase comes from
    --passphrase-file, DSQ_PASSPHRASE_FILE or a prompt. Prints the address.
    """
    from dsq.core.wallet import Wallet

    path = _path_for_new(call, name)
    passphrase = _new_passphrase(call, path)
    _keep(Wallet.generate(), path, passphrase, as_json=as_json)


@wallet.command("import")
@name_option
@json_option
@key_options
@debug_option
@session
def import_key(call: Session, name: str, as_json: bool) -> None:
    """Import a private key from standard input, or from a prompt on a terminal.

    The key is 64 hexadecimal digits, with or without 0x. It is never an argument, which
    other users of the machine could read. Where it goes and the passphrase: as for 'new'.
    """
    import getpass

    from dsq.core.wallet import Wallet

    path = _path_for_new(call, name)
    key = getpass.getpass("Private key: ") if sys.stdin.isatty() else sys.stdin.readline()
    imported = Wallet.from_key(key)
    _keep(imported, path, _new_passphrase(call, path), as_json=as_json)


@wallet.command()
@json_option
@key_options
@grid_options
@session
def address(call: Session, as_json: bool) -> None:
    """Show the address of the wallet in use.

    That of --key-file, else the grid's, else the default key's.
    """
    from dsq.core.config import load_grid, settings_dir
    from dsq.core.errors import SettingsError, WalletError
    from dsq.core.wallet import Wallet, key_file_address

    named = call.grid is not None or call.home is not None
    if call.key_file is not None:
        found = key_file_address(call.key_file)
    elif os.environ.get("ETH_PRIVATE_KEY"):
        found = Wallet.from_key(os.environ["ETH_PRIVATE_KEY"]).address
    else:
        try:
            found = call.account(load_grid(call.grid, call.home))
        except SettingsError:
            if named:
                raise
            found = key_file_address(settings_dir() / "keys" / "default.json")
    if found is None:
        raise WalletError("The key file does not name its address.")
    if as_json:
        put_json({"address": str(found)})
    else:
        put(str(found))


wallet.add_command(contacts)
wallet.add_command(history)
wallet.add_command(spent)


def _path_for_new(call: Session, name: str) -> Path:
    """Where a new key goes; refuses before anything is asked if something is there."""
    from dsq.core.config import settings_dir
    from dsq.core.errors import UsageError, WalletError

    if not name or name != Path(name).name or name.startswith("."):
        raise UsageError(f"'{name}' is not a name of a key.", hint="Choose a plain word.")
    path = call.key_file or settings_dir() / "keys" / f"{name}.json"
    if path.exists():
        raise WalletError(
            f"The key file {path} is there already.",
            hint="Choose another --name or --key-file; dsq never overwrites a key.",
        )
    return path


def _new_passphrase(call: Session, path: Path) -> str:
    import getpass

    from dsq.core.errors import WalletError
    from dsq.core.wallet import read_passphrase

    named = os.environ.get("DSQ_PASSPHRASE_FILE")
    file = call.passphrase_file or (Path(named) if named else None)
    if file is not None:
        passphrase = read_passphrase(file)
        if not passphrase:
            raise WalletError(f"The passphrase file {file} is empty.")
        return passphrase
    if not sys.stdin.isatty():
        raise WalletError(
            "The new key file needs a passphrase.",
            hint="Name a file with --passphrase-file or DSQ_PASSPHRASE_FILE.",
        )
    passphrase = getpass.getpass(f"New passphrase of {path.name}: ")
    if not passphrase:
        raise WalletError("An empty passphrase protects nothing.")
    if getpass.getpass("Again: ") != passphrase:
        raise WalletError("The two passphrases differ.", hint="Nothing was written; try again.")
    return passphrase


def _keep(new_wallet: Wallet, path: Path, passphrase: str, *, as_json: bool) -> None:
    from dsq.core.wallet import create_key_file

    create_key_file(path, new_wallet, passphrase)
    say(f"The key is in {path}. Keep a copy and its passphrase: nobody can restore them.")
    if as_json:
        put_json({"address": str(new_wallet.address), "key_file": str(path)})
    else:
        put(str(new_wallet.address))
