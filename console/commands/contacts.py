"""``wallet contacts``: names for accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsq.console.commands.common import ADDRESS, Session, debug_option, json_option, session
from dsq.console.commands.groups import DefaultGroup
from dsq.console.output import put_json, put_table, say

if TYPE_CHECKING:
    from dsq.core.model import Address


@click.group(cls=DefaultGroup, default="list", short_help="Names for accounts.")
def contacts() -> None:
    """Names for accounts, for transfers. Without a command: list them.

    They are kept in contacts.toml of the settings folder.
    """


@contacts.command("list")
@json_option
@debug_option
@session
def list_contacts(call: Session, as_json: bool) -> None:  # noqa: ARG001
    """List your contacts."""
    from dsq.core.config import settings_dir
    from dsq.core.contacts import load_contacts

    found = load_contacts(settings_dir())
    if as_json:
        put_json({name: str(address) for name, address in found.items()})
    elif not found:
        say("No contacts yet. 'dsq wallet contacts add NAME ADDR' adds one.")
    else:
        put_table(("NAME", "ADDRESS"), [(name, str(found[name])) for name in sorted(found)])


@contacts.command()
@click.argument("name")
@click.argument("address", metavar="ADDR", type=ADDRESS)
@debug_option
@session
def add(call: Session, name: str, address: Address) -> None:  # noqa: ARG001
    """Give the account ADDR a name, or a contact another account."""
    from dsq.core.config import settings_dir
    from dsq.core.contacts import save_contact

    save_contact(settings_dir(), name, address)
    say(f"'{name}' is {address}.")


@contacts.command()
@click.argument("name")
@debug_option
@session
def remove(call: Session, name: str) -> None:  # noqa: ARG001
    """Forget a contact."""
    from dsq.core.config import settings_dir
    from dsq.core.contacts import save_contact

    save_contact(settings_dir(), name, None)
    say(f"'{name}' is no contact any more.")
