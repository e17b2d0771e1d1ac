"""How a console command ends: with words and an exit code, never with a traceback.

The exit codes are those of :mod:`dsq.core.errors`; ``--debug`` shows where an error came from.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from dsq.core.errors import DsqError, UsageError


def run_command(command: click.Command, program: str, arguments: Sequence[str] | None) -> int:
    """Runs one call of a command and returns its exit code.

    Args:
        command: What is run; it may have a flag ``--debug``.
        program: Its name in messages.
        arguments: What stands behind the name; None takes the process's own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        command.main(args=words, prog_name=program, standalone_mode=False)
    except click.UsageError as error:
        sys.stderr.write(f"{program}: {error.format_message()}\n")
        sys.stderr.write(f"'{program} --help' shows how it is used.\n")
        return UsageError.exit_code
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("\n")
        return 130
    except DsqError as error:
        _traceback(debug)
        sys.stderr.write(f"{program}: {error}\n")
        return error.exit_code
    except click.ClickException as error:
        sys.stderr.write(f"{program}: {error.format_message()}\n")
        return UsageError.exit_code
    except Exception as error:
        _traceback(debug)
        kind = type(error).__name__
        sys.stderr.write(f"{program}: Something inside dsq went wrong: {kind}: {error}\n")
        sys.stderr.write("The same with --debug shows where.\n")
        return DsqError.exit_code
    return 0


def _traceback(debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
