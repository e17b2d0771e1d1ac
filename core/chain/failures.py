"""Why a mined transaction failed.

A receipt only says that it did. The node's trace has the reason; without traces the call
is tried again on the state before its block, then on the state behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsq.core.chain.reverts import decode_revert
from dsq.core.chain.rpc import Rpc, RpcError, hexed, number, raw
from dsq.core.errors import ContractError, CreditsError, DsqError, TransactionError
from dsq.core.model import Address


class OutOfGasError(TransactionError):
    """A transaction used up its gas; nothing of it took effect."""


def no_gas_money(account: Address, label: str) -> CreditsError:
    """The error of an account that cannot pay for gas."""
    return CreditsError(
        f"Account {account} has too few native coins to pay for {label}.",
        hint="Gas is paid in the chain's own coin, not in credits.",
    )


async def explain(
    rpc: Rpc,
    receipt: Mapping[str, Any],
    *,
    sender: Address,
    to: Address,
    data: bytes,
    value: int,
    gas: int,
    label: str,
) -> DsqError:
    """The error that a failed receipt stands for."""
    if number(receipt["gasUsed"]) * 100 >= gas * 98:
        return OutOfGasError(f"{label} ran out of gas ({gas}).")
    reason = await _traced(rpc, receipt["transactionHash"])
    if reason is None:
        call = {"from": sender.lower, "to": to.lower, "data": hexed(data), "value": hexed(value)}
        reason = await _replayed(rpc, call, number(receipt["blockNumber"]))
    if reason is not None:
        return decode_revert(reason)
    return ContractError(
        f"The contract refused {label}; the node does not say why.",
        hint="Something else changed its state in the same block.",
    )


async def _traced(rpc: Rpc, tx_hash: str) -> bytes | None:
    tracer = {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}
    try:
        trace = await rpc.request("debug_traceTransaction", [tx_hash, tracer])
        return raw(trace["output"]) if trace.get("error") and trace.get("output") else None
    except (RpcError, AttributeError, KeyError, TypeError, ValueError):
        return None


async def _replayed(rpc: Rpc, call: Mapping[str, Any], block: int) -> bytes | None:
    before, behind = await rpc.batch(
        [("eth_call", [call, hex(max(block - 1, 0))]), ("eth_call", [call, hex(block)])]
    )
    for answer in (before, behind):
        if isinstance(answer, RpcError) and answer.data:
            return answer.data
    return None
