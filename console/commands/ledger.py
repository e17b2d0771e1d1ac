"""``wallet history`` and ``wallet spent``: where the credits came from and went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsq.console.commands.common import (
    Session,
    asynchronous,
    grid_options,
    json_option,
    key_options,
    session,
)
from dsq.console.output import put_json, put_table, say

if TYPE_CHECKING:
    from dsq.core.model import Address


@click.command()
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="No more than the last N.")
@json_option
@key_options
@grid_options
@session
@asynchronous
async def history(call: Session, limit: int | None, as_json: bool) -> None:
    """List what came into the account and what left it, newest first.

    Credits that were made, transferred, locked for a job, returned by one, or earned as a
    provider, with the job and the transaction of each.
    """
    from dsq.core.views import movement_to_dict

    async with call.open() as grid:
        account = call.account(grid.config)
        found = (await grid.movements(account))[::-1][:limit]
    if as_json:
        put_json([movement_to_dict(each) for each in found])
    elif not found:
        say("Nothing came in and nothing went out yet.")
    else:
        from dsq.console.commands.jobs import moment
        from dsq.core.units import format_credits

        rows = [
            (
                moment(each.at),
                each.kind,
                f"{'+' if each.incoming else '-'}{format_credits(each.wei)}",
                f"job {each.job_id}" if each.job_id else _other(each.other),
                "0x" + each.tx_hash.hex()[:12] + "…",
            )
            for each in found
        ]
        headers = ("WHEN (UTC)", "WHAT", "CREDITS", "FOR", "TRANSACTION")
        put_table(headers, rows, right=("CREDITS",))


def _other(address: Address) -> str:
    return "-" if address.is_zero else str(address)


@click.command()
@click.option(
    "--by",
    type=click.Choice(["day", "job", "provider"]),
    default="day",
    show_default=True,
    help="What to add up by.",
)
@json_option
@key_options
@grid_options
@session
@asynchronous
async def spent(call: Session, by: str, as_json: bool) -> None:
    """Add up what ended jobs cost: by the day (UTC) of their end, by job or by provider."""
    from dsq.console.commands.listing import up_to_date
    from dsq.core.readmodel.spending import spent_by

    async with call.open() as grid, up_to_date(grid, call.account(grid.config)) as model:
        rows = spent_by(model, by)
    if as_json:
        put_json([{by: each.key, "jobs": each.jobs, "wei": str(each.wei)} for each in rows])
    elif not rows:
        say("No job has cost anything yet.")
    else:
        from dsq.core.units import format_credits

        table = [(each.key, str(each.jobs), format_credits(each.wei)) for each in rows]
        put_table((by.upper(), "JOBS", "CREDITS"), table, right=("JOBS", "CREDITS"))
