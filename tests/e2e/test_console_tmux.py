"""The console in a real terminal, on a real local grid: stories of one user."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsq.console.templates import templates
from dsq.core.units import CREDIT
from tests.support.grid import GridHome
from tests.support.terminal import Terminal

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


RATES = """\
resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 100, gpus: 0}
sweep:
  parameters:
    - name: RATE
      values: ["1", "2"]
secrets:
  - name: TOKEN
steps:
  - name: look
    run:
      command: test "$TOKEN-$RATE" = "hunter2-$SWEEP_INDEX"
"""


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
    terminal = Terminal("--home", str(home.path))
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


def test_submits_a_sweep_with_a_secret(terminal: Terminal, home: GridHome) -> None:
    """A file, a hidden line, the last page: one row for both jobs, which get value and secret."""
    file = home.path / "rates.yaml"
    file.write_text(RATES)
    terminal.press("2")
    terminal.sees("new workflow|hello-world")
    terminal.press("C-o")
    terminal.sees("Open a workflow")
    terminal.press("End", "C-u")
    terminal.settle()
    terminal.type(str(file))
    terminal.press("Enter")
    terminal.sees("rates.yaml", "valid, 2 jobs")
    terminal.press("C-s")
    terminal.sees("Secrets of this workflow")
    terminal.type("hunter2")
    terminal.sees("•••••••")
    terminal.press("Enter")
    terminal.sees("Submit 2 jobs", "200 credits: 2 jobs × 100", "TOKEN typed")
    terminal.press("Enter")
    terminal.sees("rates ×2 +✓2", seconds=90)
    terminal.press("f")
    terminal.sees(r"rates \[1/2\]", r"rates \[2/2\]")


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
    terminal = Terminal("--home", str(home.path), "--read-only", size=(80, 24))
    try:
        terminal.sees("● live", "only", seconds=60)
        terminal.press("q")
        terminal.ends()
        assert "Jobs" not in terminal.text
    finally:
        terminal.close()


# -- a new user ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def newcomer(home: GridHome) -> Iterator[Terminal]:
    """A console without any settings, on the machine where the grid runs."""
    terminal = Terminal(size=(80, 24))
    try:
        # What 'dsq up' without --home would have made.
        (terminal.folder / "state" / "local").symlink_to(home.path)
        yield terminal
    finally:
        terminal.close()


def test_leads_a_newcomer_to_the_first_job(newcomer: Terminal, home: GridHome) -> None:
    """From nothing: the grid, the wallet, the credits, then hello world runs to its end."""
    before = len(home.json("jobs"))
    newcomer.sees("Welcome to dsq", "▸ 1 Grid", "start a local grid|local, in")
    newcomer.start()  # Started again: now the grid that runs is found.
    newcomer.sees("▸ 1 Grid", "local, in")
    newcomer.press("Enter")
    newcomer.sees("▸ 2 Wallet", "the grid's own")
    newcomer.press("Escape")
    newcomer.sees("▸ 1 Grid")
    newcomer.press("Enter")
    newcomer.sees("▸ 2 Wallet", "the grid's own")
    newcomer.press("Enter")
    newcomer.sees("▸ 3 Credits", "balance +[1-9]", "go on")
    newcomer.press("Enter")
    newcomer.sees("hello-world", "● valid", "✓ ")
    newcomer.press("C-s")
    newcomer.sees("Submit this job")
    newcomer.press("Enter")
    newcomer.sees("TIMELINE", "hello-world")
    newcomer.sees("✓ FINISHED", seconds=60)
    assert len(home.json("jobs")) == before + 1
    assert 'default_grid = "local"' in (newcomer.folder / "config" / "config.toml").read_text()
    newcomer.leave()


def test_switches_to_a_new_wallet_and_locks_it(newcomer: Terminal, home: GridHome) -> None:
    """ctrl+w makes a wallet and goes there; ctrl+l locks it; its passphrase opens it again."""
    newcomer.press("C-w")
    newcomer.sees("Grid", "in use; local")
    newcomer.press("Enter")
    newcomer.sees("Wallet on local", r"\+ new")
    newcomer.press("Down", "Enter")
    newcomer.sees("Make a new key")
    newcomer.type("a passphrase")
    newcomer.press("Enter")
    newcomer.settle()
    newcomer.type("another")
    newcomer.press("Enter")
    newcomer.sees("The two passphrases differ")
    newcomer.press("End", "C-u")
    newcomer.settle()
    newcomer.type("a passphrase")
    newcomer.press("Enter")
    newcomer.sees("● live", "No jobs yet", seconds=60)
    newcomer.press("4")
    newcomer.sees("balance +0(.00)? credits", "Without coins no transaction")
    newcomer.press("C-l")
    newcomer.sees("Notices.* locked")
    newcomer.press("C-l")
    newcomer.sees("Passphrase of default")
    newcomer.type("not this one")
    newcomer.press("Enter")
    newcomer.sees("does not open the key file", seconds=60)
    newcomer.type("a passphrase")
    newcomer.press("Enter")
    newcomer.misses("Passphrase of default", seconds=60)
    newcomer.press("1")
    newcomer.misses("Notices.* locked")
    newcomer.press("C-w")
    newcomer.sees("in use; local")
    newcomer.press("Enter")
    newcomer.sees("Wallet on local", "default +in use")
    newcomer.press("Enter")
    newcomer.sees("● live", "hello-world", str(home.address("user"))[:6], seconds=60)
    newcomer.press("q")
    newcomer.ends()


# -- without the grid -----------------------------------------------------------------------------


@contextlib.contextmanager
def without_chain(home: GridHome) -> Iterator[None]:
    """The chain's node is gone meanwhile, and nobody starts it again."""
    keeper = int((home.path / "run" / "keeper.lock").read_text())
    node = Path(home.path / "chain" / "anvil.pid")
    os.kill(keeper, signal.SIGSTOP)
    try:
        os.kill(int(json.loads(node.read_text())["pid"]), signal.SIGTERM)
        yield
    finally:
        os.kill(keeper, signal.SIGCONT)


def queue_hello(terminal: Terminal, home: GridHome, name: str) -> Path:
    """Writes hello world under a name and queues it; returns the file of the queue."""
    terminal.press("2")
    terminal.sees("or time")
    terminal.press("F2")
    terminal.sees("Start from a template")
    names = [template.name for template in templates()]
    terminal.press(*["Down"] * names.index("hello-world"), "Enter")
    terminal.misses("Start from a template")
    terminal.sees("hello-world", "● valid")
    terminal.press("F6", "End", "C-u")
    terminal.settle()
    terminal.type(name)
    terminal.press("C-s")
    terminal.sees("Queue this job", name)
    terminal.press("Enter")
    terminal.sees("1 queued submit waits for the link", name)
    (file,) = (home.path / "console").glob("*.queue.json")
    return file


def named(home: GridHome, name: str) -> list[int]:
    """The jobs of a name on the chain."""
    return [int(job["id"]) for job in home.json("jobs") if job["name"] == name]


def test_queues_a_submit_while_the_chain_is_away(terminal: Terminal, home: GridHome) -> None:
    """It waits in the queue, over a killed console too, and becomes one job when the chain is back."""
    with without_chain(home):
        terminal.sees("Offline: ", "[Nn]ext attempt in|[Tt]rying now", seconds=60)
        file = queue_hello(terminal, home, "waits")
        terminal.kill()
        terminal.start()
        terminal.sees("Offline: ", "1 queued submit waits for the link: waits", seconds=60)
        terminal.press("c")
        terminal.misses("Cancel job")
        assert json.loads(file.read_text())[0]["tried_at"] == 0
    terminal.sees("● live", "waits +✓ FINISHED", seconds=90)
    terminal.misses("queued submit")
    assert len(named(home, "waits")) == 1


def test_killed_while_it_sends_it_sends_once(terminal: Terminal, home: GridHome) -> None:
    """Between the sending and its answer the console is killed; the next one finds the job."""
    with without_chain(home):
        terminal.sees("Offline: ", seconds=60)
        file = queue_hello(terminal, home, "torn")
    end = time.monotonic() + 60
    while not json.loads(file.read_text())[0]["tried_at"]:
        assert time.monotonic() < end, terminal.text
        time.sleep(0.01)
    terminal.kill()
    assert json.loads(file.read_text()), "it was over before the kill"
    terminal.start()
    terminal.sees("● live", "torn +✓ FINISHED", seconds=90)
    terminal.misses("queued submit", seconds=60)
    assert json.loads(file.read_text()) == []
    assert len(named(home, "torn")) == 1
