"""States that a change brings: a lost link, a recording, marks, toasts, the provider's confirms."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App

from dsq.console.dialogs.paths import OpenFile, SaveFile
from dsq.console.user.app import ConsoleApp
from dsq.console.user.outbox import KEY_SECONDS, Queued
from dsq.core.errors import NotFoundError, UnreachableError
from dsq.core.units import CREDIT
from dsq.supervisor.snapshot import Connection, Mode
from tests.screens.states import (
    OUTPUT,
    WORKFLOW,
    Act,
    State,
    a_console,
    full_grid,
    lose,
    supervised,
    writes,
)
from tests.support.console import Robot, console, provider_screen
from tests.support.fake_grid import GAIA, NOW, FakeGrid
from tests.support.fake_grid import provider as a_provider
from tests.support.fake_supervisor import FakeSupervisor

STEPS = """\
loading modules
--> steps[0]
checking the data
--> steps[0].steps[0]
12,000 files
<-- steps[0].steps[0] ok (1 s)
all of them are there
<-- steps[0] ok (3 s)
--> steps[1]
training
cuda: out of memory
<-- steps[1] failed with 3 (61 s)
cleaning up""".splitlines()


def then(*acts: Act) -> Act:
    """One after the other."""

    async def act(robot: Robot) -> None:
        for each in acts:
            await each(robot)

    return act


def presses(*keys: str) -> Act:
    async def act(robot: Robot) -> None:
        await robot.press(*keys)

    return act


# -- offline, and the queue ------------------------------------------------------------------


def waits(*items: Queued) -> Act:
    """The link is lost, and submits wait for it."""

    async def act(robot: Robot) -> None:
        await lose(robot)
        app: Any = robot.app
        for item in items:
            app.state.outbox.add(item)
        app.state.touch()
        await robot.settle()

    return act


def queued(name: str, **changes: Any) -> Queued:
    item = Queued(name, {}, 212 * CREDIT, queued_at=NOW - 90, key=name)
    return dataclasses.replace(item, **changes)


NEW = queued("train-llm")
REFUSED = queued("render-08", problem="The wallet holds 12.00 credits, not 212.00.")
LOST = queued("mesh", tried_at=NOW - 60)
UNCERTAIN = queued("lr-sweep", tried_at=NOW - KEY_SECONDS - 1)


# -- a recording -----------------------------------------------------------------------------


def recorded() -> App[Any]:
    """A console that records what its grid answers."""
    app: ConsoleApp = console(full_grid())
    app.recorded = True
    return app


def replayed() -> App[Any]:
    """A recording, shown again."""
    return console(full_grid(), grid_name="lab", read_only=True)


# -- logs and providers ----------------------------------------------------------------------


def steps() -> App[Any]:
    grid = full_grid()
    grid.output.clear()
    grid.write(41, *STEPS)
    return console(grid)


def several() -> App[Any]:
    """Two jobs that write in turn."""
    grid = full_grid()
    grid.output.clear()
    for number, line in enumerate(OUTPUT[4:40]):
        grid.write(40 + number % 2, line, at=NOW + number)
    return console(grid)


def unread(grid: FakeGrid) -> None:
    grid.fail["jobs_at"] = UnreachableError("No answer.")


def of_all_kinds(grid: FakeGrid) -> None:
    """Providers in every state."""
    kinds: tuple[dict[str, Any], ...] = (
        {"is_banned": True, "is_valid": False},
        {"is_approved": False, "is_valid": False, "is_waiting": True},
        {"is_approved": False, "is_valid": False},
    )
    for number, (name, changes) in enumerate(
        zip(("banned-one", "new-one", "gone-one"), kinds, strict=True)
    ):
        grid.known_providers.append(
            a_provider(type(GAIA)(bytes([0x40 + number]) * 20), name, **changes)
        )


def never_seen(grid: FakeGrid) -> None:
    """The grid tells nothing of itself."""

    async def waits_for_ever() -> Any:
        await asyncio.Event().wait()

    grid.overview = waits_for_ever  # type: ignore[method-assign]


async def saves(robot: Robot) -> None:
    """Asks where to save; the usual folder differs from machine to machine."""
    await robot.press("l")
    await robot.sees("step  79")
    robot.app.push_screen(SaveFile(Path("job-41.log")))
    await robot.settle()


def here(*names: str) -> Path:
    """A folder with workflow files."""
    folder = Path("workflows")
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(WORKFLOW)
    return folder


async def opens(robot: Robot) -> None:
    """Asks which file to open; the usual folder differs from machine to machine."""
    folder = here("train.yaml", "render.yaml", "notes.txt")
    robot.app.push_screen(OpenFile(folder, [folder / "train.yaml"]))
    await robot.sees("render.yaml")


async def shows_workflow(robot: Robot) -> None:
    """The job's workflow is known here, and asked for."""
    app: Any = robot.app
    job = app.state.jobs.get(41)
    definition = dataclasses.replace(job.definition, batch_location_hash="script-41")
    known = dataclasses.replace(job, definition=definition)
    app.feed.put(known)
    app.submitted(known, WORKFLOW)
    await robot.settle()
    await robot.press("enter", "v")


# -- the provider's screen -------------------------------------------------------------------


def starting() -> App[Any]:
    """The supervisor has not shown anything yet."""

    class Silent(FakeSupervisor):
        async def __call__(self, *, on_ready: Callable[[Any], None], **_: Any) -> None:
            on_ready(self)
            await asyncio.Event().wait()

    return provider_screen(Silent())


def refusing() -> App[Any]:
    supervisor = FakeSupervisor()

    def refuse(job_id: int, reason: str = "") -> None:
        raise NotFoundError(f"The journal has no job {job_id}.", hint="It may be settled already.")

    supervisor.cancel_job = refuse  # type: ignore[method-assign]
    return provider_screen(supervisor)


WAITS = a_provider(GAIA, "gaia", is_approved=False, is_valid=False, is_waiting=True)
ALL_DOWN = tuple(
    Connection(name, False, "connection refused") for name in ("chain", "cluster", "sbatch", "logs")
)

MORE: dict[str, State] = {
    "queue-waits": State(
        a_console, act=waits(NEW), sees=("⇡ 1 queued submit waits", "Q shows", "× offline"),
        main=True,
    ),
    "queue-waits-many": State(
        a_console, act=waits(NEW, REFUSED, LOST), sees=("3 queued submits wait", "1 refused"),
    ),
    "queue": State(
        a_console,
        act=then(waits(NEW, REFUSED, LOST, UNCERTAIN), presses("Q")),
        sees=("Queued submits", "refused: The wallet", "asked again", "it may have been"),
        main=True,
    ),
    "queue-withdraw": State(
        a_console, act=then(waits(NEW), presses("Q", "enter")),
        sees=("Withdraw train-llm?", "Nothing has been sent"),
    ),
    "queue-withdraw-lost": State(
        a_console, act=then(waits(LOST), presses("Q", "enter")),
        sees=("Withdraw mesh?", "Its answer was lost"),
    ),
    "queue-confirm": State(
        a_console, act=then(lose, presses("2"), writes(WORKFLOW, "ctrl+s")),
        sees=("Queue this job?", "no provider can be asked now"),
    ),
    "offline-refused": State(
        a_console, act=then(lose, presses("c")), sees=("There is no connection to the grid",)
    ),
    "providers-offline": State(a_console, ("3",), lose, ("× offline", "CPU/MIN")),
    "wallet-offline": State(a_console, ("4",), lose, ("× offline", "balance")),
    "submit-offline": State(
        a_console, act=then(lose, presses("2"), writes(WORKFLOW)), sees=("× offline", "● valid")
    ),
    "recording": State(recorded, sees=("● recording", "train-llm")),
    "replay": State(replayed, sees=("read-only", "train-llm", "lab")),
    "job-read-only": State(
        lambda: a_console(read_only=True), ("enter",), sees=("read-only", "TIMELINE", "step  79")
    ),
    "wallet-read-only": State(
        lambda: a_console(read_only=True), ("4",), sees=("read-only", "balance")
    ),
    "providers-read-only": State(
        lambda: a_console(read_only=True), ("3",), sees=("read-only", "CPU/MIN", "ITS LAST")
    ),
    "grid-asking": State(lambda: a_console(never_seen), ("5",), sees=("Asking…",)),
    "log-steps": State(steps, ("l",), sees=("▾ ", "failed with 3", "13 lines"), main=True),
    "log-steps-folded": State(
        steps, ("l", "minus", "minus"), sees=("▸ ", "0 levels open", "3 lines")
    ),
    "log-steps-one-level": State(steps, ("l", "minus"), sees=("1 level open", "▸ ", "▾ ")),
    "log-several": State(
        several, ("space", "space", "l"), sees=("2 jobs", "41", "sweep-lr", "36 lines"), main=True
    ),
    "log-save": State(a_console, act=saves, sees=("Save to", "Enter saves")),
    "open-file": State(a_console, ("2",), opens, ("Open a workflow", "render.yaml")),
    "settings": State(a_console, ("comma",), sees=("Settings", "dsq-dark"), main=True),
    "settings-changed": State(
        a_console, ("comma", *["down"] * 5, "enter"), sees=("Settings", "○ off")
    ),
    "job-workflow": State(
        a_console, act=shows_workflow, sees=("Workflow of job 41", "│   cpusPerTask: 8")
    ),
    "providers-all-kinds": State(
        lambda: a_console(of_all_kinds), ("3",), sees=("∅ BANNED", "◷ WAITING", "○ OFF")
    ),
    "providers-unread": State(lambda: a_console(unread), ("3",), sees=("not read yet",)),
    "providers-marked": State(a_console, ("3", "asterisk"), sees=("c compare",)),
    "compare": State(
        a_console, ("3", "asterisk", "c"), sees=("side by side", "With a valid workflow"), main=True
    ),
    "compare-workflow": State(
        a_console,
        ("2",),
        then(writes(WORKFLOW), presses("escape", "3", "asterisk", "c")),
        ("side by side", "FOR THE WORKFLOW", "iris: needs 4 GPUs"),
    ),
    "toast-copied": State(a_console, ("y",), sees=("Copied job id 41",)),
    "toast-sent": State(
        a_console, ("j", "j", "c", "y"), sees=("ob 39", "∅ CANCELLED")
    ),
    "provider-starting": State(starting, sees=("reading the chain",), waits=False),
    "provider-waits-for-approval": State(
        supervised(provider=WAITS, proposal=WAITS, rows=()), sees=("◷ waits for approval",)
    ),
    "provider-banned": State(
        supervised(provider=a_provider(GAIA, "gaia", is_banned=True)), sees=("∅ banned",)
    ),
    "provider-paused": State(supervised(), ("p",), sees=("‖ paused", "Claims nothing new")),
    "provider-draining": State(
        supervised(), ("A", "d", "y"), sees=("▼ draining", "Draining: 3 jobs left")
    ),
    "provider-stopping": State(
        supervised(mode=Mode.STOPPING), sees=("■ stopping",)
    ),
    "provider-all-down": State(
        supervised(connections=ALL_DOWN), sees=("chain ×", "logs ×", "Not reachable")
    ),
    "provider-not-armed": State(supervised(), ("d",), sees=("Press A first",)),
    "provider-refused": State(refusing, ("A", "c", "y"), sees=("The journal has no job 41",)),
    "provider-notices-some": State(
        refusing, ("A", "c", "y", "6"), sees=("× error", "→ It may be settled already")
    ),
    "provider-broke": State(supervised(native_balance=0), sees=("fees 0.00",)),
    "provider-top-ups": State(
        supervised(can_raise_limit=False), ("2",), sees=("top-ups help waiting jobs only",)
    ),
    "provider-failed-job": State(
        supervised(), ("G",), sees=("step 'check' ended with exit code 3",)
    ),
    "provider-cluster-empty": State(
        supervised(nodes=()), ("2",), sees=("The cluster has not answered yet.",)
    ),
    "provider-transactions-empty": State(
        supervised(txs=()), ("4",), sees=("No transaction yet.",)
    ),
    "provider-log-empty": State(supervised(log_lines=()), ("5",), sees=("The log is empty.",)),
    "provider-help": State(supervised(), ("question_mark",), sees=("THIS VIEW",)),
    "provider-palette": State(supervised(), ("colon",), sees=("Search for commands",)),
}  # fmt: skip
