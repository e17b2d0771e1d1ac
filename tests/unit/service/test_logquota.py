"""Logs that are too long or too old: segments, quotas, gaps, deletion, old files."""

from __future__ import annotations

import asyncio
import sqlite3
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dsq.core.model import Address, Job, JobStatus
from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import ReadRequest
from dsq.core.rpc.logger import LogLine, LogReader, LogWriter
from dsq.core.rpc.signing import read_text
from dsq.core.wallet import Wallet
from dsq.sbatch.service.logframes import HEADER, Frame, Lines, LogId, context
from dsq.sbatch.service.logstore import LogStore, Quota
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.unit.service.support import Jobs, Raw, TestClock

USER = Address(b"c" * 20)
WRITER = b"w" * 20
KB = 1000


def log(number: int) -> LogId:
    return LogId(USER, f"0x{number:064x}")


def kilobytes(first: int, count: int) -> Lines:
    """Lines of 1,000 bytes each."""
    return Lines([b"%07d" % n + b"x" * 993 for n in range(first, first + count)], [0] * count)


async def put(store: LogStore, key: LogId, first: int, count: int, *, end: bool = False) -> None:
    for begin in range(first, first + count, 5):
        some = min(5, first + count - begin)
        last = end and begin + some == first + count
        await store.append(key, WRITER, kilobytes(begin, some), first_index=begin, end=last)


async def frames(store: LogStore, key: LogId, from_line: int = 0) -> list[Frame]:
    return [frame async for frame in store.read(key, from_line=from_line, follow=False)]


def check(found: list[Frame], first: int, end: int) -> int:
    """All lines from ``first`` to ``end`` are told of, in order; returns how many are gone."""
    line, gone = first, 0
    for frame in found:
        assert frame.first == line
        line = frame.end
        if frame.is_gap:
            gone += frame.count
        else:
            for number, data in enumerate(frame.lines().data, frame.first):
                assert data.startswith(b"%07d" % number)
    assert line == end
    return gone


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.log"))


@pytest.fixture
async def store(tmp_path: Path, clock: TestClock) -> AsyncIterator[LogStore]:
    opened = LogStore(tmp_path, Sealer(bytes(32)), clock, Quota(100 * KB, 250 * KB, 3600.0))
    yield opened
    await opened.close()


async def test_a_log_keeps_its_newest_lines(
    store: LogStore, tmp_path: Path, clock: TestClock
) -> None:
    """Up to the quota all of it; then its oldest eighths go, and numbers stay."""
    key = log(1)
    await put(store, key, 0, 90)
    assert check(await frames(store, key), 0, 90) == 0
    await put(store, key, 90, 410)
    for start in (0, 100, 420, 455, 499):
        found = await frames(store, key, start)
        gone = check(found, start, 500)
        assert gone == max(0, 500 - 100 + (found[0].end - 400) - start if found[0].is_gap else 0)
    kept = 500 - check(await frames(store, key), 0, 500)
    assert 85 <= kept <= 100
    assert on_disk(tmp_path) <= 102 * KB
    await store.close()
    again = LogStore(tmp_path, Sealer(bytes(32)), clock, Quota(100 * KB, 250 * KB, 3600.0))
    assert 500 - check(await frames(again, key), 0, 500) == kept
    await put(again, key, 500, 20, end=True)
    check(await frames(again, key), 0, 520)
    await again.close()


async def test_a_customer_keeps_his_newest_logs(store: LogStore, tmp_path: Path) -> None:
    """The oldest complete log goes first; a log that is written keeps going; others are not his."""
    await put(store, log(1), 0, 80, end=True)
    await put(store, log(2), 0, 80, end=True)
    await put(store, log(3), 0, 80)
    other = LogId(Address(b"d" * 20), log(1).name)
    await put(store, other, 0, 80)
    await put(store, log(4), 0, 80)
    assert check(await frames(store, log(1)), 0, 80) == 80
    assert check(await frames(store, log(2)), 0, 80) == 0
    assert check(await frames(store, log(3)), 0, 80) == 0
    assert check(await frames(store, log(4)), 0, 80) == 0
    assert check(await frames(store, other), 0, 80) == 0
    await put(store, log(5), 0, 80)
    assert check(await frames(store, log(2)), 0, 80) == 80
    await put(store, log(6), 0, 80)
    assert check(await frames(store, log(3)), 0, 80) == 80
    await put(store, log(5), 80, 19)
    assert 0 < check(await frames(store, log(5)), 0, 99) < 80
    assert on_disk(tmp_path) - 81 * KB <= 252 * KB
    assert len(await store.names(USER)) == 6


async def test_many_small_logs_stay_within_the_quota(store: LogStore, tmp_path: Path) -> None:
    """Even when none of them is complete: the one that was quiet the longest goes."""
    for number in range(1, 61):
        await put(store, log(number), 0, 5)
    assert on_disk(tmp_path) <= 252 * KB
    assert check(await frames(store, log(1)), 0, 5) == 5
    assert check(await frames(store, log(60)), 0, 5) == 0


async def test_writers_of_one_customer_at_once(store: LogStore, tmp_path: Path) -> None:
    """Logs that push each other out neither lock up nor lose count."""
    async with asyncio.timeout(20):
        await asyncio.gather(*(put(store, log(number), 0, 60) for number in range(1, 11)))
    assert on_disk(tmp_path) <= 252 * KB
    for number in range(1, 11):
        check(await frames(store, log(number)), 0, 60)


async def test_a_reader_that_is_overtaken(store: LogStore) -> None:
    """It is told what it missed and goes on."""
    key = log(1)
    await put(store, key, 0, 20)
    reading = store.read(key)
    found = [await anext(reading)]
    await put(store, key, 20, 480, end=True)
    found += [frame async for frame in reading]
    assert check(found, 0, 500) > 300


async def test_old_logs_are_deleted(store: LogStore, tmp_path: Path, clock: TestClock) -> None:
    """What nobody wrote to for the time set goes with its name; who still writes begins anew."""
    await put(store, log(1), 0, 20)
    clock.offset += 3000
    await put(store, log(2), 0, 20)
    assert await store.clean() == 0
    clock.offset += 1000
    assert await store.clean() == 1
    assert await store.names(USER) == [log(2).name]
    assert on_disk(tmp_path) < 22 * KB
    assert await frames(store, log(1)) == []
    await store.append(log(1), WRITER, kilobytes(20, 1), first_index=20)
    (frame,) = await frames(store, log(1))
    assert (frame.first, frame.lines().data) == (0, kilobytes(20, 1).data)


async def test_files_from_before_there_were_segments(tmp_path: Path, clock: TestClock) -> None:
    """A log with rows in one file, and an index without the newer columns, is read and goes on."""
    key, sealer = log(1), Sealer(bytes(32))
    rows = b"".join(struct.pack(">qI", 7, 3) + data for data in (b"one", b"two"))
    own = sealer.derived("logs").derived(f"{USER.lower}/{key.name}")
    sealed = own.seal(rows, context(key, 0))
    raw = HEADER.pack(0, 2, len(sealed)) + sealed
    (tmp_path / USER.lower).mkdir()
    (tmp_path / USER.lower / f"{key.name}.log").write_bytes(raw)
    with sqlite3.connect(tmp_path / "index.sqlite") as database:
        database.executescript(
            "CREATE TABLE logs (id INTEGER PRIMARY KEY, user BLOB NOT NULL, name TEXT NOT NULL,"
            " size INTEGER NOT NULL DEFAULT 0, lines INTEGER NOT NULL DEFAULT 0,"
            " complete INTEGER NOT NULL DEFAULT 0, written REAL NOT NULL DEFAULT 0,"
            " UNIQUE (user, name));"
        )
        database.execute(
            "INSERT INTO logs VALUES (1, ?, ?, ?, 2, 0, 0)", (bytes(USER), key.name, len(raw))
        )
    store = LogStore(tmp_path, sealer, clock)
    await store.append(key, WRITER, Lines([b"three"], [8]), first_index=None)
    found = [line for frame in await frames(store, key) for line in frame.lines().data]
    assert found == [b"one", b"two", b"three"]
    await store.close()


class TestOverTheWire:
    """What readers of all ages see."""

    async def _full(self, service: Service, job: Job, provider: Wallet) -> LogWriter:
        writer = LogWriter(f"127.0.0.1:{service.grpc_port}", provider)
        for first in range(0, 200, 10):
            lines = [LogLine(b"%03d" % n + b"x" * 997, n) for n in range(first, first + 10)]
            await writer.append(job.customer, job.hex_id, lines, first_index=first)
        await writer.append(job.customer, job.hex_id, [], first_index=200, end=True)
        return writer

    async def test_a_gap_is_told(
        self, tmp_path: Path, jobs: Jobs, customer: Wallet, provider: Wallet
    ) -> None:
        """New readers get the count, old ones a sentence in the place of the lines."""
        settings = ServiceSettings(
            data_dir=tmp_path, http_port=0, grpc_port=0, max_log_bytes=50 * KB
        )
        service = Service(settings, jobs)
        await service.start()
        job = jobs.add("k", customer.address, provider.address, JobStatus.RUNNING)
        writer = await self._full(service, job, provider)
        reader = LogReader(f"127.0.0.1:{service.grpc_port}", customer)
        gap, *kept = [line async for line in reader.read(job.hex_id)]
        assert gap.dropped + len(kept) == 200
        assert gap.line == gap.dropped - 1
        assert gap.text == f"[{gap.dropped} lines are not kept any more]"
        assert [line.line for line in kept] == list(range(gap.dropped, 200))
        assert all(line.data.startswith(b"%03d" % line.line) for line in kept)
        assert [line.timestamp_ns for line in kept] == [line.line for line in kept]

        import time

        stamp = int(time.time())
        signed = customer.sign_text(read_text(job.customer, job.hex_id, stamp))
        raw = Raw(service)
        old = ReadRequest(
            address=job.customer.lower, log_name=job.hex_id, timestamp=stamp, signed_hash=signed
        )
        answers = [answer async for answer in raw.logger.Read(old)]
        assert [answer.data for answer in answers] == [gap.data, *(line.data for line in kept)]
        assert not any(answer.lines for answer in answers)
        assert b"dsq_sbatch_log_dropped_lines_total" in service.metrics.text()
        assert f"lines_total {float(gap.dropped)}" in service.metrics.text().decode()
        await raw.channel.close()
        await writer.close()
        await reader.close()
        await service.stop()
