"""``admin roles``: who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from dsq.console.commands.admin.acting import Step, act, acting, looking
from dsq.console.commands.common import ADDRESS, Session
from dsq.console.commands.groups import DefaultGroup
from dsq.console.output import put_json, put_table

if TYPE_CHECKING:
    from dsq.core.chain import Chain
    from dsq.core.model import Address

MAY = {
    ("MetaScheduler", "DEFAULT_ADMIN_ROLE"): "roles, pause, fees",
    ("MetaScheduler", "METASCHEDULER_ROLE"): "places jobs, takes them back, ends them",
    ("JobRepository", "DEFAULT_ADMIN_ROLE"): "roles",
    ("JobRepository", "METASCHEDULER_ROLE"): "writes jobs (the MetaScheduler)",
    ("ProviderManager", "DEFAULT_ADMIN_ROLE"): "roles, approves, removes and bans providers",
    ("ProviderManager", "METASCHEDULER_ROLE"): "approves, removes and bans providers",
    ("ProviderManager", "METASCHEDULER_CONTRACT_ROLE"): "counts jobs (the MetaScheduler)",
    ("Constants", "owner"): "sets parameters",
    ("Credit", "owner"): "makes credits",
    ("FaucetCredit", "owner"): "promises credits",
    ("ProviderJobQueues", "owner"): "fills and empties queues (the MetaScheduler)",
}
"""Contract and right -> what that lets somebody do."""

GRID_PARTS = frozenset(
    {
        ("JobRepository", "METASCHEDULER_ROLE"),
        ("ProviderManager", "METASCHEDULER_CONTRACT_ROLE"),
    }
)
"""Rights that the MetaScheduler needs for the grid to work."""


@click.group(cls=DefaultGroup, default="list")
def roles() -> None:
    """Show, grant and revoke roles. Without a command: who has which."""


@roles.command("list")
@looking
async def list_roles(call: Session, as_json: bool) -> None:
    """List who has a role, owns a contract, or was named to take one over."""
    from dsq.core.chain.operations import holdings

    async with call.open() as grid:
        found = await holdings(grid.chain)
        known = names_of(call, grid.chain)
    if as_json:
        put_json(
            [
                {
                    "contract": one.right.contract,
                    "right": one.right.name,
                    "account": str(one.account),
                }
                for one in found
            ]
        )
        return
    rows = [
        (
            one.right.contract,
            one.right.name,
            str(one.account),
            known.get(one.account, ""),
            MAY.get((one.right.contract, one.right.name), "may take over"),
        )
        for one in found
    ]
    put_table(("CONTRACT", "RIGHT", "ACCOUNT", "WHO", "MAY"), rows)


def names_of(call: Session, chain: Chain) -> Mapping[Address, str]:
    """Accounts that have a name here: the contracts, and the grid's operator."""
    config = call.config()
    names = dict(chain.addresses.named())
    if config.operator is not None and config.operator.ref.address is not None:
        names[config.operator.ref.address] = "the operator"
    return names


def _checked(contract: str, role: str) -> tuple[str, str]:
    """Contract and role by their names, in any case."""
    from dsq.core.chain.roles import ROLES_OF
    from dsq.core.errors import UsageError, close_matches

    name = next((known for known in ROLES_OF if known.lower() == contract.lower()), None)
    if name is None:
        raise UsageError(
            f"There is no contract '{contract}' with roles.{close_matches(contract, ROLES_OF)}",
            hint=f"Those are {', '.join(ROLES_OF)}; Constants and Credit have an owner.",
        )
    wanted = role.upper().replace("-", "_")
    if wanted not in ROLES_OF[name]:
        raise UsageError(
            f"{name} has no role '{role}'.{close_matches(wanted, ROLES_OF[name])}",
            hint=f"It has {', '.join(ROLES_OF[name])}.",
        )
    return name, wanted


@roles.command()
@click.argument("contract", metavar="CONTRACT")
@click.argument("role", metavar="ROLE")
@click.argument("account", metavar="ADDR", type=ADDRESS)
@acting
async def grant(
    call: Session, contract: str, role: str, account: Address, yes: bool, as_json: bool
) -> None:
    """Give ADDR a role on a contract, as in: grant MetaScheduler METASCHEDULER_ROLE ADDR.

    A new administrator is better named with 'dsq admin handover', which it has to accept.
    """
    from dsq.core.chain.operations import Right
    from dsq.core.errors import UsageError

    name, wanted = _checked(contract, role)
    if account.is_zero:
        raise UsageError("The zero address cannot have a role.")
    async with call.open(operator=True) as grid:
        before = await grid.chain.has_role(name, wanted, account)
        step = Step(
            f"{account} gets {wanted} on {name} {grid.chain.addresses.of(name)}: it "
            f"{_may(name, wanted)}.",
            grid.chain.calls.grant_role(name, wanted, account),
            Right(name, "DEFAULT_ADMIN_ROLE"),
        )
        await act(
            grid,
            [] if before else [step],
            yes=yes,
            as_json=as_json,
            already=f"{account} has {wanted} on {name} already.",
            before=before,
            after=True,
        )


def _may(contract: str, role: str) -> str:
    words = MAY[contract, role]
    return f"may decide on {words}" if role == "DEFAULT_ADMIN_ROLE" else words


@roles.command()
@click.argument("contract", metavar="CONTRACT")
@click.argument("role", metavar="ROLE")
@click.argument("account", metavar="ADDR", type=ADDRESS)
@acting
async def revoke(
    call: Session, contract: str, role: str, account: Address, yes: bool, as_json: bool
) -> None:
    """Take a role on a contract from ADDR. The last administrator keeps its role."""
    from dsq.core.chain.operations import Right, holders
    from dsq.core.errors import UsageError

    name, wanted = _checked(contract, role)
    async with call.open(operator=True) as grid:
        before = await grid.chain.has_role(name, wanted, account)
        right = Right(name, wanted)
        if wanted == "DEFAULT_ADMIN_ROLE" and await holders(grid.chain, right) == [account]:
            raise UsageError(
                f"{account} is the only administrator of {name}: nobody could ever administer it.",
                hint="'dsq admin handover' gives it to another account.",
            )
        breaks = account == grid.chain.addresses.metascheduler and (name, wanted) in GRID_PARTS
        step = Step(
            f"{account} loses {wanted} on {name} {grid.chain.addresses.of(name)}"
            + (": the grid stops working." if breaks else f": who has it {_may(name, wanted)}."),
            grid.chain.calls.revoke_role(name, wanted, account),
            Right(name, "DEFAULT_ADMIN_ROLE"),
        )
        await act(
            grid,
            [step] if before else [],
            yes=yes,
            as_json=as_json,
            already=f"{account} has no {wanted} on {name}.",
            before=before,
            after=False,
        )
