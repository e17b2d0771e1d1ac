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


class PermitBank(Bank):
    """A token that takes permits: the request itself brings what it needs."""

    def __init__(self, allowance: int) -> None:
        super().__init__(allowance)
        self.signed = 0

    async def sign(self) -> Any:
        self.signed += 1
        return f"permit {self.signed}"

    async def request(self, wei: int, error: Exception | None = None) -> None:
        async with self.allowances.hold(ME, wei, raise_it=True, permit=self.sign) as permit:
            await asyncio.sleep(0.01)
            if error is not None:
                raise error
            if permit is not None:
                assert permit == f"permit {self.signed}", "an older permit has an older number"
                self.amount = wei
            assert self.amount >= wei, "the token would refuse this"
            self.amount -= wei


async def test_a_permit_needs_no_approval() -> None:
    """One after the other, each with its own number; nothing is approved or left."""
    bank = PermitBank(0)
    await asyncio.gather(*(bank.request(100) for _ in range(5)))
    assert (bank.approvals, bank.amount, bank.signed) == ([], 0, 5)


async def test_what_stands_is_used_before_a_permit_is_signed() -> None:
    """A permit would replace the allowance that requests on their way still need."""
    bank = PermitBank(250)
    await asyncio.gather(*(bank.request(100) for _ in range(3)))
    assert (bank.approvals, bank.amount, bank.signed) == ([], 0, 1)


async def test_a_failed_request_with_a_permit_leaves_nothing() -> None:
    """There is nothing to take back: the permit went with the transaction."""
    bank = PermitBank(30)
    with pytest.raises(ContractError):
        await bank.request(100, ContractError("no"))
    assert (bank.approvals, bank.amount) == ([], 30)


async def test_without_leave_no_permit_is_signed() -> None:
    """--no-approve means the allowance as it stands, and nothing else."""
    bank = PermitBank(0)
    async with bank.allowances.hold(ME, 100, raise_it=False, permit=bank.sign) as permit:
        assert permit is None
    assert (bank.approvals, bank.signed) == ([], 0)
