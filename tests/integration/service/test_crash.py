"""The service's stores after kill -9: what was acknowledged is there, whole and once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from dsq.core.clock import SystemClock
from dsq.core.model import Address
from dsq.sbatch.service.logframes import LogId
from dsq.sbatch.service.logstore import LogStore
from dsq.sbatch.service.sealing import Sealer

WRITER = """
import asyncio, sys
from pathlib import Path
from dsq.core.clock import SystemClock
from dsq.core.model import Address
from dsq.sbatch.service.logframes import Lines, LogId
from dsq.sbatch.service.logstore import LogStore
from dsq.sbatch.service.sealing import Sealer

async def main(folder, first):
    store = LogStore(folder, Sealer(bytes(32)), SystemClock())
    log = LogId(Address(b"c" * 20), "0x" + "01" * 32)
    while True:
        numbers = range(first, first + 37)
        lines = Lines([b"line %d " % number + b"x" * 2000 for number in numbers], list(numbers))
        first = await store.append(log, b"w" * 20, lines, first_index=first)
        print(first, flush=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""

LOG = LogId(Address(b"c" * 20), "0x" + "01" * 32)


async def _read(folder: Path) -> list[tuple[int, bytes]]:
    store = LogStore(folder, Sealer(bytes(32)), SystemClock())
    try:
        found: list[tuple[int, bytes]] = []
        async for frame in store.read(LOG, follow=False):
            found += enumerate(frame.lines().data, frame.first)
        return found
    finally:
        await store.close()


def _write_until_killed(folder: Path, first: int, seconds: float) -> int:
    """Appends in a process that is killed; returns the last number that was acknowledged."""
    argv = [sys.executable, "-c", WRITER, str(folder), str(first)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = int(process.stdout.readline())
        time.sleep(seconds)
        process.kill()
        for word in process.stdout.read().splitlines(keepends=True):
            if word.endswith("\n"):
                acknowledged = int(word)
    return acknowledged


def test_logs_after_kill_9(tmp_path: Path) -> None:
    """Killed amid appends four times: every acknowledged line, none twice, none torn."""
    acknowledged = 0
    for pause in (0.0, 0.02, 0.05, 0.11):
        acknowledged = _write_until_killed(tmp_path, acknowledged, pause)
        found = asyncio.run(_read(tmp_path))
        # An append that was stored but not yet acknowledged may be there as well.
        assert acknowledged <= len(found) <= acknowledged + 37
        for number, (line, data) in enumerate(found):
            assert line == number
            assert data == b"line %d " % number + b"x" * 2000
