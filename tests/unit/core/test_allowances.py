"""The allowance is raised by exactly what is missing, and left over by nobody."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from dsq.core.allowances import Allowances
from dsq.core.errors import ContractError, TransactionError
from dsq.core.model import Address

ME = Address(bytes(19) + b"\x01")


class Bank:
    """An allowance that requests use up, with a moment between a request and its effect."""

    def __init__(self, allowance: int) -> None:
        self.amount = allowance
        self.approvals: list[int] = []
        self.calls = SimpleNamespace(approve_credit=lambda _, wei: wei)
        self.allowances = Allowances(self, self.send)  # type: ignore[arg-type]

    async def allowance(self, owner: Address) -> int:
        assert owner == ME
        return self.amount

    async def send(self, wei: Any) -> Any:
        await asyncio.sleep(0)
        self.approvals.append(wei)
        self.amount = wei

    async def request(self, wei: int, error: Exception | None = None) -> None:
        async with self.allowances.hold(ME, wei, raise_it=True):
            await asyncio.sleep(0.01)
            if error is not None:
                raise error
            assert self.amount >= wei, "the token would refuse this"
            self.amount -= wei
            await asyncio.sleep(0.01)


async def test_a_request_leaves_nothing_over() -> None:
    """Nothing allowed, 100 needed: 100 are added and used."""
    bank = Bank(0)
    await bank.request(100)
    assert (bank.approvals, bank.amount) == ([100], 0)


async def test_what_is_there_is_used_first() -> None:
    """Only the missing part is added."""
    bank = Bank(30)
    await bank.request(100)
    assert (bank.approvals, bank.amount) == ([100], 0)


async def test_requests_at_once_never_take_each_other_s_part() -> None:
    """Ten requests together: each gets its own, nothing is left."""
    bank = Bank(0)
    await asyncio.gather(*(bank.request(100) for _ in range(10)))
    assert bank.amount == 0


async def test_enough_for_all_needs_no_approval() -> None:
    """A standing allowance serves many at once without one transaction more."""
    bank = Bank(1000)
    await asyncio.gather(*(bank.request(100) for _ in range(10)))
    assert (bank.approvals, bank.amount) == ([], 0)


async def test_the_last_part_of_a_standing_allowance_is_told_apart() -> None:
    """Enough for two of three: the third adds what is missing for itself only."""
    bank = Bank(250)
    await asyncio.gather(*(bank.request(100) for _ in range(3)))
    assert bank.amount == 0


async def test_a_refused_request_takes_its_part_back() -> None:
    """A failed submit leaves no allowance that it made."""
    bank = Bank(30)
    with pytest.raises(ContractError):
        await bank.request(100, ContractError("no"))
    assert bank.amount == 30


async def test_an_unknown_outcome_keeps_it() -> None:
    """The request may still be mined, and needs it then."""
    bank = Bank(0)
    with pytest.raises(TransactionError):
        await bank.request(100, TransactionError("not yet"))
    assert bank.amount == 100
