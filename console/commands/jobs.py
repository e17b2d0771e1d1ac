"""``jobs``, ``job``, ``logs``, ``why``, ``cancel``, ``topup``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from dsq.console.commands.common import (
    ADDRESS,
    CREDITS,
    FILTER,
    JOB_ID,
    ORDER,
    STATUS,
    Session,
    asynchronous,
    grid_options,
    job_argument,
    json_option,
    key_options,
    session,
)
from dsq.console.commands.group_jobs import cancel_group, group_cells, of_group
from dsq.console.commands.groups import Group
from dsq.console.commands.job_course import script, timeline
from dsq.console.commands.log_steps import put_step, put_steps, steps_of
from dsq.console.commands.release import release
from dsq.console.commands.workflows import limited, put_answers
from dsq.console.output import plain, put, put_fields, put_json, put_table, say

if TYPE_CHECKING:
    from dsq.core.grid import Grid, WhyReport
    from dsq.core.model import Address, Job, JobStatus
    from dsq.core.readmodel import Filter, Order


@click.command(short_help="List your jobs, newest first.")
@click.option("--status", type=STATUS, help="Only jobs with this status, such as RUNNING.")
@click.option("--customer", type=ADDRESS, help="Jobs of this account instead of yours.")
@click.option(
    "--filter",
    "wanted",
    type=FILTER,
    metavar="WORDS",
    help="Only jobs that pass a filter, such as 'status:running gpu !test'.",
)
@click.option(
    "--sort",
    "order",
    type=ORDER,
    metavar="[-]BY",
    help="Sort by id, name, status, cost, …; '-' turns the order round.",
)
@click.option("--group", metavar="GROUP", help="Only jobs of this group, one a line.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="No more than N jobs.")
@json_option
@key_options
@grid_options
@session
@asynchronous
async def jobs(
    call: Session,
    status: JobStatus | None,
    customer: Address | None,
    wanted: Filter | None,
    order: Order | None,
    group: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List your jobs, newest first.

    The jobs of a sweep stand in one line with how many of them have which status; --group
    shows them one by one. With --json every job is an object of the list, always.

    A filter is made of words: 'status:running gpu !test' keeps running jobs that have gpu
    but not test in their id, name, provider or error; 'cost>50 age<2d' compares. The words
    are those of the console's filter. --sort takes id, name, status, provider, cost, locked,
    submitted, started, ended, elapsed, gpus, cpus or exit.
    """
    from dsq.core.views import job_to_dict

    async with call.open() as grid:
        account = customer or call.account(grid.config)
        # What belongs to a group is told by the names of all jobs.
        most = limit if group is None else None
        if wanted is None and order is None:
            found = await grid.jobs(status=status, customer=account, limit=most)
        else:
            found = await searched(grid, account, status, wanted, order, most)
    if group is not None:
        found = of_group(found, group, keep_order=order is not None)[:limit]
    if as_json:
        put_json([job_to_dict(job) for job in found])
    elif not found:
        say("No jobs yet. 'dsq submit FILE --credits N' submits one.")
    else:
        put_jobs(found, one_by_one=group is not None)


async def searched(
    grid: Grid,
    account: Address,
    status: JobStatus | None,
    wanted: Filter | None,
    order: Order | None,
    limit: int | None,
) -> list[Job]:
    """Jobs that pass a filter, in the order that is asked for, else newest first."""
    from dsq.console.commands.listing import find_jobs
    from dsq.core.readmodel import Order, parse_filter

    text = wanted.text if wanted is not None else ""
    if status is not None:
        text = f"status:{status.name} {text}"
    return await find_jobs(grid, account, parse_filter(text), order or Order(), limit)


def put_jobs(found: Sequence[Job], *, one_by_one: bool = False) -> None:
    """Jobs as a table, each group as one row unless ``one_by_one``."""
    from dsq.console.sweeps import GroupRow, grouped
    from dsq.core.units import format_credits

    rows = []
    for job in found if one_by_one else grouped(found):
        if isinstance(job, GroupRow):
            rows.append(group_cells(job))
            continue
        ended = job.status.is_final
        rows.append(
            (
                str(job.id),
                job.name,
                job.status.name,
                "-" if job.provider.is_zero else job.provider.short,
                moment(job.time.submit),
                str(job.exit_code) if ended else "-",
                format_credits(job.cost.final_cost, 2) if ended else "-",
                format_credits(job.cost.max_cost, 2),
            )
        )
    headers = ("ID", "NAME", "STATUS", "PROVIDER", "SUBMITTED (UTC)", "EXIT", "COST", "LOCKED")
    put_table(headers, rows, right=("ID", "EXIT", "COST", "LOCKED"))


def moment(seconds: int) -> str:
    """A time for people, in UTC; "-" while there is none."""
    from dsq.core.model import utc

    time = utc(seconds)
    return time.strftime("%Y-%m-%d %H:%M:%S") if time is not None else "-"


@click.group(cls=Group, short_help="Show one job, its timeline or script; release it.")
def job() -> None:
    """Show one job, its timeline or its script, or release it from its provider."""


@job.command()
@job_argument
@json_option
@grid_options
@session
@asynchronous
async def show(call: Session, job_id: int, as_json: bool) -> None:
    """Show one job, with its money and its times.

    ID is the job's number, or its 0x id.
    """
    from dsq.core.views import job_to_dict

    async with call.open() as grid:
        found = await grid.job(job_id)
        if as_json:
            put_json(job_to_dict(found))
        else:
            put_job(found, await provider_name(grid, found.provider))


job.add_command(release)
job.add_command(script)
job.add_command(timeline)


async def provider_name(grid: Grid, address: Address) -> str:
    """A provider's name for people, "" for no provider."""
    from dsq.core.errors import DsqError

    if address.is_zero:
        return ""
    try:
        return (await grid.provider(address)).name
    except DsqError:
        return address.short


def put_job(found: Job, provider: str) -> None:
    """One job as a list of fields."""
    from dsq.core.units import format_credits

    definition, ended = found.definition, found.status.is_final
    put_fields(
        [
            ("job", str(found.id)),
            ("id", found.hex_id),
            ("name", found.name),
            ("status", found.status.name),
            ("asked", "cancel requested" if found.has_cancel_request and not ended else ""),
            ("exit code", str(found.exit_code) if ended else ""),
            ("last error", found.last_error),
            ("customer", str(found.customer)),
            ("provider", f"{provider} {found.provider}" if provider else ""),
            ("tasks", f"{definition.ntasks} of {definition.cpus_per_task} CPUs"),
            ("memory", f"{definition.mem_per_cpu} MB a CPU"),
            ("GPUs", str(definition.gpus)),
            ("uses", " ".join(map(str, definition.uses))),
            ("affinity", " ".join(map(str, definition.affinity))),
            ("locked", f"{format_credits(found.cost.max_cost)} credits"),
            ("cost", f"{format_credits(found.cost.final_cost)} credits" if ended else ""),
            ("submitted", moment(found.time.submit)),
            ("started", moment(found.time.start)),
            ("ended", moment(found.time.end)),
        ]
    )


@click.command(short_help="Print a job's output.")
@job_argument
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended.")
@click.option("--timestamps", is_flag=True, help="Begin each line with its time.")
@click.option("--steps", is_flag=True, help="List the steps that it tells of, not the output.")
@click.option("--step", metavar="STEP", help="Only the output of this step: its path or its name.")
@json_option
@key_options
@grid_options
@session
@asynchronous
async def logs(
    call: Session,
    job_id: int,
    follow: bool,
    timestamps: bool,
    steps: bool,
    step: str | None,
    as_json: bool,
) -> None:
    """Print a job's output.

    Only the job's customer may read it. Into a pipe or file it goes byte for byte; on a
    terminal, escape sequences other than colours are left out.

    --steps lists the named steps of the workflow with how they ended, how long they took and
    how many lines they wrote, as the output itself tells; with --json as a list of objects.
    --step prints the lines of one: of its path, as in 'steps[0]', or of its name; each of
    its runs, one after the other.
    """
    from dsq.console.commands.watching import LinePrinter
    from dsq.core.errors import UsageError

    if sum((steps, step is not None)) > 1 or (as_json and not steps):
        raise UsageError("--steps and --step exclude each other; --json goes with --steps.")
    printer = LinePrinter(sys.stdout, timestamps=timestamps)
    async with call.open(sign=True) as grid:
        lines = grid.logs(job_id, follow=follow)
        if steps:
            put_steps(await steps_of(lines), as_json=as_json)
        elif step is not None:
            await put_step(lines, step, printer)
        else:
            async for line in lines:
                printer.put(line.data, line.timestamp_ns)


@click.command(short_help="Say why a job waits, or why its provider got it.")
@job_argument
@json_option
@grid_options
@session
@asynchronous
async def why(call: Session, job_id: int, as_json: bool) -> None:
    """Say why a job waits, or why its provider got it.

    Its place in the queue, or who has it; then what each provider makes of it now, as the
    meta-scheduler says.
    """
    from dsq.core.views import why_to_dict

    async with call.open() as grid:
        report = await grid.why(job_id)
    if as_json:
        put_json(why_to_dict(report))
        return
    if report.place:
        put(f"Job {job_id} is {report.status.name}, number {report.place} of {report.of} waiting.")
    elif report.status.is_final or report.provider.is_zero:
        put(f"Job {job_id} is {report.status.name}; it does not wait for a provider.")
    else:
        put(f"Job {job_id} is {report.status.name}. {_placed(report)}")
    if report.status.is_final:
        return
    if report.providers:
        put_answers(report.providers)
    else:
        put("The grid has no providers.")


def _placed(report: WhyReport) -> str:
    """Who has the job, and why that one."""
    from dsq.console.placement import reason_words, where_words

    ours = [row for row in report.providers if row.provider == report.provider]
    name = ours[0].name if ours else report.provider.short
    rate = ours[0].wei_per_minute if ours else None
    return f"{where_words(report.status, plain(name))} {reason_words(rate)}"


@click.command(short_help="Cancel a job, or all jobs of a group.")
@click.argument("job_id", metavar="[ID]", type=JOB_ID, required=False)
@click.option("--group", metavar="GROUP", help="All open jobs of this group.")
@json_option
@key_options
@grid_options
@session
@asynchronous
async def cancel(call: Session, job_id: int | None, group: str | None, as_json: bool) -> None:
    """Cancel a job, or all jobs of a group.

    One that does not run yet ends at once and costs nothing. One that runs is ended by its
    provider; what it used is paid, the rest comes back. If the provider lets its time for
    that pass, the same command releases the job.
    """
    from dsq.core.errors import UsageError
    from dsq.core.units import format_credits
    from dsq.core.views import job_to_dict

    if (job_id is None) == (group is None):
        raise UsageError("Name one job by its ID, or a group with --group.")
    async with call.open(sign=True) as grid:
        if group is not None:
            await cancel_group(grid, group, as_json=as_json)
            return
        assert job_id is not None
        found = await grid.cancel(job_id)
        locked = format_credits(found.cost.max_cost)
        if as_json:
            put_json(job_to_dict(found))
        elif found.status.is_final:
            refund = format_credits(found.cost.max_cost - found.cost.final_cost)
            say(f"Job {job_id} is {found.status.name}; {refund} credits come back.")
        else:
            name = await provider_name(grid, found.provider)
            say(
                f"{name} was asked to end job {job_id}; what it has not used of {locked} "
                "credits comes back when it has ended."
            )
            due = await grid.expiry(job_id)
            if due is not None:
                say(f"If it does not answer, 'dsq job release {job_id}' ends it from "
                    f"{moment(due)} UTC on.")  # fmt: skip


@click.command(short_help="Add credits to a job that is scheduled or runs.")
@job_argument
@click.argument("wei", metavar="N", type=CREDITS)
@click.option(
    "--no-approve", is_flag=True, help="Use the allowance as it is; refuse if it is too small."
)
@json_option
@key_options
@grid_options
@session
@asynchronous
async def topup(call: Session, job_id: int, wei: int, no_approve: bool, as_json: bool) -> None:
    """Add N credits to a job that is scheduled or runs.

    Its provider turns them into more time; what is not used comes back.
    """
    from dsq.core.errors import DsqError
    from dsq.core.units import format_credits, format_minutes, minutes_for
    from dsq.core.views import job_to_dict

    async with call.open(sign=True) as grid:
        found = await grid.top_up(job_id, wei, approve=not no_approve)
        if as_json:
            put_json(job_to_dict(found))
            return
        text = f"Added {format_credits(wei)} credits to job {job_id}"
        try:
            provider = await grid.provider(found.provider)
        except DsqError:
            say(f"{text}.")
            return
        minutes = minutes_for(found.definition, provider.prices, wei)
        more = limited(minutes, format_minutes(minutes))
        say(f"{text}: {more} more on {provider.name}, at most to its own limit.")
