"""Logs on disk: whole appends or none, numbered lines, readers that follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from dsq.core.model import Address
from dsq.sbatch.service import logframes, logstore
from dsq.sbatch.service.logframes import DamagedLogError, Frame, Lines, LogId
from dsq.sbatch.service.logstore import LogCompleteError, LogStore
from dsq.sbatch.service.sealing import Sealer
from tests.unit.service.support import TestClock

LOG = LogId(Address(b"c" * 20), "0x" + "01" * 32)
OTHER = LogId(Address(b"d" * 20), "0x" + "01" * 32)
WRITER, SECOND = b"w" * 20, b"x" * 20


class StoredLine(NamedTuple):
    """A line as a reader sees it."""

    number: int
    timestamp: int
    data: bytes


def of(frame: Frame) -> list[StoredLine]:
    """The lines of a frame."""
    found = frame.lines()
    return list(map(StoredLine, range(frame.first, frame.end), found.stamps, found.data))


@pytest.fixture
async def store(tmp_path: Path, clock: TestClock) -> AsyncIterator[LogStore]:
    opened = LogStore(tmp_path / "logs", Sealer(bytes(32)), clock)
    yield opened
    await opened.close()


def lines(first: int, count: int, text: str = "line") -> Lines:
    """Lines with a number in them and a time each."""
    numbers = range(first, first + count)
    return Lines([f"{text} {number}".encode() for number in numbers], [10**18 + n for n in numbers])


async def put(
    store: LogStore, first: int, count: int, *, log: LogId = LOG, end: bool = False
) -> int:
    return await store.append(log, WRITER, lines(first, count), first_index=first, end=end)


async def get(store: LogStore, log: LogId = LOG, from_line: int = 0) -> list[StoredLine]:
    frames = store.read(log, from_line=from_line, follow=False)
    return [line async for frame in frames for line in of(frame)]


def expected(first: int, count: int) -> list[StoredLine]:
    made = lines(first, count)
    return list(map(StoredLine, range(first, first + count), made.stamps, made.data))


async def test_what_is_appended_is_read(store: LogStore) -> None:
    """Lines come back in order with their numbers, times and bytes."""
    assert await put(store, 0, 3) == 3
    assert await put(store, 3, 2) == 5
    assert await get(store) == expected(0, 5)
    odd = Lines([b"", b"\x00\xff\n", "ü".encode()], [5, -1, 0])
    assert await store.append(LOG, WRITER, odd, first_index=5) == 8
    found = await get(store, from_line=5)
    assert [line.data for line in found] == odd.data
    assert [line.timestamp for line in found] == odd.stamps


async def test_a_log_that_is_not_there_is_empty(store: LogStore) -> None:
    """Reading makes nothing."""
    assert await get(store) == []
    assert not await store.exists(LOG)
    assert await store.names(LOG.user) == []


async def test_a_repeat_adds_nothing(store: LogStore) -> None:
    """The same numbers again are skipped, new ones after them are taken."""
    await put(store, 0, 3)
    assert await put(store, 0, 3) == 3
    assert await put(store, 1, 4) == 5
    assert await get(store) == expected(0, 5)


async def test_each_writer_counts_for_himself(store: LogStore) -> None:
    """After a job went to a second provider, his line 0 is a new line."""
    await put(store, 0, 2)
    assert await store.append(LOG, SECOND, lines(0, 2, "again"), first_index=0) == 2
    found = await get(store)
    assert [line.data for line in found] == [b"line 0", b"line 1", b"again 0", b"again 1"]
    assert [line.number for line in found] == [0, 1, 2, 3]


async def test_lines_without_a_number(store: LogStore) -> None:
    """Old writers send none: every line is new."""
    for _ in range(2):
        await store.append(LOG, WRITER, lines(0, 1), first_index=None)
    assert [line.data for line in await get(store)] == [b"line 0"] * 2


async def test_a_gap_is_taken(store: LogStore) -> None:
    """Lines that a writer never sent are not waited for."""
    await put(store, 0, 1)
    assert await put(store, 10, 1) == 11
    assert await put(store, 5, 1) == 11
    assert [line.data for line in await get(store)] == [b"line 0", b"line 10"]


async def test_a_complete_log_takes_no_line(store: LogStore) -> None:
    """A repeat of old lines is still fine, a new line is refused."""
    await put(store, 0, 2, end=True)
    assert await put(store, 0, 2, end=True) == 2
    with pytest.raises(LogCompleteError):
        await put(store, 2, 1)
    assert await get(store) == expected(0, 2)


async def test_logs_are_kept_apart(store: LogStore, tmp_path: Path) -> None:
    """Two users' logs of one name are two logs, in private files named by address and id."""
    await put(store, 0, 1)
    await store.append(OTHER, WRITER, lines(7, 1), first_index=0)
    assert [line.data for line in await get(store)] == [b"line 0"]
    assert [line.data for line in await get(store, OTHER)] == [b"line 7"]
    assert await store.names(LOG.user) == [LOG.name]
    files = sorted(path for path in tmp_path.rglob("*.log"))
    assert [path.relative_to(tmp_path / "logs") for path in files] == [
        Path(LOG.user.lower) / f"{LOG.name}.log",
        Path(OTHER.user.lower) / f"{OTHER.name}.log",
    ]
    assert {oct(path.stat().st_mode & 0o077) for path in files} == {"0o0"}
    assert not [path for path in files if b"line" in path.read_bytes()]


async def test_reading_from_any_line(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every start gives the rest of the log, whatever frames and marks lie before it."""
    monkeypatch.setattr(logframes, "FRAME_BYTES", 100)
    monkeypatch.setattr(logstore, "READ_BYTES", 150)
    monkeypatch.setattr(logstore, "MARK_BYTES", 500)
    await put(store, 0, 150)
    await put(store, 150, 50)
    for start in (0, 1, 5, 6, 7, 99, 149, 150, 151, 199, 200, 10_000):
        assert await get(store, from_line=start) == expected(start, max(0, 200 - start))


async def test_logs_outlive_a_restart(
    store: LogStore, tmp_path: Path, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines, counts of writers, marks and the end are there for the next process."""
    monkeypatch.setattr(logstore, "MARK_BYTES", 10)
    for first in range(0, 30, 10):
        await put(store, first, 10)
    await store.close()
    again = LogStore(tmp_path / "logs", Sealer(bytes(32)), clock)
    assert await put(again, 20, 15, end=True) == 35
    assert await get(again, from_line=18) == expected(18, 17)
    await again.close()
    third = LogStore(tmp_path / "logs", Sealer(bytes(32)), clock)
    with pytest.raises(LogCompleteError):
        await put(third, 35, 1)
    await third.close()


async def test_what_a_crash_left_is_written_over(store: LogStore, tmp_path: Path) -> None:
    """Bytes after the committed size belong to an append that never finished."""
    await put(store, 0, 2)
    (path,) = tmp_path.rglob("*.log")
    with path.open("ab") as file:
        file.write(b"half an append" * 100)
    assert await get(store) == expected(0, 2)
    await put(store, 2, 2)
    assert await get(store) == expected(0, 4)


@pytest.mark.parametrize("place", [3, 20, 40])
async def test_damage_is_found(store: LogStore, tmp_path: Path, place: int) -> None:
    """A changed byte in a header or a line ends the read with an error, never with other words."""
    await put(store, 0, 2)
    (path,) = tmp_path.rglob("*.log")
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
    with pytest.raises(Exception, match="damaged"):
        await get(store)


async def test_a_lost_file_is_found(store: LogStore, tmp_path: Path) -> None:
    """The database knows of lines, the file is away: an error, not an empty log."""
    await put(store, 0, 2)
    (path,) = tmp_path.rglob("*.log")
    path.unlink()
    with pytest.raises(DamagedLogError):
        await get(store)


async def test_readers_follow(store: LogStore) -> None:
    """Readers that began before, amid and after see the same lines, and end with the log."""

    async def follow() -> list[StoredLine]:
        return [line async for frame in store.read(LOG) for line in of(frame)]

    readers = [asyncio.create_task(follow())]
    await asyncio.sleep(0.01)
    for first in range(0, 50, 5):
        await put(store, first, 5)
        readers.append(asyncio.create_task(follow()))
        await asyncio.sleep(0)
    assert not any(reader.done() for reader in readers)
    await store.append(LOG, WRITER, Lines([], []), first_index=50, end=True)
    readers.append(asyncio.create_task(follow()))
    async with asyncio.timeout(5):
        assert all([await reader == expected(0, 50) for reader in readers])


async def test_a_log_that_is_over_without_an_end(store: LogStore) -> None:
    """``over`` ends a read only after all lines, and lines that come meanwhile are not lost."""
    await put(store, 0, 2)
    asked = 0

    async def over() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            return False
        if asked == 2:
            await put(store, 2, 1)
        return True

    frames = store.read(LOG, over=over, poll_seconds=0.02)
    found = [line async for frame in frames for line in of(frame)]
    assert found == expected(0, 3)
    assert asked == 3


async def test_a_caller_that_hangs_up_does_no_harm(store: LogStore) -> None:
    """A cancelled append is either there or not, and the next one finds its place."""
    for round_ in range(20):
        work = asyncio.create_task(put(store, round_ * 10, 10))
        await asyncio.sleep(0.0005 * (round_ % 5))
        work.cancel()
        await asyncio.wait({work})
        await put(store, round_ * 10, 10)
    assert await get(store) == expected(0, 200)


async def test_many_at_once(store: LogStore) -> None:
    """Appends of many logs and of one log at the same time all arrive, once each."""
    logs = [LogId(LOG.user, f"0x{number:064x}") for number in range(10)]
    await asyncio.gather(
        *(store.append(log, WRITER, lines(0, 5), first_index=0) for log in logs * 5),
        *(store.append(LOG, bytes([writer]), lines(0, 5), first_index=0) for writer in range(10)),
    )
    for log in logs:
        assert len(await get(store, log)) == 5
    assert [line.number for line in await get(store)] == list(range(50))


async def test_one_frame_is_in_memory_at_a_time(store: LogStore) -> None:
    """A slow reader of a long log holds one frame, not the log."""
    data = Lines([b"x" * 1000] * 5000, [0] * 5000)
    await store.append(LOG, WRITER, data, first_index=0)
    count = size = 0
    async for frame in store.read(LOG, follow=False):
        count += frame.count
        size = max(size, len(frame.content))
    assert count == 5000
    assert size < logframes.FRAME_BYTES * 1.1
