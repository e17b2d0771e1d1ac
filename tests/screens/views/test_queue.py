"""Offline: submits wait in a queue and are sent once; what needs the grid is refused."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dsq.console.user.app import ConsoleApp
from dsq.console.user.job_store import JobStore
from dsq.console.user.outbox import KEY_SECONDS, Outbox, Queued
from dsq.console.user.screens.submit import SubmitScreen
from dsq.core.errors import CreditsError, TransactionError, UnreachableError
from dsq.core.model import Affinity, Job, Label, WhyNot
from dsq.core.readmodel import ReadModel
from dsq.core.units import CREDIT
from tests.screens.views.test_submit_view import GOOD, write
from tests.support.console import Clock, Robot, jobs_shown
from tests.support.fake_grid import ME, NOW, FakeGrid, some_jobs


class Losing(FakeGrid):
    """Makes the job, then loses its answer, as often as it is told to."""

    lost = 0

    async def submit(self, workflow: Mapping[str, Any], credits: int, **more: Any) -> Job:  # noqa: A002
        made = await super().submit(workflow, credits, **more)
        if self.lost:
            self.lost -= 1
            raise TransactionError("The transaction was not mined in time.")
        return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def options(tmp_path: Path, clock: Clock) -> dict[str, Any]:
    def opens(_: object) -> JobStore:
        return JobStore(ReadModel(tmp_path / "jobs.sqlite"))

    return {"open_store": opens, "account": ME, "now": clock, "size": (120, 40)}


def go_offline(app: ConsoleApp, grid: FakeGrid) -> None:
    grid.alive = False
    app.feed._offline(UnreachableError("The chain does not answer."), 4)


async def come_back(robot: Robot, grid: FakeGrid, clock: Clock) -> None:
    app: Any = robot.app
    grid.alive = True
    clock.now += 60
    app.feed._online()
    await robot.until(lambda: app.state.link.online)


async def queue_one(robot: Robot, name: str = "train") -> None:
    screen = await write(robot, GOOD, f"{name}.yaml")
    assert isinstance(screen, SubmitScreen)
    await robot.press("ctrl+s")
    await robot.sees("Queue this job?", "no provider can be asked now", "queues it; nothing")
    await robot.press("enter")
    await robot.sees("⇡", name)


def submits(grid: FakeGrid) -> list[str]:
    return [given[2] for name, given in grid.sent if name == "submit"]


async def test_a_submit_waits_for_the_link_and_is_sent_once(tmp_path: Path, clock: Clock) -> None:
    """Offline it is queued and shown; with the link back it becomes one job and leaves the queue."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:
        app: Any = robot.app
        go_offline(app, grid)
        await queue_one(robot)
        await robot.sees("1 queued submit waits for the link: train", "Q shows them")
        file = tmp_path / "jobs.queue.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert submits(grid) == []
        await come_back(robot, grid, clock)
        await robot.sees("Job 42 train is submitted")
        await robot.until(lambda: "queued submit" not in robot.text)
        for _ in range(3):
            clock.now += 60
            app.send_queue()
            await robot.settle()
        assert submits(grid) == ["train"]
        assert file.read_text() == "[]"


async def test_a_lost_answer_makes_no_second_job(tmp_path: Path, clock: Clock) -> None:
    """The same key is used again, by the same console and by the next one after a crash."""
    grid = Losing().add(*some_jobs())
    grid.lost = 2
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:
        app: Any = robot.app
        go_offline(app, grid)
        await queue_one(robot)
        await come_back(robot, grid, clock)
        await robot.until(lambda: grid.lost == 1)
        await robot.sees("queued submit")
        first = app.state.outbox.items()[0]
        assert first.tried_at
        clock.now += 60
        app.send_queue()
        await robot.until(lambda: grid.lost == 0)
        await robot.until(lambda: app.busy == 0)
    clock.now += 60
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:
        await robot.sees("Job 42 train is submitted")
    assert submits(grid) == ["train"]
    assert list(grid.named) == [first.key]
    assert max(grid.known) == 42


async def test_what_was_tried_long_ago_is_left_to_the_user(tmp_path: Path, clock: Clock) -> None:
    """After the grid has forgotten the key nothing is sent; the queue says why."""
    old = Queued("old", {"steps": []}, 100 * CREDIT, tried_at=NOW - KEY_SECONDS - 1)
    Outbox(tmp_path / "jobs.queue.json").add(old)
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:
        await robot.sees("1 queued submit")
        await robot.press("Q")
        await robot.sees("may have been submitted already")
        await robot.press("enter")
        await robot.sees("Withdraw old?", "a job may exist all the same")
        await robot.press("y")
        await robot.sees("old is withdrawn")
    assert submits(grid) == []


async def test_a_queued_submit_can_be_withdrawn(tmp_path: Path, clock: Clock) -> None:
    """Before it is sent; afterwards nothing is left of it."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:
        app: Any = robot.app
        go_offline(app, grid)
        await queue_one(robot, "one")
        await queue_one(robot, "two")
        await robot.sees("2 queued submits wait for the link: one +1")
        await robot.press("Q", "enter")
        await robot.sees("Withdraw one?", "no credits are locked")
        await robot.press("y")
        await robot.sees("1 queued submit waits for the link: two")
        await come_back(robot, grid, clock)
        await robot.until(lambda: submits(grid) == ["two"])
        assert "one is withdrawn" in {each.text[:16] for each in app.notices._kept}


async def test_a_refused_submit_stays_with_its_reason(tmp_path: Path, clock: Clock) -> None:
    """It is not tried again by itself, and does not hold up the others."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:
        app: Any = robot.app
        go_offline(app, grid)
        await queue_one(robot)
        grid.fail["submit"] = CreditsError("The wallet holds 1 credit, not 100.")
        await come_back(robot, grid, clock)
        await robot.sees("queued submit failed", "holds 1 credit", "1 refused")
        del grid.fail["submit"]
        clock.now += 60
        app.send_queue()
        await robot.settle()
        assert submits(grid) == []
        await robot.press("Q")
        await robot.sees("refused: The wallet holds 1 credit")


async def test_what_needs_the_grid_is_refused_offline(tmp_path: Path, clock: Clock) -> None:
    """Cancel, top up and transfer say one sentence and ask nothing."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:
        go_offline(robot.app, grid)  # type: ignore[arg-type]
        for key, what in (("c", "cancelling"), ("t", "topping up")):
            await robot.press(key)
            await robot.sees("There is no connection to the grid", what)
            assert len(robot.app.screen_stack) == 1
        await robot.press("4", "t")
        await robot.sees("sending credits is")
    assert grid.sent == [("close", None)]


SWEEP = """\
sweep:
  parameters:
    - name: RATE
      values: ["0.1", "0.2", "0.3"]
"""


async def queue_sweep(robot: Robot, text: str) -> SubmitScreen:
    screen = await write(robot, GOOD, "lr.yaml")
    screen.load(text, "lr.yaml", Path("lr.yaml"))
    await robot.sees("3 jobs")
    await robot.press("ctrl+s")
    await robot.sees("Queue 3 jobs?", "each is sent once when the link is back")
    await robot.press("enter")
    return screen


async def test_a_sweep_waits_for_the_link_as_one(tmp_path: Path, clock: Clock) -> None:
    """Its jobs are one entry, are sent together, each once, also when an answer was lost."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:
        app: Any = robot.app
        go_offline(app, grid)
        await queue_sweep(robot, GOOD + SWEEP)
        await robot.sees("3 queued submits wait for the link: lr ")
        await robot.press("Q")
        await robot.sees("3 jobs of a sweep, 100.00 cr each, queued")
        await robot.press("escape")
        grid.most = 2
        await come_back(robot, grid, clock)
        await robot.sees("queued submit failed", "1 queued submit waits")
        grid.most = None
        clock.now += 60
        app.send_queue()
        await robot.until(lambda: len(submits(grid)) == 3)
        await robot.misses("queued submit waits")
        names = submits(grid)
        assert [name.rpartition(".")[2] for name in names] == ["1/3", "2/3", "3/3"]
        assert len({name.rpartition(".")[0] for name in names}) == 1
        made = [job for job in grid.known.values() if job.name in names]
        found = {app.state.sources.find(job.definition.batch_location_hash) for job in made}
        assert found == {GOOD + SWEEP}


async def test_queueing_does_not_wait_for_a_silent_grid(tmp_path: Path, clock: Clock) -> None:
    """A grid that never answers is not asked for estimates while there is no link."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:

        async def never(*_: Any) -> list[WhyNot]:
            await asyncio.Event().wait()
            return []

        go_offline(robot.app, grid)  # type: ignore[arg-type]
        grid.estimate = never  # type: ignore[method-assign]
        await queue_one(robot)


async def test_the_limit_of_a_queued_sweep_holds(tmp_path: Path, clock: Clock) -> None:
    """The next job is sent when one has ended; other submits do not wait for that."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:
        app: Any = robot.app
        go_offline(app, grid)
        await queue_sweep(robot, GOOD + SWEEP + "  limit: 1\n")
        await queue_one(robot, "other")
        await come_back(robot, grid, clock)
        await robot.until(lambda: len(submits(grid)) == 2)
        assert submits(grid)[1] == "other"
        await robot.sees("2 queued submits wait: lr ")
        await robot.press("Q")
        await robot.sees("1 open at most; sent when one ends")
        await robot.press("escape")
        for number in (1, 2):
            clock.now += 60
            app.send_queue()
            await robot.settle()
            assert len(submits(grid)) == number + 1
            newest = next(job for job in grid.known.values() if job.name.endswith(f".{number}/3"))
            await grid.cancel(newest.id)
            # The end of a job brings the next one by itself.
            await robot.until(lambda: len(submits(grid)) == number + 2)  # noqa: B023
        assert app.state.outbox.items() == ()


async def test_a_refused_sweep_stays_and_is_withdrawn_as_one(tmp_path: Path, clock: Clock) -> None:
    """What the grid refuses stays with its reason; one answer withdraws all of it."""
    grid = FakeGrid().add(*some_jobs())
    grid.fail["submit_many"] = CreditsError("The wallet holds 1 credit, not 300.")
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:
        app: Any = robot.app
        go_offline(app, grid)
        await queue_sweep(robot, GOOD + SWEEP)
        await come_back(robot, grid, clock)
        await robot.sees("holds 1 credit", "3 refused")
        await robot.press("Q", "enter")
        await robot.sees("Withdraw lr ", "refused: The wallet holds 1")
        await robot.press("y")
        await robot.misses("queued submit")
        assert app.state.outbox.items() == ()
    assert submits(grid) == []


async def test_a_huge_sweep_is_not_queued(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says how many are queued at most, and keeps the text."""
    monkeypatch.setattr("dsq.console.user.screens.submit_sending.QUEUED_JOBS", 2)
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, **options(tmp_path, clock)) as robot:
        go_offline(robot.app, grid)  # type: ignore[arg-type]
        screen = await write(robot, GOOD)
        screen.load(GOOD + SWEEP, "lr.yaml", Path("lr.yaml"))
        await robot.sees("3 jobs")
        await robot.press("ctrl+s")
        await robot.told("3 jobs are more than are queued at a time (2)")
        assert screen.editor.text == GOOD + SWEEP


async def test_read_only_sends_no_queue(tmp_path: Path, clock: Clock) -> None:
    """What another console queued waits for one that may sign."""
    Outbox(tmp_path / "jobs.queue.json").add(Queued("x", {}, CREDIT))
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid, read_only=True, **options(tmp_path, clock)) as robot:
        await robot.sees("1 queued submit")
        await robot.settle()
    assert submits(grid) == []


def test_the_file_keeps_everything(tmp_path: Path) -> None:
    """What is read is what was written, by another object as well; damage is told."""
    path = tmp_path / "deep" / "q.json"
    item = Queued(
        "näme",
        {"steps": [{"run": "x"}]},
        10**20 + 1,
        (Label("gpu", "a100"),),
        (Affinity("mem", ">=", "5"),),
        queued_at=7,
        source="text",
    )
    one, two = Outbox(path), Outbox(path)
    one.add(item)
    assert two.items() == (item,)
    two.update(item.key, tried_at=9)
    assert one.items() == (dataclasses.replace(item, tried_at=9),)
    with one.sending() as mine, two.sending() as also:
        assert (mine, also) == (True, False)
    assert one.remove(item.key) == (dataclasses.replace(item, tried_at=9),)
    assert two.remove(item.key) == ()
    grouped = dataclasses.replace(item, group="k3x9f2", limit=3)
    one.add(grouped)
    assert two.items() == (grouped,)
    old = json.loads(path.read_text())
    del old[0]["group"], old[0]["limit"]
    path.write_text(json.dumps(old))
    assert Outbox(path).items() == (item,)
    path.write_text('[{"key": 1}]')
    with pytest.raises(ValueError, match="damaged"):
        Outbox(path)
