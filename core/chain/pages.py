"""Long lists by the contracts' paged views: only what is wanted crosses the wire.

Contracts of the published version have no such views; the callers read job by job there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dsq.core.chain import codec
from dsq.core.chain.rpc import RpcError
from dsq.core.errors import ContractError
from dsq.core.model import JobStatus

if TYPE_CHECKING:
    from dsq.core.chain.views import Views

SCAN = 2_000
"""Jobs that one view looks at: 2,200 gas each, a tenth of what nodes give a call."""

TOGETHER = 64
"""Views asked for at once."""

HOT = tuple(status for status in JobStatus if status.is_hot)


async def ids_by_status(
    chain: Views, statuses: Iterable[JobStatus], first: int, last: int
) -> list[int]:
    """Numbers of the jobs from ``first`` to ``last`` that have one of these statuses, sorted.

    Without the view every number of the range is returned: it may have any status.

    Raises:
        UnreachableError: The node does not answer.
    """
    wanted = tuple(statuses)
    calls = [
        ("JobRepository", "getByStatusPaged", (int(status), start, min(SCAN, last - start + 1)))
        for start in range(first, last + 1, SCAN)
        for status in wanted
    ]
    found: set[int] = set()
    for start in range(0, len(calls), TOGETHER):
        try:
            answers = await chain.views(calls[start : start + TOGETHER])
        except (ContractError, RpcError):
            # A contract without the view, or a node that gives a call too little gas.
            return list(range(first, last + 1))
        for ids, _ in answers:
            found |= {codec.job_id_from_bytes(job_id) for job_id in ids}
    return sorted(number for number in found if first <= number <= last)


async def block_timestamps(chain: Views, numbers: Iterable[int]) -> dict[int, int]:
    """Unix seconds of some blocks, asked for together; a block that is gone is left out.

    Raises:
        UnreachableError: The node does not answer.
    """
    wanted = sorted(set(numbers))
    blocks = await chain.rpc.all_of(
        [("eth_getBlockByNumber", [hex(number), False]) for number in wanted]
    )
    return {
        number: int(block["timestamp"], 16)
        for number, block in zip(wanted, blocks, strict=True)
        if block is not None
    }
