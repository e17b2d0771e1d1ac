"""``job release``: the exit that anyone may use when a provider lets its time pass."""

from __future__ import annotations

import click

from dsq.console.commands.common import (
    Session,
    asynchronous,
    grid_options,
    job_argument,
    json_option,
    key_options,
    session,
)
from dsq.console.output import put_json, say


@click.command()
@job_argument
@json_option
@key_options
@grid_options
@session
@asynchronous
async def release(call: Session, job_id: int, as_json: bool) -> None:
    """Take a job from a provider that let its time pass. Anyone may.

    That is a job that its provider did not claim in time, whose cancel it did not answer,
    that runs beyond what its credits buy, or whose provider was removed or banned. A job
    that does not run goes back to the queue; one that runs ends, its provider is paid what
    it proved, and the rest comes back. Before its time this says when that is.
    """
    from dsq.core.model import JobStatus
    from dsq.core.units import format_credits
    from dsq.core.views import job_to_dict

    async with call.open(sign=True) as grid:
        found = await grid.release(job_id)
    if as_json:
        put_json(job_to_dict(found))
    elif found.status is JobStatus.PENDING:
        say(f"Job {job_id} is {found.status.name} again and waits for another provider.")
    else:
        refund = format_credits(found.cost.max_cost - found.cost.final_cost)
        cost = format_credits(found.cost.final_cost)
        say(f"Job {job_id} is {found.status.name}: it cost {cost} credits, {refund} come back.")
