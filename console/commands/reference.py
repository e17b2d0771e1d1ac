"""docs/reference/commands.md, made from the commands themselves.

``python -m dsq.console.commands.reference`` prints it; a test compares.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from dsq.console.cli import SECTIONS, cli
from dsq.console.commands.common import grid_options, json_option, key_options

HEAD = """\
# Commands

Made from the commands' own definitions by `python -m dsq.console.commands.reference`.

- Data goes to standard output, words to standard error. With `--json`, standard output is one
  JSON value with sorted keys ([json.md](json.md)).
- Every command takes `-h` or `--help`, and `--debug`; without `--debug` no traceback is ever
  shown. `--grid`, `--home` and `--debug` may stand before or behind the command.
- Which grid: `--home` or `--grid`, else `DSQ_HOME` or `DSQ_GRID`, else `default_grid` of the
  settings, else the only grid there. Which key: `ETH_PRIVATE_KEY`, else `--key-file`, else the
  grid's. Commands that neither send nor sign never open a key (`logs` signs).
- Credits are decimal numbers with at most 18 places; a job's ID is its number, or its `0x` id;
  an ADDR is `0x` and 40 hexadecimal digits.
- Exit codes: [errors.md](errors.md). ctrl+C ends a command with 130.
- `eval "$(_DSQ_COMPLETE=bash_source dsq)"` completes commands and options in bash; `zsh_source`
  and `fish_source` do in the others.
"""


@json_option
@key_options
@grid_options
def _every() -> None: ...


COMMON_OPTIONS = [
    option for option in click.command(_every).params if isinstance(option, click.Option)
]
COMMON_HELP = frozenset(option.help for option in COMMON_OPTIONS)


def commands_of(
    command: click.Command, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    """A command and all below it, with their contexts."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands_of(found, click.Context(found, info_name=name, parent=context))


def render_reference() -> str:
    """The page as Markdown."""
    root = click.Context(cli, info_name="dsq", **cli.context_settings)
    parts = [HEAD, "## Common options\n", _common(root), "## dsq\n", *_options(cli, root)]
    for section, commands in SECTIONS.items():
        parts.append(f"## {section}\n")
        for name in commands:
            command = cli.get_command(root, name)
            assert command is not None
            below = click.Context(command, info_name=name, parent=root)
            for found, context in commands_of(command, below):
                parts += _command(found, context)
    return "\n".join(parts)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    path = context.command_path
    arguments = [
        parameter.make_metavar(context)
        for parameter in command.params
        if isinstance(parameter, click.Argument)
    ]
    if isinstance(command, click.Group):
        arguments.append("COMMAND")
    yield f"### {' '.join([path, *arguments])}\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    yield from _options(command, context)


def _common(context: click.Context) -> str:
    rows = []
    for option in COMMON_OPTIONS:
        record = option.get_help_record(context)
        assert record is not None
        rows.append(f"| `{record[0]}` | {record[1]} |")
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) + "\n"


COMMON = ("--json", "--grid", "--home", "--key-file", "--passphrase-file", "--debug")
"""Options that mean the same everywhere; described once."""


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    own, common = [], []
    for option in command.get_params(context):
        # Help is the same everywhere, and click remembers it from the first context it sees.
        if not isinstance(option, click.Option) or "--help" in option.opts:
            continue
        shared = next((name for name in COMMON if name in option.opts), None)
        is_root = context.parent is None
        if shared is not None and not is_root and _same_everywhere(option):
            common.append(shared)
            continue
        record = option.get_help_record(context)
        assert record is not None, f"{context.command_path} {option.opts}"
        own.append(f"| `{_cell(record[0])}` | {_cell(record[1])} |")
    if own:
        yield "\n".join(["| option | meaning |", "|---|---|", *own]) + "\n"
    words = " ".join(f"`{name}`" for name in COMMON if name in common)
    if words:
        yield f"{'Also' if own else 'Takes'} {words}.\n"


def _same_everywhere(option: click.Option) -> bool:
    """Local grids have their own ``--home``, and ``up`` its own ``--json``."""
    return option.help in COMMON_HELP


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(render_reference())
