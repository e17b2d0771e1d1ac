"""How the console's table bears many jobs: first paint, keys under updates, memory.

``python -m tests.benchmarks.bench_console [JOBS ...]``; beside it Textual's DataTable and
textual-fastdatatable in the same run, where they are installed. Key-to-paint is the time from
posting a key until the screen's strips with the moved cursor are made.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from textual import events
from textual.app import App, ComposeResult
from textual.widgets import DataTable

from dsq.console.user.app import ConsoleApp
from dsq.console.user.job_store import JobStore
from dsq.console.widgets.table import LiveTable
from dsq.core.model import Job, JobStatus
from dsq.core.readmodel import Anchor, ReadModel
from tests.benchmarks.table import print_table
from tests.support.fake_grid import GAIA, IRIS, ME, FakeGrid, FakeHead, job, provider

SIZE = (160, 48)
OPEN = 1000
SECONDS = 10.0
UPDATES = 10_000


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
            cost=5000,
        )


def prepared(folder: Path, count: int) -> Path:
    """A read model's file with so many jobs."""
    path = folder / f"{count}.sqlite"
    model = ReadModel(path)
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


async def console_row(path: Path, count: int, empty: float) -> list[str]:
    """One run of the console on a file: a row of the table."""
    grid = StillGrid(known_providers=[provider(GAIA, "gaia"), provider(IRIS, "iris")])
    grid.count, grid.model, grid.block = count, ReadModel(path), far_head(count).number

    async def connect() -> FakeGrid:
        return grid

    begun = time.perf_counter()
    app = ConsoleApp(
        connect, now=time.time, open_store=lambda _: JobStore(ReadModel(path)), account=ME
    )
    async with app.run_test(size=SIZE):
        while f"job-{count}" not in "".join(
            strip.text for strip in app.screen._compositor.render_strips()
        ):
            await asyncio.sleep(0.002)
        first = time.perf_counter() - begun
        while not app.state.link.online:
            await asyncio.sleep(0.01)
        stop = asyncio.Event()
        pushing = asyncio.create_task(push(app, count, stop))
        keys = await keys_under_load(app, lambda: app.screen.query_one(LiveTable).cursor)
        stop.set()
        pushed, seconds = await pushing
        used = megabytes() - empty
    grid.model.close()
    return [
        f"dsq-console, {count:,}", f"{first * 1000:.0f}", *keys, f"{pushed / seconds:,.0f}",
        f"{used:.0f}",
    ]  # fmt: skip


async def push(app: ConsoleApp, count: int, stop: asyncio.Event) -> tuple[int, float]:
    """Ten thousand changes of open jobs a second, as the feed would put them."""
    rng, pushed, begun = random.Random(1), 0, time.perf_counter()
    opened = [app.state.jobs.get(count - n) for n in range(OPEN)]
    while not stop.is_set():
        due = int((time.perf_counter() - begun) * UPDATES) - pushed
        for _ in range(max(0, due)):
            old = rng.choice(opened)
            assert old is not None
            changed = dataclasses.replace(old, last_error=str(pushed))
            app.state.jobs.put(changed)
            pushed += 1
        await asyncio.sleep(0.01)
    return pushed, time.perf_counter() - begun


async def keys_under_load(app: App[None], cursor: Callable[[], int]) -> list[str]:
    """Median and 95th percentile of key to paint, milliseconds.

    From a key in the app's queue until the picture with the moved cursor goes to the terminal.
    """
    painted, display = asyncio.Event(), app._display

    def noting(*args: Any) -> None:
        display(*args)
        painted.set()

    app._display = noting  # type: ignore[method-assign]
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        key = "down" if len(times) % 60 < 40 else "up"
        before, begun = cursor(), time.perf_counter()
        app.post_message(events.Key(key, None))
        while cursor() == before:
            await asyncio.sleep(0)
        painted.clear()
        await painted.wait()
        times.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(0.03)
    app._display = display  # type: ignore[method-assign]
    return [f"{statistics.median(times):.1f}", f"{statistics.quantiles(times, n=20)[18]:.1f}"]


class Plain(App[None]):
    """A table of Textual's with the same jobs."""

    def __init__(self, jobs: list[Job]) -> None:
        super().__init__()
        self.jobs = jobs

    def compose(self) -> ComposeResult:
        yield DataTable()

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        table.add_columns("id", "name", "status", "provider", "cost")
        for each in reversed(self.jobs):
            table.add_row(*cells(each), key=str(each.id))


def cells(each: Job) -> tuple[str, ...]:
    """A job's cells."""
    return (
        str(each.id), each.name, each.status.name, each.provider.hex(), str(each.cost.final_cost)
    )  # fmt: skip


async def plain_row(count: int, empty: float) -> list[str]:
    """Textual's own table with the same jobs, without updates."""
    begun = time.perf_counter()
    app = Plain(list(many(count)))
    async with app.run_test(size=SIZE):
        app.screen._compositor.render_strips()
        first = time.perf_counter() - begun
        keys = await keys_under_load(app, lambda: app.query_one(DataTable).cursor_row)
        used = megabytes() - empty
    return [f"Textual's DataTable, {count:,}", f"{first * 1000:.0f}", *keys, "none", f"{used:.0f}"]


async def empty_app() -> float:
    """Memory with a console that has no jobs."""

    async def connect() -> FakeGrid:
        return FakeGrid()

    app = ConsoleApp(connect)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        return megabytes()


def main() -> None:
    """Prints the table."""
    counts = [int(text) for text in sys.argv[1:]] or [10_000, 100_000]
    with tempfile.TemporaryDirectory() as folder:
        paths = {count: prepared(Path(folder), count) for count in counts}
        empty = asyncio.run(empty_app())
        rows = [asyncio.run(console_row(paths[count], count, empty)) for count in counts]
        rows.append(asyncio.run(plain_row(min(counts), empty)))
    print_table(
        "The console's table",
        ("what", "first paint ms", "key p50 ms", "key p95 ms", "updates/s", "MB above empty"),
        rows,
    )


if __name__ == "__main__":
    main()
