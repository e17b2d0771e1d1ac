"""The feed: connecting, following, losing and finding the grid again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from dsq.console.user import feed as module
from dsq.console.user.feed import Feed
from dsq.console.user.state import ConsoleState
from dsq.core.errors import ContractError, SettingsError, UnreachableError, WrongChainError
from dsq.core.model import Address, JobStatus
from tests.support.fake_grid import GAIA, NOW, FakeGrid, job, provider, some_jobs


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_DELAYS", (0.02,))
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.02)
    monkeypatch.setattr(module, "BALANCE_EVERY", 0.0)


states: list[ConsoleState] = []
"""The state of the running test, settled as the app does at each tick."""


@asynccontextmanager
async def running(
    grid: FakeGrid, failures: list[Exception] | None = None
) -> AsyncIterator[tuple[Feed, ConsoleState]]:
    state = ConsoleState("local")
    states[:] = [state]

    async def connect() -> FakeGrid:
        if failures:
            raise failures.pop(0)
        return grid

    feed = Feed(connect, state, lambda: NOW)
    task = asyncio.create_task(feed.run())
    try:
        yield feed, state
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)
            for state in states:
                state.jobs.settle()


def grid_of_jobs() -> FakeGrid:
    return FakeGrid().add(*some_jobs())


async def test_loads_everything_once_connected() -> None:
    """Jobs, money, providers, constants and the head are known, the link is up."""
    async with running(grid_of_jobs()) as (_, state):
        await until(lambda: state.link.online and state.loaded)
        assert state.jobs.total == 10
        assert state.balance is not None
        assert state.constants is not None
        assert state.providers.keys() >= {GAIA}


async def test_follows_changes_of_my_jobs() -> None:
    """An event makes the job be read again; the money too."""
    grid = grid_of_jobs()
    async with running(grid) as (_, state):
        await until(lambda: state.link.online)
        grid.money = grid.money.__class__(7, 0, 1)
        grid.change(39, status=JobStatus.META_SCHEDULED, provider=GAIA)
        await until(lambda: state.jobs.get(39).status is JobStatus.META_SCHEDULED)
        await until(lambda: state.balance.balance_wei == 7)


async def test_new_jobs_of_mine_appear_and_those_of_others_do_not() -> None:
    """A job submitted elsewhere with this wallet shows up by itself."""
    grid = grid_of_jobs()
    async with running(grid) as (_, state):
        await until(lambda: state.link.online)
        other = Address(b"\x01" * 20)
        grid.add(job(50, JobStatus.PENDING), job(51, JobStatus.PENDING, customer=other))
        grid.say("NewJobRequestEvent", job_id=51, customer=other)
        grid.say("NewJobRequestEvent", job_id=50, customer=grid.address)
        await until(lambda: state.jobs.get(50) is not None)
        assert state.jobs.get(51) is None


async def test_what_happened_while_it_was_loading_is_not_missed() -> None:
    """The first block of the feed makes open and newest jobs be read again."""
    grid = grid_of_jobs()
    async with running(grid) as (_, state):
        await until(lambda: state.loaded)
        grid.known[40] = job(40, JobStatus.FINISHED)
        await until(lambda: state.link.online)
        grid.heartbeat(reset=True)
        await until(lambda: state.jobs.get(40).status is JobStatus.FINISHED)


async def test_a_chain_that_went_back_is_read_anew() -> None:
    """After a reset nothing of the old chain stays."""
    grid = grid_of_jobs()
    async with running(grid) as (_, state):
        await until(lambda: state.link.online)
        grid.known = {1: job(1, JobStatus.PENDING)}
        grid.heartbeat(reset=True)
        await until(lambda: state.jobs.total == 1)


async def test_providers_come_and_go() -> None:
    """A provider's event makes the list be read again."""
    grid = grid_of_jobs()
    async with running(grid) as (_, state):
        await until(lambda: state.link.online)
        grid.known_providers.append(provider(Address(b"\x07" * 20), "aion"))
        grid.say("ProviderApproved", provider=Address(b"\x07" * 20))
        await until(lambda: len(state.providers) == 3)


async def test_an_unreachable_grid_is_tried_again() -> None:
    """The link is offline with a time for the next attempt, then comes up; both are told."""
    failures: list[Exception] = [UnreachableError("No answer."), UnreachableError("No answer.")]
    async with running(grid_of_jobs(), failures) as (_, state):
        await until(lambda: state.link.state == "offline")
        assert state.link.retry_at > NOW
        assert state.link.reason == "No answer."
        await until(lambda: state.link.online)
        assert [state.notices.row(n).subject for n in range(len(state.notices))] == [
            "connection",
            "connection",
        ]


async def test_retry_now_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """r ends the wait."""
    monkeypatch.setattr(module, "RETRY_DELAYS", (60.0,))
    async with running(grid_of_jobs(), [UnreachableError("No answer.")]) as (feed, state):
        await until(lambda: state.link.state == "offline")
        feed.retry_now()
        await until(lambda: state.link.online)


async def test_a_silent_feed_is_probed() -> None:
    """Without events the head is asked for; when that fails the link is offline, and back."""
    grid = grid_of_jobs()
    async with running(grid) as (_, state):
        await until(lambda: state.link.online)
        grid.alive = False
        await until(lambda: state.link.state == "offline")
        assert state.jobs.total == 10
        grid.alive = True
        await until(lambda: state.link.online)


async def test_what_waiting_does_not_mend_is_raised() -> None:
    """A wrong chain or a wallet that does not open ends the feed with that error."""

    async def connect() -> FakeGrid:
        raise WrongChainError("Another chain.")

    with pytest.raises(WrongChainError):
        await Feed(connect, ConsoleState("local"), lambda: NOW).run()


async def test_later_errors_are_kept_and_tried_again() -> None:
    """Once it was open, any error of the grid is told and tried again."""
    grid = grid_of_jobs()
    grid.fail["providers"] = ContractError("The contract refused.")
    async with running(grid) as (_, state):
        await until(lambda: state.link.state == "offline")
        assert state.notices.row(len(state.notices) - 1).severity == "error"
        grid.fail.clear()
        await until(lambda: state.link.online)


async def test_a_fault_of_ours_does_not_end_the_feed() -> None:
    """An unexpected exception is a notice, not the end of the console."""
    async with running(grid_of_jobs(), [ZeroDivisionError("oops")]) as (_, state):
        await until(lambda: state.link.online)
        assert any(state.notices.row(n).text == "oops" for n in range(len(state.notices)))


async def test_without_a_connection_actions_say_so() -> None:
    """What needs the grid fails with one sentence."""
    feed = Feed(FakeGrid, ConsoleState("local"), lambda: NOW)  # type: ignore[arg-type]
    with pytest.raises(UnreachableError, match="not connected yet"):
        feed.require_grid()


async def test_the_oracle_may_be_silent() -> None:
    """Without an answer the job simply has no reason, and nothing is reported."""
    grid = grid_of_jobs()
    async with running(grid) as (feed, state):
        await until(lambda: state.link.online)
        await feed.refresh_why(39)
        assert state.whys[39].place == 2
        grid.fail["why"] = SettingsError("No oracle.")
        await feed.refresh_why(39)
        assert 39 not in state.whys
        assert not len(state.notices)
