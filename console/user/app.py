"""The app of dsq-console: the screens' common ground.

All I/O runs in workers, which write to the state; the screens read it at their ticks.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Hashable, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from dsq.console.dialogs.confirm import Confirm
from dsq.console.dialogs.first_run import FirstRun
from dsq.console.dialogs.top_up import TopUp
from dsq.console.dialogs.transfer import Sending, Transfer, transfer_lines
from dsq.console.keymap import load_keymap
from dsq.console.preferences import Preferences, save_preferences
from dsq.console.templates import template
from dsq.console.user.access import Access
from dsq.console.user.accounting import account
from dsq.console.user.details import job_name, settled_line
from dsq.console.user.feed import Connect, Feed
from dsq.console.user.job_store import JobStore
from dsq.console.user.log_session import LogSession
from dsq.console.user.notify import tell_outside
from dsq.console.user.outbox import Outbox
from dsq.console.user.port import GridPort
from dsq.console.user.queue_app import QueueApp
from dsq.console.user.screens.base import VIEWS
from dsq.console.user.screens.grid import GridScreen
from dsq.console.user.screens.jobs import JobsScreen
from dsq.console.user.screens.logs import LogKeys
from dsq.console.user.screens.notices import NoticesScreen
from dsq.console.user.screens.providers import ProvidersScreen
from dsq.console.user.screens.submit import SubmitScreen
from dsq.console.user.screens.wallet import WalletScreen
from dsq.console.user.sources import Sources
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.frame import TICK, number_keys
from dsq.console.widgets.lines import Line
from dsq.console.widgets.notice import Notice
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import credits_text, duration_text, plural
from dsq.core.contacts import contact_name, load_contacts
from dsq.core.errors import (
    DsqError,
    SettingsError,
    UnreachableError,
    UsageError,
    close_matches,
)
from dsq.core.model import Address, Job, JobStatus
from dsq.core.readmodel import Order
from dsq.themes.loader import ThemeFile, stamps, user_themes

SESSIONS_KEPT = 4
FIRST_TEMPLATE = "hello-world"
LOCK_EVERY = 5.0
"""Seconds between two looks at whether the wallet is to be locked."""
THEMES_EVERY = 1.0
"""Seconds between two looks at the user's theme files."""
LISTED = 8
"""Jobs that a question names."""
TRANSFER_LAST: Line = [("Nobody can take that back.", "warning")]
TOP_UP_STATES = (JobStatus.SCHEDULED, JobStatus.RUNNING)


class ConsoleApp(QueueApp):
    """The user's console.

    Args:
        connect: Opens the grid; called in a worker, again after each failure.
        grid_name: What the top line calls the grid.
        read_only: Nothing that spends or signs a transaction works.
        now: Unix seconds; tests freeze it.
        zone: Time zone to show times in; the machine's when None.
        themes: The user's own themes.
        problems: What was wrong with settings or themes; shown among the notices.
        open_store: Opens what was known of an account last time; None keeps nothing.
        account: The account to show before the grid is connected.
        preferences: How it looks and what it tells.
        folder: Where a change of the preferences is kept; None keeps none.
        access: The grid and the key in use; together with ``connect``, which then records what
            this grid answers, no other grid can be chosen.
    """

    MODES: ClassVar[dict[str, Any]] = {
        "jobs": JobsScreen,
        "submit": SubmitScreen,
        "providers": ProvidersScreen,
        "wallet": WalletScreen,
        "grid": GridScreen,
        "notices": NoticesScreen,
    }
    DEFAULT_MODE = "jobs"

    BINDINGS: ClassVar[list[BindingType]] = [
        *number_keys(VIEWS),
        Binding(
            "r",
            "refresh",
            "Refresh",
            show=False,
            tooltip="Read everything again; offline: try to connect at once",
            id="app.refresh",
        ),
        Binding("ctrl+w", "switch", "Grid or wallet", show=False,
                tooltip="Another grid or wallet", id="app.switch"),
        Binding("ctrl+l", "lock", "Lock", show=False,
                tooltip="Lock the wallet, or unlock it with its passphrase", id="app.lock"),
    ]  # fmt: skip

    def __init__(
        self,
        connect: Connect | None = None,
        *,
        grid_name: str = "grid",
        read_only: bool = False,
        now: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
        themes: Sequence[ThemeFile] = (),
        problems: Sequence[SettingsError] = (),
        open_store: Callable[[Address], JobStore] | None = None,
        account: Address | None = None,
        preferences: Preferences | None = None,
        folder: Path | None = None,
        access: Access | None = None,
    ) -> None:
        super().__init__(now=now, zone=zone, themes=themes)
        self.access = access
        self.recorded = access is not None and connect is not None
        self.read_only = read_only
        self.preferences = preferences or Preferences()
        self._folder = folder
        self._themes_seen: dict[Path, int] = {}
        self.state = ConsoleState(one_line(grid_name, 24), jobs=JobStore(now=now))
        self.notices = self.state.notices
        self._open_store = open_store
        self._connect = connect or (access.connect if access is not None else self._nowhere)
        self.feed = Feed(self._connecting(self._connect), self.state, now)
        self._sessions: dict[int, LogSession] = {}
        self._open: set[int] = set()
        for problem in problems:
            self.notices.add(Notice.of_error(problem, now(), "settings"))

        self._take_theme()
        if account is not None:
            self._use(account)

    @staticmethod
    async def _nowhere() -> GridPort:
        raise UnreachableError("No grid is named.")

    def _connecting(self, connect: Connect) -> Connect:
        """Connects, and takes the account's own file if another one was shown."""

        async def connected() -> GridPort:
            grid = await connect()
            if grid.address != self.state.address:
                self._use(grid.address)
            return grid

        return connected

    # -- themes and keys ---------------------------------------------------------------------

    def _take_theme(self) -> None:
        """Uses the preferred theme."""
        name = self.preferences.theme
        if name in self.available_themes:
            self.theme = name
            return
        text = f"There is no theme '{name}'.{close_matches(name, self.available_themes)}"
        self.notices.add(Notice(self.now(), "warning", text, "ctrl+t shows them.", "settings"))

    def _take_keys(self) -> None:
        """Uses the user's keys, and looks after the user's themes."""
        if self._folder is None:
            return
        keys, problems = load_keymap(self._folder)
        try:
            self.state.contacts = load_contacts(self._folder)
        except SettingsError as error:
            problems.append(error)
        for problem in problems:
            self.notices.add(Notice.of_error(problem, self.now(), "keys"))
        self.user_keys = keys
        self.set_keymap(keys)
        self._themes_seen = stamps(self._folder / "themes")
        self.set_interval(THEMES_EVERY, self._reload_themes)

    def _reload_themes(self) -> None:
        """Takes changed theme files at once; a mistake in one is told, and the old colours stay."""
        assert self._folder is not None
        folder = self._folder / "themes"
        seen = stamps(folder)
        if seen == self._themes_seen:
            return
        self._themes_seen = seen
        themes, problems = user_themes(folder)
        for problem in problems:
            self.report(problem, "theme")
        self.offer_themes(themes)

    def theme_chosen(self, name: str) -> None:
        self.prefer(theme=name)

    # -- preferences -------------------------------------------------------------------------

    def prefer(self, **changes: Any) -> None:
        """Changes preferences, and keeps them for the next start."""
        self.preferences = self.preferences.model_copy(update=changes)
        if self._folder is None:
            return
        try:
            save_preferences(self._folder, self.preferences)
        except OSError as error:
            self.report(error, "save the settings")

    def prefer_jobs(self, **changes: Any) -> None:
        """The same for the table of jobs."""
        self.prefer(jobs=self.preferences.jobs.model_copy(update=changes))

    def order(self) -> Order:
        """What the table of jobs is sorted by, by the preferences."""
        try:
            return Order.parse(self.preferences.jobs.sort)
        except UsageError as error:
            self.notices.add(Notice.of_error(error, self.now(), "settings"))
            return Order()

    def _use(self, account: Address) -> None:
        self.state.address = account
        if self._open_store is None:
            return
        try:
            store = self._open_store(account)
        except (OSError, sqlite3.Error) as error:
            text = f"What was known of your jobs cannot be read: {error}."
            self.notices.add(Notice(self.now(), "warning", text, "It is read anew.", "jobs"))
            return
        self.state.jobs.close()
        self.state.use(store)
        file = store.model.path
        if file is None:
            return
        self.state.sources = Sources(file.with_suffix(".workflows"))
        try:
            self.state.outbox = Outbox(file.with_suffix(".queue.json"))
        except (OSError, ValueError) as error:
            text = f"The queue of submits cannot be read: {error}."
            self.notices.add(Notice(self.now(), "error", text, f"See {file.parent}.", "queue"))

    def on_unmount(self) -> None:
        self.state.jobs.close()

    def on_mount(self) -> None:
        self._take_keys()
        # Not in the tick: painting and writing together would keep a key waiting.
        self.set_interval(TICK, lambda: self.state.jobs.idle())
        self.set_interval(LOCK_EVERY, self._now_and_then)
        if self.access is not None and not self.access.ready:
            assert self._folder is not None
            self.push_screen(FirstRun(self._folder), self._guided)
            return
        self._start()
        if self.locked and not self.read_only:
            self.sign(lambda: None, "Escape leaves it locked: looking works without it.")

    def _now_and_then(self) -> None:
        self.lock_if_idle()
        self.send_queue()

    def _start(self) -> None:
        self.state.locked = self.locked
        self.run_worker(self._complete(), group="store", exit_on_error=False)
        self.run_worker(self._feed(), group="feed", exit_on_error=False)

    def restart(self) -> None:
        assert self.access is not None
        self.feed = Feed(self._connecting(self._connect), self.state, self.now)
        self._open = set()
        self.switch_mode("jobs")
        if self.access.account is not None:
            self._use(self.access.account)
        self._start()

    def _guided(self, go: bool | None) -> None:
        """The guided page is done: the first job is written next."""
        if go:
            self.action_view("submit")
            self.call_later(self._load_template, FIRST_TEMPLATE)

    def submitted(self, job: Job, source: str) -> None:
        try:
            self.state.sources.keep(job.definition.batch_location_hash, source)
        except OSError as error:
            self.report(error, "keep the workflow")

    def resubmit(self, job: Job) -> None:
        """Puts the workflow of a job into the submit view, with what it was submitted with."""
        text = self.state.sources.find(job.definition.batch_location_hash)
        if text is None:
            words = f"The workflow of job {job.id} is not known here."
            hint = "Only what was submitted with this console can be submitted again."
            self.tell(f"{words} {hint}", f"job {job.id}", severity="warning")
            return
        self.action_view("submit")
        self.call_later(self._load_again, job, text)

    def _load_again(self, job: Job, text: str) -> None:
        screen = self.screen
        if isinstance(screen, SubmitScreen):
            screen.load_again(job, text)

    def _load_template(self, name: str) -> None:
        screen = self.screen
        if isinstance(screen, SubmitScreen):
            found = template(name)
            screen.load(found.text, found.name, None)

    async def _complete(self) -> None:
        await self.state.jobs.complete_load()

    async def _feed(self) -> None:
        try:
            await self.feed.run()
        except DsqError as error:
            self.fail(error)

    def tick(self) -> None:
        # A log grows without the state changing.
        if self.is_running and isinstance(self.screen, LogKeys) and self.screen.ready:
            self.screen.sync_log()
        self.state.jobs.settle()
        super().tick()

    def revision(self) -> Hashable:
        return self.state.revisions

    def on_change(self) -> None:
        self._tell_ends()
        self.send_queue()

    def _tell_ends(self) -> None:
        """Says which jobs have ended since the last look; the first look says nothing."""
        if not (self.state.loaded and self.state.jobs.complete):
            return
        before, self._open = self._open, self.state.jobs.hot_ids()
        for job_id in before - self._open:
            job = self.state.jobs.get(job_id)
            if job is not None and job.status.is_final:
                bad = job.status is not JobStatus.FINISHED
                words = settled_line(job, self.moment())
                self.tell(words, f"job {job.id}", severity="warning" if bad else "information")
                self._tell_outside(words)

    def _tell_outside(self, words: str) -> None:
        """The same outside the screen, as far as the preferences want it."""
        if self.is_headless:
            return
        driver = self._driver

        def write(text: str) -> None:
            if driver is not None:
                driver.write(text)

        telling = tell_outside("dsq", words, self.preferences.notify, bell=self.bell, write=write)
        self.run_worker(telling, group="tell", exit_on_error=False)

    def action_refresh(self) -> None:
        self.run_worker(self._refresh(), group="refresh", exclusive=True, exit_on_error=False)

    async def _refresh(self) -> None:
        try:
            await self.feed.refresh()
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, "refresh")

    # -- logs ------------------------------------------------------------------------------

    def log_session(self, job_id: int) -> LogSession:
        """The log of a job, being read; the same one for all screens."""
        session = self._sessions.get(job_id)
        if session is None:
            session = self._sessions[job_id] = LogSession(job_id, lambda: self.feed.require_grid())
            self.run_worker(session.run(), group=f"log-{job_id}", exit_on_error=False)
        return session

    def tidy_sessions(self) -> None:
        """Forgets the oldest logs that no screen shows."""
        idle = [job_id for job_id, session in self._sessions.items() if not session.users]
        for job_id in idle[: max(0, len(self._sessions) - SESSIONS_KEPT)]:
            self.workers.cancel_group(self, f"log-{job_id}")
            del self._sessions[job_id]

    def forget_logs(self) -> None:
        for job_id in self._sessions:
            self.workers.cancel_group(self, f"log-{job_id}")
        self._sessions.clear()

    def logs_again(self) -> None:
        for job_id, session in self._sessions.items():
            if session.wants_key:
                self.run_worker(session.run(), group=f"log-{job_id}", exit_on_error=False)

    # -- what spends or ends something -----------------------------------------------------

    def can(self, action: str, job: Job) -> bool:
        """Whether an action makes sense for a job in its state."""
        if self.read_only:
            return False
        if action == "cancel":
            return job.status.is_hot and not job.has_cancel_request
        return job.status in TOP_UP_STATES

    def ask_cancel(self, job: Job) -> None:
        """Asks, naming what dies and what comes back, then cancels."""

        def answered(yes: bool | None) -> None:
            if yes:
                self.sign(lambda: self.act(self._cancel(job)))

        if self.offline_refuses("cancelling"):
            return
        title = f"Cancel job {job.id}, {job_name(job)}?"
        self.push_screen(Confirm(title, self._cancel_lines(job), yes="Cancel the job"), answered)

    def _cancel_lines(self, job: Job) -> list[Line]:
        reckoned = account(job, self.state.provider_of(job), self.now())
        where = one_line(self.state.provider_name(job.provider), 40)
        if reckoned.ran and reckoned.elapsed is not None:
            ran = duration_text(reckoned.elapsed)
            what = f"It has been running for {ran} on {where}; what it has not saved is lost."
            back = f"About {credits_text(reckoned.comes_back)} credits come back,"
            cost = f"about {credits_text(reckoned.so_far)} stay with the provider."
            return [[(what, "foreground")], [(f"{back} {cost}", "foreground")]]
        what = "It has not started. It is cancelled at once."
        back = f"All {credits_text(reckoned.locked)} locked credits come back."
        return [[(what, "foreground")], [(back, "foreground")]]

    async def _cancel(self, job: Job) -> None:
        try:
            after = await self.feed.require_grid().cancel(job.id)
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, f"cancel job {job.id}")
            return
        self.feed.put(after)
        if after.status.is_hot:
            text = f"Job {job.id} {job_name(job)} was asked to stop; its provider ends it."
            self.tell(text, f"job {job.id}")

    def ask_cancel_all(self, jobs: Sequence[Job]) -> None:
        """Asks once for several jobs, naming what dies and what comes back, then cancels them."""

        def answered(yes: bool | None) -> None:
            if yes:
                self.sign(lambda: self._cancel_each(jobs))

        if self.offline_refuses("cancelling"):
            return
        now = self.now()
        back = sum(account(each, self.state.provider_of(each), now).comes_back for each in jobs)
        running = sum(each.status is JobStatus.RUNNING for each in jobs)
        names = [f"{each.id} {job_name(each)}" for each in jobs[:LISTED]]
        more = f" and {len(jobs) - LISTED} more" if len(jobs) > LISTED else ""
        lines: list[Line] = [
            [(", ".join(names) + more, "foreground")],
            [(f"{running} of them run; what they have not saved is lost.", "foreground")],
            [(f"About {credits_text(back)} credits come back.", "foreground")],
        ]
        title = f"Cancel {plural(len(jobs), 'job')}?"
        self.push_screen(Confirm(title, lines, yes="Cancel them"), answered)

    def _cancel_each(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.act(self._cancel(job))

    def read_history(self) -> None:
        """Reads what came into the wallet and what left it."""
        if self.state.link.online:
            self.run_worker(self._read_history(), group="history", exit_on_error=False)

    async def _read_history(self) -> None:
        try:
            await self.feed.refresh_movements()
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, "history")

    def read_overview(self) -> None:
        """Reads how the whole grid is."""
        if self.state.link.online:
            self.run_worker(self._read_overview(), group="overview", exit_on_error=False)

    async def _read_overview(self) -> None:
        try:
            self.state.overview = await self.feed.require_grid().overview()
        except UnreachableError:
            return  # the banner says so already
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, "grid")
        self.state.touch()

    def ask_transfer(self) -> None:
        """Asks who gets how much, asks again with everything in one picture, then sends."""
        state, contacts = self.state, self.state.contacts

        def named(sending: Sending | None) -> None:
            if sending is None:
                return
            to, wei = sending
            lines = [*transfer_lines(to, wei, state, contacts), TRANSFER_LAST]
            title = f"Send {credits_text(wei)} credits for good?"

            def answered(yes: bool | None) -> None:
                if yes:
                    self.sign(lambda: self.act(self._transfer(to, wei)))

            self.push_screen(Confirm(title, lines, yes="Send them", no="Keep them"), answered)

        if not self.offline_refuses("sending credits"):
            self.push_screen(Transfer(state, contacts), named)

    async def _transfer(self, to: Address, wei: int) -> None:
        try:
            await self.feed.require_grid().transfer(to, wei)
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, "transfer")
            return
        name = contact_name(to, self.state.contacts) or to.short
        self.tell(f"Sent {credits_text(wei)} credits to {name}.", "wallet")
        self.read_history()

    def claim_faucet(self) -> None:
        """Collects what the grid's faucet has promised."""
        if not self.offline_refuses("collecting"):
            self.sign(lambda: self.act(self._collect(faucet=True)))

    def collect_payments(self) -> None:
        """Collects payments that did not go through and wait."""
        if not self.offline_refuses("collecting"):
            self.sign(lambda: self.act(self._collect(faucet=False)))

    async def _collect(self, *, faucet: bool) -> None:
        grid = self.feed.require_grid()
        try:
            wei = await (grid.claim_faucet() if faucet else grid.withdraw_claimable())
            await self.feed.refresh_balance()
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, "collect")
            return
        source = "the grid's faucet" if faucet else "waiting payments"
        self.tell(f"Collected {credits_text(wei)} credits from {source}.", "wallet")
        self.read_history()

    def ask_top_up(self, job: Job) -> None:
        """Asks for credits, showing what they buy, then adds them."""

        def answered(wei: int | None) -> None:
            if wei:
                self.sign(lambda: self.act(self._top_up(job, wei)))

        if self.offline_refuses("topping up"):
            return
        self.push_screen(TopUp(job, self.state, self.moment()), answered)

    async def _top_up(self, job: Job, wei: int) -> None:
        try:
            after = await self.feed.require_grid().top_up(job.id, wei)
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, f"top up job {job.id}")
            return
        self.feed.put(after)
        self.tell(f"{credits_text(wei)} credits added to job {job.id}.", f"job {job.id}")
