"""What a grid's operator wants to know: who has which right, bounds, fees, the faucet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsq.core.chain.admin_calls import ADDED_LIMITS, CONSTANT_SETTERS
from dsq.core.chain.roles import OWNED, ROLES, ROLES_OF
from dsq.core.errors import ContractError, UsageError, WalletError, close_matches
from dsq.core.model import ZERO_ADDRESS, Address

if TYPE_CHECKING:
    from dsq.core.chain.client import Chain

WORD_MAX = 2**256 - 1
"""The largest number of a contract."""

OWNER = "owner"
"""The right of who owns a contract, where there are no roles."""

PENDING = "pending"
"""The right of who was named as the next owner or administrator."""

OWNABLE = tuple(name for name in OWNED if name != "ProviderJobQueues")
"""Contracts whose owner is a person and changes in two steps."""


@dataclass(frozen=True, slots=True)
class Right:
    """What somebody may do on a contract: a role's name, :data:`OWNER` or :data:`PENDING`."""

    contract: str
    name: str


@dataclass(frozen=True, slots=True)
class Holding:
    """Somebody who has a right."""

    right: Right
    account: Address


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the grid's parameters with its bounds.

    Attributes:
        name: As in :class:`~dsq.core.model.Constants`.
        unit: ``wei``, ``percent`` or ``minutes``.
        meaning: What it does, in a few words.
    """

    name: str
    unit: str
    least: int
    most: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Fees:
    """Credits of the MetaScheduler, in wei.

    Attributes:
        accrued_wei: Fees that can be withdrawn.
        held_wei: All that the contract holds, locked credits of customers included.
        percent: The operator's share of a job's cost, for jobs placed from now on.
    """

    accrued_wei: int
    held_wei: int
    percent: int


@dataclass(frozen=True, slots=True)
class Faucet:
    """The state of the faucet, in wei."""

    address: Address
    held_wei: int
    promised_wei: int
    available_wei: int
    distributed_wei: int


_PARAMETERS = {
    "minimum_amount": ("wei", "least that a new job locks"),
    "deepsquare_cut": ("percent", "the operator's share of a job's cost"),
    "top_up_slice_duration_min": ("minutes", "what a delegated top-up buys, and when it is due"),
    "claim_job_timeout": ("minutes", "until an unclaimed job may be taken back"),
    "cancel_timeout": ("minutes", "until a job whose cancel is unanswered may be ended"),
    "provider_timeout": ("minutes", "that a silent, removed or banned provider has"),
    "bill_duration_delta_minute": ("minutes", "kept for old clients; nothing reads it"),
    "cancellation_fee_minute": ("minutes", "kept for old clients; nothing is charged"),
}


async def parameters(chain: Chain) -> list[Parameter]:
    """Every parameter that the contract has, with the bounds that it states.

    The published version states none, and has no time limits of exits.
    """
    names = ["MAX_MINIMUM_AMOUNT", "MAX_DEEPSQUARE_CUT", "MAX_MINUTES"]
    names += ["MIN_CANCEL_TIMEOUT", "MIN_PROVIDER_TIMEOUT"]
    try:
        answers = await chain.views([("Constants", name, ()) for name in names])
    except ContractError:
        return [
            Parameter(name, unit, 0, WORD_MAX, meaning)
            for name, (unit, meaning) in _PARAMETERS.items()
            if name not in ADDED_LIMITS
        ]
    bound = dict(zip(names, answers, strict=True))
    least = {
        "minimum_amount": 1,
        "top_up_slice_duration_min": 1,
        "claim_job_timeout": 1,
        "cancel_timeout": bound["MIN_CANCEL_TIMEOUT"],
        "provider_timeout": bound["MIN_PROVIDER_TIMEOUT"],
    }
    most = {
        "minimum_amount": bound["MAX_MINIMUM_AMOUNT"],
        "deepsquare_cut": bound["MAX_DEEPSQUARE_CUT"],
    }
    return [
        Parameter(name, unit, least.get(name, 0), most.get(name, bound["MAX_MINUTES"]), meaning)
        for name, (unit, meaning) in _PARAMETERS.items()
    ]


def parameter_named(text: str, known: Sequence[Parameter]) -> Parameter:
    """A parameter by its name; dashes are as good as underscores.

    Raises:
        UsageError: There is none of that name.
    """
    wanted = text.strip().lower().replace("-", "_")
    for parameter in known:
        if parameter.name == wanted:
            return parameter
    names = list(CONSTANT_SETTERS)
    raise UsageError(
        f"There is no parameter '{text}'.{close_matches(wanted, names)}",
        hint="'dsq admin constants' lists them.",
    )


async def fees(chain: Chain) -> Fees:
    """What the grid has earned and not paid out.

    Raises:
        ContractError: The contract does not keep fees apart (the published version).
    """
    held, percent = await chain.views(
        [
            ("Credit", "balanceOf", (chain.addresses.metascheduler,)),
            ("Constants", "deepsquareCut", ()),
        ]
    )
    try:
        accrued = await chain.view("MetaScheduler", "accruedFees")
    except ContractError as error:
        raise ContractError(
            "This MetaScheduler does not keep fees apart from the credits of customers.",
            hint="It is of the published version: what it pays out may be theirs.",
        ) from error
    return Fees(int(accrued), int(held), int(percent))


async def faucet(chain: Chain) -> Faucet:
    """What the faucet holds and has promised.

    Raises:
        SettingsError: The grid has none.
    """
    address = chain.addresses.of("FaucetCredit")
    views = ("totalPromised", "available", "totalDistributed")
    held, *rest = await chain.views(
        [("Credit", "balanceOf", (address,)), *(("FaucetCredit", view, ()) for view in views)]
    )
    promised, available, distributed = map(int, rest)
    return Faucet(address, int(held), promised, available, distributed)


# -- rights ----------------------------------------------------------------------


def contracts_with_owner(chain: Chain) -> list[str]:
    """Contracts of the grid that a person owns; the faucet only where there is one."""
    there = chain.addresses.named().values()
    return [name for name in OWNABLE if name in there]


async def holdings(chain: Chain) -> list[Holding]:
    """Everybody who has a role, owns a contract, or is to take one over.

    Who ever got a role is read from the history, who has it still from the contracts.
    """
    roles = await _role_holders(chain)
    owners, nexts = await asyncio.gather(_owners(chain), _next_ones(chain))
    return [*roles, *owners, *nexts]


async def holders(chain: Chain, right: Right) -> list[Address]:
    """Who has a right."""
    found = await (holdings(chain) if right.name in ROLES else _owners_and_nexts(chain))
    return [holding.account for holding in found if holding.right == right]


async def _owners_and_nexts(chain: Chain) -> list[Holding]:
    return [*await _owners(chain), *await _next_ones(chain)]


async def _role_holders(chain: Chain) -> list[Holding]:
    head = await chain.head()
    granted = await chain.events(chain.start_block, head.number, names=("RoleGranted",))
    known = {value: name for name, value in ROLES.items()}
    candidates = dict.fromkeys(
        Holding(Right(event.contract, known[event.args["role"]]), event.args["account"])
        for event in granted
        if event.args["role"] in known
    )
    answers = await chain.views(
        [
            (one.right.contract, "hasRole", (ROLES[one.right.name], one.account))
            for one in candidates
        ]
    )
    found = [one for one, has in zip(candidates, answers, strict=True) if has]
    order = [(name, role) for name, roles in ROLES_OF.items() for role in roles]
    order += [(one.right.contract, one.right.name) for one in found]
    return sorted(found, key=lambda one: order.index((one.right.contract, one.right.name)))


async def _owners(chain: Chain) -> list[Holding]:
    names = [*contracts_with_owner(chain), "ProviderJobQueues"]
    owners = await chain.views([(name, "owner", ()) for name in names])
    return [
        Holding(Right(name, OWNER), owner)
        for name, owner in zip(names, owners, strict=True)
        if not owner.is_zero
    ]


async def _next_ones(chain: Chain) -> list[Holding]:
    views = [(name, "pendingDefaultAdmin") for name in ROLES_OF]
    views += [(name, "pendingOwner") for name in contracts_with_owner(chain)]
    found = []
    for name, view in views:
        try:
            account: Any = await chain.view(name, view)
        except ContractError:
            continue  # The published contracts hand over in one step.
        if account != ZERO_ADDRESS:
            found.append(Holding(Right(name, PENDING), account))
    return found


async def has_right(chain: Chain, right: Right, account: Address) -> bool:
    """Whether an account has a right."""
    if right.name in ROLES:
        return await chain.has_role(right.contract, right.name, account)
    return account in await holders(chain, right)


async def demand(chain: Chain, right: Right, account: Address) -> None:
    """Makes sure that an account has a right.

    Raises:
        WalletError: It has not; the message says who can give it.
    """
    if await has_right(chain, right, account):
        return
    where = right.contract
    if right.name in ROLES:
        admins = await holders(chain, Right(where, "DEFAULT_ADMIN_ROLE"))
        who = " or ".join(map(str, admins)) or "nobody"
        raise WalletError(
            f"{account} lacks the role {right.name} on {where}; {who} can grant it.",
            hint="Use a key that has it with --key-file.",
        )
    found = await holders(chain, right)
    who = " or ".join(map(str, found)) or "nobody"
    what = "owns" if right.name == OWNER else "was named to take over"
    raise WalletError(
        f"Only who {what} {where} may do this: {who}, not {account}.",
        hint="Use that key with --key-file.",
    )
