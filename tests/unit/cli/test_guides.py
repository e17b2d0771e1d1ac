"""The guides and the README name commands that there are, and the parameters that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dsq.console.cli import cli
from dsq.console.user.screens.base import VIEWS
from dsq.core.chain.roles import ROLES, ROLES_OF
from dsq.core.model import Constants

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "operator.md").read_text()
CONSOLE = (DOCS / "console.md").read_text()
PAGES = (
    TEXT,
    CONSOLE,
    (DOCS / "guide.md").read_text(),
    (DOCS.parent / "README.md").read_text(),
)


def commands() -> Iterator[list[str]]:
    """What stands behind ``dsq`` in code and in indented lines."""
    text = "\n".join(PAGES)
    spans = re.findall(r"`dsq ([^`]+)`", text)
    lines = [line.split("#")[0] for line in text.replace("\\\n", " ").splitlines()]
    spans += [line.strip()[4:] for line in lines if re.match(r" {4,}dsq ", line)]
    for span in spans:
        yield span.split()


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_is_there_with_its_options(words: list[str]) -> None:
    """The path of commands exists, and each option is one of the command's."""
    command: click.Command = cli
    context = click.Context(cli, info_name="dsq")
    rest = list(words)
    while rest and isinstance(command, click.Group):
        found = command.get_command(context, rest[0])
        if found is None:
            break
        command, context = found, click.Context(found, info_name=rest.pop(0), parent=context)
    assert command is not cli, words
    if isinstance(command, click.Group):
        assert not rest, f"{words}: {command.name} has no command {rest[0]}"
        return
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    assert {word for word in rest if word.startswith("--")} <= known


def test_each_view_has_its_commands() -> None:
    """The table of views and commands has every view, and a command in each row."""
    table = CONSOLE.split("## Each view's command")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    views = [row[0] for row in rows[1:]]
    assert set(views) == {*VIEWS, "Job", "Logs", "The first start"} - {"Notices"}
    assert all(row[2].startswith("`dsq ") for row in rows[1:])


def test_every_parameter_and_role_is_explained() -> None:
    """Each parameter of the contract with its first value, and each role."""
    for name in Constants.__dataclass_fields__:
        assert f"`{name}`" in TEXT
    for role in ROLES:
        assert f"`{role}`" in TEXT
    for contract in ROLES_OF:
        assert contract in TEXT
