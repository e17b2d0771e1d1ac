"""A terminal for tests: tmux with the console in it, its own settings and its own state."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


class Terminal:
    """A terminal with the console in it: keys go in, text comes out."""

    def __init__(self, *options: str, size: tuple[int, int] = (110, 32)) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dsq-tmux-"))
        (self.folder / "state").mkdir()
        self._size = size
        self._options = options
        self._panes = 0
        self.start()

    def start(self) -> None:
        """Begins the console, again if it has ended; settings and state stay."""
        code = "from dsq.console.console_command import main; main()"
        argv = [sys.executable, "-c", code, *self._options]
        settings = {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "DSQ_CONFIG_DIR": str(self.folder / "config"),
            "DSQ_STATE_DIR": str(self.folder / "state"),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        env = [word for key, value in settings.items() for word in ("-e", f"{key}={value}")]
        if self._panes:
            self.tmux("respawn-pane", "-k", *env, *argv)
        else:
            width, height = self._size
            place = ("-x", str(width), "-y", str(height))
            self.tmux("-f", "/dev/null", "new-session", "-d", *place, *env, *argv)
            self.tmux("set-option", "-g", "remain-on-exit", "on")
        self._panes += 1

    def kill(self) -> None:
        """Ends the console with SIGKILL, as a crash would."""
        os.kill(int(self.tmux("display-message", "-p", "#{pane_pid}")), signal.SIGKILL)
        self.ends()

    def tmux(self, *args: str) -> str:
        """Runs tmux on this terminal's own server."""
        argv = ["tmux", "-S", str(self.folder / "socket"), *args]
        # The size is the terminal's own, not one that the environment fixes.
        env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True, env=env)
        return done.stdout

    def press(self, *keys: str) -> None:
        """Presses keys, by tmux's names."""
        self.tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Types a text, letter by letter."""
        self.tmux("send-keys", "-l", text)

    def settle(self) -> None:
        """Waits as somebody who looks before typing on.

        Textual carries out a bound key (ctrl+u, enter) after letters that come in the same
        moment, and a moved cursor shows in no text.
        """
        time.sleep(1)

    def resize(self, width: int, height: int) -> None:
        """Makes the terminal larger or smaller; tmux drops one that comes soon after another."""
        end = time.monotonic() + 25
        while time.monotonic() < end:
            self.tmux("resize-window", "-x", str(width), "-y", str(height))
            time.sleep(0.5)
            if len(self.text.splitlines()) == height:
                return
        raise AssertionError(f"tmux does not make it {width}x{height}.")

    def leave(self) -> None:
        """Presses escape and waits for the jobs: with a key after it, it would be another key."""
        self.press("Escape")
        self.sees("NAME +STATUS", "[0-9]+ jobs?")

    @property
    def text(self) -> str:
        """What is on the terminal."""
        return self.tmux("capture-pane", "-p")

    @property
    def ended(self) -> bool:
        """Whether the console has left the terminal."""
        return self.tmux("display-message", "-p", "#{pane_dead}").strip() == "1"

    def sees(self, *patterns: str, seconds: float = 25) -> str:
        """Waits until all patterns are on the terminal."""
        end = time.monotonic() + seconds
        while True:
            text = self.text
            if all(re.search(pattern, text) for pattern in patterns):
                return text
            if time.monotonic() > end:
                raise AssertionError(f"{patterns} did not come. The terminal:\n{text}")
            time.sleep(0.1)

    def misses(self, pattern: str, seconds: float = 25) -> None:
        """Waits until a pattern is not on the terminal."""
        end = time.monotonic() + seconds
        while re.search(pattern, self.text):
            if time.monotonic() > end:
                raise AssertionError(f"{pattern} stays. The terminal:\n{self.text}")
            time.sleep(0.1)

    def ends(self, seconds: float = 40) -> None:
        """Waits until the console has left the terminal."""
        end = time.monotonic() + seconds
        while not self.ended:
            if time.monotonic() > end:
                raise AssertionError(f"The console stays. The terminal:\n{self.text}")
            time.sleep(0.1)

    def close(self) -> None:
        """Ends the terminal and what runs in it."""
        subprocess.run(
            ["tmux", "-S", str(self.folder / "socket"), "kill-server"],
            capture_output=True,
            timeout=20,
        )
        shutil.rmtree(self.folder, ignore_errors=True)
