"""dsq-provider's screen: the three truths, and keys that are armed first."""

from __future__ import annotations

import asyncio

import pytest

from dsq.console.provider import app as module
from dsq.console.provider.screens.jobs import JobsView
from dsq.core.errors import NotFoundError, SettingsError, UnreachableError
from dsq.core.model import JobStatus
from dsq.supervisor.snapshot import Connection, Mode
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
            ("3", ("claimNextJob()", "143,201", "◷ sending")),
            ("4", ("cluster=slow", "provider=gaia started")),
            ("5", ("Nothing to tell yet.",)),
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
        for key in ("1", "2", "3", "4"):
            await robot.press(key)
            assert not set(robot.text) & set("\x1b\u202e\u200b")
        assert "[red]x[/]" in robot.text or Mode.CLAIMING
