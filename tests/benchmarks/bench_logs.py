"""A long log through the log service, beside the disk and beside bare gRPC, in one run.

python -m tests.benchmarks.bench_logs [MB] [BYTES-A-LINE]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from dsq.core.model import job_hex_id
from dsq.core.rpc.logger import LogLine, LogReader, LogWriter
from dsq.core.wallet import Wallet
from dsq.sbatch.service.logframes import FRAME_BYTES
from tests.benchmarks.service_process import Running, running
from tests.benchmarks.table import print_table

CHUNK = 4 << 20
"""What a supervisor reads of a job's output at once."""

LOG = job_hex_id(1)


class Rows:
    """The table: what, seconds, MB/s, times the disk."""

    def __init__(self, megabytes: int) -> None:
        self._megabytes = megabytes
        self._base = 0.0
        self.rows: list[list[str]] = []

    @contextlib.contextmanager
    def measure(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        self._base = self._base or seconds
        speed = self._megabytes / seconds
        self.rows.append([what, f"{seconds:.2f}", f"{speed:.0f}", f"{seconds / self._base:.1f}"])


def _write_file(path: Path, total: int) -> None:
    block = os.urandom(CHUNK)
    with path.open("wb", buffering=0) as file:
        for _ in range(total // CHUNK):
            file.write(block)
        os.fsync(file.fileno())


def _read_file(path: Path, *, cold: bool) -> None:
    with path.open("rb", buffering=0) as file:
        if cold:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while file.read(FRAME_BYTES):
            pass


async def _bare_grpc(total: int) -> float:
    """Seconds that a bare server needs to stream as many bytes in messages of the same size."""

    async def stream(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        message = os.urandom(FRAME_BYTES)
        for _ in range(total // FRAME_BYTES):
            yield message

    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(stream)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("bare", {"Read": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
    began = time.perf_counter()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        async for _ in channel.unary_stream("/bare/Read")(b""):
            pass
    seconds = time.perf_counter() - began
    await server.stop(0)
    return seconds


async def _write(writer: LogWriter, customer: Wallet, total: int, width: int) -> int:
    """Writes the log in appends as a supervisor makes them; returns the number of lines."""
    line = LogLine(b"x" * (width - 1), time.time_ns())
    lines = [line] * (CHUNK // width)
    first = 0
    for _ in range(total // CHUNK):
        first = await writer.append(customer.address, LOG, lines, first_index=first)
    await writer.append(customer.address, LOG, [], first_index=first, end=True)
    return first


async def _through(service: Running, wallets: tuple[Wallet, Wallet], rows: Rows, total: int,
                   width: int) -> None:  # fmt: skip
    customer, provider = wallets
    writer, reader = LogWriter(service.grpc, provider), LogReader(service.grpc, customer)
    before = service.memory()
    follower = LogReader(service.grpc, customer)

    async def follow() -> int:
        return sum([len(batch) async for batch in follower.read_batches(LOG)])

    with rows.measure("log service: written, and followed meanwhile"):
        following = asyncio.create_task(follow())
        lines = await _write(writer, customer, total, width)
        assert await following == lines
    with rows.measure("log service: read, some lines at a time"):
        count = 0
        async for batch in reader.read_batches(LOG):
            count += len(batch)
        assert count == lines
    with rows.measure("log service: read, line by line"):
        count = 0
        async for _ in reader.read(LOG):
            count += 1
        assert count == lines
    print(
        f"\n{lines} lines of {width} bytes; memory of the service: {before:.0f} MB before, "
        f"{service.memory('VmHWM'):.0f} MB at most"
    )
    for client in (writer, reader, follower):
        await client.close()


async def main(megabytes: int, width: int) -> None:
    total = megabytes << 20
    rows = Rows(megabytes)
    customer, provider = Wallet.generate(), Wallet.generate()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with rows.measure("disk: a file written and synced"):
            _write_file(folder / "file", total)
        with rows.measure("disk: read again, cache dropped"):
            _read_file(folder / "file", cold=True)
        with rows.measure("disk: read again from the cache"):
            _read_file(folder / "file", cold=False)
        (folder / "file").unlink()
        with rows.measure(f"bare gRPC, messages of {FRAME_BYTES >> 10} KiB"):
            await _bare_grpc(total)
        with running(folder / "data", customer, provider) as service:
            await _through(service, (customer, provider), rows, total, width)
    columns = ["what", "s", "MB/s", "x the disk's write"]
    print_table(f"A log of {megabytes} MB", columns, rows.rows)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [1024, 100][len(given) :])))
