"""What a transaction offers for its gas."""

from __future__ import annotations

from dataclasses import dataclass

from dsq.core.chain.rpc import Rpc, RpcError, number

GWEI = 10**9

RAISE_PERCENT = 13
"""Nodes take a replacement only if it offers at least a tenth more (geth: 10 %)."""


@dataclass(frozen=True, slots=True)
class Fees:
    """An offer for gas, in wei of the native coin.

    Attributes:
        max_fee: The most a unit of gas may cost; the gas price on legacy chains.
        priority: The block producer's part (EIP-1559), or None on legacy chains.
    """

    max_fee: int
    priority: int | None

    def fields(self) -> dict[str, int]:
        """The fields of a transaction."""
        if self.priority is None:
            return {"gasPrice": self.max_fee}
        return {"type": 2, "maxFeePerGas": self.max_fee, "maxPriorityFeePerGas": self.priority}

    def raised(self) -> Fees:
        """An offer that replaces this one."""
        priority = None if self.priority is None else _raise(self.priority)
        return Fees(_raise(self.max_fee), priority)

    def capped(self, cap: int | None) -> Fees:
        """This offer, but no field above ``cap`` wei; None leaves it as it is."""
        if cap is None:
            return self
        priority = None if self.priority is None else min(self.priority, cap)
        return Fees(min(self.max_fee, cap), priority)

    def replaces(self, other: Fees) -> bool:
        """Whether nodes take this offer in place of another: a tenth more in every field."""
        enough = self.max_fee * 10 >= other.max_fee * 11
        if self.priority is None or other.priority is None:
            return enough
        return enough and self.priority * 10 >= other.priority * 11

    def at_least(self, other: Fees) -> Fees:
        """The higher of two offers, field by field."""
        if self.priority is None or other.priority is None:
            return Fees(max(self.max_fee, other.max_fee), self.priority)
        return Fees(max(self.max_fee, other.max_fee), max(self.priority, other.priority))


def _raise(wei: int) -> int:
    return wei + wei * RAISE_PERCENT // 100 + 1


@dataclass(frozen=True, slots=True)
class Market:
    """What the chain asks for now.

    Attributes:
        fees: An offer that is taken soon.
        base_fee: Price of gas in the newest block (0 on legacy chains).
        block: Its number.
        gas_limit: Gas that fits into a block.
    """

    fees: Fees
    base_fee: int
    block: int
    gas_limit: int


async def read_market(rpc: Rpc) -> Market:
    """Asks the node; EIP-1559 if its blocks have a base fee, else a legacy gas price.

    The offer covers a base fee that doubles, which takes at least six full blocks.
    """
    block, tip, price = await rpc.batch(
        [
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_maxPriorityFeePerGas", []),
            ("eth_gasPrice", []),
        ]
    )
    if isinstance(block, RpcError):
        raise block
    base = number(block.get("baseFeePerGas") or "0x0")
    if "baseFeePerGas" in block:
        priority = GWEI if isinstance(tip, RpcError) else number(tip)
        fees = Fees(2 * base + priority, priority)
    elif isinstance(price, RpcError):
        raise price
    else:
        fees = Fees(number(price), None)
    return Market(fees, base, number(block["number"]), number(block["gasLimit"]))
