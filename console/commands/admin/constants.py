"""``admin constants``: the grid's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsq.console.commands.admin.acting import Step, act, acting, looking
from dsq.console.commands.common import Session
from dsq.console.commands.groups import DefaultGroup
from dsq.console.output import put_json, put_table

if TYPE_CHECKING:
    from dsq.core.chain.operations import Parameter


@click.group(cls=DefaultGroup, default="show")
def constants() -> None:
    """Show and set the grid's parameters. Without a command: all of them."""


def in_words(parameter: Parameter, value: int) -> str:
    """A value with its unit, as people read it."""
    from dsq.core.units import format_credits

    if parameter.unit == "wei":
        return f"{format_credits(value)} credits"
    if parameter.unit == "percent":
        return f"{value} %"
    return f"{value} minute{'s' * (value != 1)}"


def _value(parameter: Parameter, text: str) -> int:
    """Reads a value: credits for amounts, else a whole number; within the bounds."""
    from dsq.core.errors import UsageError
    from dsq.core.units import parse_credits

    if parameter.unit == "wei":
        value = parse_credits(text)
    elif text.isascii() and text.isdecimal():
        value = int(text)
    else:
        raise UsageError(
            f"'{text}' is no value of {parameter.name}.",
            hint=f"Write a whole number of {parameter.unit}.",
        )
    if not parameter.least <= value <= parameter.most:
        bounds = (in_words(parameter, bound) for bound in (parameter.least, parameter.most))
        raise UsageError(
            f"{parameter.name} cannot be {in_words(parameter, value)}: it is from "
            f"{' to '.join(bounds)}."
        )
    return value


@constants.command("show")
@looking
async def show_constants(call: Session, as_json: bool) -> None:
    """Show every parameter with its unit and its bounds."""
    from dsq.core.chain.operations import WORD_MAX, parameters

    async with call.open() as grid:
        known = await parameters(grid.chain)
        now = await grid.constants()
    if as_json:
        put_json(
            [
                {
                    "name": one.name,
                    "value": str(getattr(now, one.name)),
                    "unit": one.unit,
                    "least": str(one.least),
                    "most": str(one.most),
                }
                for one in known
            ]
        )
        return
    rows = [
        (
            one.name,
            in_words(one, getattr(now, one.name)),
            in_words(one, one.least),
            "-" if one.most == WORD_MAX else in_words(one, one.most),
            one.meaning,
        )
        for one in known
    ]
    headers = ("NAME", "VALUE", "LEAST", "MOST", "MEANING")
    put_table(headers, rows, right=headers[1:4])


@constants.command("set")
@click.argument("name", metavar="NAME")
@click.argument("text", metavar="VALUE")
@acting
async def set_constant(call: Session, name: str, text: str, yes: bool, as_json: bool) -> None:
    """Set a parameter: credits for amounts, whole percent or minutes for others.

    It holds for jobs that are placed from now on; each job keeps what it was placed with.
    The minimum holds for the next request.
    """
    from dsq.core.chain.operations import OWNER, Right, parameter_named, parameters

    async with call.open(operator=True) as grid:
        parameter = parameter_named(name, await parameters(grid.chain))
        value = _value(parameter, text)
        before = getattr(await grid.constants(), parameter.name)
        step = Step(
            f"{parameter.name} ({parameter.meaning}) on Constants "
            f"{grid.chain.addresses.constants}: {in_words(parameter, before)} -> "
            f"{in_words(parameter, value)}, at once, for what is requested or placed from then on.",
            grid.chain.calls.set_constant(parameter.name, value),
            Right("Constants", OWNER),
        )
        await act(
            grid,
            [] if value == before else [step],
            yes=yes,
            as_json=as_json,
            already=f"{parameter.name} is {in_words(parameter, value)} already.",
            before=str(before),
            after=str(value),
        )
