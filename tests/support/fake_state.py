"""What the fake contracts keep: their state, and blocks with what happened in them."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dsq.core.chain import Event, Receipt
from dsq.core.chain.client import ClaimTerms
from dsq.core.errors import ContractError
from dsq.core.model import Address, Constants, Job, JobStatus, ProviderPrices
from dsq.core.units import CREDIT

ME = Address(b"\x11" * 20)
OTHER = Address(b"\x22" * 20)
CUSTOMER = Address(b"\x99" * 20)
PRICES = ProviderPrices(CREDIT, CREDIT, CREDIT // 10_000)
CONSTANTS = Constants(100 * CREDIT, 20, 15, 30, 5, 10)

Said = tuple[str, dict[str, Any]]


def refused(name: str, **args: Any) -> ContractError:
    """What a contract's refusal looks like."""
    return ContractError(f"The contract refuses: {name}.", name=name, args_by_name=args)


@dataclass(frozen=True)
class FakeCall:
    """A call of the fake contracts; ``run`` changes their state or refuses."""

    label: str
    run: Callable[[], list[Said]]


@dataclass
class State:
    """What the contracts store."""

    jobs: dict[int, Job] = field(default_factory=dict)
    claimable: list[int] = field(default_factory=list)
    cancelling: list[int] = field(default_factory=list)
    top_up: list[int] = field(default_factory=list)
    terms: dict[int, ClaimTerms] = field(default_factory=dict)
    proved: dict[int, int] = field(default_factory=dict)
    balances: dict[Address, int] = field(default_factory=dict)
    fees: int = 0
    bills: dict[int, int] = field(default_factory=dict)
    ends: dict[int, list[tuple[JobStatus, int, str, int]]] = field(default_factory=dict)
    claims: dict[int, int] = field(default_factory=dict)
    claim_blocks: dict[int, int] = field(default_factory=dict)

    def copied(self) -> State:
        """A state that changes by itself. Values are frozen, but for the lists of ends."""
        made = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict | list):
                setattr(made, name, value.copy())
        made.ends = {job_id: list(ends) for job_id, ends in self.ends.items()}
        return made


FORGOTTEN = State()
"""Before blocks to which no reorganisation goes back any more."""


@dataclass
class Action:
    """Something that happened on chain and can happen again on another way.

    Attributes:
        tx: The provider's transaction; None for what people do.
        is_optional: A reorganisation may drop it.
    """

    run: Callable[[], list[Said]]
    tx: Tx | None = None
    is_optional: bool = False


@dataclass
class Tx:
    """A transaction of a provider in the pool."""

    call: FakeCall
    hash: bytes
    result: asyncio.Future[Receipt]


@dataclass
class Block:
    """A block, and the state before it."""

    number: int
    hash: bytes
    time: int
    before: State
    actions: list[Action] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
