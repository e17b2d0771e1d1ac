"""``admin``: what the operator of a grid does."""

from __future__ import annotations

import click

from dsq.console.commands.admin.constants import constants
from dsq.console.commands.admin.faucet import faucet
from dsq.console.commands.admin.handover import handover
from dsq.console.commands.admin.money import fees, mint
from dsq.console.commands.admin.overview import show
from dsq.console.commands.admin.requests import pause, unpause
from dsq.console.commands.admin.roles import roles
from dsq.console.commands.groups import DefaultGroup


@click.group(
    cls=DefaultGroup, default="show", short_help="Roles, parameters, fees and more (operators)."
)
def admin() -> None:
    """Run a grid: roles, parameters, fees, pause, credits, faucet. Without a command: a summary.

    Looking needs no key. What changes something looks first whether the wallet may, says in
    a sentence what it is about to do, and asks; --yes does not ask, and without a terminal
    it is needed. The key is --key-file, else the grid's operator.
    """


for command in (show, roles, handover, constants, fees, pause, unpause, mint, faucet):
    admin.add_command(command)
