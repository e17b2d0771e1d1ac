"""``grid``: the whole grid at a glance."""

from __future__ import annotations

import click

from dsq.console.commands.common import (
    Session,
    asynchronous,
    grid_options,
    json_option,
    session,
)
from dsq.console.output import put_fields, put_json, put_table


@click.command("grid", short_help="Show how the whole grid is.")
@json_option
@grid_options
@session
@asynchronous
async def grid_command(call: Session, as_json: bool) -> None:
    """Show how the whole grid is: the chain and its nodes, the meta-scheduler, totals."""
    from dsq.core.views import overview_to_dict

    async with call.open() as grid:
        seen = await grid.overview()
    if as_json:
        put_json(overview_to_dict(seen))
        return
    from dsq.core.grid.overview import states
    from dsq.core.units import format_credits

    nodes, cpus, gpus, mem = seen.hardware()
    pace = "" if seen.block_seconds is None else f", one every {seen.block_seconds:.1f} s"
    of_it = seen.scheduling
    put_fields(
        [
            ("chain", f"{seen.chain_id}, block {seen.head.number}{pace}"),
            ("new jobs", "are taken" if seen.takes_jobs else "are refused for now"),
            ("meta-scheduler", of_it.error or f"{of_it.status}, {of_it.waiting} jobs wait"),
            ("jobs", f"{seen.total_jobs} so far"),
            ("", ", ".join(f"{count} {status.name}" for status, count in states(seen))),
            ("providers", f"{len(seen.approved())} of {len(seen.providers)} may be given jobs"),
            ("hardware", f"{nodes} nodes, {cpus} CPUs, {gpus} GPUs, {mem} MB"),
            ("credits", f"{format_credits(seen.supply_wei, 2)} there are"),
            ("", f"{format_credits(seen.locked_wei, 2)} held by the grid"),
        ]
    )
    rows = [
        (
            "*" if one.is_current else "",
            one.url,
            one.state.value,
            "-" if one.head is None else str(one.head),
            str(one.lag),
            "-" if one.latency_seconds is None else f"{one.latency_seconds * 1000:.0f} ms",
            one.last_error,
        )
        for one in seen.endpoints
    ]
    headers = ("", "NODE", "STATE", "BLOCK", "LAG", "ANSWERS IN", "LAST ERROR")
    put_table(headers, rows, right=("BLOCK", "LAG", "ANSWERS IN"))
