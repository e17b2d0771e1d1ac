"""Submits a second with their delays, and memory under many open logs, on this machine.

Client and service share its cores. The first row is the same HTTP server with nothing to do.

    python -m tests.benchmarks.bench_service [SUBMITS] [STREAMS]
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from dsq.core.model import job_hex_id
from dsq.core.rpc.graphql import SUBMIT
from dsq.core.rpc.logger import LogLine, LogReader, LogWriter
from dsq.core.rpc.signing import (
    ADDRESS_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    submit_text,
)
from dsq.core.wallet import Wallet
from tests.benchmarks.service_process import Running, running
from tests.benchmarks.table import print_table
from tests.support.fuzz import JOB

AT_ONCE = 16
LOG = job_hex_id(1)

STEP: dict[str, Any] = {
    "name": "step",
    "run": {"command": "echo $X", "env": [{"key": "X", "value": "1"}]},
}
SMALL: dict[str, Any] = {"resources": JOB["resources"], "steps": [STEP]}
LARGE: dict[str, Any] = {"resources": JOB["resources"], "steps": [STEP] * 200}

Ask = Callable[[aiohttp.ClientSession], Awaitable[None]]


async def _rate(what: str, ask: Ask, count: int) -> list[str]:
    """Asks ``count`` times, some at once; a row of the table."""
    delays: list[float] = []
    turns = iter(range(count))
    async with aiohttp.ClientSession() as http:

        async def some() -> None:
            for _ in turns:
                began = time.perf_counter()
                await ask(http)
                delays.append(time.perf_counter() - began)

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        delays.clear()
        turns = iter(range(count))
        began = time.perf_counter()
        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        seconds = time.perf_counter() - began
    delays.sort()
    middle, late = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
    return [what, f"{count / seconds:.0f}", f"{middle * 1000:.1f}", f"{late * 1000:.1f}"]


def _health(service: Running) -> Ask:
    async def ask(http: aiohttp.ClientSession) -> None:
        async with http.get(f"http://127.0.0.1:{service.http_port}/health") as response:
            assert await response.text() == "ok"

    return ask


def _submit(service: Running, job: dict[str, Any], wallet: Wallet | None) -> Ask:
    body = json.dumps({"query": SUBMIT, "variables": {"job": job}}).encode()

    async def ask(http: aiohttp.ClientSession) -> None:
        headers = {"content-type": "application/json"}
        if wallet is not None:
            stamp = time.time_ns() // 10**6
            signature = wallet.sign_text(submit_text(wallet.address, body, stamp))
            headers[ADDRESS_HEADER] = wallet.address.lower
            headers[TIMESTAMP_HEADER] = str(stamp)
            headers[SIGNATURE_HEADER] = "0x" + signature.hex()
        async with http.post(service.url, data=body, headers=headers) as response:
            answer = await response.json()
            assert len(answer["data"]["submit"]) == 22, answer

    return ask


async def submits(service: Running, customer: Wallet, count: int) -> None:
    """Prints the table of submits."""
    rows = [
        await _rate("GET /health", _health(service), count),
        await _rate("submit, 1 step", _submit(service, SMALL, None), count),
        await _rate("submit, 1 step, signed", _submit(service, SMALL, customer), count),
        await _rate("submit, 200 steps, signed", _submit(service, LARGE, customer), count // 20),
    ]
    title = f"Submits, {AT_ONCE} at once"
    print_table(title, ["what", "a second", "median ms", "p99 ms"], rows)


async def streams(service: Running, wallets: tuple[Wallet, Wallet], count: int) -> None:
    """Prints the memory that open logs need, and how fast a line reaches all their readers."""
    customer, provider = wallets
    writer = LogWriter(service.grpc, provider)
    await writer.append(customer.address, LOG, [LogLine(b"first")], first_index=0)
    before = service.memory()
    readers = [LogReader(service.grpc, customer) for _ in range(max(1, count // 100))]
    arrived = 0
    all_there = asyncio.Event()

    async def follow(reader: LogReader) -> None:
        nonlocal arrived
        async for _ in reader.read(LOG):
            arrived += 1
            if arrived % count == 0:
                all_there.set()

    following = [asyncio.create_task(follow(readers[n % len(readers)])) for n in range(count)]
    await all_there.wait()
    opened = service.memory()
    delays = []
    for index in range(1, 11):
        all_there.clear()
        began = time.perf_counter()
        await writer.append(customer.address, LOG, [LogLine(b"x" * 100)], first_index=index)
        await all_there.wait()
        delays.append(time.perf_counter() - began)
    most = service.memory("VmHWM")
    await writer.append(customer.address, LOG, [], first_index=11, end=True)
    await asyncio.gather(*following)
    rows = [
        ["memory before, MB", f"{before:.0f}"],
        [f"with {count} readers that follow, MB", f"{opened:.0f}"],
        ["the same a reader, KB", f"{(opened - before) / count * 1024:.0f}"],
        ["at most, while lines came, MB", f"{most:.0f}"],
        ["a line until all readers have it, ms", f"{sorted(delays)[5] * 1000:.0f}"],
    ]
    print_table(f"{count} open logs", ["what", ""], rows)
    for client in (writer, *readers):
        await client.close()


async def main(count: int, many: int) -> None:
    customer, provider = Wallet.generate(), Wallet.generate()
    limits = {"max_streams": 10_000, "max_streams_per_address": 10_000}
    with tempfile.TemporaryDirectory() as name:
        with running(Path(name) / "a", customer, provider, **limits) as service:
            await submits(service, customer, count)
        with running(Path(name) / "b", customer, provider, **limits) as service:
            await streams(service, (customer, provider), many)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [2000, 1000][len(given) :])))
