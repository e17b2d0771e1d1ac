"""``admin handover``: contracts get another administrator or owner, in two steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsq.console.commands.admin.acting import Step, act, acting
from dsq.console.commands.common import ADDRESS, Session
from dsq.console.commands.groups import Group

if TYPE_CHECKING:
    from dsq.core.chain import Chain
    from dsq.core.grid import Grid
    from dsq.core.model import Address

ALL = "all"


@click.group(cls=Group)
def handover() -> None:
    """Give contracts to another account, which has to accept.

    CONTRACT is MetaScheduler, JobRepository, ProviderManager (their administrator),
    Constants, Credit, FaucetCredit (their owner), or 'all' for all of them. Roles other than
    the administrator's stay as they are.
    """


def _chosen(chain: Chain, contract: str) -> list[str]:
    """The contracts that are meant."""
    from dsq.core.chain.operations import contracts_with_owner
    from dsq.core.chain.roles import ROLES_OF
    from dsq.core.errors import UsageError, close_matches

    known = [*ROLES_OF, *contracts_with_owner(chain)]
    if contract.lower() == ALL:
        return known
    found = [name for name in known if name.lower() == contract.lower()]
    if not found:
        raise UsageError(
            f"There is no contract '{contract}' to hand over.{close_matches(contract, known)}",
            hint=f"There are {', '.join(known)}, and 'all'.",
        )
    return found


def _kind(name: str) -> str:
    from dsq.core.chain.roles import ROLES_OF

    return "administrator" if name in ROLES_OF else "owner"


async def _name_next(
    grid: Grid, contract: str, account: Address, *, yes: bool, as_json: bool
) -> None:
    """Names ``account`` as the next one everywhere it is not yet; zero takes that back."""
    from dsq.core.chain.operations import OWNER, PENDING, Right, holders
    from dsq.core.chain.roles import ROLES_OF

    steps = []
    for name in _chosen(grid.chain, contract):
        now = await holders(grid.chain, Right(name, PENDING))
        if now == ([] if account.is_zero else [account]):
            continue
        calls = grid.chain.calls
        has_roles = name in ROLES_OF
        before = str(now[0]) if now else "nobody"
        after = "nobody" if account.is_zero else str(account)
        may = "" if account.is_zero else f"; {grid.address} stays until that one accepts"
        steps.append(
            Step(
                f"Next {_kind(name)} of {name} {grid.chain.addresses.of(name)}: {before} -> "
                f"{after}{may}.",
                calls.begin_admin_transfer(name, account)
                if has_roles
                else calls.transfer_ownership(name, account),
                Right(name, "DEFAULT_ADMIN_ROLE" if has_roles else OWNER),
            )
        )
    already = "Nothing is being handed over." if account.is_zero else f"{account} is named already."
    await act(grid, steps, yes=yes, as_json=as_json, already=already)


@handover.command()
@click.argument("contract", metavar="CONTRACT")
@click.argument("account", metavar="ADDR", type=ADDRESS)
@acting
async def begin(call: Session, contract: str, account: Address, yes: bool, as_json: bool) -> None:
    """Name ADDR as the next administrator or owner. Nothing changes until it accepts."""
    from dsq.core.errors import UsageError

    if account.is_zero:
        raise UsageError(
            "The zero address cannot accept.", hint="'dsq admin handover cancel' takes back."
        )
    async with call.open(operator=True) as grid:
        if account == grid.address:
            raise UsageError(f"{account} is the wallet in use.", hint="Name another account.")
        await _name_next(grid, contract, account, yes=yes, as_json=as_json)


@handover.command()
@click.argument("contract", metavar="CONTRACT")
@acting
async def cancel(call: Session, contract: str, yes: bool, as_json: bool) -> None:
    """Take back what 'begin' named, before it was accepted."""
    from dsq.core.model import ZERO_ADDRESS

    async with call.open(operator=True) as grid:
        await _name_next(grid, contract, ZERO_ADDRESS, yes=yes, as_json=as_json)


@handover.command()
@click.argument("contract", metavar="CONTRACT")
@acting
async def accept(call: Session, contract: str, yes: bool, as_json: bool) -> None:
    """Take over what the wallet was named for. Use the new account's key, with --key-file."""
    from dsq.core.chain.operations import OWNER, PENDING, Right, has_right, holders
    from dsq.core.chain.roles import ROLES_OF

    async with call.open(operator=True) as grid:
        names = _chosen(grid.chain, contract)
        steps = []
        for name in names:
            right = Right(name, PENDING)
            if len(names) > 1 and not await has_right(grid.chain, right, grid.address):
                continue
            has_roles = name in ROLES_OF
            now = await holders(
                grid.chain, Right(name, "DEFAULT_ADMIN_ROLE" if has_roles else OWNER)
            )
            calls = grid.chain.calls
            steps.append(
                Step(
                    f"{grid.address} becomes {_kind(name)} of {name} "
                    f"{grid.chain.addresses.of(name)}, in the place of "
                    f"{' or '.join(map(str, now)) or 'nobody'}.",
                    calls.accept_admin_transfer(name)
                    if has_roles
                    else calls.accept_ownership(name),
                    right,
                )
            )
        await act(
            grid,
            steps,
            yes=yes,
            as_json=as_json,
            already=f"{grid.address} was not named for any contract.",
        )
