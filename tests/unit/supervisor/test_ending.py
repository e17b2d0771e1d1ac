"""The process ends in time, whatever hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from dsq.supervisor.ending import Ending

STAY = int
"""In the place of what ends the process, which would take the tests that still run with it."""


async def test_a_signal_ends_work_that_has_begun_by_its_stop() -> None:
    """It is told to stop, and finishes by itself."""
    ending = Ending(seconds=60, leave=STAY)
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
    ending = Ending(seconds=60, leave=STAY)

    async def work() -> None:
        asyncio.get_running_loop().call_soon(ending.end)
        await asyncio.Event().wait()

    await ending.run(work())
    assert ending.stop.is_set()


async def test_the_handlers_of_before_hold_again() -> None:
    """A second signal, while the process goes, has what the start had settled for it."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        ending = Ending(seconds=60, leave=STAY)

        async def work() -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

        await ending.run(work())
        assert (ending.stop.is_set(), heard) == (True, [])
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


START = """
import os, signal, sys
from dsq.console import provider_main
heavy = {"asyncio", "click", "dsq.supervisor", "dsq.console.provider_command"} & set(sys.modules)
assert not heavy, heavy

class Signalled:
    def find_spec(self, name, path=None, target=None):
        if name == "dsq.console.provider_command":
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("it went on")

sys.meta_path.insert(0, Signalled())
sys.argv[1:] = WORDS
provider_main.main()
"""


@pytest.mark.parametrize(("words", "code"), [(["--headless"], 0), (["register"], -signal.SIGTERM)])
def test_a_signal_while_it_starts(words: list[str], code: int) -> None:
    """A service was told to stop, which is no failure; a command has not done what was asked."""
    text = START.replace("WORDS", repr(words))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert ("stopped before it had started" in done.stderr) == (code == 0)


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
