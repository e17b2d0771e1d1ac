"""``validate``, ``render``, ``estimate``, ``schema``, ``templates``: all before it is paid for."""

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


def module_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--offline`` and ``--module-host``: where modules may come from; else they are fetched."""
    return click.option(
        "--offline",
        "fetch",
        flag_value=False,
        type=bool,
        default=True,
        help="Take modules from files and the cache only.",
    )(_host_option(function))


def _fetch_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--fetch`` and ``--module-host``: for commands that ask no other host by themselves."""
    return click.option(
        "--fetch", is_flag=True, help="Fetch modules that are neither files nor in the cache."
    )(_host_option(function))


def _host_option(function: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--module-host",
        "hosts",
        metavar="HOST",
        multiple=True,
        help="A further host that modules may be fetched from. Repeatable.",
    )(function)


@click.command(short_help="Check a workflow; needs no grid.")
@file_argument
@_fetch_options
@json_option
@debug_option
def validate(file: str, fetch: bool, hosts: Sequence[str], as_json: bool) -> int:
    """Check a workflow; needs no grid.

    Each problem is one line on standard error, FILE:LINE:COLUMN and a sentence; the exit
    code is then 65. Nothing is stored or sent. FILE may be - for standard input.

    Modules in files and in the cache are checked with it; others only with --fetch.
    """
    import asyncio

    from dsq.console.workflow_files import completed
    from dsq.core.errors import UnreachableError, WorkflowError

    try:
        workflow = load(file)
        try:
            asyncio.run(completed(workflow, file, fetch=fetch, hosts=hosts))
        except UnreachableError as error:
            if fetch:
                raise
            say(f"Not looked at: {error}")
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
@click.option(
    "--explain", is_flag=True, help="Say which lines of the script come from which field."
)
@click.option(
    "--point",
    type=click.IntRange(min=1),
    metavar="N",
    help="The job of a sweep to show, from 1; else the first.",
)
@_fetch_options
@json_option
@debug_option
def render(
    file: str,
    explain: bool,
    point: int | None,
    fetch: bool,
    hosts: Sequence[str],
    as_json: bool,
) -> None:
    """Print a workflow's batch script; needs no grid.

    It is the script that a provider's Slurm would run, as this version of dsq writes it.
    FILE may be - for standard input.

    With --explain: each range of lines of the script with the field that it comes from and
    where that stands in FILE; with --json as a list of objects. Of a sweep the first job is
    shown, or that of --point.
    """
    import asyncio

    from dsq.console.workflow_files import completed
    from dsq.core.errors import UsageError
    from dsq.sbatch.render import render as render_workflow

    if as_json and not explain:
        raise UsageError("--json goes with --explain: a script is text.")
    workflow = _point(asyncio.run(completed(load(file), file, fetch=fetch, hosts=hosts)), point)
    if not explain:
        click.echo(render_workflow(workflow), nl=False)
        return
    from dsq.sbatch.explain import explained

    origins = explained(workflow)
    if as_json:
        put_json([each.to_dict() for each in origins])
        return
    rows = [(each.lines, each.field, each.place(file)) for each in origins]
    put_table(("LINES", "FIELD", "IN THE FILE"), rows)


def _point(workflow: Workflow, number: int | None) -> Workflow:
    """One job of a sweep, or the only job."""
    from dsq.core.errors import UsageError
    from dsq.sbatch.expand import count, expand

    if workflow.sweep is None:
        if number not in (None, 1):
            raise UsageError("--point is for workflows with a sweep; this one makes one job.")
        return workflow
    total = count(workflow.sweep)
    number = number or 1
    if number > total:
        raise UsageError(f"The sweep makes {total} jobs; there is no job {number}.")
    say(f"Job {number} of {total} of the sweep.")
    return next(point.workflow for point in expand(workflow) if point.index == number)


@click.command(short_help="Print the schema of workflow files, for editors.")
@click.option(
    "--write",
    metavar="PATH",
    is_flag=False,
    flag_value="",
    help="Write it to PATH (a file or a folder; else here) and say where.",
)
@debug_option
def schema(write: str | None) -> None:
    """Print the JSON Schema of workflow files, for editors.

    With --write it becomes a file. An editor that speaks YAML uses it for a workflow whose
    first line is '# yaml-language-server: $schema=PATH', as that of a template is.
    """
    from pathlib import Path

    from dsq.sbatch.model.jsonschema import FILE_NAME, schema_text

    if write is None:
        click.echo(schema_text(), nl=False)
        return
    path = Path(write or ".")
    path = path / FILE_NAME if path.is_dir() else path
    path.write_text(schema_text(), encoding="utf-8")
    put(str(path))
    say(f"Begin workflows beside it with: # yaml-language-server: $schema={path.name}")


@click.command(short_help="List workflows to begin with, or print one.")
@click.argument("name", metavar="[NAME]", required=False)
@json_option
@debug_option
def templates(name: str | None, as_json: bool) -> None:
    """List workflows to begin with, or print one.

    They are the examples of the documentation. 'dsq templates hello-world > my.yaml' begins
    a workflow.
    """
    from dsq.console.templates import template
    from dsq.console.templates import templates as all_templates

    if name is not None:
        found = template(name)
        if as_json:
            put_json({"name": found.name, "title": found.title, "text": found.text})
        else:
            click.echo(found.text, nl=False)
        return
    if as_json:
        put_json([{"name": each.name, "title": each.title} for each in all_templates()])
    else:
        put_table(("NAME", "WHAT IT SHOWS"), [(e.name, e.title) for e in all_templates()])


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
