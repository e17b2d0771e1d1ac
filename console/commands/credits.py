"""``credits``: balance, allowance, transfers, and what waits to be collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsq.console.commands.common import (
    ACCOUNT,
    ADDRESS,
    CREDITS,
    Session,
    asynchronous,
    grid_options,
    json_option,
    key_options,
    session,
)
from dsq.console.commands.groups import DefaultGroup
from dsq.console.output import put, put_fields, put_json, say

if TYPE_CHECKING:
    from dsq.core.model import Address


@click.group(
    "credits",
    cls=DefaultGroup,
    default="balance",
    short_help="Show, allow, transfer and collect credits.",
)
def credits_group() -> None:
    """Show, allow, transfer and collect credits. Without a command: the balance."""


@credits_group.command()
@click.argument("address", metavar="[ADDR]", type=ADDRESS, required=False)
@json_option
@key_options
@grid_options
@session
@asynchronous
async def balance(call: Session, address: Address | None, as_json: bool) -> None:
    """Show what an account holds: yours, or that of ADDR."""
    from dsq.core.units import format_credits
    from dsq.core.views import balance_to_dict

    async with call.open() as grid:
        held = await grid.balance(address or call.account(grid.config))
    if as_json:
        put_json(
            balance_to_dict(
                held.address,
                balance_wei=held.balance_wei,
                allowance_wei=held.allowance_wei,
                locked_wei=held.locked_wei,
                native_wei=held.native_wei,
                claimable_wei=held.claimable_wei,
                faucet_wei=held.faucet_wei,
            )
        )
        return
    waiting = f"{format_credits(held.claimable_wei)} credits: 'dsq credits withdraw' collects them"
    given = f"{format_credits(held.faucet_wei)} credits: 'dsq credits claim' collects them"
    put_fields(
        [
            ("account", str(held.address)),
            ("balance", f"{format_credits(held.balance_wei)} credits"),
            ("locked", f"{format_credits(held.locked_wei)} credits in jobs that have not ended"),
            ("allowance", f"{format_credits(held.allowance_wei)} credits"),
            ("coins", f"{format_credits(held.native_wei)} for transaction fees"),
            ("waiting", waiting if held.claimable_wei else ""),
            ("faucet", given if held.faucet_wei else ""),
        ]
    )


@credits_group.command()
@click.argument("wei", metavar="[N]", type=CREDITS, required=False)
@json_option
@key_options
@grid_options
@session
@asynchronous
async def allowance(call: Session, wei: int | None, as_json: bool) -> None:
    """Show what the grid may take of your credits, or set it to N.

    'dsq submit' and 'dsq topup' need none that stands: they permit or approve what they
    use by themselves. 0 takes back what was allowed.
    """
    from dsq.core.units import format_credits

    async with call.open(sign=wei is not None) as grid:
        account = call.account(grid.config) if grid.wallet is None else grid.wallet.address
        if wei is not None:
            await grid.set_allowance(wei)
        allowed = await grid.chain.allowance(account)
    if as_json:
        put_json({"address": str(account), "allowance_wei": str(allowed)})
    else:
        put(format_credits(allowed))


@credits_group.command()
@click.argument("to", metavar="ADDR", type=ACCOUNT)
@click.argument("wei", metavar="N", type=CREDITS)
@click.option("--yes", "-y", is_flag=True, help="Do not ask, on a terminal.")
@key_options
@grid_options
@session
@asynchronous
async def transfer(call: Session, to: Address, wei: int, yes: bool) -> None:
    """Send N credits to ADDR. Nobody can take that back.

    ADDR is an address or the name of a contact. On a terminal it asks first.
    """
    import sys

    from dsq.core.units import format_credits

    amount = f"{format_credits(wei)} credits"
    if sys.stdin.isatty() and not yes:
        click.confirm(f"Send {amount} to {to} for good?", abort=True, err=True)
    async with call.open(sign=True) as grid:
        await grid.transfer(to, wei)
        left = await grid.chain.balance(grid.address)
    say(f"Sent {amount} to {to}; {format_credits(left)} are left.")


@credits_group.command()
@json_option
@key_options
@grid_options
@session
@asynchronous
async def claim(call: Session, as_json: bool) -> None:
    """Collect the credits that the grid's faucet has promised you."""
    from dsq.core.units import format_credits

    async with call.open(sign=True) as grid:
        wei = await grid.claim_faucet()
        account = grid.address
    if as_json:
        put_json({"address": str(account), "claimed_wei": str(wei)})
    else:
        say(f"Claimed {format_credits(wei)} credits from the grid's faucet.")


@credits_group.command()
@click.option("--to", metavar="ADDR", type=ADDRESS, help="Pay this account instead of yours.")
@json_option
@key_options
@grid_options
@session
@asynchronous
async def withdraw(call: Session, to: Address | None, as_json: bool) -> None:
    """Collect payments of jobs to you that did not go through.

    The grid keeps a payment that the token refused, such as one to a blocked account.
    """
    from dsq.core.units import format_credits

    async with call.open(sign=True) as grid:
        wei = await grid.withdraw_claimable(to)
        target = to or grid.address
    if as_json:
        put_json({"address": str(target), "withdrawn_wei": str(wei)})
    else:
        say(f"Paid {format_credits(wei)} waiting credits to {target}.")
