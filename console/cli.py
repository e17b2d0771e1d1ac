"""The ``dsq`` command.

Only names and one line of help of each command are known here; a command's module is
imported when it is used, so that ``dsq --help`` starts at once. All of dsq's errors end
in :func:`main` as one sentence on standard error and an exit code.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

import click

from dsq.console import quick
from dsq.console.commands.common import grid_options
from dsq.core.errors import DsqError, UsageError, WorkflowError, close_matches

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Jobs": {
        "submit": ("submit:submit", "Submit a workflow and lock credits for it."),
        "jobs": ("jobs:jobs", "List your jobs, newest first."),
        "job": ("jobs:job", "Show one job, its timeline or script; release it."),
        "logs": ("jobs:logs", "Print a job's output."),
        "why": ("jobs:why", "Say why a job waits, or why its provider got it."),
        "cancel": ("jobs:cancel", "Cancel a job, or all jobs of a group."),
        "topup": ("jobs:topup", "Add credits to a job that is scheduled or runs."),
    },
    "Workflows": {
        "validate": ("workflows:validate", "Check a workflow; needs no grid."),
        "render": ("workflows:render", "Print a workflow's batch script; needs no grid."),
        "estimate": ("workflows:estimate", "Say what credits buy at each provider."),
        "schema": ("workflows:schema", "Print the schema of workflow files, for editors."),
        "templates": ("workflows:templates", "List workflows to begin with, or print one."),
    },
    "Money, providers and the grid": {
        "credits": ("credits:credits_group", "Show, allow, transfer and collect credits."),
        "wallet": ("wallet:wallet", "Make, import and show keys; where credits went."),
        "providers": ("providers:providers", "List providers; let them in or keep them out."),
        "grid": ("overview:grid_command", "Show how the whole grid is."),
    },
    "A grid of your own": {
        "up": ("local:up", "Start a whole grid on this machine."),
        "down": ("local:down", "Stop a local grid."),
        "demo": ("local:demo", "Run one job's whole course on a throwaway grid."),
        "deploy": ("deploy:deploy", "Deploy the grid's contracts on a chain."),
        "admin": ("admin:admin", "Roles, parameters, fees and more (operators)."),
        "sbatch": ("services:sbatch", "Run the sbatch API."),
        "metascheduler": ("services:metascheduler", "Run the meta-scheduler."),
    },
}
"""Section -> command -> (module below ``dsq.console.commands`` and name in it, help)."""

COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        import importlib

        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found = getattr(importlib.import_module(f"dsq.console.commands.{module}"), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(
                f"There is no command '{args[0]}'.{close_matches(args[0], COMMANDS)}",
                hint="'dsq --help' lists them.",
            )
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        width = max(map(len, COMMANDS))
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                rows = [(name.ljust(width), text) for name, (_, text) in commands.items()]
                formatter.write_dl(rows)


def _version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("dsq")
    except PackageNotFoundError:
        number = "(not installed)"
    click.echo(f"dsq {number}")
    context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@grid_options
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """The grid in your terminal: run jobs on Slurm clusters of an open grid.

    Data goes to standard output, words to standard error. --grid, --home and --debug may
    stand before or behind the command.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one call and returns its exit code; every error has become words.

    Args:
        arguments: What stands behind ``dsq``; None takes the process's own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    _quiet_logs(debug)
    try:
        result = cli.main(args=words, prog_name="dsq", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return UsageError.exit_code
    except click.UsageError as error:
        _report_usage(error)
        return UsageError.exit_code
    except (KeyboardInterrupt, click.Abort):
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # Behind the terminal's ^C.
        return 130
    except BrokenPipeError:
        # The reader has enough: nothing more may be written, also not at the exit.
        with contextlib.suppress(OSError):
            sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123
        return 0
    except DsqError as error:
        if debug:
            _traceback()
        _report(error)
        return error.exit_code
    except click.ClickException as error:
        sys.stderr.write(f"dsq: {error.format_message()}\n")
        return UsageError.exit_code
    except Exception as error:
        if debug:
            _traceback()
        sys.stderr.write(
            f"dsq: Something inside dsq went wrong: {type(error).__name__}: {error}\n"
            "The same with --debug shows where.\n"
        )
        return DsqError.exit_code


def main() -> None:
    """Entry of the ``dsq`` command."""
    quick.start()
    raise SystemExit(run())


def _quiet_logs(debug: bool) -> None:
    """Commands speak for themselves; what is logged shows with ``--debug`` only."""
    import logging

    if debug:
        logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s %(message)s")
        for noisy in ("asyncio", "httpcore", "httpx"):
            logging.getLogger(noisy).setLevel(logging.INFO)
    else:
        logging.getLogger().addHandler(logging.NullHandler())


def _traceback() -> None:
    import traceback

    traceback.print_exc()


def _report_usage(error: click.UsageError) -> None:
    command = error.ctx.command_path if error.ctx is not None else "dsq"
    sys.stderr.write(f"{command}: {error.format_message()}\n")
    sys.stderr.write(f"'{command} --help' shows how it is used.\n")


def _report(error: DsqError) -> None:
    if isinstance(error, WorkflowError) and error.problems:
        for line in problem_lines(error):
            sys.stderr.write(line + "\n")
        return
    sys.stderr.write(f"dsq: {error}\n")


def problem_lines(error: WorkflowError) -> list[str]:
    """A workflow's problems, one a line: ``FILE:LINE:COLUMN: what is wrong``."""
    source = next(iter(getattr(error, "__notes__", ())), "workflow")
    lines, places = [], []
    for problem in getattr(error, "details", None) or error.problems:
        line, column = getattr(problem, "line", None), getattr(problem, "column", None)
        text = str(getattr(problem, "message", problem))
        lines.append(f"{source}:{line}:{column}: {text}" if line else f"{source}: {text}")
        places.append(line)
    number = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    first = f", the first in line {places[0]}" if places[0] else ""
    return [*lines, f"{source} is not valid: {number}{first}."]


if __name__ == "__main__":
    main()
