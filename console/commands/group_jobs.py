"""Groups of jobs in commands: which jobs they are, their line in a table, their end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsq.console.output import put_json, say

if TYPE_CHECKING:
    from dsq.console.sweeps import GroupRow
    from dsq.core.grid import Grid
    from dsq.core.model import Job


def of_group(jobs: Sequence[Job], group: str, *, keep_order: bool = False) -> list[Job]:
    """The jobs of a group, by their number in it unless their order is to be kept.

    Raises:
        UsageError: The text names no group.
    """
    from dsq.console.sweeps import named_group
    from dsq.core.groups import membership

    named_group(group)
    found = [(membership(job.name), job) for job in jobs]
    inside = [(member.index, job) for member, job in found if member and member.group == group]
    if not keep_order:
        inside.sort(key=lambda each: each[0])
    return [job for _, job in inside]


def group_cells(row: GroupRow) -> tuple[str, ...]:
    """A group as a row of the table of jobs; credits are sums."""
    from dsq.console.commands.jobs import moment
    from dsq.core.units import format_credits

    ended = [job for job in row.jobs if job.status.is_final]
    codes = sorted({job.exit_code for job in ended})
    return (
        row.ids,
        row.name,
        row.status,
        "-",
        moment(min(job.time.submit for job in row.jobs)),
        ",".join(map(str, codes)) or "-",
        format_credits(sum(job.cost.final_cost for job in ended), 2) if ended else "-",
        format_credits(sum(job.cost.max_cost for job in row.jobs), 2),
    )


async def cancel_group(grid: Grid, group: str, *, as_json: bool) -> None:
    """Cancels the open jobs of a group; one that cannot be does not keep the others.

    Raises:
        UsageError: There is no such group.
        DsqError: One could not be cancelled; the others were.
    """
    from dsq.console.sweeps import find_members
    from dsq.core.errors import DsqError, UsageError
    from dsq.core.views import job_to_dict

    jobs = await find_members(grid, group)
    if not jobs:
        raise UsageError(f"There are no jobs of the group {group}.")
    failure: DsqError | None = None
    asked = ended = 0
    for number, job in sorted(jobs.items()):
        if job.status.is_final or job.has_cancel_request:
            continue
        try:
            jobs[number] = await grid.cancel(job.id)
        except DsqError as error:
            say(f"Job {job.id} cannot be cancelled: {error}")
            failure = failure or error
            continue
        asked += 1
        ended += jobs[number].status.is_final
    if as_json:
        put_json([job_to_dict(jobs[number]) for number in sorted(jobs)])
    say(
        f"{asked} of {len(jobs)} jobs of the group {group} were cancelled; {ended} ended at once, "
        f"{asked - ended} are ended by their providers."
    )
    if failure is not None:
        raise failure
