"""The client of the grid's contracts: calls, events, transactions, deployment, local chain.

Names are loaded when first used, so that importing the package costs nothing.
docs/chain.md tells how the parts work together.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsq.core.chain.addresses import Addresses
    from dsq.core.chain.calls import Call, Calls
    from dsq.core.chain.client import Chain
    from dsq.core.chain.cursor import (
        Cursor,
        CursorStore,
        FileCursor,
        MemoryCursor,
        SqliteCursor,
    )
    from dsq.core.chain.deployment import Deployment, deploy
    from dsq.core.chain.devchain import DevChain
    from dsq.core.chain.events import Event
    from dsq.core.chain.fetch_anvil import find_anvil
    from dsq.core.chain.followed import FollowerSnapshot
    from dsq.core.chain.follower import Batch, Follower
    from dsq.core.chain.health import EndpointSnapshot
    from dsq.core.chain.others import Foreign, Others
    from dsq.core.chain.receipts import Receipt
    from dsq.core.chain.reverts import decode_revert
    from dsq.core.chain.rpc import Head, RpcError
    from dsq.core.chain.sender import Sender
    from dsq.core.chain.sent import SenderSnapshot

_HOME = {
    "Addresses": "addresses",
    "Batch": "follower",
    "Call": "calls",
    "Calls": "calls",
    "Chain": "client",
    "Cursor": "cursor",
    "CursorStore": "cursor",
    "Deployment": "deployment",
    "DevChain": "devchain",
    "EndpointSnapshot": "health",
    "Event": "events",
    "FileCursor": "cursor",
    "Follower": "follower",
    "FollowerSnapshot": "followed",
    "Foreign": "others",
    "Head": "rpc",
    "MemoryCursor": "cursor",
    "Others": "others",
    "Receipt": "receipts",
    "RpcError": "rpc",
    "Sender": "sender",
    "SenderSnapshot": "sent",
    "SqliteCursor": "cursor",
    "decode_revert": "reverts",
    "deploy": "deployment",
    "find_anvil": "fetch_anvil",
}

__all__ = [
    "Addresses",
    "Batch",
    "Call",
    "Calls",
    "Chain",
    "Cursor",
    "CursorStore",
    "Deployment",
    "DevChain",
    "EndpointSnapshot",
    "Event",
    "FileCursor",
    "Follower",
    "FollowerSnapshot",
    "Foreign",
    "Head",
    "MemoryCursor",
    "Others",
    "Receipt",
    "RpcError",
    "Sender",
    "SenderSnapshot",
    "SqliteCursor",
    "decode_revert",
    "deploy",
    "find_anvil",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
