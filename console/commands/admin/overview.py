"""``admin show``: the state of a grid on one page."""

from __future__ import annotations

import click

from dsq.console.commands.admin.acting import looking
from dsq.console.commands.common import Session
from dsq.console.output import put_fields, put_json


@click.command()
@looking
async def show(call: Session, as_json: bool) -> None:
    """Show the grid's contracts, whether it takes jobs, its fees and its faucet."""
    from dsq.core.chain.operations import faucet, fees
    from dsq.core.errors import ContractError
    from dsq.core.units import format_credits

    async with call.open() as grid:
        chain = grid.chain
        enabled = await chain.new_jobs_enabled()
        try:
            earned = await fees(chain)
        except ContractError:  # The published version does not keep them apart.
            earned = None
        supply = await chain.total_supply()
        jobs = await chain.job_count()
        tap = await faucet(chain) if grid.has_faucet else None
    if as_json:
        put_json(
            {
                "addresses": chain.addresses.to_json(),
                "chain_id": chain.chain_id,
                "takes_jobs": enabled,
                "jobs": jobs,
                "supply_wei": str(supply),
                "held_wei": None if earned is None else str(earned.held_wei),
                "fees_wei": None if earned is None else str(earned.accrued_wei),
                "fee_percent": None if earned is None else earned.percent,
                "faucet_available_wei": None if tap is None else str(tap.available_wei),
            }
        )
        return
    money = [("fees", "not kept apart from the credits of customers")]
    if earned is not None:
        money = [
            ("in the grid", f"{format_credits(earned.held_wei)} credits, fees included"),
            ("fees", f"{format_credits(earned.accrued_wei)} credits"),
            ("fee", f"{earned.percent} % of a job's cost"),
        ]
    put_fields(
        [
            ("chain", str(chain.chain_id)),
            *chain.addresses.to_json().items(),
            ("new jobs", "taken" if enabled else "paused"),
            ("jobs so far", str(jobs)),
            ("supply", f"{format_credits(supply)} credits"),
            *money,
            ("faucet free", "" if tap is None else f"{format_credits(tap.available_wei)} credits"),
        ]
    )
