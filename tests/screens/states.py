"""Every screen, dialog and empty, error and loading state, and how a user gets there.

The table is what the pictures are taken of, and what is looked at without colours.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.app import App

from dsq.console.user.screens.submit import SubmitScreen
from dsq.core.errors import ContractError, CreditsError, UnreachableError
from dsq.core.grid.overview import Overview, Scheduling
from dsq.core.model import JobStatus, ProviderPrices
from dsq.core.units import CREDIT
from dsq.supervisor.snapshot import Connection, Counts
from tests.support.console import Robot, console, provider_screen
from tests.support.fake_grid import FakeBalance, FakeGrid, job, some_jobs
from tests.support.fake_supervisor import FakeSupervisor, some_snapshot

Act = Callable[[Robot], Awaitable[None]]

WORKFLOW = """\
# Train on four GPUs.
enableLogging: true
resources:
  tasks: 1
  cpusPerTask: 8
  memPerCpu: 4000
  gpus: 4
steps:
  - name: train
    run:
      command: |
        python train.py --epochs 20
"""

OUTPUT = [
    "\x1b[1;32mepoch 1/20\x1b[0m  loss \x1b[33m0.913\x1b[0m",
    "[bold]not markup[/bold]",
    "progress 10%\rprogress 100%",
    "a long line " + "-".join(str(number) for number in range(120)),
    *(f"\x1b[36mstep {number:3d}\x1b[0m  loss {1 / (number + 1):.4f}" for number in range(80)),
]
NO_ANSWER = "The chain at http://127.0.0.1:8545 does not answer."


def full_grid() -> FakeGrid:
    """One job of every kind; the newest writes."""
    grid = FakeGrid().add(*some_jobs())
    grid.write(41, *OUTPUT)
    return grid


def a_console(prepare: Callable[[FakeGrid], object] | None = None, **options: Any) -> App[Any]:
    """A console on a full grid that was changed before."""
    grid = full_grid()
    if prepare is not None:
        prepare(grid)
    return console(grid, **options)


@dataclass(frozen=True)
class State:
    """One state of a screen.

    Attributes:
        app: Makes the app; a fresh one each time.
        keys: What is pressed, once the data is there.
        act: What is done after that.
        sees: What is then on the screen as words or glyphs; all that colour says too.
        main: Is shown in all themes.
        waits: False where the data never comes.
    """

    app: Callable[[], App[Any]]
    keys: tuple[str, ...] = ()
    act: Act | None = None
    sees: tuple[str, ...] = ()
    main: bool = False
    waits: bool = True

    async def reach(self, robot: Robot) -> None:
        """Goes there from the start of the app."""
        app: Any = robot.app
        if self.waits:
            await robot.until(lambda: ready(app))
        for key in self.keys:
            await robot.press(key)
            if isinstance(robot.app.screen, SubmitScreen):
                # It checks what is written a moment after the last key: a picture without that
                # check would be one of how fast the keys came.
                robot.app.screen._check()
                await robot.settle()
        if self.act is not None:
            await self.act(robot)
        if self.sees:
            await robot.sees(*self.sees)
        await robot.settle()


def ready(app: Any) -> bool:
    """Whether an app shows its data."""
    if hasattr(app, "state"):
        return bool(app.state.loaded and app.state.link.online)
    return app.snapshot is not None or app.banner != ""


def types(text: str, *keys: str) -> Act:
    """Types into what has the focus, then presses keys."""

    async def act(robot: Robot) -> None:
        await robot.type(text)
        await robot.press(*keys)

    return act


def writes(
    text: str,
    *keys: str,
    credits: str = "",  # noqa: A002
    time: str = "",
    demands: str = "",
    then: Sequence[str] = (),
) -> Act:
    """Puts a workflow into the editor, waits for its check, presses keys.

    Keys of ``then`` are for the page that opens after the others.
    """

    async def act(robot: Robot) -> None:
        screen: Any = robot.app.screen
        assert isinstance(screen, SubmitScreen)
        screen.load(text, "train.yaml", Path("train.yaml"))
        for name, value in (("#credits", credits), ("#time", time), ("#labels", demands)):
            if value:
                screen.query_one(name).value = value
        screen._check()
        await robot.until(lambda: not screen._checked.empty)
        if not (screen._checked.problems or screen.field_problems()):
            await robot.until(lambda: bool(screen._estimates.rows or screen._estimate_words))
        await robot.press(*keys)
        if then:
            await robot.until(lambda: robot.app.screen is not screen)
            await robot.press(*then)

    return act


async def lose(robot: Robot) -> None:
    """The connection is lost after all was read."""
    app: Any = robot.app
    app.feed._offline(UnreachableError(NO_ANSWER), 2)
    await robot.settle()


async def search_step(robot: Robot) -> None:
    """Searches the output."""
    await robot.sees("step  79")
    await robot.press("slash")
    await robot.type("step   7")
    await robot.press("enter")


def empties(grid: FakeGrid) -> None:
    """Nothing has ever happened."""
    grid.known.clear()
    grid.moved.clear()
    grid.known_providers.clear()
    grid.money = FakeBalance(0, 0, 0)


def slow(grid: FakeGrid) -> None:
    """The grid answers nothing, not even no."""

    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    for name in ("balance", "providers", "head", "constants"):
        setattr(grid, name, never)


def dead(grid: FakeGrid) -> None:
    grid.alive = False


def generous(grid: FakeGrid) -> None:
    grid.money = dataclasses.replace(
        grid.money, faucet_wei=50 * CREDIT, claimable_wei=7 * CREDIT // 2
    )


def sweeps(grid: FakeGrid) -> None:
    status = JobStatus
    grid.add(
        *(
            job(60 + n, status.RUNNING if n < 3 else status.FINISHED, f"lr#k3x9f2.{n}/5")
            for n in range(1, 6)
        )
    )


def refuses(method: str) -> Callable[[FakeGrid], None]:
    """The contracts say no."""

    def prepare(grid: FakeGrid) -> None:
        grid.fail[method] = ContractError("The job has ended.", hint="Look at its state.")

    return prepare


def lacks(grid: FakeGrid) -> None:
    grid.fail["submit"] = CreditsError("The wallet holds too little.")


def wrong_log(grid: FakeGrid) -> None:
    grid.output.clear()
    grid.fail["logs"] = UnreachableError("The log service at http://127.0.0.1:1 does not answer.")


def troubled(grid: FakeGrid) -> None:
    """A silent meta-scheduler, refused jobs."""
    answer = grid.overview

    async def overview() -> Overview:
        seen = await answer()
        silent = Scheduling("silent", error="The meta-scheduler does not answer: refused.")
        return dataclasses.replace(seen, scheduling=silent, takes_jobs=False)

    grid.overview = overview  # type: ignore[method-assign]


def poor(grid: FakeGrid) -> None:
    grid.known_providers.clear()


def supervised(**changes: Any) -> Callable[[], App[Any]]:
    """The provider's screen on a changed snapshot."""
    return lambda: provider_screen(FakeSupervisor(some_snapshot(**changes)))


def unreachable_supervisor() -> App[Any]:
    supervisor = FakeSupervisor()
    supervisor.fail = [UnreachableError(NO_ANSWER)]
    return provider_screen(supervisor)


DOWN = (
    Connection("chain", True),
    Connection("cluster", False, "timed out"),
    Connection("logs", None),
)
NO_BOOKS = (
    Connection("chain", True, "", 4.2),
    Connection("cluster", True, "22.05.8", 11.0),
    Connection("accounting", False, "sacct gave no answer in 20 s."),
    Connection("sbatch", True, "", 2.0),
    Connection("logs", True, "", 2.0),
)
SWEEP = """\
sweep:
  parameters:
    - name: RATE
      values: ["0.1", "0.2"]
    - name: SEED
      range: {begin: 1, end: 2}
"""
SECRETS = """\
secrets:
  - name: TOKEN
  - name: KEY
    description: of the bucket
"""
BAD_KEY = WORKFLOW.replace("command", "comand")

JOBS: dict[str, State] = {
    "jobs": State(a_console, sees=("● live", "▶ RUNNING", "× FAILED 3", "›"), main=True),
    "jobs-second": State(a_console, ("j",), sees=("›   40  sweep-lr",)),
    "jobs-waiting": State(a_console, ("j", "j"), sees=("Place 2 of 3", "◷ PENDING"), main=True),
    "jobs-failed": State(a_console, ("j",) * 6, sees=("step 'check' ended with exit code 3",)),
    "jobs-empty": State(lambda: a_console(empties), sees=("No jobs yet.",), main=True),
    "jobs-loading": State(
        lambda: a_console(slow), sees=("Reading your jobs", "◷ connecting"), waits=False, main=True
    ),
    "jobs-unknown": State(
        lambda: a_console(dead), sees=("× offline", "Offline:", "not known yet"), waits=False
    ),
    "jobs-offline": State(
        a_console, act=lose, sees=("× offline", "from before", "train-llm"), main=True
    ),
    "jobs-filter": State(a_console, ("slash",), types("status:hot !gaia"), ("3 of 10",)),
    "jobs-filtered": State(a_console, ("slash",), types("status:bad", "enter"), ("/status:bad",)),
    "jobs-filter-problem": State(
        a_console, ("slash",), types("stauts:x"), ("There is no field 'stauts'",)
    ),
    "jobs-no-match": State(
        a_console, ("slash",), types("nothing-like-it"), ("No job passes the filter.",)
    ),
    "jobs-marked": State(a_console, ("space", "space"), sees=("2 marked of 10 jobs",)),
    "jobs-folded": State(lambda: a_console(sweeps), ("f",), sees=("lr ×5", "▶2 ✓3")),
    "jobs-sorted": State(a_console, ("o", "down", "enter"), sees=("by name ↑",)),
    "jobs-read-only": State(lambda: a_console(read_only=True), sees=("read-only",)),
    "jobs-refused": State(
        lambda: a_console(refuses("cancel")),
        ("c", "y"),
        sees=("cancel job 41 failed", "Notices (1)"),
    ),
}

ONE_JOB: dict[str, State] = {
    "job": State(a_console, ("enter",), sees=("step  79", "◑ scheduled", "TIMELINE"), main=True),
    "job-waiting": State(a_console, ("j", "j", "enter"), sees=("render-07", "◷ PENDING")),
    "job-failed": State(
        a_console, (*("j",) * 6, "enter"), sees=("left no output", "× failed"), main=True
    ),
    "job-settled": State(a_console, (*("j",) * 5, "enter"), sees=("44.16", "✓ finished")),
    "job-offline": State(a_console, ("enter",), lose, ("× offline", "TIMELINE")),
    "log": State(a_console, ("l",), sees=("step  79", "▼ following"), main=True),
    "log-paused": State(
        a_console, ("l", "g", "T", "space"), sees=("‖ paused", "times", "11:06:40")
    ),
    "log-wrapped": State(a_console, ("l", "g", "w"), sees=("wrap", "-119")),
    "log-search": State(a_console, ("l",), search_step, ("'step   7' ",)),
    "log-empty": State(a_console, ("j", "l"), sees=("sweep-lr", "0 lines")),
    "log-ended": State(a_console, (*("j",) * 5, "l"), sees=("■ end",)),
    "log-error": State(lambda: a_console(wrong_log), ("l",), sees=("does not answer",), main=True),
}

SUBMIT: dict[str, State] = {
    "submit-empty": State(
        a_console,
        ("2",),
        sees=("new workflow", "ctrl+o file, F2 template", "a valid workflow is needed"),
    ),
    "submit": State(
        a_console, ("2",), writes(WORKFLOW), ("● valid", "✓ ", "4 GPUs, has none"), main=True
    ),
    "submit-problem": State(
        a_console, ("2",), writes(BAD_KEY), ("× 1 problem", "line 11:", "'command'"), main=True
    ),
    "submit-fields": State(
        a_console,
        ("2",),
        writes(WORKFLOW, credits="99", demands="fast"),
        ("The grid's minimum", "'fast' is no label"),
    ),
    "submit-alone": State(
        lambda: a_console(poor), ("2",), writes(WORKFLOW), ("no provider is on the grid yet",)
    ),
    "submit-confirm": State(
        a_console, ("2",), writes(WORKFLOW, "ctrl+s"), ("Submit this job?",), main=True
    ),
    "submit-confirm-alone": State(
        lambda: a_console(poor),
        ("2",),
        writes(WORKFLOW, "ctrl+s"),
        ("no provider can take it as it is",),
    ),
    "submit-not-valid": State(
        a_console, ("2",), writes(BAD_KEY, "ctrl+s"), ("The workflow is not valid yet.",)
    ),
    "submit-refused": State(
        lambda: a_console(lacks),
        ("2",),
        writes(WORKFLOW, "ctrl+s", then=["enter"]),
        ("submit failed", "holds too little"),
    ),
    "submit-read-only": State(
        lambda: a_console(read_only=True), ("2",), writes(WORKFLOW), ("read-only", "● valid")
    ),
    "submit-completion": State(
        a_console, ("2", "r", "e"), sees=("required: What the job gets", "× 1 problem"), main=True
    ),
    "submit-asked-completion": State(
        a_console,
        ("2",),
        writes(WORKFLOW, *["down"] * 4, "end", "enter", "ctrl+@", "down"),
        ("› ", "enter, tab take it"),
    ),
    "submit-labels": State(
        a_console, ("2",), writes(WORKFLOW, *["f6"] * 4, "g"), ("a100, none", "fill in the fields")
    ),
    "submit-time": State(
        a_console,
        ("2",),
        writes(WORKFLOW, *["down"] * 5, time="1h30"),
        ("1 H 30 MIN COST", "memPerCpu  Memory in MB"),
    ),
    "submit-no-time": State(
        a_console, ("2",), writes(WORKFLOW, time="200 days"), ("The wallet holds 1,284.40",)
    ),
    "submit-sweep": State(
        a_console,
        ("2",),
        writes(WORKFLOW + SWEEP, "ctrl+s"),
        ("Submit 4 jobs?", "400 credits: 4 jobs × 100", "open at once all"),
        main=True,
    ),
    "submit-sweep-limit": State(
        a_console,
        ("2",),
        writes(WORKFLOW + SWEEP + "  limit: 2\n", "ctrl+s", time="1h"),
        ("2 at most", "in all", "while this console is open"),
    ),
    "submit-secrets": State(
        a_console,
        ("2",),
        writes(WORKFLOW + SECRETS, "ctrl+s", then=[*"hunter2"]),
        ("Secrets of this workflow", "•••••••", "of the bucket"),
        main=True,
    ),
    "submit-secrets-empty": State(
        a_console,
        ("2",),
        writes(WORKFLOW + SECRETS, "ctrl+s", then=["enter", "ctrl+f", "enter"]),
        ("The value of the secret TOKEN is empty.", "path of a file"),
    ),
}

OTHERS: dict[str, State] = {
    "providers": State(a_console, ("3",), sees=("CPU/MIN", "›"), main=True),
    "providers-second": State(a_console, ("3", "j"), sees=("CPU/MIN", "iris")),
    "providers-empty": State(lambda: a_console(poor), ("3",), sees=("rovider",)),
    "wallet": State(a_console, ("4",), sees=("▸", "balance"), main=True),
    "wallet-history": State(a_console, ("4", "tab"), sees=("minted", "+60.00", "−400.00")),
    "wallet-day": State(a_console, ("4", "tab", "tab"), sees=("2026-11-18", "━")),
    "wallet-job": State(a_console, ("4", *["tab"] * 3), sees=("cfd-wing",)),
    "wallet-provider": State(a_console, ("4", *["tab"] * 4), sees=("213.90",)),
    "wallet-empty": State(lambda: a_console(empties), ("4",), sees=("balance",)),
    "wallet-history-empty": State(lambda: a_console(empties), ("4", "tab"), sees=("balance",)),
    "wallet-gifts": State(lambda: a_console(generous), ("4",), sees=("faucet has promised you",)),
    "grid": State(a_console, ("5",), sees=("far.example", "lagging", "▸"), main=True),
    "grid-troubled": State(
        lambda: a_console(troubled), ("5",), sees=("does not answer: refused", "are refused")
    ),
    "grid-offline": State(a_console, ("5",), lose, ("× offline",)),
    "notices": State(
        lambda: a_console(refuses("cancel")),
        ("c", "y", "6"),
        sees=("× error", "The job has ended.", "→ Look"),
        main=True,
    ),
    "notices-lost": State(a_console, ("6",), lose, ("▲ warning", "connection")),
    "notices-empty": State(a_console, ("6",), sees=("Nothing to tell yet.",)),
}

DIALOGS: dict[str, State] = {
    "cancel": State(a_console, ("c",), sees=("Cancel job 41",), main=True),
    "cancel-marked": State(a_console, ("space", "space", "c"), sees=("Cancel 2 jobs?",)),
    "top-up": State(a_console, ("t",), types("50"), ("20 min more",)),
    "top-up-too-much": State(a_console, ("t",), types("99999"), ("The wallet holds 1,284.40",)),
    "transfer": State(a_console, ("4", "t"), sees=("Send credits",)),
    "transfer-wrong": State(
        a_console, ("4", "t"), types("nobody"), ("neither an address nor a contact",)
    ),
    "transfer-last": State(
        a_console,
        ("4", "t"),
        types("0x" + "17" * 20, "enter", "2", "enter"),
        ("for good?", "Nobody can take that back"),
    ),
    "columns": State(a_console, ("C",), sees=("Columns",)),
    "sort": State(a_console, ("o",), sees=("Sort by", "now, downward")),
    "export": State(a_console, ("e",), sees=("Write to",)),
    "help": State(a_console, ("question_mark",), sees=("THIS VIEW",), main=True),
    "palette": State(a_console, ("colon",), types("provid"), ("Go to Providers",)),
    "theme": State(a_console, ("ctrl+t",), sees=("dark, in use",)),
    "templates": State(a_console, ("2", "f2"), sees=("hello-world",)),
    "search": State(a_console, ("l", "slash"), sees=("Search the output",)),
}

PROVIDER: dict[str, State] = {
    "provider": State(supervised(), sees=("UNARMED", "cluster ●"), main=True),
    "provider-empty": State(
        supervised(rows=(), provider=None, proposal=None, txs=(), log_lines=()),
        sees=("○ not registered", "No job yet."),
    ),
    "provider-down": State(
        supervised(connections=DOWN), sees=("cluster ×", "logs ○", "Not reachable")
    ),
    "provider-unreachable": State(unreachable_supervisor, sees=("does not answer",)),
    "provider-armed": State(supervised(), ("A",), sees=(" ARMED",)),
    "provider-cancel": State(supervised(), ("A", "c"), sees=("out of Slurm?",)),
    "provider-drain": State(supervised(), ("A", "d"), sees=("rain",)),
    "provider-leave": State(supervised(), ("q",), sees=("Slurm",)),
    "provider-cluster": State(supervised(), ("2",), sees=("FREE CPUS", "◑ mixed", "× down")),
    "provider-prices": State(
        supervised(), ("3",), sees=("A MINUTE", "node: 64 CPUs", "the grid keeps 20 %")
    ),
    "provider-prices-changed": State(
        supervised(prices=ProviderPrices(CREDIT, CREDIT // 10, CREDIT // 10**7)),
        ("3",),
        sees=("◷ changed: those on chain",),
    ),
    "provider-transactions": State(supervised(), ("4",), sees=("claimNextJob()", "◷ sending")),
    "provider-log": State(supervised(), ("5",), sees=("cluster=slow",)),
    "provider-notices": State(supervised(), ("6",), sees=("Nothing to tell yet.",)),
    "provider-filter": State(
        supervised(), ("slash",), types("chain:running !gone"), ("/ chain:running", "1 of 4")
    ),
    "provider-filter-none": State(
        supervised(), ("5", "slash"), types("nowhere"), ("Nothing passes the filter.",)
    ),
    "provider-filter-wrong": State(
        supervised(), ("2", "slash"), types("stat:down"), ("Did you mean 'state'?",)
    ),
    "provider-accounting": State(
        supervised(connections=NO_BOOKS, counts=Counts(running=1, untold=2)),
        sees=("accounting ×", "2 that left Slurm's queue"),
    ),
}

STATES: dict[str, State] = {**JOBS, **ONE_JOB, **SUBMIT, **OTHERS, **DIALOGS, **PROVIDER}
"""All of them by name."""
