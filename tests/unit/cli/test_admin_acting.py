"""How operators' commands act, without a chain: what is said when something breaks half way."""

from __future__ import annotations

from typing import Any

import pytest

from dsq.console.commands.admin.acting import Step, act
from dsq.core.chain import Call
from dsq.core.chain.receipts import Receipt
from dsq.core.errors import ContractError
from dsq.core.model import Address

ME = Address(b"\x01" * 20)


class HalfGrid:
    """Takes one transaction and refuses the next."""

    address = ME
    chain = None

    def __init__(self) -> None:
        self.taken = 0

    async def send(self, call: Call) -> Receipt:
        if self.taken:
            raise ContractError("Nothing more.")
        self.taken += 1
        return Receipt(b"\xab" * 32, 7, 21_000, ())


@pytest.mark.parametrize("as_json", [False, True])
async def test_what_was_done_is_said_before_the_error(
    capfd: pytest.CaptureFixture[str], as_json: bool
) -> None:
    """Of two steps the second fails: the first one's transaction is known all the same."""
    steps: list[Any] = [Step(f"Step {number}.", Call(ME, b"", "x()")) for number in (1, 2)]
    grid: Any = HalfGrid()
    with pytest.raises(ContractError):
        await act(grid, steps, yes=True, as_json=as_json)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Step 1.", "Step 2.", f"Done in block 7: 0x{'ab' * 32}, 21 000 gas.",
    ]  # fmt: skip
