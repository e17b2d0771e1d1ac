"""A key costs the same however many jobs there are: a ratio of CPU time in one run."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from dsq.console.widgets.table import LiveTable
from dsq.core.readmodel import Order, parse_filter
from tests.benchmarks.bench_console import OPEN, console, prepared, shown
from tests.support.console import WIDE

KEYS = 60
ROUNDS = 3


async def cpu_of_keys(path: Path, count: int, *, sorts: bool) -> float:
    """CPU seconds of pressing keys while all open jobs change, the best of a few rounds."""
    app = console(path, count)
    async with app.run_test(size=WIDE) as pilot:
        await shown(app, f"job-{count}")
        store = app.state.jobs
        while not (app.state.link.online and store.complete):
            await asyncio.sleep(0.01)
        if sorts:
            await store.show(parse_filter("job !nothing"), Order("cost"))
            await pilot.pause()  # The cursor stays with its job, wherever that is now.
        table: LiveTable[Any] = app.screen.query_one(LiveTable)
        opened = [each for n in range(OPEN) if (each := store.get(count - n)) is not None]
        taken = []
        for round_ in range(ROUNDS):
            before, begun = table.cursor, time.process_time()
            for number in range(KEYS):
                for each in opened[number % 10 :: 10]:
                    store.put(dataclasses.replace(each, last_error=f"{round_} {number}"))
                await pilot.press("down")
            taken.append(time.process_time() - begun)
            assert table.cursor == before + KEYS
        return min(taken)


@pytest.mark.slow
@pytest.mark.parametrize("sorts", [False, True], ids=["newest-first", "sorted"])
async def test_a_key_costs_no_more_with_a_hundred_times_the_jobs(
    tmp_path: Path, sorts: bool
) -> None:
    """Key to paint under changes takes less than twice the CPU with 100,000 jobs as with 1,000."""
    few, many = (prepared(tmp_path, count) for count in (1_000, 100_000))
    small = await cpu_of_keys(few, 1_000, sorts=sorts)
    large = await cpu_of_keys(many, 100_000, sorts=sorts)
    assert large < 2 * small, f"{large:.3f} s with 100,000 jobs, {small:.3f} s with 1,000"
