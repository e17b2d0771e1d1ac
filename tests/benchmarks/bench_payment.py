"""What paying costs: transactions, gas and time of a submit, in one run.

The old way is what a grid without permits still gets: an approval of exactly what is
missing, then the request. The new way is one request that carries a permit.

    python -m tests.benchmarks.bench_payment
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from dsq.core.chain import find_anvil
from dsq.core.chain.rpc import number
from dsq.core.config import GridConfig, cache_dir
from dsq.core.grid import Grid
from dsq.core.units import CREDIT
from tests.benchmarks.table import median, print_table
from tests.support.anvil import CHAIN_ID, DevGrid, dev_grid

ROUNDS = 5
BLOCK_SECONDS = 1.0
WORKFLOW = {"resources": {"tasks": 1, "cpusPerTask": 2, "memPerCpu": 100, "gpus": 0}}


class Offline(Grid):
    """A grid without an sbatch service: the script's key is always the same."""

    async def _store_script(self, *args: Any) -> str:
        return "key-of-22-characters-x"


async def _open(grid: DevGrid, credits: int) -> Offline:  # noqa: A002
    config = GridConfig(
        rpc_url=grid.node.rpc_url, chain_id=CHAIN_ID, metascheduler=str(grid.metascheduler)
    )
    return await Offline.open(config, await grid.account(credits))


async def _measure(grid: Offline) -> tuple[int, int, float]:
    """Transactions, gas and seconds of a submit."""

    async def nonce() -> int:
        account = [grid.address.lower, "latest"]
        return number(await grid.chain.rpc.request("eth_getTransactionCount", account))

    before, first = await nonce(), (await grid.chain.head()).number
    started = time.perf_counter()
    await grid.submit(WORKFLOW, 100 * CREDIT)
    seconds = time.perf_counter() - started
    gas = 0
    for block in range(first + 1, (await grid.chain.head()).number + 1):
        found = await grid.chain.rpc.request("eth_getBlockByNumber", [hex(block), False])
        gas += number(found["gasUsed"])
    return await nonce() - before, gas, seconds


async def main() -> None:
    """Runs both ways and prints the table."""
    anvil = find_anvil(cache_dir())
    with tempfile.TemporaryDirectory() as folder:
        async with dev_grid(Path(folder) / "chain", anvil, block_time=BLOCK_SECONDS) as made:
            rows = []
            for title, permits in (
                ("approval, then request", False),
                ("request with permit", True),
            ):
                grid = await _open(made, 10_000)
                grid._permits = permits
                seen = [await _measure(grid) for _ in range(ROUNDS)]
                await grid.close()
                rows.append(
                    (
                        title,
                        str(seen[-1][0]),
                        f"{median([gas for _, gas, _ in seen]):,.0f}",
                        f"{median([seconds for _, _, seconds in seen]):.2f}",
                    )
                )
            print_table(
                f"One submit, blocks of {BLOCK_SECONDS:g} s (median of {ROUNDS})",
                ("way", "transactions", "gas", "seconds"),
                rows,
            )


if __name__ == "__main__":
    asyncio.run(main())
