"""``providers``: who sells compute time, and who may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click

from dsq.console.commands.common import (
    ADDRESS,
    Session,
    asynchronous,
    grid_options,
    json_option,
    key_options,
    session,
)
from dsq.console.commands.groups import DefaultGroup
from dsq.console.output import put_fields, put_json, put_table, say

if TYPE_CHECKING:
    from dsq.core.grid import Grid
    from dsq.core.model import Address, Provider


@click.group(
    cls=DefaultGroup,
    default="list",
    short_help="List providers; let them in or keep them out.",
)
def providers() -> None:
    """List providers; let them in or keep them out. Without a command: the list."""


@providers.command("list")
@json_option
@grid_options
@session
@asynchronous
async def list_providers(call: Session, as_json: bool) -> None:
    """List all providers, also those that wait for approval."""
    from dsq.core.views import provider_to_dict

    async with call.open() as grid:
        found = await grid.providers()
    if as_json:
        put_json([provider_to_dict(provider) for provider in found])
    elif not found:
        say("The grid has no providers yet.")
    else:
        put_providers(found)


def put_providers(found: Sequence[Provider]) -> None:
    """Providers as a table."""
    from dsq.core.units import format_credits

    rows = []
    for provider in found:
        hardware, prices = provider.hardware, provider.prices
        rows.append(
            (
                provider.name,
                str(provider.address),
                standing(provider),
                str(hardware.nodes),
                str(sum(hardware.cpus_per_node)),
                str(sum(hardware.gpus_per_node)),
                f"{sum(hardware.mem_per_node) / 1000:.0f}",
                format_credits(prices.cpu_per_min, 4),
                format_credits(prices.gpu_per_min, 4),
            )
        )
    headers = ("NAME", "ADDRESS", "STATE", "NODES", "CPUS", "GPUS", "GB", "CPU/MIN", "GPU/MIN")
    put_table(headers, rows, right=headers[3:])


def standing(provider: Provider) -> str:
    """A provider's standing in one word."""
    if provider.is_banned:
        return "banned"
    if provider.is_approved:
        return "approved"
    return "waiting" if provider.is_waiting else "unknown"


@providers.command()
@click.argument("address", metavar="ADDR", type=ADDRESS)
@json_option
@grid_options
@session
@asynchronous
async def show(call: Session, address: Address, as_json: bool) -> None:
    """Show one provider: its nodes, prices and labels."""
    from dsq.core.views import provider_to_dict

    async with call.open() as grid:
        provider = await grid.provider(address)
    if as_json:
        put_json(provider_to_dict(provider))
    else:
        put_provider(provider)


def put_provider(provider: Provider) -> None:
    """One provider as a list of fields."""
    from dsq.core.units import format_credits

    hardware, prices = provider.hardware, provider.prices
    nodes = zip(hardware.cpus_per_node, hardware.mem_per_node, hardware.gpus_per_node, strict=False)
    news = provider.is_waiting and provider.is_approved
    put_fields(
        [
            ("name", provider.name),
            ("address", str(provider.address)),
            ("state", standing(provider)),
            ("proposal", "new data wait for approval" if news else ""),
            ("jobs", f"{provider.job_count} started"),
            ("CPU", f"{format_credits(prices.cpu_per_min)} credits a minute"),
            ("GPU", f"{format_credits(prices.gpu_per_min)} credits a minute"),
            ("memory", f"{format_credits(prices.mem_per_min)} credits a MB and minute"),
            *(
                (f"node {number}", f"{cpus} CPUs, {mem} MB, {gpus} GPUs")
                for number, (cpus, mem, gpus) in enumerate(nodes, 1)
            ),
            *((f"label {label.key}", label.value) for label in provider.labels),
        ]
    )


async def _change(
    call: Session, address: Address, act: Callable[[Grid], Awaitable[None]], done: str
) -> None:
    async with call.open(operator=True) as grid:
        provider = await grid.provider(address)
        await act(grid)
    say(f"{provider.name} ({address}) {done}.")


@providers.command()
@click.argument("address", metavar="ADDR", type=ADDRESS)
@key_options
@grid_options
@session
@asynchronous
async def approve(call: Session, address: Address) -> None:
    """Let what a provider proposed take effect (operators)."""
    await _change(call, address, lambda grid: grid.approve_provider(address), "is approved")


@providers.command()
@click.argument("address", metavar="ADDR", type=ADDRESS)
@key_options
@grid_options
@session
@asynchronous
async def remove(call: Session, address: Address) -> None:
    """Take a provider off the grid (operators)."""
    await _change(call, address, lambda grid: grid.remove_provider(address), "is removed")


@providers.command()
@click.argument("address", metavar="ADDR", type=ADDRESS)
@key_options
@grid_options
@session
@asynchronous
async def ban(call: Session, address: Address) -> None:
    """Keep a provider from jobs (operators)."""
    await _change(call, address, lambda grid: grid.ban(address), "is banned")


@providers.command()
@click.argument("address", metavar="ADDR", type=ADDRESS)
@key_options
@grid_options
@session
@asynchronous
async def unban(call: Session, address: Address) -> None:
    """End a provider's ban (operators)."""
    await _change(call, address, lambda grid: grid.unban(address), "is not banned any more")
