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

from dsq.console.preferences import Preferences
from dsq.console.templates import template
from dsq.console.user.access import Access
from dsq.console.user.details import settled_line
from dsq.console.user.feed import Connect, Feed
from dsq.console.user.job_store import JobStore
from dsq.console.user.later import later, load_rest
from dsq.console.user.notify import tell_outside
from dsq.console.user.outbox import Outbox
from dsq.console.user.port import GridPort
from dsq.console.user.providers_app import ProvidersApp
from dsq.console.user.recent import RecentFiles
from dsq.console.user.screens.base import VIEWS
from dsq.console.user.screens.jobs import JobsScreen
from dsq.console.user.screens.logs import LogKeys
from dsq.console.user.sources import Sources
from dsq.console.user.state import ConsoleState, Link
from dsq.console.widgets.frame import TICK, number_keys
from dsq.console.widgets.notice import Notice
from dsq.console.widgets.safe import one_line
from dsq.core.errors import (
    DsqError,
    SettingsError,
    UnreachableError,
)
from dsq.core.model import Address, JobStatus
from dsq.themes.loader import ThemeFile

FIRST_TEMPLATE = "hello-world"
LOCK_EVERY = 5.0
"""Seconds between two looks at whether the wallet is to be locked."""


class ConsoleApp(ProvidersApp):
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
        folder: The settings folder: keys, themes, contacts, and the preferences; None has none.
        keeps: A change of the preferences is written there.
        access: The grid and the key in use; together with ``connect``, which then records what
            this grid answers, no other grid can be chosen.
    """

    MODES: ClassVar[dict[str, Any]] = {
        "jobs": JobsScreen,
        "submit": later("submit", "SubmitScreen"),
        "providers": later("providers", "ProvidersScreen"),
        "wallet": later("wallet", "WalletScreen"),
        "grid": later("grid", "GridScreen"),
        "notices": later("notices", "NoticesScreen"),
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
        keeps: bool = True,
        access: Access | None = None,
    ) -> None:
        super().__init__(now=now, zone=zone, themes=themes)
        self.access = access
        self.recorded = access is not None and connect is not None
        self.read_only = read_only
        self.preferences = preferences or Preferences()
        self._folder = folder
        self.keeps = keeps and folder is not None
        self.recent = RecentFiles(folder / "recent-workflows" if folder is not None else None)
        self.state = ConsoleState(one_line(grid_name, 24), jobs=JobStore(now=now))
        if access is not None and not access.ready:
            self.state.link = Link("none")
        self.notices = self.state.notices
        self._open_store = open_store
        self._connect = connect or (access.connect if access is not None else self._nowhere)
        self.feed = Feed(self._connecting(self._connect), self.state, now)
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
            from dsq.console.dialogs.first_run import FirstRun

            self.push_screen(FirstRun(self._folder), self._guided)
            return
        # What it reads, and the modules that reading needs, come after the first picture.
        self.call_after_refresh(self._start)
        if self.locked and not self.read_only:
            self.sign(lambda: None, "Escape leaves it locked: looking works without it.")

    def _now_and_then(self) -> None:
        self.lock_if_idle()
        self.send_queue()

    def _start(self) -> None:
        if self.state.link.state == "none":
            self.state.link = Link()
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

    def show_group(self, group: str) -> None:
        """Goes to the jobs, folded, with the cursor on a group."""
        self.action_view("jobs")
        self.call_later(self._to_group, group)

    async def _to_group(self, group: str) -> None:
        if isinstance(self.screen, JobsScreen):
            await self.screen.show_group(group)

    def _load_template(self, name: str) -> None:
        from dsq.console.user.screens.submit import SubmitScreen

        screen = self.screen
        if isinstance(screen, SubmitScreen):
            found = template(name)
            screen.load(found.text, found.name, None)

    async def _complete(self) -> None:
        await self.state.jobs.complete_load()
        await load_rest()

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

    def try_telling(self) -> None:
        words = "This is how the end of a job is told."
        self.tell(words, "settings")
        self._tell_outside(words)

    def action_refresh(self) -> None:
        self.run_worker(self._refresh(), group="refresh", exclusive=True, exit_on_error=False)

    async def _refresh(self) -> None:
        try:
            await self.feed.refresh()
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, "refresh")

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
