"""The guides and the README name commands that there are, and the parameters that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dsq.console.cli import cli
from dsq.console.console_command import command as console
from dsq.console.provider_command import command as provider
from dsq.core.chain.roles import ROLES, ROLES_OF
from dsq.core.model import Constants

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "operator.md").read_text()
PAGES = (*sorted(DOCS.glob("*.md")), DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md")
PROGRAMS = {"dsq": cli, "dsq-console": console, "dsq-provider": provider}
PLACEHOLDER = re.compile(r"…|COMMAND|NAME$")


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each different call of one of the programs: in backticks, and in lines of code."""
    seen = set()
    for page in PAGES:
        text = page.read_text()
        spans = re.findall(r"`(dsq(?:-console|-provider)? [^`\n]+)`", text)
        for line in text.replace("\\\n", " ").splitlines():
            code = re.match(
                r"(?: {4,}|\$ )((?:\w+=\S+ )*)(dsq(?:-console|-provider)?(?: .*|))$", line
            )
            if code is not None:
                spans.append(re.split(r"\s#|\s[|>;]|\s&&", code[2])[0])
        for span in spans:
            words = span.split()
            if tuple(words) not in seen and not PLACEHOLDER.match(words[-1]):
                seen.add(tuple(words))
                yield page.name, words


@pytest.mark.parametrize(
    ("page", "words"), commands(), ids=lambda value: value if isinstance(value, str) else None
)
def test_each_command_is_there_with_its_options(page: str, words: list[str]) -> None:
    """The path of commands exists, and each option is one of the command's, or of those above."""
    command: click.Command = PROGRAMS[words[0]]
    context = click.Context(command, info_name=words[0])
    rest, known = words[1:], options(command)
    while isinstance(command, click.Group):
        named = next((word for word in rest if not word.startswith(("-", "<"))), None)
        found = command.get_command(context, named) if named is not None else None
        if found is None or named is None:
            break
        rest.remove(named)
        command, context = found, click.Context(found, info_name=named, parent=context)
        known |= options(command)
    if isinstance(command, click.Group) and not command.invoke_without_command:
        others = [word for word in rest if word.isalpha() and word.islower()]
        assert not others, f"{page}: {' '.join(words)}: {command.name} has no command {others[0]}"
        assert command is not cli or rest, f"{page}: {' '.join(words)}"
    written = {word.partition("=")[0] for word in rest if re.match("--[a-z]", word)}
    assert written <= known, f"{page}: {' '.join(words)}"


def options(command: click.Command) -> set[str]:
    """The long options of a command."""
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {
        "--help",
        "--version",
    }


def test_every_parameter_and_role_is_explained() -> None:
    """Each parameter of the contract with its first value, and each role."""
    for name in Constants.__dataclass_fields__:
        assert f"`{name}`" in TEXT
    for role in ROLES:
        assert f"`{role}`" in TEXT
    for contract in ROLES_OF:
        assert contract in TEXT
