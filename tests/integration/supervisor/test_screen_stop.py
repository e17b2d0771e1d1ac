"""dsq-provider's screen on a terminal, and its end."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable

import pytest

PROGRAM = """
import asyncio, time
from dsq.console.provider.app import ProviderApp
from tests.support.fake_supervisor import FakeSupervisor

class Supervisor(FakeSupervisor):
    async def __call__(self, **options):
        await super().__call__(**options)
        time.sleep(HANGS)

app = ProviderApp(None, runner=Supervisor())
app._ending._seconds = 0.5
app.run()
"""
ECHO = 3
"""Where a terminal's local modes stand in its attributes."""


class Screen:
    """A program on a terminal of its own."""

    def __init__(self, text: str) -> None:
        self.own, other = pty.openpty()
        self.before = termios.tcgetattr(self.own)
        self.shown = b""
        env = {**os.environ, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", text], stdin=other, stdout=other, stderr=other, env=env
        )
        os.close(other)

    def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Reads what is shown until something is so."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.shown[-2000:]
            if select.select([self.own], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self.own, 65536)
                except OSError:  # nobody has the other end any more
                    assert self.process.wait(5) is not None

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.own)


@pytest.mark.parametrize("hangs", [False, True], ids=["ends by itself", "hangs"])
def test_sigterm_ends_it_and_gives_the_terminal_back(hangs: bool) -> None:
    """Exit code 0 in time; what is typed shows again, on the first screen."""
    screen = Screen(PROGRAM.replace("HANGS", "600" if hangs else "0"))
    try:
        screen.until(lambda: b"UNARMED" in screen.shown)
        assert termios.tcgetattr(screen.own)[ECHO] != screen.before[ECHO]
        screen.process.send_signal(signal.SIGTERM)
        screen.until(lambda: screen.process.poll() is not None and b"?1049l" in screen.shown, 10)
        assert screen.process.returncode == 0
        assert (b"cut off" in screen.shown) == hangs
        assert b"?1000l" in screen.shown
        assert termios.tcgetattr(screen.own)[ECHO] == screen.before[ECHO]
    finally:
        screen.close()
