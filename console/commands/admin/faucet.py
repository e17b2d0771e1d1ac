"""``admin faucet``: credits that are given away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dsq.console.commands.admin.acting import Step, act, acting, looking
from dsq.console.commands.common import ADDRESS, CREDITS, Session
from dsq.console.commands.groups import DefaultGroup
from dsq.console.output import put_fields, put_json

if TYPE_CHECKING:
    from dsq.core.model import Address


@click.group(cls=DefaultGroup, default="show")
def faucet() -> None:
    """Fill the faucet and promise its credits to accounts. Without a command: what it holds.

    An account collects what is promised with 'dsq credits claim'.
    """


@faucet.command("show")
@click.argument("user", metavar="[ADDR]", type=ADDRESS, required=False)
@looking
async def show_faucet(call: Session, user: Address | None, as_json: bool) -> None:
    """Show what the faucet holds, and what it has promised ADDR."""
    from dsq.core.chain.operations import faucet as read
    from dsq.core.units import format_credits

    async with call.open() as grid:
        found = await read(grid.chain)
        promised = None if user is None else await grid.faucet_entitlement(user)
    if as_json:
        fields: dict[str, Any] = {
            "address": str(found.address),
            "held_wei": str(found.held_wei),
            "promised_wei": str(found.promised_wei),
            "available_wei": str(found.available_wei),
            "distributed_wei": str(found.distributed_wei),
        }
        if promised is not None:
            fields |= {"user": str(user), "user_promised_wei": str(promised)}
        put_json(fields)
        return
    claim = "" if promised is None else f"may claim {format_credits(promised)} credits"
    put_fields(
        [
            ("faucet", str(found.address)),
            ("holds", f"{format_credits(found.held_wei)} credits"),
            ("promised", f"{format_credits(found.promised_wei)} credits"),
            ("free", f"{format_credits(found.available_wei)} credits"),
            ("given so far", f"{format_credits(found.distributed_wei)} credits"),
            (str(user), claim),
        ]
    )


@faucet.command()
@click.argument("user", metavar="ADDR", type=ADDRESS)
@click.argument("wei", metavar="N", type=CREDITS)
@acting
async def credit(call: Session, user: Address, wei: int, yes: bool, as_json: bool) -> None:
    """Promise ADDR N credits more. A promise cannot be taken back."""
    from dsq.core.chain.operations import OWNER, Right
    from dsq.core.chain.operations import faucet as read
    from dsq.core.errors import CreditsError, UsageError
    from dsq.core.units import format_credits

    async with call.open(operator=True) as grid:
        free = (await read(grid.chain)).available_wei
        if user.is_zero or user in grid.chain.addresses.named():
            raise UsageError(f"{user} is nobody who could claim credits.")
        if wei > free:
            raise CreditsError(
                f"The faucet has {format_credits(free)} credits free, not {format_credits(wei)}.",
                hint="'dsq admin faucet fund N' fills it.",
            )
        before = await grid.faucet_entitlement(user)
        step = Step(
            f"FaucetCredit {grid.chain.addresses.of('FaucetCredit')} promises {user} "
            f"{format_credits(wei)} credits: {format_credits(before)} -> "
            f"{format_credits(before + wei)} credits to claim, for good.",
            grid.chain.calls.credit_user(user, wei),
            Right("FaucetCredit", OWNER),
        )
        await act(
            grid,
            [step] if wei else [],
            yes=yes,
            as_json=as_json,
            already="0 credits are nothing to promise.",
            before=str(before),
            after=str(before + wei),
        )


@faucet.command()
@click.argument("wei", metavar="N", type=CREDITS)
@acting
async def fund(call: Session, wei: int, yes: bool, as_json: bool) -> None:
    """Send N credits of the wallet to the faucet. Anyone may."""
    from dsq.core.chain.operations import faucet as read
    from dsq.core.errors import CreditsError, UsageError
    from dsq.core.units import format_credits

    if not wei:
        raise UsageError("0 credits fill nothing.")
    async with call.open(operator=True) as grid:
        before = await read(grid.chain)
        held = await grid.chain.balance(grid.address)
        if held < wei:
            raise CreditsError(
                f"{grid.address} holds {format_credits(held)} credits, not {format_credits(wei)}.",
                hint="'dsq admin mint' makes credits.",
            )
        step = Step(
            f"{grid.address} sends {format_credits(wei)} credits to FaucetCredit {before.address}; "
            f"free: {format_credits(before.available_wei)} -> "
            f"{format_credits(before.available_wei + wei)} credits.",
            grid.chain.calls.transfer(before.address, wei),
        )
        await act(
            grid,
            [step],
            yes=yes,
            as_json=as_json,
            before=str(before.held_wei),
            after=str(before.held_wei + wei),
        )


@faucet.command()
@click.argument("wei", metavar="[N]", type=CREDITS, required=False)
@acting
async def withdraw(call: Session, wei: int | None, yes: bool, as_json: bool) -> None:
    """Take N credits back that are promised to nobody; without N, all of those."""
    from dsq.core.chain.operations import OWNER, Right
    from dsq.core.chain.operations import faucet as read
    from dsq.core.errors import CreditsError
    from dsq.core.units import format_credits

    async with call.open(operator=True) as grid:
        before = await read(grid.chain)
        amount = before.available_wei if wei is None else wei
        if amount > before.available_wei:
            raise CreditsError(
                f"The faucet has {format_credits(before.available_wei)} credits free, not "
                f"{format_credits(amount)}.",
                hint="What is promised cannot be taken back.",
            )
        left = before.available_wei - amount
        step = Step(
            f"{format_credits(amount)} credits go from FaucetCredit {before.address} to "
            f"{grid.address}; free: {format_credits(before.available_wei)} -> "
            f"{format_credits(left)} credits.",
            grid.chain.calls.withdraw_faucet(grid.address, amount),
            Right("FaucetCredit", OWNER),
        )
        await act(
            grid,
            [step] if amount else [],
            yes=yes,
            as_json=as_json,
            already="The faucet has nothing free.",
            before=str(before.held_wei),
            after=str(before.held_wei - amount),
        )
