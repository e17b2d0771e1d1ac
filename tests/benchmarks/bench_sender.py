"""The sender beside bare pipelined transactions on the same node, in one run.

Bare: transactions signed one after the other and sent in batches over one connection
pool, nothing saved, nothing watched but the account's nonce. The sender: each call
journalled before it is sent, watched until its receipt is there, its events read.
Blocks come every two seconds.

    python -m tests.benchmarks.bench_sender [CALLS]
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsq.core.chain import Call, Chain, Receipt, Sender, find_anvil
from dsq.core.chain.fees import read_market
from dsq.core.chain.rpc import hexed, number
from dsq.core.config import cache_dir
from dsq.core.model import Address, JobDefinition, ProviderHardware
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from tests.benchmarks.table import median, print_table
from tests.support.anvil import COINS, PRICES, DevGrid, dev_grid

BLOCK_SECONDS = 2.0
BLOCK_GAS = 30_000_000
"""Gas of a block on a public chain; the development chain's blocks are larger."""

CLAIM_GAS = 400_000

ROUNDS = 3
"""Each way is measured so often, by turns."""


@dataclass
class Result:
    """One measured way."""

    name: str
    count: int
    seconds: float
    gas: int
    transactions: int

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def full_blocks(self) -> float:
        """The rate that blocks of 30 million gas allow."""
        return BLOCK_GAS / (self.gas / self.count) / BLOCK_SECONDS


async def _next_block(chain: Chain) -> None:
    head = await chain.head()
    while (await chain.head()).number == head.number:
        await asyncio.sleep(0.02)


async def bare(chain: Chain, wallet: Wallet, calls: Sequence[Call], gas: int) -> float:
    """Seconds until all calls are mined, without a sender."""
    account = wallet.address.lower
    rpc = chain.rpc
    first = number(await rpc.request("eth_getTransactionCount", [account, "latest"]))
    await _next_block(chain)
    begun = time.perf_counter()
    fees = (await read_market(rpc)).fees.fields()
    sends = []
    for start in range(0, len(calls), 100):
        signed = [
            wallet.sign_transaction(
                {
                    "chainId": chain.chain_id,
                    "nonce": first + start + place,
                    "to": bytes(call.to),
                    "data": call.data,
                    "value": 0,
                    "gas": gas,
                    **fees,
                }
            )[0]
            for place, call in enumerate(calls[start : start + 100])
        ]
        batch = [("eth_sendRawTransaction", [hexed(raw)]) for raw in signed]
        sends.append(asyncio.create_task(rpc.all_of(batch)))
        await asyncio.sleep(0)
    await asyncio.gather(*sends)
    while number(await rpc.request("eth_getTransactionCount", [account, "latest"])) < first + len(
        calls
    ):
        await asyncio.sleep(0.02)
    return time.perf_counter() - begun


async def sent(
    chain: Chain, calls: Sequence[Call], send: Callable[[Call], Awaitable[Receipt]]
) -> tuple[float, list[Receipt]]:
    """Seconds until all calls are mined and their receipts read."""
    await _next_block(chain)
    begun = time.perf_counter()
    receipts = await asyncio.gather(*(send(call) for call in calls))
    return time.perf_counter() - begun, receipts


class Bench:
    """A grid with two-second blocks."""

    def __init__(self, grid: DevGrid, chain: Chain, folder: Path, count: int) -> None:
        self.grid, self.chain, self.folder, self.count = grid, chain, folder, count

    async def transfers(self) -> list[Result]:
        """Bare and sent transfers of credits by turns; the median of each way."""
        grid, chain = self.grid, self.chain
        calls = [
            chain.calls.transfer(Address((n + 1).to_bytes(20, "big")), n + 1)
            for n in range(self.count)
        ]
        ways: dict[str, dict[str, Any]] = {
            "sender, gas given": {"gas": 100_000},
            "sender, gas learned": {"trial": False},
            "sender, each tried first": {},
        }
        seconds: dict[str, list[float]] = {"bare, pipelined": [], **{way: [] for way in ways}}
        for _ in range(ROUNDS):
            taken = await bare(chain, grid.operator, calls, 100_000)
            seconds["bare, pipelined"].append(taken)
            async with Sender(chain, grid.operator, store=self.folder / "tx.sqlite") as sender:
                for way, options in ways.items():

                    async def send(call: Call, options: dict[str, Any] = options) -> Receipt:
                        return await sender.send(call, timeout=300, **options)

                    seconds[way].append((await sent(chain, calls, send))[0])
        return [Result(way, self.count, median(taken), 0, 0) for way, taken in seconds.items()]

    async def claims(self, count: int) -> list[Result]:
        """Claims of as many jobs one by one, then in batches."""
        provider, jobs = await self._jobs(2 * count)
        chain = self.chain
        results = []
        async with Sender(chain, provider, store=self.folder / "claims.sqlite") as sender:
            claims = [chain.calls.claim_next_job() for _ in range(count)]
            seconds, receipts = await sent(
                chain, claims, lambda call: sender.send(call, gas=CLAIM_GAS, timeout=300)
            )
            results.append(_result("claimNextJob", count, seconds, receipts))
            batches = [chain.calls.claim_next_jobs(50) for _ in range(count // 50)]
            gas = 50 * CLAIM_GAS // 2
            seconds, receipts = await sent(
                chain, batches, lambda call: sender.send(call, gas=gas, timeout=300)
            )
            results.append(_result("claimNextJobs(50)", count, seconds, receipts))
        done = [job.status.name for job in await chain.jobs(jobs)]
        assert set(done) == {"SCHEDULED"}, set(done)
        return results

    async def _jobs(self, count: int) -> tuple[Wallet, list[int]]:
        """Jobs that wait to be claimed by a new provider."""
        grid, chain, calls = self.grid, self.chain, self.chain.calls
        provider = Wallet.generate()
        await grid.node.set_balance(provider.address, COINS)
        hardware = ProviderHardware((0,), (1024,), (10**6,))
        async with Sender(chain, provider) as host:
            await host.send(calls.register(hardware, PRICES, []))
        async with Sender(chain, grid.operator) as operator:
            await operator.send(calls.approve_provider(provider.address))
            await operator.send(calls.approve_credit(None, count * 100 * CREDIT))
            before = await chain.job_count()
            request = calls.request_new_job(JobDefinition(1, 1, 100), 100 * CREDIT)
            await asyncio.gather(
                *(operator.send(request, gas=700_000, timeout=300) for _ in range(count))
            )
            ids = list(range(before + 1, before + count + 1))
            for start in range(0, count, 50):
                placed = [(job_id, provider.address) for job_id in ids[start : start + 50]]
                await operator.send(calls.meta_schedule_jobs(placed))
        return provider, ids


def _result(name: str, count: int, seconds: float, receipts: Sequence[Receipt]) -> Result:
    gas = sum(receipt.gas_used for receipt in receipts)
    return Result(name, count, seconds, gas, len(receipts))


async def main(count: int) -> None:
    """Measures and prints two tables."""
    anvil = find_anvil(cache_dir())
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        grid = await stack.enter_async_context(
            dev_grid(folder / "chain", anvil, block_time=BLOCK_SECONDS)
        )
        chain = await grid.connect()
        bench = Bench(grid, chain, folder, count)
        transfers = await bench.transfers()
        claims = await bench.claims(count // 100 * 100)
        await stack.aclose()
    top = transfers[0].rate
    print_table(
        f"{count} transfers of credits, median of {ROUNDS}, blocks of {BLOCK_SECONDS:g} s",
        ["way", "seconds", "confirmed a second", "of bare"],
        [
            [one.name, f"{one.seconds:.2f}", f"{one.rate:.0f}", f"{one.rate / top:.0%}"]
            for one in transfers
        ],
    )
    print_table(
        f"{claims[0].count} claims, blocks of {BLOCK_SECONDS:g} s",
        ["way", "transactions", "seconds", "claims a second", "gas a claim", "at 30 M gas a block"],
        [
            [
                one.name,
                str(one.transactions),
                f"{one.seconds:.2f}",
                f"{one.rate:.0f}",
                f"{one.gas / one.count:.0f}",
                f"{one.full_blocks:.0f} a second",
            ]
            for one in claims
        ],
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 400))
