"""Groups of commands: close matches for typos, a command for none."""

from __future__ import annotations

from typing import Any

import click

from dsq.core.errors import UsageError, close_matches


class Group(click.Group):
    """A group that names the close match of a mistyped command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise UsageError(
                f"'{ctx.command_path}' has no command '{args[0]}'."
                f"{close_matches(args[0], self.commands)}",
                hint=f"It has {', '.join(self.commands)}.",
            )
        return super().resolve_command(ctx, args)


class DefaultGroup(Group):
    """A group with a command that is meant when none is named.

    Args:
        default: Name of that command.
    """

    def __init__(self, *args: Any, default: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        names = ctx.help_option_names
        if not args or (args[0].startswith("-") and args[0] not in names):
            args = [self.default, *args]
        return super().parse_args(ctx, args)
