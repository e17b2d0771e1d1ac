"""``validate``, ``render``, ``estimate``: what can be said of a workflow before it is paid for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from dsq.console.commands.common import (
    AFFINITY,
    CREDITS,
    LABEL,
    Session,
    asynchronous,
    debug_option,
    file_argument,
    grid_options,
    json_option,
    read_text,
    session,
)
from dsq.console.output import put, put_json, put_table, say

if TYPE_CHECKING:
    from dsq.core.model import Affinity, Label, WhyNot
    from dsq.sbatch.workflow import Workflow


def load(file: str) -> Workflow:
    """Reads and checks a workflow file.

    Raises:
        NotFoundError: There is no such file.
        WorkflowError: It is not valid.
    """
    from dsq.core.errors import WorkflowError
    from dsq.sbatch.workflow import load_workflow

    source = "standard input" if file == "-" else file
    try:
        return load_workflow(read_text(file), source=source)
    except WorkflowError as error:
        error.add_note(source)  # Whoever prints the problems puts it before their lines.
        raise


def label_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--uses`` and ``--affinity``: what is asked of a provider's labels."""
    for option in (
        click.option(
            "--affinity",
            type=AFFINITY,
            multiple=True,
            help="Demand on a label: key, operator (== != < <= > >= :in:), value. Repeatable.",
        ),
        click.option(
            "--uses",
            type=LABEL,
            multiple=True,
            help="Label that the provider must have. Repeatable.",
        ),
    ):
        function = option(function)
    return function


@click.command(short_help="Check a workflow; needs no grid.")
@file_argument
@json_option
@debug_option
def validate(file: str, as_json: bool) -> int:
    """Check a workflow; needs no grid.

    Each problem is one line on standard error, FILE:LINE:COLUMN and a sentence; the exit
    code is then 65. Nothing is stored or sent. FILE may be - for standard input.
    """
    from dsq.core.errors import WorkflowError

    try:
        load(file)
    except WorkflowError as error:
        if not as_json:
            raise
        put_json({"valid": False, "problems": _problems(error)})
        return error.exit_code
    if as_json:
        put_json({"valid": True, "problems": []})
    else:
        put("valid")
    return 0


def _problems(error: Exception) -> list[dict[str, object]]:
    details = getattr(error, "details", None) or [error]
    return [
        {
            "line": getattr(problem, "line", None),
            "column": getattr(problem, "column", None),
            "path": list(getattr(problem, "path", ())),
            "message": str(getattr(problem, "message", problem)),
        }
        for problem in details
    ]


@click.command(short_help="Print a workflow's batch script; needs no grid.")
@file_argument
@debug_option
def render(file: str) -> None:
    """Print a workflow's batch script; needs no grid.

    It is the script that a provider's Slurm would run, as this version of dsq writes it.
    FILE may be - for standard input.
    """
    from dsq.sbatch.render import render as render_workflow

    click.echo(render_workflow(load(file)), nl=False)


@click.command(short_help="Say what credits buy at each provider.")
@file_argument
@click.option("--credits", "wei", type=CREDITS, required=True, help="Credits to lock (decimal).")
@label_options
@json_option
@grid_options
@session
@asynchronous
async def estimate(
    call: Session,
    file: str,
    wei: int,
    uses: Sequence[Label],
    affinity: Sequence[Affinity],
    as_json: bool,
) -> None:
    """Say what credits buy at each provider.

    For each provider: the price a minute, the minutes that these credits buy there (at
    most the provider's own limit), or why it cannot take the job. Nothing is spent.
    """
    from dsq.core.views import why_not_to_dict

    definition = load(file).definition(uses=tuple(uses), affinity=tuple(affinity))
    async with call.open() as grid:
        answers = await grid.estimate(definition, wei)
    if as_json:
        put_json([why_not_to_dict(answer) for answer in answers])
    elif not answers:
        say("The grid has no providers yet.")
    else:
        put_answers(answers)


def put_answers(answers: Sequence[WhyNot]) -> None:
    """What providers say about a job, as a table."""
    from dsq.core.units import format_credits, format_minutes

    rows = [
        (
            answer.name,
            str(answer.provider),
            format_credits(answer.wei_per_minute, 4),
            "-" if answer.reason else limited(answer.minutes, format_minutes(answer.minutes)),
            answer.reason or "can take it",
        )
        for answer in answers
    ]
    put_table(("PROVIDER", "ADDRESS", "CREDITS/MIN", "TIME", ""), rows, right=("CREDITS/MIN",))


def limited(minutes: int, text: str) -> str:
    """A time for people; one beyond a century is as good as none."""
    return text if minutes < 100 * 366 * 24 * 60 else "no limit"
