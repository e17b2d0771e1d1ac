"""``providers``: who sells compute time, and who may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from dsq.console.commands.common import (
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
from dsq.console.output import plain, put, put_fields, put_json, put_table, say

if TYPE_CHECKING:
    from dsq.console.user.track_record import TrackRecord
    from dsq.core.grid import Grid
    from dsq.core.model import Address, Provider, WhyNot


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
    """Show one provider: its nodes, prices and labels, and how its last jobs went.

    That is public: its last 200 jobs, of all customers.
    """
    from dsq.core.views import provider_to_dict

    async with call.open() as grid:
        provider = await grid.provider(address)
        record = await record_of(grid, address)
    if as_json:
        put_json({**provider_to_dict(provider), "record": record_to_dict(record)})
    else:
        put_provider(provider)
        put_record(record)


@providers.command(short_help="Put providers side by side.")
@click.argument("addresses", metavar="ADDR...", type=ADDRESS, nargs=-1, required=True)
@click.option("--workflow", "file", metavar="FILE", help="Reckon what this workflow costs at each.")
@click.option("--credits", "wei", type=CREDITS, help="Credits to lock for it (decimal).")
@json_option
@grid_options
@session
@asynchronous
async def compare(
    call: Session,
    addresses: Sequence[Address],
    file: str | None,
    wei: int | None,
    as_json: bool,
) -> None:
    """Put providers side by side: hardware, prices, how their last jobs went.

    With a workflow and credits also what a minute of it costs at each and how long the credits
    last there. The best of a line has a mark.
    """
    from dsq.console.commands.workflows import load
    from dsq.core.errors import UsageError
    from dsq.core.views import provider_to_dict, why_not_to_dict

    if (file is None) != (wei is None):
        raise UsageError("--workflow and --credits go together.")
    definition = load(file).definition() if file is not None else None
    answers: list[WhyNot | None] = []
    async with call.open() as grid:
        found = [await grid.provider(address) for address in dict.fromkeys(addresses)]
        records = {each.address: await record_of(grid, each.address) for each in found}
        if definition is not None:
            rows = {row.provider: row for row in await grid.estimate(definition, wei or 0)}
            answers = [rows.get(each.address) for each in found]
    if not as_json:
        put_comparison(found, records, answers)
        return
    put_json(
        [
            {
                **provider_to_dict(each),
                "record": record_to_dict(records[each.address]),
                "answer": why_not_to_dict(row) if row is not None else None,
            }
            for each, row in zip(found, answers or [None] * len(found), strict=True)
        ]
    )


async def record_of(grid: Grid, address: Address) -> TrackRecord:
    """How the last jobs of a provider went."""
    from dsq.console.user.track_record import LATEST, track_record

    return track_record(await grid.jobs_at(address, limit=LATEST))


def record_to_dict(record: TrackRecord) -> dict[str, Any]:
    """The past of a provider, as docs/reference/json.md describes it."""
    from dsq.core.views import rfc3339

    return {
        "jobs": record.jobs,
        "ran": record.ran,
        "finished": record.finished,
        "panicked": record.panicked,
        "open": record.open_jobs,
        "wait_seconds": record.wait_seconds,
        "cost_wei": str(record.cost_wei),
        "last_end": rfc3339(record.last_end),
    }


def put_record(record: TrackRecord) -> None:
    """The past of a provider as fields."""
    from dsq.console.comparison import success_text, wait_text
    from dsq.core.units import format_credits

    put_fields(
        [
            ("last jobs", f"{record.jobs}, {record.open_jobs} of them open"),
            ("success", f"{success_text(record)} that ran" if record.ran else ""),
            ("waits", f"{wait_text(record)} from submit to start" if record.wait_seconds else ""),
            ("cost", f"{format_credits(record.cost_wei, 2)} credits in all" if record.jobs else ""),
            ("panicked", f"{record.panicked} taken from it by the grid" if record.panicked else ""),
        ]
    )


def put_comparison(
    found: Sequence[Provider],
    records: Mapping[Address, TrackRecord],
    answers: Sequence[WhyNot | None],
) -> None:
    """Providers as the columns of a table; below it, why some cannot take the workflow."""
    from dsq.console.comparison import provider_rows, workflow_rows

    rows = [*provider_rows(found, records), *(workflow_rows(answers) if answers else [])]
    headers = ["", *(each.name for each in found)]
    put_table(headers, [[label, *(text for text, _ in cells)] for label, cells in rows])
    for each, row in zip(found, answers, strict=False):
        if row is not None and row.reason:
            put(f"{plain(each.name)}: {plain(row.reason)}")


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
    """Let what a provider proposed take effect (operators).

    Exactly what is proposed when this begins: if it is replaced meanwhile, nothing is done.
    """
    from dsq.core.errors import NotFoundError

    async def act(grid: Grid) -> None:
        try:
            seen = (await grid.proposal(address)).digest
        except NotFoundError:
            seen = b""  # The contract says what is the matter.
        await grid.approve_provider(address, seen=seen)

    await _change(call, address, act, "is approved")


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
