"""The app of dsq-provider: runs the supervisor in a worker and shows its snapshots.

The screen starts unarmed: keys that end or stop something work for two minutes after ``A``.
Leaving asks first, and leaves the jobs running in Slurm.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from textual.binding import Binding, BindingType
from textual.worker import Worker

from dsq.console.dialogs.confirm import Confirm
from dsq.console.provider.prices import ShareHistory
from dsq.console.provider.screens.base import VIEWS
from dsq.console.provider.screens.jobs import JobsView
from dsq.console.provider.screens.notices import NoticesView
from dsq.console.provider.screens.tables import (
    ClusterView,
    LogView,
    PricesView,
    TransactionsView,
)
from dsq.console.provider.terminal import KeptTerminal
from dsq.console.widgets.frame import DsqApp, number_keys
from dsq.console.widgets.lines import Line
from dsq.console.widgets.words import credits_text, duration_text, plural
from dsq.core.errors import DsqError, UnreachableError
from dsq.supervisor.ending import Ending
from dsq.supervisor.snapshot import AgentSnapshot, Connection, JobRow, Mode
from dsq.themes.loader import ThemeFile

if TYPE_CHECKING:
    from dsq.core.wallet import Wallet
    from dsq.supervisor.settings import ProviderSettings

ARMED_SECONDS = 120.0
RETRY_DELAYS = (2.0, 4.0, 8.0, 15.0, 30.0)


class Operator(Protocol):
    """What the screen may ask of the supervisor's agent."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def drain(self) -> None: ...
    def cancel_job(self, job_id: int, reason: str = ...) -> None: ...


class Runner(Protocol):
    """Runs the supervisor until ``stop`` is set."""

    def __call__(
        self,
        *,
        stop: asyncio.Event,
        on_snapshot: Callable[[AgentSnapshot], None],
        on_ready: Callable[[Any], None],
    ) -> Awaitable[None]: ...


def supervisor_runner(settings: ProviderSettings, wallet: Wallet | None) -> Runner:
    """Runs the real supervisor; whoever starts the screen has checked the account before."""

    async def run(
        *,
        stop: asyncio.Event,
        on_snapshot: Callable[[AgentSnapshot], None],
        on_ready: Callable[[Any], None],
    ) -> None:
        from dsq.supervisor.run import run_provider

        await run_provider(
            settings,
            stop=stop,
            on_snapshot=on_snapshot,
            on_ready=on_ready,
            wallet=wallet,
            shared_account=True,
        )

    return run


class ProviderApp(DsqApp):
    """The screen of one provider.

    Args:
        settings: The provider's settings.
        wallet: Its key; None lets the supervisor open the one that the settings name.
        runner: Runs the supervisor; the real one by default.
        ending: Ends the process in time, whatever hangs; the real one by default.
        now: Unix seconds; tests freeze it.
    """

    TITLE = "dsq-provider"
    MODES: ClassVar[dict[str, Any]] = {
        "jobs": JobsView,
        "cluster": ClusterView,
        "prices": PricesView,
        "transactions": TransactionsView,
        "log": LogView,
        "notices": NoticesView,
    }
    DEFAULT_MODE = "jobs"

    BINDINGS: ClassVar[list[BindingType]] = [
        *number_keys(VIEWS),
        # A letter belongs to the line that is typed into.
        Binding(
            "q",
            "leave",
            "Quit",
            tooltip="Stop the supervisor; jobs go on in Slurm",
            id="provider.quit",
        ),
        Binding(
            "ctrl+q,ctrl+c",
            "leave",
            "Quit",
            priority=True,
            show=False,
            tooltip="The same, from everywhere",
            id="provider.leave",
        ),
    ]

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        wallet: Wallet | None = None,
        runner: Runner | None = None,
        ending: Ending | None = None,
        now: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
        themes: Sequence[ThemeFile] = (),
    ) -> None:
        super().__init__(now=now, zone=zone, themes=themes)
        self._supervisor = runner or supervisor_runner(settings, wallet)
        self._terminal: KeptTerminal | None = None
        self._ending = ending or Ending(leave=self._leave_at_once)
        self._stop = self._ending.stop
        self._supervising: Worker[None] | None = None
        self._armed_until = 0.0
        self._revision = 0
        self.share_history = ShareHistory()
        self._retry_at = 0.0
        self.snapshot: AgentSnapshot | None = None
        self.operator: Operator | None = None
        self.progress = "starting…"

    def run(self, **options: Any) -> Any:
        # The log goes to the screen; a line on standard error would tear it.
        logging.getLogger().addHandler(logging.NullHandler())
        logging.getLogger("dsq").setLevel(logging.INFO)
        self._terminal = KeptTerminal()
        return super().run(**options)

    def on_mount(self) -> None:
        # In another thread than the first there are no signals.
        with contextlib.suppress(RuntimeError, ValueError):
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self._halt)
        self._supervising = self.run_worker(
            self._supervise(), group="supervisor", exit_on_error=False
        )

    # -- the supervisor ---------------------------------------------------------------

    async def _supervise(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            try:
                await self._supervisor(
                    stop=self._stop, on_snapshot=self._look, on_ready=self._take_operator
                )
            except UnreachableError as error:
                if self.snapshot is not None:
                    attempt = 0
                self.report(error, "supervisor")
                await self._wait(RETRY_DELAYS[min(attempt, len(RETRY_DELAYS) - 1)], error)
                attempt += 1
            except Exception as error:  # shown by run(), after the screen has gone
                self.fail(error)
                return
            else:
                break
        self.exit()

    async def _wait(self, delay: float, error: DsqError) -> None:
        self.operator, self.progress = None, error.message
        self._retry_at = self.now() + delay
        self._revision += 1
        try:
            await asyncio.wait_for(self._stop.wait(), delay)
        except TimeoutError:
            self._retry_at = 0.0

    def _look(self, snapshot: AgentSnapshot) -> None:
        self.snapshot = snapshot
        self.share_history.take(snapshot.at, snapshot.shares)
        self._revision += 1

    def _take_operator(self, agent: Operator) -> None:
        self.operator = agent
        self.progress = "reading the chain and the cluster…"
        self._revision += 1

    def revision(self) -> Hashable:
        return self._revision, self.notices.revision, self.armed_for > 0

    @property
    def notices_unread(self) -> int:
        return self.notices.unread

    @property
    def banner(self) -> str:
        """What is wrong; nothing hides the banner."""
        if self._stop.is_set():
            return "Stopping; jobs go on in Slurm and are settled by the next start."
        if self._retry_at:
            wait = max(0, round(self._retry_at - self.now()))
            return f"{self.progress}\nNext attempt in {wait} s."
        if self.snapshot is None:
            return ""
        down = [each for each in self.snapshot.connections if each.ok is False]
        if not down:
            return ""
        return f"Not reachable: {down_words(down)}.\n{going_on_words(down, self.snapshot)}"

    # -- what the operator does ---------------------------------------------------------

    @property
    def armed_for(self) -> float:
        """Seconds for which dangerous keys still work."""
        return max(0.0, self._armed_until - self.now())

    def action_arm(self) -> None:
        self._armed_until = 0.0 if self.armed_for else self.now() + ARMED_SECONDS
        self.tick()
        self.screen.refresh_bindings()

    def _may(self, what: str, *, dangerous: bool) -> Operator | None:
        """The agent, if it runs and the keys are armed as they must be."""
        if self.operator is None:
            self.notify("The supervisor is not running yet.", severity="warning", markup=False)
            return None
        if dangerous and not self.armed_for:
            self.notify(
                f"Press A first: {what} works only armed.", severity="warning", markup=False
            )
            return None
        return self.operator

    def action_pause(self) -> None:
        agent = self._may("pausing", dangerous=False)
        if agent is None or self.snapshot is None:
            return
        if self.snapshot.mode is Mode.CLAIMING:
            agent.pause()
            self.tell("Claims nothing new; jobs go on. p claims again.", "claiming")
        else:
            agent.resume()
            self.tell("Claims new jobs again.", "claiming")

    def action_drain(self) -> None:
        agent = self._may("draining", dangerous=True)
        if agent is None or self.snapshot is None:
            return
        counts = self.snapshot.counts
        open_jobs = plural(counts.running + counts.waiting, "job")
        lines: list[Line] = [
            [(f"No new job is claimed; {open_jobs} go on to their ends.", "foreground")],
            [("p claims again.", "muted")],
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                agent.drain()
                self.tell(f"Draining: {open_jobs} left.", "claiming", severity="warning")

        self.push_screen(
            Confirm("Drain this provider?", lines, yes="Drain", no="Go on claiming"), answered
        )

    def ask_cancel(self, row: JobRow) -> None:
        """Asks, naming what dies, then takes the job out of Slurm."""
        agent = self._may("cancelling", dangerous=True)
        if agent is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                try:
                    agent.cancel_job(row.job_id)
                except DsqError as error:
                    self.report(error, f"cancel job {row.job_id}")
                else:
                    self.tell(
                        f"Job {row.job_id} is being taken out of Slurm.",
                        "cancel",
                        severity="warning",
                    )

        title = f"Take job {row.job_id} out of Slurm?"
        self.push_screen(Confirm(title, cancel_lines(row), yes="Cancel the job"), answered)

    def action_leave(self) -> None:
        """Asks, then stops the supervisor; a second call does not ask again."""
        if self._stop.is_set() or isinstance(self.screen, Confirm):
            return
        if self.operator is None:
            self._halt()
            return
        lines: list[Line] = [
            [("Nothing is claimed or reported until the next start.", "foreground")],
            [("Jobs go on in Slurm; the next start reports and settles them.", "foreground")],
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                self._halt()

        question = Confirm("Stop the supervisor?", lines, yes="Stop", no="Go on", danger=False)
        self.push_screen(question, answered)

    def _halt(self) -> None:
        """Stops the supervisor; the process is over five seconds later, whatever hangs."""
        self._ending.end()
        self._revision += 1
        if self.operator is None and self._supervising is not None:
            # What has not begun does not look for the stop.
            self._supervising.cancel()
            self.exit()

    def _leave_at_once(self, code: int) -> None:
        if self._terminal is not None:
            self._terminal.restore("dsq-provider: cut off; what is left is in the journal.")
        os._exit(code)


def down_words(down: Sequence[Connection]) -> str:
    """Which services do not answer, and why; those with the same reason together."""
    reasons: dict[str, list[str]] = {}
    for each in down:
        reasons.setdefault(each.detail.rstrip(".") or "no answer", []).append(each.name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())


def going_on_words(down: Sequence[Connection], snapshot: AgentSnapshot) -> str:
    """What goes on while services do not answer, and what waits for them."""
    if {each.name for each in down} != {"accounting"}:
        return "Jobs go on; reports wait in the journal."
    untold = snapshot.counts.untold
    wait = f"{untold:,} that left Slurm's queue" if untold else "those that leave Slurm's queue"
    return f"Jobs are claimed and go on; {wait} wait for their ends."


def cancel_lines(row: JobRow) -> list[Line]:
    """What cancelling a job of this provider ends and costs."""
    ran = f"It has run for {duration_text(row.elapsed)}." if row.elapsed else "It has not run yet."
    lines: list[Line] = [[(ran, "foreground"), (f"  Customer {row.customer.short}.", "muted")]]
    if row.elapsed:
        earned = credits_text(row.earned)
        lines.append([(f"Its end is reported; the share up to now is {earned}.", "foreground")])
    else:
        lines.append([("It goes back to the grid, which may place it elsewhere.", "foreground")])
    return lines
