"""``job timeline`` and ``job script``: how one job came to be where it is, and what it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
from dsq.console.output import put_json, put_table

if TYPE_CHECKING:
    from dsq.core.watching import Transition


@click.command(short_help="Print every state of a job with its time and transaction.")
@job_argument
@json_option
@grid_options
@session
@asynchronous
async def timeline(call: Session, job_id: int, as_json: bool) -> None:
    """Print every state of a job with its time, its block and its transaction."""
    from dsq.core.views import transition_to_dict

    async with call.open() as grid:
        steps = await grid.history(await grid.job(job_id))
    if as_json:
        put_json([transition_to_dict(step) for step in steps])
    else:
        put_timeline(steps)


def put_timeline(steps: Sequence[Transition]) -> None:
    """The states of a job as a table, oldest first."""
    from dsq.console.widgets.words import duration_text
    from dsq.core.views import rfc3339

    rows, before = [], 0
    for step in steps:
        after = f"+{duration_text(step.at - before)}" if before else ""
        block, transaction = str(step.block_number), "0x" + step.tx_hash.hex()
        rows.append((step.status.name, rfc3339(step.at) or "-", after, block, transaction))
        before = step.at
    headers = ("STATUS", "AT", "AFTER", "BLOCK", "TRANSACTION")
    put_table(headers, rows, right=("AFTER", "BLOCK"))


@click.command(short_help="Print the batch script of one of your jobs.")
@job_argument
@key_options
@grid_options
@session
@asynchronous
async def script(call: Session, job_id: int) -> None:
    """Print the batch script of one of your jobs, as its provider gets it.

    Only the job's customer may read it, so it signs; values of secrets are not in it. The grid
    keeps a script until a day after its job's end.
    """
    import sys

    from dsq.console.output import plain

    async with call.open(sign=True) as grid:
        text = await grid.script(job_id)
    if sys.stdout.isatty():
        text = "\n".join(plain(line) for line in text.split("\n"))
    sys.stdout.write(text)
    sys.stdout.flush()
