"""dsq-provider's screen: the three truths, and keys that are armed first."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from typing import Any

import pytest

from dsq.console.provider import app as module
from dsq.console.provider.screens.jobs import JobsView
from dsq.core.errors import NotFoundError, SettingsError, UnreachableError
from dsq.core.model import JobStatus, ProviderPrices
from dsq.core.units import CREDIT
from dsq.supervisor.ending import Ending
from dsq.supervisor.snapshot import Connection, Counts, Mode
from tests.support.console import NARROW, WIDE, Clock, provider_screen, using
from tests.support.fake_supervisor import FakeSupervisor, job_row, some_snapshot


async def test_shows_the_three_truths_side_by_side() -> None:
    """Chain, Slurm and the journal's last event in one row; a row that disagrees is marked."""
    async with using(provider_screen(), WIDE) as robot:
        await robot.sees("gaia", "● approved", "chain", "#1,204", "22.05.8", "UNARMED (A)")
        await robot.sees("▶ RUNNING", "R 90213", "n[3-4]", "PD 90216", "(Resource")
        row = next(line for line in robot.text.splitlines() if "seen ended, exit 0" in line)
        assert "! 43" in row
        assert "– gone" in row
        await robot.sees("today 412.70", "1 job being mended", "providerSetJobStatus(41, RUNNING)")


async def test_fits_eighty_columns() -> None:
    """All services keep their marks, and what happens last stays in view."""
    async with using(provider_screen(), NARROW) as robot:
        await robot.sees("chain ●", "cluster ●", "sbatch ●", "logs ●", "LAST EVENT", "LEFT")


async def test_dangerous_keys_need_arming() -> None:
    """Unarmed, cancel and drain do nothing but say so; armed they ask, then act."""
    supervisor = FakeSupervisor()
    async with using(provider_screen(supervisor)) as robot:
        await robot.press("c", "d")
        await robot.sees("Press A first")
        assert isinstance(robot.app.screen, JobsView)
        await robot.press("A")
        await robot.sees("ARMED 2:00")
        await robot.press("c")
        await robot.sees("Take job 41 out of Slurm?", "It has run for 3:04:11.")
        await robot.press("escape")
        assert not supervisor.asked
        await robot.press("c", "y")
        assert supervisor.asked == [("cancel", 41)]
        await robot.press("d", "y")
        await robot.sees("▼ draining")
        assert supervisor.asked[-1] == "drain"


async def test_arming_ends_by_itself() -> None:
    """After two minutes the keys are safe again; a second A ends it at once."""
    clock = Clock()
    async with using(provider_screen(now=clock)) as robot:
        await robot.press("A")
        await robot.sees("ARMED 2:00")
        clock.now += 121
        await robot.sees("UNARMED")
        await robot.press("A", "A")
        await robot.sees("UNARMED")


async def test_pausing_is_not_dangerous() -> None:
    """p pauses and resumes claiming without arming."""
    supervisor = FakeSupervisor()
    async with using(provider_screen(supervisor)) as robot:
        await robot.press("p")
        await robot.sees("‖ paused")
        await robot.press("p")
        await robot.sees("▶ claiming")
        assert supervisor.asked == ["pause", "resume"]


async def test_leaving_asks_and_lets_jobs_run() -> None:
    """q says that jobs go on; the supervisor is stopped, not killed."""
    supervisor = FakeSupervisor()
    async with using(provider_screen(supervisor)) as robot:
        await robot.press("q")
        await robot.sees("Stop the supervisor?", "Jobs go on in Slurm")
        await robot.press("escape")
        assert not supervisor.stopped
        await robot.press("ctrl+c", "y")
        async with asyncio.timeout(5):
            while not supervisor.stopped:
                await asyncio.sleep(0.01)


async def test_a_service_that_is_down_is_named() -> None:
    """The banner says which one and why, the mark changes its shape."""
    connections = (
        Connection("chain", True),
        Connection("cluster", False, "timed out"),
        Connection("logs", None),
    )
    supervisor = FakeSupervisor(some_snapshot(connections=connections))
    async with using(provider_screen(supervisor)) as robot:
        await robot.sees("cluster ×", "logs ○", "Not reachable: cluster: timed out")


async def test_an_unreachable_chain_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The screen stays, counts down and goes on by itself."""
    monkeypatch.setattr(module, "RETRY_DELAYS", (0.3,))
    supervisor = FakeSupervisor()
    supervisor.fail = [UnreachableError("The chain does not answer.")]
    async with using(provider_screen(supervisor)) as robot:
        await robot.sees("The chain does not answer.", "Next attempt in")
        await robot.sees("● approved")


async def test_other_failures_end_the_screen_with_their_error() -> None:
    """What cannot be mended by waiting is raised after the screen has gone."""
    supervisor = FakeSupervisor()
    supervisor.fail = [SettingsError("The workdir is not writable.")]
    app = provider_screen(supervisor)
    async with app.run_test():
        pass
    assert isinstance(app.failure, SettingsError)
    supervisor.fail = [SettingsError("The workdir is not writable.")]
    with pytest.raises(SettingsError, match="workdir"):
        await asyncio.to_thread(provider_screen(supervisor).run, headless=True)


async def test_a_refused_cancel_is_told() -> None:
    """The agent's error is shown and kept."""
    supervisor = FakeSupervisor()

    def refuse(job_id: int, reason: str = "") -> None:
        raise NotFoundError(f"The journal has no job {job_id}.")

    supervisor.cancel_job = refuse  # type: ignore[method-assign]
    async with using(provider_screen(supervisor)) as robot:
        await robot.press("A", "c", "y")
        await robot.sees("The journal has no job 41.")


async def test_the_other_views() -> None:
    """Nodes with what is free, transactions, the log, notices."""
    async with using(provider_screen(), WIDE) as robot:
        for key, texts in (
            ("2", ("FREE CPUS", "◑ mixed", "16/64", "× down*", "partition main")),
            ("3", ("A MINUTE", "node: 32 CPUs, 4 GPUs, 128 GB ×2")),
            ("4", ("claimNextJob()", "143,201", "◷ sending")),
            ("5", ("cluster=slow", "provider=gaia started")),
            ("6", ("Nothing to tell yet.",)),
        ):
            await robot.press(key)
            await robot.sees(*texts)
        await robot.press("escape")
        await robot.sees("CHAIN")


async def test_an_empty_provider_teaches() -> None:
    """Before approval there are no jobs; the screen says what is waited for."""
    snapshot = some_snapshot(rows=(), provider=None, proposal=None, txs=(), log_lines=())
    async with using(provider_screen(FakeSupervisor(snapshot))) as robot:
        await robot.sees("○ not registered", "No job yet.", "once the provider is approved")


async def test_hostile_text_from_slurm_and_strangers() -> None:
    """Node names, reasons, errors and log lines are only text."""
    bad = "[red]x[/]\x1b[31m\u202e\u200b\n"
    row = job_row(
        1,
        JobStatus.RUNNING,
        bad,
        nodes=bad,
        reason=bad,
        last_event=bad * 50,
        last_error=bad,
        phase=bad,
    )
    snapshot = some_snapshot(rows=(row,), name=bad, partition=bad, registration=bad)
    async with using(provider_screen(FakeSupervisor(snapshot)), WIDE) as robot:
        for key in ("1", "2", "3", "4", "5"):
            await robot.press(key)
            assert not set(robot.text) & set("\x1b\u202e\u200b")
        assert "[red]x[/]" in robot.text or Mode.CLAIMING


async def test_a_filter_shows_some_rows_only() -> None:
    """In every table, by what the cells say; escape shows all again, letters are only letters."""
    async with using(provider_screen(), WIDE) as robot:
        await robot.press("slash")
        await robot.type("chain:running !gone")
        await robot.sees("reported running", "1 of 4")
        await robot.misses("seen ended, exit 0")
        await robot.press("q", "A")
        await robot.sees("/ chain:running !goneqA")
        await robot.press("enter", "escape")
        await robot.sees("seen ended, exit 0")
        for key, words, seen, missed in (
            ("2", "state:down", "n8", "32/32"),
            ("3", "~^gpu", "GPU", "MB of memory"),
            ("4", "claim|nothing", "claimNextJob()", "providerSetJobStatus(41"),
            ("5", "level:warning", "cluster=slow", "provider=gaia"),
        ):
            await robot.press(key, "slash")
            await robot.type(words)
            await robot.press("enter")
            await robot.sees(seen, "1 of")
            await robot.misses(missed)
            await robot.press("escape", "escape")
            assert isinstance(robot.app.screen, JobsView)


async def test_a_filter_that_makes_no_sense_says_so() -> None:
    """With the close match; what was shown before stays."""
    async with using(provider_screen()) as robot:
        await robot.press("2", "slash")
        await robot.type("stat:down")
        await robot.sees("There is no column 'stat'", "Did you mean 'state'?", "n7")


async def test_prices_by_unit_node_and_hour() -> None:
    """Beside the contract's units, with what remains; changed ones say what holds meanwhile."""
    changed = ProviderPrices(CREDIT, CREDIT // 10, CREDIT // 10**7)
    supervisor = FakeSupervisor()
    async with using(provider_screen(supervisor), WIDE) as robot:
        await robot.press("3")
        await robot.sees("the grid keeps 20 %, 80 % are yours", "per node-hour of the day")
        supervisor.look(prices=changed)
        await robot.sees("◷ changed: those on chain", "60.00", "48.00")


async def test_a_silent_accounting_is_named_with_what_waits_for_it() -> None:
    """Degraded, not down: jobs are still claimed."""
    connections = (
        Connection("chain", True),
        Connection("cluster", True),
        Connection("accounting", False, "sacct gave no answer in 20 s."),
    )
    supervisor = FakeSupervisor(some_snapshot(connections=connections, counts=Counts(untold=2)))
    async with using(provider_screen(supervisor)) as robot:
        await robot.sees("accounting ×", "sacct gave no answer", "2 that left Slurm's queue")


async def test_leaving_is_bounded_whatever_hangs() -> None:
    """A supervisor that heeds neither its stop nor its cancel: the process leaves in time."""
    left, codes, freed = threading.Event(), [], asyncio.Event()

    class Hanging(FakeSupervisor):
        async def __call__(self, **options: Any) -> None:
            run = asyncio.ensure_future(super().__call__(**options))
            while not freed.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await freed.wait()
            run.cancel()

    def leave(code: int) -> None:
        codes.append(code)
        left.set()

    app = provider_screen(Hanging(), ending=Ending(seconds=0.05, leave=leave))
    async with using(app) as robot:
        await robot.press("q", "y")
        assert await asyncio.to_thread(left.wait, 5)
        assert codes == [0]
        freed.set()


async def test_a_start_is_broken_off() -> None:
    """What hangs before there is an agent is not waited for."""

    class Starting(FakeSupervisor):
        async def __call__(self, **_: Any) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped = True

    supervisor = Starting()
    app = provider_screen(supervisor)
    async with using(app) as robot:
        await robot.press("ctrl+c")
        async with asyncio.timeout(5):
            while not supervisor.stopped:
                await asyncio.sleep(0.01)


async def test_sigterm_stops_the_supervisor_without_a_question() -> None:
    """As a service's does; so does a terminal that is closed."""
    supervisor = FakeSupervisor()
    async with using(provider_screen(supervisor)):
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            while not supervisor.stopped:
                await asyncio.sleep(0.01)
