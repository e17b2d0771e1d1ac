"""How the console bears many jobs: first paint, keys under updates, frames, CPU, memory.

``python -m tests.benchmarks.bench_console [--seconds S] [--plain N] [JOBS ...]``; beside it
Textual's DataTable and textual-fastdatatable (where it is installed) in the same run, each row
in a process of its own. Key-to-paint is the time from posting a key until the terminal's bytes
of the picture with the moved cursor are made. A frame is dropped when a tenth of a second with
updates passes without one; ``--plain`` is how many jobs the other tables get, 0 leaves them out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from textual import events
from textual._compositor import CompositorUpdate
from textual.app import App, ComposeResult

from dsq.console import quick
from dsq.console.user.app import ConsoleApp
from dsq.console.user.job_store import JobStore
from dsq.console.widgets.frame import TICK
from dsq.console.widgets.table import LiveTable
from dsq.core.model import Job, JobStatus
from dsq.core.readmodel import Anchor, Order, ReadModel, parse_filter
from dsq.core.units import CREDIT
from tests.benchmarks.table import print_table
from tests.support.fake_grid import GAIA, IRIS, ME, FakeGrid, FakeHead, job, provider

SIZE = (160, 48)
OPEN = 1000
"""Jobs that change; all others have ended."""
UPDATES = 10_000
"""Changes wanted a second."""
VARIANTS = 4
"""Different states of each open job, made before the clock runs."""
KEY_EVERY = 0.03
PATIENCE = 120.0
"""Seconds after which a picture does not come any more."""
COLUMNS = ("id", "name", "status", "provider", "cost")
HEADERS = (
    "what", "jobs", "first paint ms", "key p50 ms", "key p95 ms", "key max ms", "updates/s",
    "frames dropped", "CPU %", "MB above empty",
)  # fmt: skip


def many(count: int) -> Iterator[Job]:
    """Jobs of which the newest :data:`OPEN` are open."""
    rng = random.Random(3)
    for number in range(1, count + 1):
        runs = number > count - OPEN
        yield job(
            number,
            JobStatus.RUNNING if runs else JobStatus(rng.choice((4, 5, 6, 7))),
            f"job-{number}",
            at=rng.choice((GAIA, IRIS)),
            start=-4000,
            end=0 if runs else -100,
            cost=rng.randrange(20_000),
        )


def prepared(folder: Path, count: int) -> Path:
    """A read model's file with so many jobs."""
    path = folder / f"{count}.sqlite"
    model = ReadModel(path)
    if count:
        model.put_all(many(count))
    model.put_providers(FakeGrid().known_providers)
    head = far_head(count)
    model.set_anchor(Anchor(head.number, head.hash, count))
    model.close()
    return path


def far_head(count: int) -> FakeHead:
    """A head so far on that no ended job of the file is in doubt."""
    return FakeHead(count + 5000, 0)


def megabytes() -> float:
    """Resident memory of this process."""
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


class StillGrid(FakeGrid):
    """A grid that knows the jobs of a file without holding them."""

    count = 0
    model: ReadModel | None = None

    async def job_ids(self, after: int = 0) -> list[int]:
        return list(range(after + 1, self.count + 1))

    async def jobs_by_id(self, ids):  # type: ignore[no-untyped-def]
        assert self.model is not None
        found = self.model.get(ids)
        return [found[each] for each in ids]


@dataclass
class Load:
    """What was measured while a table was under load."""

    keys: list[float]
    pushed: int
    seconds: float
    cpu: float
    frames: int | None = None

    def cells(self) -> list[str]:
        """Its part of a row."""
        p95 = statistics.quantiles(self.keys, n=20)[18] if len(self.keys) > 1 else self.keys[0]
        wanted = int(self.seconds / TICK)
        dropped = "–" if self.frames is None else f"{max(0, wanted - self.frames)} of {wanted}"
        return [
            f"{statistics.median(self.keys):.1f}", f"{p95:.1f}", f"{max(self.keys):.0f}",
            f"{self.pushed / self.seconds:,.0f}", dropped, f"{self.cpu / self.seconds * 100:.0f}",
        ]  # fmt: skip


def topped_up(each: Job, times: int) -> Job:
    """The job with more credits locked, which its row shows, and another reason."""
    cost = dataclasses.replace(each.cost, max_cost=each.cost.max_cost + times * CREDIT)
    return dataclasses.replace(each, cost=cost, last_error=f"state {times}")


class Changes:
    """Changes of the open jobs, as the feed would bring them; made before they are measured."""

    def __init__(self, jobs: list[Job], put: Callable[[Job], None]) -> None:
        self._put = put
        self._made = [[topped_up(each, n) for n in range(VARIANTS)] for each in jobs]
        self.pushed = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Puts :data:`UPDATES` a second, fewer if the table does not bear them."""
        rng, begun = random.Random(1), time.perf_counter()
        while not stop.is_set():
            late = time.perf_counter() + 0.05
            due = int((time.perf_counter() - begun) * UPDATES) - self.pushed
            for number in range(max(0, due)):
                self._put(rng.choice(self._made)[self.pushed % VARIANTS])
                self.pushed += 1
                if not number % 16 and time.perf_counter() > late:
                    break
            await asyncio.sleep(0.01)


async def under_load(
    app: App[Any], changes: Changes, cursor: Callable[[], int], seconds: float
) -> Load:
    """Keys and changes together for so long."""
    stop = asyncio.Event()
    cpu, begun = time.process_time(), time.perf_counter()
    pushing = asyncio.create_task(changes.run(stop))
    keys = await pressed(app, cursor, seconds)
    taken, used = time.perf_counter() - begun, time.process_time() - cpu
    stop.set()
    await pushing
    return Load(keys, changes.pushed, taken, used)


async def pressed(app: App[Any], cursor: Callable[[], int], seconds: float) -> list[float]:
    """Milliseconds from a key in the app's queue to the picture with the moved cursor."""
    painted, display = asyncio.Event(), app._display

    def noting(screen: Any, picture: Any) -> None:
        display(screen, picture)
        # Without a terminal Textual stops here; the bytes for one are part of a paint.
        if isinstance(picture, CompositorUpdate):
            picture.render_segments(app.console)
        painted.set()

    app._display = noting  # type: ignore[method-assign]
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        key = "down" if len(times) % 120 < 80 else "up"
        before, begun = cursor(), time.perf_counter()
        app.post_message(events.Key(key, None))
        while cursor() == before:
            if time.perf_counter() > begun + PATIENCE:
                raise TimeoutError("A key has done nothing.")
            await asyncio.sleep(0)
        painted.clear()
        await asyncio.wait_for(painted.wait(), PATIENCE)
        times.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(KEY_EVERY)
    app._display = display  # type: ignore[method-assign]
    return times


async def shown(app: App[Any], text: str) -> None:
    """Waits until the screen shows a text."""
    end = time.perf_counter() + PATIENCE
    while not any(text in strip.text for strip in app.screen._compositor.render_strips()):
        if time.perf_counter() > end:
            raise TimeoutError(f"No picture shows {text}.")
        await asyncio.sleep(0.002)


def console(path: Path, count: int) -> ConsoleApp:
    """The console on a file, with a grid that knows the same jobs."""
    grid = StillGrid(known_providers=[provider(GAIA, "gaia"), provider(IRIS, "iris")])
    grid.count, grid.model, grid.block = count, ReadModel(path), far_head(count).number

    async def connect() -> FakeGrid:
        return grid

    return ConsoleApp(
        connect, now=time.time, open_store=lambda _: JobStore(ReadModel(path)), account=ME
    )


async def console_row(path: Path, count: int, seconds: float, *, sorts: bool) -> dict[str, Any]:
    """One run of the console on a file; ``sorts``: by cost, through a filter."""
    begun = time.perf_counter()
    app = console(path, count)
    async with app.run_test(size=SIZE):
        await shown(app, f"job-{count}" if count else "No jobs yet")
        first = time.perf_counter() - begun
        quick.steady()
        while not (app.state.link.online and app.state.jobs.complete):
            await asyncio.sleep(0.01)
        if not count:
            return {"first": first, "mb": megabytes()}
        store = app.state.jobs
        if sorts:
            await store.show(parse_filter("job !nothing"), Order("cost"))
        table, frames = app.screen.query_one(LiveTable), 0
        repaint = table.rows_changed

        def counting() -> None:
            nonlocal frames
            frames += 1
            repaint()

        table.rows_changed = counting  # type: ignore[method-assign]
        opened = [each for n in range(OPEN) if (each := store.get(count - n)) is not None]
        load = await under_load(app, Changes(opened, store.put), lambda: table.cursor, seconds)
        load.frames = frames
        return {"first": first, "load": load.cells(), "mb": megabytes()}


def cells(each: Job) -> tuple[str, ...]:
    """A job's cells."""
    return (
        str(each.id), each.name, each.status.name, each.provider.hex(), str(each.cost.final_cost)
    )  # fmt: skip


class Other(App[None]):
    """Another table with the same jobs; ``make`` makes it, ``put`` changes a job in it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self._make = make

    def compose(self) -> ComposeResult:
        yield self._make()

    def on_mount(self) -> None:
        self.screen.children[0].focus()


def data_table(jobs: list[Job]) -> tuple[Any, Callable[[Any, Job], None]]:
    """Textual's own table."""
    from textual.widgets import DataTable

    table: Any = DataTable(cursor_type="row")
    keys = table.add_columns(*COLUMNS)
    for each in reversed(jobs):
        table.add_row(*cells(each), key=str(each.id))
    return table, lambda table, each: table.update_cell(str(each.id), keys[2], each.last_error)


def fast_table(jobs: list[Job]) -> tuple[Any, Callable[[Any, Job], None]]:
    """The table on Arrow."""
    from textual_fastdatatable import ArrowBackend, DataTable

    made = zip(*map(cells, reversed(jobs)), strict=True)
    backend = ArrowBackend.from_pydict(dict(zip(COLUMNS, map(list, made), strict=True)))
    newest = jobs[-1].id
    put = lambda table, each: table.update_cell(newest - each.id, 2, each.last_error)  # noqa: E731
    return DataTable(backend=backend, cursor_type="row"), put


OTHERS = {"DataTable": data_table, "fastdatatable": fast_table}


async def other_row(kind: str, count: int, seconds: float) -> dict[str, Any]:
    """Another table with the same jobs under the same load."""
    jobs = list(many(count))
    put: Callable[[Any, Job], None] | None = None

    def make() -> Any:
        nonlocal put
        table, put = OTHERS[kind](jobs)
        return table

    begun = time.perf_counter()
    app = Other(make)
    async with app.run_test(size=SIZE):
        await shown(app, f"job-{count}")
        first = time.perf_counter() - begun
        table: Any = app.screen.children[0]
        assert put is not None
        change = put
        opened = jobs[-OPEN:]
        jobs.clear()
        changes = Changes(opened, lambda each: change(table, each))
        load = await under_load(app, changes, lambda: table.cursor_row, seconds)
        return {"first": first, "load": load.cells(), "mb": megabytes()}


def measured(kind: str, count: int, path: Path, seconds: float) -> dict[str, Any]:
    """A row, measured in a process of its own."""
    words = [sys.executable, "-m", __spec__.name if __spec__ else "", "--row", kind, str(path)]
    done = subprocess.run(
        [*words, "--seconds", str(seconds), str(count)], stdout=subprocess.PIPE, check=True
    )
    return dict(json.loads(done.stdout))


def one_row(kind: str, count: int, path: Path, seconds: float) -> None:
    """Measures a row in this process and prints it for :func:`measured`."""
    quick.start()
    if kind in OTHERS:
        row = asyncio.run(other_row(kind, count, seconds))
    else:
        row = asyncio.run(console_row(path, count, seconds, sorts=kind == "sorted"))
    print(json.dumps(row))


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="*", type=int, default=[10_000, 100_000])
    parser.add_argument("--seconds", type=float, default=10.0, help="under load, each row")
    parser.add_argument("--plain", type=int, help="jobs of the other tables; the fewest")
    parser.add_argument("--row", nargs=2, metavar=("KIND", "FILE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Prints the table."""
    asked = arguments()
    if asked.row:
        one_row(asked.row[0], asked.jobs[0], Path(asked.row[1]), asked.seconds)
        return
    quick.start()  # Textual reads it in the processes of the rows
    plain = min(asked.jobs) if asked.plain is None else asked.plain
    names = {"console": "dsq-console", "sorted": "dsq-console, sorted and filtered"}
    todo = [(kind, count) for count in asked.jobs for kind in names]
    if plain:
        todo.append(("DataTable", plain))
        with contextlib.suppress(ImportError):
            import textual_fastdatatable  # noqa: F401

            todo.append(("fastdatatable", plain))
    with tempfile.TemporaryDirectory() as folder:
        paths = {count: prepared(Path(folder), count) for count in (0, *asked.jobs)}
        empty = measured("console", 0, paths[0], 0)
        rows = [["dsq-console, no jobs", "0", f"{empty['first'] * 1000:.0f}", *["–"] * 6, "0"]]
        for kind, count in todo:
            row = measured(kind, count, paths.get(count, paths[0]), asked.seconds)
            rows.append(
                [names.get(kind, f"Textual's {kind}" if kind == "DataTable" else f"textual-{kind}"),
                 f"{count:,}", f"{row['first'] * 1000:.0f}", *row["load"],
                 f"{row['mb'] - empty['mb']:.0f}"]
            )  # fmt: skip
    print_table(f"The console's table under {UPDATES:,} updates a second", HEADERS, rows)


if __name__ == "__main__":
    main()
