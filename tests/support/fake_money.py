"""The credits of a grid in memory: they come, go, are locked and come back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from dsq.core.errors import CreditsError, NotFoundError, UsageError, WalletError
from dsq.core.grid.history import Movement
from dsq.core.model import ZERO_ADDRESS, Address, Job
from tests.support.fake_answers import FakeBalance
from tests.support.fake_jobs import CONTRACT, NOW


class FakeMoney:
    """The part of a grid in memory about the wallet."""

    address: Address
    known: dict[int, Job]
    money: FakeBalance
    moved: list[Movement]
    sent: list[tuple[str, Any]]
    locked: bool
    block: int

    def _check(self, method: str) -> None:
        raise NotImplementedError

    def say(self, name: str, **args: Any) -> None:
        """Puts an event into the feed."""
        raise NotImplementedError

    def contracts(self) -> Mapping[Address, str]:
        return {Address(b"\x0c" * 20): "Credit", CONTRACT: "MetaScheduler"}

    def _move(self, kind: str, wei: int, other: Address, job_id: int = 0) -> None:
        """Credits come or go."""
        tx_hash = len(self.moved).to_bytes(32)
        made = Movement(NOW, kind, wei, other, job_id, self.block + 1, 0, tx_hash)
        self.moved.append(made)
        balance = self.money.balance_wei + made.change_wei
        self.money = dataclasses.replace(self.money, balance_wei=balance)

    def _signs(self, wei: int = 0) -> None:
        if self.locked:
            raise WalletError("This needs a wallet.", hint="'dsq wallet new' makes one.")
        if wei > self.money.balance_wei:
            raise CreditsError("The wallet holds too few credits.")

    async def balance(self) -> FakeBalance:
        self._check("balance")
        mine = [each for each in self.known.values() if each.customer == self.address]
        locked = sum(each.cost.max_cost for each in mine if each.status.is_hot)
        return dataclasses.replace(self.money, locked_wei=locked)

    async def transfer(self, to: Address, wei: int) -> None:
        self._check("transfer")
        self._signs()
        if to in (self.address, ZERO_ADDRESS) or to in self.contracts():
            raise UsageError(f"{to} is no account to send credits to.")
        self._signs(wei)
        self.sent.append(("transfer", (to, wei)))
        self._move("sent", wei, to)
        self.say("Transfer", sender=self.address, recipient=to, value=wei)

    async def claim_faucet(self) -> int:
        return self._collect("claim_faucet", "faucet_wei", None)

    async def withdraw_claimable(self, to: Address | None = None) -> int:
        return self._collect("withdraw_claimable", "claimable_wei", to)

    def _collect(self, method: str, field_name: str, to: Address | None) -> int:
        self._check(method)
        wei = int(getattr(self.money, field_name))
        if not wei:
            raise NotFoundError(f"Nothing waits for {self.address}.")
        self._signs()
        self.sent.append((method, wei if method == "claim_faucet" else to))
        self._move("paid out", wei, CONTRACT)
        self.money = dataclasses.replace(self.money, **{field_name: 0})
        self.say("Transfer", sender=ZERO_ADDRESS, recipient=self.address, value=wei)
        return wei

    async def movements(
        self, account: Address | None = None, *, from_block: int | None = None
    ) -> list[Movement]:
        self._check("movements")
        return [each for each in self.moved if each.block_number >= (from_block or 0)]
