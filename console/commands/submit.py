"""``submit``: one job, or all jobs of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from dsq.console.commands.common import (
    CREDITS,
    Session,
    asynchronous,
    file_argument,
    grid_options,
    json_option,
    key_options,
    session,
)
from dsq.console.commands.workflows import label_options, load, module_options
from dsq.console.output import put, put_json, say

if TYPE_CHECKING:
    from dsq.console.job_secrets import Ask
    from dsq.console.submitting import Order
    from dsq.console.sweeps import Sweep
    from dsq.core.grid import Grid
    from dsq.core.model import Affinity, Job, Label

NAME_BYTES = 32


@click.command(short_help="Submit a workflow and lock credits for it.")
@file_argument
@click.option(
    "--credits", "wei", type=CREDITS, required=True, help="Credits to lock for each job (decimal)."
)
@click.option("--name", metavar="S", help="The job's name, at most 32 bytes; else the file's.")
@label_options
@click.option(
    "--secret",
    "secrets",
    metavar="NAME=PLACE",
    multiple=True,
    help="Where the value of a secret is: @FILE, env:VARIABLE or prompt. Repeatable.",
)
@module_options
@click.option("--watch", is_flag=True, help="Follow the job to its end and exit as it does.")
@click.option(
    "--no-approve", is_flag=True, help="Use the allowance as it is; refuse if it is too small."
)
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="A name for this submit: repeated within 24 hours it makes no second job.",
)
@click.option("--resume", metavar="GROUP", help="Submit what is missing of a group of jobs.")
@json_option
@key_options
@grid_options
@session
@asynchronous
async def submit(
    call: Session,
    file: str,
    wei: int,
    name: str | None,
    uses: Sequence[Label],
    affinity: Sequence[Affinity],
    secrets: Sequence[str],
    fetch: bool,
    hosts: Sequence[str],
    watch: bool,
    no_approve: bool,
    idempotency_key: str | None,
    resume: str | None,
    as_json: bool,
) -> int:
    """Submit a workflow and lock credits for it.

    The workflow is checked first; then the job is requested, with a permit for exactly
    these credits in the same transaction unless the allowance covers them already. What
    the job does not use comes back at its end.

    Prints the job's number, with --json its object. With --watch, each status goes to
    standard error, the output of a workflow that logs to standard output, and the exit
    code is the job's: FINISHED 0, FAILED the job's code (1 if that is 0), CANCELLED 130,
    OUT_OF_CREDITS 124, PANICKED 70. With --watch and --json, standard output has the job's
    object at each change, one a line, and no output of the job.

    A secret that no --secret names is taken from DSQ_SECRET_<NAME>, or asked for on a
    terminal.

    A workflow with a sweep becomes a group of jobs, each with these credits; their numbers
    are printed in order, with --json a list of their objects. If it ends half way, --resume
    with the group submits the others, and only these.
    """
    from dsq.console.job_secrets import secret_values
    from dsq.console.submitting import Order
    from dsq.console.workflow_files import completed
    from dsq.core.errors import UsageError

    workflow = await completed(load(file), file, fetch=fetch, hosts=hosts)
    if workflow.sweep is None and resume is not None:
        raise UsageError("--resume is for workflows with a sweep; this one makes one job.")
    if workflow.sweep is not None and (watch or idempotency_key is not None):
        raise UsageError("--watch and --idempotency-key are for workflows of one job.")
    if idempotency_key is not None and not 0 < len(idempotency_key) <= 200:
        raise UsageError("--idempotency-key has 1 to 200 characters.")
    values = secret_values(workflow, secrets, ask=_asker())
    order = Order(
        workflow,
        default_name(file) if name is None else name,
        wei,
        tuple(uses),
        tuple(affinity),
        approve=not no_approve,
        secrets=values,
        key=idempotency_key or "",
    )
    async with call.open(sign=True) as grid:
        if order.is_sweep:
            return await _submit_group(grid, order, resume, as_json=as_json)
        job = await order.submit(grid)
        logs = bool(workflow.enable_logging)
        return await _tell(grid, job, wei, watch=watch, logs=logs, as_json=as_json)


async def _tell(grid: Grid, job: Job, wei: int, *, watch: bool, logs: bool, as_json: bool) -> int:
    """Says what was submitted, and follows it if that is wanted."""
    from dsq.console.commands.watching import exit_code_of_end, watch_job
    from dsq.core.units import format_credits
    from dsq.core.views import job_to_dict

    if as_json:
        put_json(job_to_dict(job), indent=None if watch else 2)
    elif not watch:
        put(str(job.id))
    say(f"Submitted job {job.id} '{job.name}'; {format_credits(wei)} credits are locked.")
    if not watch:
        return 0
    ended = await watch_job(grid, job, logs=logs and not as_json, as_json=as_json)
    return exit_code_of_end(ended)


async def _submit_group(grid: Grid, order: Order, group: str | None, *, as_json: bool) -> int:
    from dsq.console.sweeps import resume
    from dsq.core.units import format_credits
    from dsq.core.views import job_to_dict

    sweep = order.sweep(group or "")
    if group is not None:
        await resume(grid, sweep)
    count = len(sweep.submissions)
    say(f"{len(sweep.missing)} of {count} jobs of the group {sweep.group} are to be submitted.")
    try:
        await order.submit_missing(
            grid, sweep, lambda job: say(f"Submitted job {job.id} '{job.name}'.")
        )
    except BaseException:
        _tell_the_rest(sweep)
        raise
    jobs = [sweep.jobs[number] for number in sorted(sweep.jobs)]
    if as_json:
        put_json([job_to_dict(job) for job in jobs])
    else:
        put("\n".join(str(job.id) for job in jobs))
    say(
        f"The group {sweep.group} has {count} jobs with {format_credits(order.wei)} credits each. "
        f"'dsq jobs --group {sweep.group}' shows them; 'dsq cancel --group' ends them."
    )
    return 0


def _tell_the_rest(sweep: Sweep) -> None:
    done = f"{len(sweep.jobs)} of {len(sweep.submissions)} jobs of the group {sweep.group}"
    say(f"{done} are submitted. The same command with --resume {sweep.group} submits the others.")


def default_name(file: str) -> str:
    """A job's name from its file's, cut to what fits."""
    stem = "" if file == "-" else PurePath(file).stem
    return stem.encode()[:NAME_BYTES].decode(errors="ignore")


def _asker() -> Ask | None:
    """Asks on the terminal, where there is one."""
    import sys

    if not sys.stdin.isatty():
        return None
    return lambda text: click.prompt(text, hide_input=True, err=True, default="")
