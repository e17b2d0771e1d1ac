"""Queries of logs over block ranges of any length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsq.core.chain.health import is_overloaded
from dsq.core.chain.rpc import Rpc, RpcError

TOO_MANY = (
    "too many",
    "too large",
    "too big",
    "too wide",
    "exceed",
    "limit",
    "more than",
    "greater than",
    "larger than",
    "block range",
    "max range",
    "maximum",
    "ranges over",
    "response size",
    "timeout",
    "timed out",
)
"""Words of nodes that refuse a range for its size."""


FIRST_RANGE = 100
"""Blocks of the first query of a history of which nothing is known."""

MANY_LOGS = 4_000
"""A query is made for about so many logs: a megabyte or two, decoded in a part of a second."""


def next_range(blocks: int, logs: int, most: int) -> int:
    """Blocks of the next query, by what the last one brought.

    Args:
        blocks: Blocks of the last query.
        logs: Its logs.
        most: Blocks that a query may have.
    """
    fitting = 2 * blocks if logs <= MANY_LOGS // 2 else blocks * MANY_LOGS // logs
    return max(1, min(fitting, 2 * blocks, most))


def is_too_many(error: RpcError) -> bool:
    """True if a node refused a log query for its size; a smaller range may do.

    A refusal for load is none: smaller ranges would be more requests.
    """
    words = error.rpc_message.lower()
    if is_overloaded(error.rpc_code, words):
        return False
    return error.rpc_code == -32005 or any(word in words for word in TOO_MANY)


async def get_logs(
    rpc: Rpc, query: Mapping[str, Any], from_block: int, to_block: int
) -> list[dict[str, Any]]:
    """Logs of the blocks ``from_block`` to ``to_block``, both included, in order of blocks.

    A range that the node finds too large is halved, down to one block.

    Raises:
        RpcError: The node refuses even one block.
    """
    logs: list[dict[str, Any]] = []
    ranges = [(from_block, to_block)] if from_block <= to_block else []
    while ranges:
        start, end = ranges.pop()
        blocks = {"fromBlock": hex(start), "toBlock": hex(end)}
        try:
            logs.extend(await rpc.request("eth_getLogs", [{**query, **blocks}]))
        except RpcError as error:
            if start == end or not is_too_many(error):
                raise
            middle = (start + end) // 2
            ranges += [(middle + 1, end), (start, middle)]
    return logs
