"""The console in a real terminal, on a real local grid: ten stories of one user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsq.console.templates import templates
from dsq.core.units import CREDIT
from tests.support.grid import GridHome

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.tmux]

SLEEPS = """\
enableLogging: true
resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 100, gpus: 0}
steps:
  - name: talk
    run:
      command: |
        echo hello from the terminal
        sleep 300
"""


class Terminal:
    """A terminal with the console in it: keys go in, text comes out."""

    def __init__(self, home: Path, *options: str, size: tuple[int, int] = (110, 32)) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="dsq-tmux-"))
        self._width, self._height = size
        code = "from dsq.console.console_command import main; main()"
        argv = [sys.executable, "-c", code, "--home", str(home), *options]
        settings = {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "DSQ_CONFIG_DIR": str(self._folder / "config"),
            "DSQ_STATE_DIR": str(self._folder / "state"),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        env = [word for key, value in settings.items() for word in ("-e", f"{key}={value}")]
        place = ("-x", str(self._width), "-y", str(self._height))
        self.tmux("-f", "/dev/null", "new-session", "-d", *place, *env, *argv)
        self.tmux("set-option", "-g", "remain-on-exit", "on")

    def tmux(self, *args: str) -> str:
        """Runs tmux on this terminal's own server."""
        argv = ["tmux", "-S", str(self._folder / "socket"), *args]
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

    def close(self) -> None:
        """Ends the terminal and what runs in it."""
        subprocess.run(
            ["tmux", "-S", str(self._folder / "socket"), "kill-server"],
            capture_output=True,
            timeout=20,
        )
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="module")
def home(anvil_here: None) -> Iterator[GridHome]:
    """One grid with the embedded cluster, for all stories, with one running job."""
    if shutil.which("tmux") is None:
        pytest.skip("no tmux; apt-get install tmux")
    path = Path(tempfile.mkdtemp(prefix="dsq-e2e-"))
    grid = GridHome(path)
    try:
        grid.up("--cluster", "local")
        grid.submit(SLEEPS, "--name", "talker")
        yield grid
    finally:
        grid.dsq("down", check=False, timeout=180)
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def shown(home: GridHome) -> Iterator[Terminal]:
    """One console that stays open for the stories, as a user leaves it open."""
    terminal = Terminal(home.path)
    try:
        terminal.sees("● live", "talker", seconds=60)
        yield terminal
    finally:
        terminal.close()


@pytest.fixture
def terminal(shown: Terminal) -> Terminal:
    """The console with the jobs in front, as the story before has left it."""
    shown.press("1")
    shown.sees("● live", "NAME +STATUS")
    return shown


def test_watches_a_job_run(terminal: Terminal) -> None:
    """The job that was submitted by the command starts in the table."""
    terminal.sees("talker +▶ RUNNING", seconds=60)


def test_reads_its_output(terminal: Terminal) -> None:
    """l shows what the job prints, live."""
    terminal.sees("talker +▶ RUNNING", seconds=60)
    terminal.press("l")
    terminal.sees("hello from the terminal", "following")
    terminal.leave()


def test_tops_it_up(terminal: Terminal, home: GridHome) -> None:
    """t, an amount, enter: the chain has it."""
    terminal.press("t")
    terminal.sees("Credits to add")
    terminal.type("25")
    terminal.sees("100.00 → 125.00")
    terminal.press("Enter")
    terminal.sees("25.00 credits added to job 1")
    assert home.job(1)["locked_wei"] == str(125 * CREDIT)


def test_submits_an_example(terminal: Terminal, home: GridHome) -> None:
    """s, F2, enter, ctrl+s, enter: another job, which runs to its end."""
    terminal.press("s")
    terminal.sees("new workflow")
    terminal.press("F2")
    terminal.sees("hello-world")
    names = [template.name for template in templates()]
    terminal.press(*["Down"] * names.index("hello-world"), "Enter")
    terminal.sees("● valid", "✓ ")
    terminal.press("C-s")
    terminal.sees("Submit this job")
    terminal.press("Enter")
    terminal.sees("TIMELINE", "hello-world")
    terminal.sees("✓ FINISHED", seconds=60)
    assert home.job(2)["status"] == "FINISHED"
    terminal.leave()


def test_filters_the_jobs(terminal: Terminal) -> None:
    """/ narrows, escape widens again."""
    terminal.press("/")
    terminal.type("name:talk")
    terminal.press("Enter")
    terminal.sees("1 of 2")
    terminal.leave()
    terminal.sees("2 jobs", "hello-wor", "talker")


def test_looks_at_the_wallet(terminal: Terminal) -> None:
    """What is locked, then what came and went."""
    terminal.press("4")
    terminal.sees("balance", "talker")
    terminal.press("Tab")
    terminal.sees("locked")


def test_looks_at_the_grid(terminal: Terminal) -> None:
    """The chain and its node, and what the providers have."""
    terminal.press("5")
    terminal.sees("NODE", "127.0.0.1")


def test_makes_the_terminal_small_and_wide(terminal: Terminal) -> None:
    """80 columns, then 180: the same jobs, with the details beside them."""
    terminal.resize(80, 24)
    terminal.sees("talker", "(?m)^─{80}$")
    terminal.resize(180, 48)
    terminal.sees("TIMELINE", "talker")
    terminal.resize(110, 32)
    terminal.sees("talker", "(?m)^─{110}$")


def test_cancels_the_job(terminal: Terminal, home: GridHome) -> None:
    """c asks, y cancels; the job ends, and that is told."""
    terminal.press("G")
    terminal.sees("› +1 +talker")
    terminal.press("c")
    terminal.sees("Cancel job 1")
    terminal.press("y")
    terminal.sees("∅ CANCELLED", seconds=60)
    assert home.job(1)["status"] == "CANCELLED"


def test_leaves_the_terminal_as_it_was(home: GridHome) -> None:
    """q ends the console; the terminal shows no rest of it."""
    terminal = Terminal(home.path, "--read-only", size=(80, 24))
    try:
        terminal.sees("● live", "only", seconds=60)
        terminal.press("q")
        end = time.monotonic() + 40
        while not terminal.ended and time.monotonic() < end:
            time.sleep(0.1)
        assert terminal.ended
        assert "Jobs" not in terminal.text
    finally:
        terminal.close()
