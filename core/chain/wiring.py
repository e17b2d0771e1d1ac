"""How the contracts of a grid are tied together, and the questions whether they are.

docs/contracts.md (Wiring) has the same as a table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dsq.core.chain.addresses import GETTERS
from dsq.core.chain.call import Call
from dsq.core.chain.calls import Calls
from dsq.core.chain.client import Chain
from dsq.core.chain.roles import ROLES_OF
from dsq.core.model import Address


@dataclass(frozen=True, slots=True)
class Tie:
    """One role or ownership: what sets it, and whether it is set.

    Attributes:
        is_own: It is a right of the deploying account, which may be handed over later.
    """

    call: Call
    is_done: Callable[[], Awaitable[bool]]
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was asked of the chain.

    Attributes:
        what: In words: ``JobRepository: MetaScheduler has METASCHEDULER_ROLE``.
        is_so: The answer.
        is_own: It is a right of the deploying account, which may have been handed over.
    """

    what: str
    is_so: bool
    is_own: bool = False


def ties(chain: Chain, operator: Address) -> list[Tie]:
    """Every role and ownership that a deployment sets."""
    calls = Calls(chain.addresses)
    metascheduler = chain.addresses.metascheduler
    found = []
    for name, role, account in (
        ("JobRepository", "METASCHEDULER_ROLE", metascheduler),
        ("ProviderManager", "METASCHEDULER_CONTRACT_ROLE", metascheduler),
        ("MetaScheduler", "METASCHEDULER_ROLE", operator),
        ("ProviderManager", "METASCHEDULER_ROLE", operator),
    ):
        grant = calls.grant_role(name, role, account)
        found.append(
            Tie(
                Call(grant.to, grant.data, f"{name}.{grant.label}"),
                _has_role(chain, name, role, account),
                is_own=account == operator,
            )
        )
    handover = calls.transfer_ownership("ProviderJobQueues", metascheduler)
    label = f"ProviderJobQueues.{handover.label}"
    owned = _is(chain, "ProviderJobQueues", "owner", metascheduler)
    found.append(Tie(Call(handover.to, handover.data, label), owned))
    return found


def _has_role(
    chain: Chain, name: str, role: str, account: Address
) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return await chain.has_role(name, role, account)

    return ask


def _is(chain: Chain, name: str, view: str, wanted: Address) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return bool(await chain.view(name, view) == wanted)

    return ask


async def check(chain: Chain, operator: Address, tools: Address) -> list[Check]:
    """Asks the chain, as a client would, for every contract, link, role and owner.

    Args:
        chain: A connection that knows the contracts that are meant.
        operator: The deploying account.
        tools: Where the Tools are, which no other contract knows.
    """
    where = chain.addresses
    checks = []
    contracts = {**where.named(), tools: "Tools"}
    codes = await chain.rpc.all_of(
        [("eth_getCode", [address.lower, "latest"]) for address in contracts]
    )
    for name, code in zip(contracts.values(), codes, strict=True):
        checks.append(Check(f"{name} is on chain", code != "0x"))
    if not all(one.is_so for one in checks):
        return checks
    links = [("MetaScheduler", view, getattr(where, field)) for field, view in GETTERS.items()]
    links.append(("ProviderJobQueues", "jobs", where.jobs))
    if where.faucet is not None:
        links.append(("FaucetCredit", "credit", where.credit))
    found = await chain.views([(name, view, ()) for name, view, _ in links])
    names = where.named()
    for (name, view, wanted), address in zip(links, found, strict=True):
        checks.append(Check(f"{name}.{view} is {names[wanted]}", address == wanted))
    checks += [
        Check(tie.call.label, await tie.is_done(), tie.is_own) for tie in ties(chain, operator)
    ]
    for name in ROLES_OF:
        is_so = await chain.has_role(name, "DEFAULT_ADMIN_ROLE", operator)
        checks.append(Check(f"{name}: the deployer has DEFAULT_ADMIN_ROLE", is_so, is_own=True))
    for name in ("Constants", "Credit", "FaucetCredit"):
        if name in names.values():
            is_so = await chain.view(name, "owner") == operator
            checks.append(Check(f"{name}: the deployer is its owner", is_so, is_own=True))
    return checks
