"""How an operator's command acts: look whether it may, say what it will do, ask, send, report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import click

from dsq.console.commands.common import (
    Session,
    asynchronous,
    grid_options,
    json_option,
    key_options,
    session,
)
from dsq.console.output import put_json, say

if TYPE_CHECKING:
    from dsq.core.chain import Call, Receipt
    from dsq.core.chain.operations import Right
    from dsq.core.grid import Grid

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction that a command is about to send.

    Attributes:
        says: What it does in one sentence, with who, which contract, and the values.
        call: The call.
        needs: What the wallet must be allowed to; None for what everybody may.
    """

    says: str
    call: Call
    needs: Right | None = None


Command = Callable[Concatenate[Session, P], Coroutine[Any, Any, None]]


def looking(function: Command[P]) -> Callable[P, None]:
    """What all commands that only look have: ``--json``, the grid, and its session."""
    return json_option(grid_options(session(asynchronous(function))))


def acting(function: Command[P]) -> Callable[P, None]:
    """What all commands that change something have: besides, the key and ``--yes``."""
    asks = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
    return asks(json_option(key_options(grid_options(session(asynchronous(function))))))


def confirm(sentences: Sequence[str], *, yes: bool) -> None:
    """Says what is about to happen and asks whether it may.

    Raises:
        UsageError: There is nobody to ask, and ``--yes`` was not said.
        click.Abort: The answer was no.
    """
    from dsq.core.errors import UsageError

    for sentence in sentences:
        say(sentence)
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "Nothing was sent: there is no terminal to ask at.", hint="--yes does not ask."
        )
    click.confirm("Go on?", abort=True, err=True)


async def act(
    grid: Grid,
    steps: Sequence[Step],
    *,
    yes: bool,
    as_json: bool,
    already: str = "",
    **values: Any,
) -> None:
    """Sends steps, after all rights were looked up and the user agreed.

    Args:
        grid: The grid, with the wallet open.
        steps: What to send, in order; none when all is as it should be.
        yes: Do not ask.
        as_json: Print an object instead of words.
        already: What to say when there is nothing to do.
        **values: Further fields of that object, such as ``before`` and ``after``.
    """
    from dsq.core.chain.operations import demand

    for right in dict.fromkeys(step.needs for step in steps if step.needs is not None):
        await demand(grid.chain, right, grid.address)
    if steps:
        confirm([step.says for step in steps], yes=yes)
    receipts: list[Receipt] = []
    for step in steps:
        receipts.append(await grid.send(step.call))
        # Said at once: if a later one fails, what was done is known.
        if not as_json or len(steps) > 1:
            _report(receipts[-1])
    if as_json:
        put_json(
            {
                "did": [step.says for step in steps],
                "transactions": [_receipt_to_dict(receipt) for receipt in receipts],
                **values,
            }
        )
    elif not steps:
        say(already)


def _report(receipt: Receipt) -> None:
    gas = f"{receipt.gas_used:,}".replace(",", " ")
    say(f"Done in block {receipt.block_number}: 0x{receipt.tx_hash.hex()}, {gas} gas.")


def _receipt_to_dict(receipt: Receipt) -> dict[str, Any]:
    return {
        "tx_hash": "0x" + receipt.tx_hash.hex(),
        "block_number": receipt.block_number,
        "gas_used": receipt.gas_used,
    }
