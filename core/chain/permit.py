"""Permits (EIP-2612): an allowance that travels, signed, in the transaction that uses it.

A permit is bound to its amount, its spender, one nonce of the token and a time: if the
transaction fails, nothing of it stays.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsq.core.chain.abi import contract
from dsq.core.chain.rpc import RpcError, raw
from dsq.core.errors import ContractError
from dsq.core.wallet import Wallet

if TYPE_CHECKING:
    from dsq.core.chain.client import Chain

LIFE_SECONDS = 20 * 60
"""How long a permit holds after the newest block."""

REQUEST = "requestNewJobWithPermit"

_TYPES = {
    "Permit": [
        {"name": name, "type": kind}
        for name, kind in (
            ("owner", "address"),
            ("spender", "address"),
            ("value", "uint256"),
            ("nonce", "uint256"),
            ("deadline", "uint256"),
        )
    ]
}


@dataclass(frozen=True, slots=True)
class Permit:
    """A signed permit for the MetaScheduler.

    Attributes:
        deadline: Unix seconds until which it holds.
        signature: 65 bytes, r, s and v.
    """

    deadline: int
    signature: bytes


async def takes_permits(chain: Chain, function: str = REQUEST) -> bool:
    """Whether the grid's token knows permits and its MetaScheduler has this call.

    False for a token whose domain names another chain or another contract: what is signed
    for it could be used elsewhere.
    """
    if function not in contract("MetaScheduler").functions:
        return False
    credit = chain.addresses.credit
    try:
        domain = await chain.view("Credit", "eip712Domain")
    except (ContractError, RpcError):
        return False
    _, name, version, chain_id, verifier, salt, extensions = domain
    usual = not any(salt) and not extensions and bool(name) and bool(version)
    if not usual or chain_id != chain.chain_id or verifier != credit:
        return False
    # A contract dispatches by comparing with the selectors of its functions.
    where = [chain.addresses.metascheduler.lower, "latest"]
    code = raw(await chain.rpc.request("eth_getCode", where))
    return contract("MetaScheduler").functions[function].selector in code


async def sign_permit(chain: Chain, wallet: Wallet, wei: int) -> Permit:
    """Lets the MetaScheduler take exactly ``wei`` from the wallet, once, for a short time."""
    (domain, nonce), head = await asyncio.gather(
        chain.views([("Credit", "eip712Domain", ()), ("Credit", "nonces", (wallet.address,))]),
        chain.head(),
    )
    deadline = head.timestamp + LIFE_SECONDS
    signature = wallet.sign_typed_data(
        {
            "name": domain[1],
            "version": domain[2],
            "chainId": chain.chain_id,
            "verifyingContract": str(chain.addresses.credit),
        },
        _TYPES,
        {
            "owner": str(wallet.address),
            "spender": str(chain.addresses.metascheduler),
            "value": wei,
            "nonce": nonce,
            "deadline": deadline,
        },
    )
    return Permit(deadline, signature)
