"""The process ends in time, whatever hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

from dsq.supervisor.ending import Ending


async def test_a_signal_ends_work_that_has_begun_by_its_stop() -> None:
    """It is told to stop, and finishes by itself."""
    ending = Ending(seconds=60)
    done = []

    async def work() -> None:
        ending.begun()
        os.kill(os.getpid(), signal.SIGTERM)
        await ending.stop.wait()
        await asyncio.sleep(0)
        done.append(True)

    await ending.run(work())
    assert done


async def test_a_start_is_broken_off() -> None:
    """What hangs before the work has begun is not waited for."""
    ending = Ending(seconds=60)

    async def work() -> None:
        asyncio.get_running_loop().call_soon(ending.end)
        await asyncio.Event().wait()

    await ending.run(work())
    assert ending.stop.is_set()


async def test_what_hangs_is_cut_off() -> None:
    """Work that never ends, not even when it is cancelled: the process leaves with 0."""
    left, codes = threading.Event(), []

    def leave(code: int) -> None:
        codes.append(code)
        left.set()

    ending = Ending(seconds=0.01, leave=leave)
    ending.begun()
    ending.end()
    ending.end()
    # The loop is blocked as well.
    assert left.wait(5)
    assert codes == [0]
