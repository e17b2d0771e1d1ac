"""``admin fees`` and ``admin mint``: what the grid earns, and new credits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsq.console.commands.admin.acting import Step, act, acting, looking
from dsq.console.commands.common import ADDRESS, CREDITS, Session
from dsq.console.commands.groups import DefaultGroup
from dsq.console.output import put_fields, put_json

if TYPE_CHECKING:
    from dsq.core.model import Address


@click.group(cls=DefaultGroup, default="show")
def fees() -> None:
    """Show and withdraw the fees of jobs. Without a command: what there is."""


@fees.command("show")
@looking
async def show_fees(call: Session, as_json: bool) -> None:
    """Show the fees that can be withdrawn."""
    from dsq.core.chain.operations import fees as read
    from dsq.core.units import format_credits

    async with call.open() as grid:
        found = await read(grid.chain)
    if as_json:
        put_json(
            {
                "fees_wei": str(found.accrued_wei),
                "held_wei": str(found.held_wei),
                "fee_percent": found.percent,
            }
        )
        return
    put_fields(
        [
            ("fees", f"{format_credits(found.accrued_wei)} credits can be withdrawn"),
            ("held", f"{format_credits(found.held_wei)} credits, those of customers included"),
            ("fee", f"{found.percent} % of the cost of jobs placed from now on"),
        ]
    )


@fees.command()
@click.argument("wei", metavar="[N]", type=CREDITS, required=False)
@acting
async def withdraw(call: Session, wei: int | None, yes: bool, as_json: bool) -> None:
    """Pay N credits of the fees to the wallet; without N, all of them."""
    from dsq.core.chain.operations import Right
    from dsq.core.chain.operations import fees as read
    from dsq.core.errors import CreditsError
    from dsq.core.units import format_credits

    async with call.open(operator=True) as grid:
        before = (await read(grid.chain)).accrued_wei
        amount = before if wei is None else wei
        if amount > before:
            raise CreditsError(
                f"The fees are {format_credits(before)} credits, not {format_credits(amount)}."
            )
        left = before - amount
        step = Step(
            f"{format_credits(amount)} credits of fees go from MetaScheduler "
            f"{grid.chain.addresses.metascheduler} to {grid.address}; fees: "
            f"{format_credits(before)} -> {format_credits(left)} credits.",
            grid.chain.calls.withdraw_admin(amount),
            Right("MetaScheduler", "DEFAULT_ADMIN_ROLE"),
        )
        await act(
            grid,
            [step] if amount else [],
            yes=yes,
            as_json=as_json,
            already="There are no fees to withdraw.",
            before=str(before),
            after=str(left),
        )


@click.command()
@click.argument("to", metavar="ADDR", type=ADDRESS)
@click.argument("wei", metavar="N", type=CREDITS)
@acting
async def mint(call: Session, to: Address, wei: int, yes: bool, as_json: bool) -> None:
    """Make N new credits for ADDR. Nobody can take that back."""
    from dsq.core.chain.operations import OWNER, Right
    from dsq.core.errors import UsageError
    from dsq.core.units import format_credits

    if not wei:
        raise UsageError("0 credits are nothing to make.")
    async with call.open(operator=True) as grid:
        contracts = grid.chain.addresses.named()
        if to.is_zero or contracts.get(to, "FaucetCredit") != "FaucetCredit":
            what = contracts.get(to, "nobody's")
            raise UsageError(f"{to} is {what}: credits made there are lost.")
        before = await grid.chain.total_supply()
        step = Step(
            f"Credit {grid.chain.addresses.credit} makes {format_credits(wei)} credits for {to}; "
            f"supply: {format_credits(before)} -> {format_credits(before + wei)} credits.",
            grid.chain.calls.mint(to, wei),
            Right("Credit", OWNER),
        )
        await act(
            grid, [step], yes=yes, as_json=as_json, before=str(before), after=str(before + wei)
        )
