"""The app of dsq-console: the screens' common ground.

All I/O runs in workers; ten times a second the screen in front is told whether the state
has changed, and once a second that time has gone by.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import tzinfo
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen

from dsq.console.dialogs.choose import Choose
from dsq.console.dialogs.confirm import Confirm
from dsq.console.dialogs.top_up import TopUp
from dsq.console.user.accounting import account
from dsq.console.user.details import Moment, job_name, settled_line
from dsq.console.user.feed import Connect, Feed
from dsq.console.user.log_session import LogSession
from dsq.console.user.screens.base import VIEWS, ViewScreen
from dsq.console.user.screens.jobs import JobsScreen
from dsq.console.user.screens.logs import LogKeys
from dsq.console.user.screens.notices import NoticesScreen
from dsq.console.user.screens.providers import ProvidersScreen
from dsq.console.user.screens.submit import SubmitScreen
from dsq.console.user.screens.wallet import WalletScreen
from dsq.console.user.state import ConsoleState, Notice
from dsq.console.widgets.lines import Line
from dsq.console.widgets.palette import default_variables, register_themes
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import credits_text, duration_text
from dsq.core.errors import SettingsError
from dsq.core.model import Job, JobStatus
from dsq.themes.loader import ThemeFile

TICK = 0.1
SESSIONS_KEPT = 4
TOP_UP_STATES = (JobStatus.SCHEDULED, JobStatus.RUNNING)


class ConsoleApp(App[None]):
    """The user's console.

    Args:
        connect: Opens the grid; called in a worker, again after each failure.
        grid_name: What the top line calls the grid.
        read_only: Nothing that spends or signs a transaction works.
        now: Unix seconds; tests freeze it.
        zone: Time zone to show times in; the machine's when None.
        themes: The user's own themes.
        problems: What was wrong with settings or themes; shown among the notices.
    """

    TITLE = "dsq"
    COMMAND_PALETTE_BINDING = "ctrl+p"
    NOTIFICATION_TIMEOUT = 4
    MODES: ClassVar[dict[str, Any]] = {
        "jobs": JobsScreen,
        "submit": SubmitScreen,
        "providers": ProvidersScreen,
        "wallet": WalletScreen,
        "notices": NoticesScreen,
    }
    DEFAULT_MODE = "jobs"

    CSS = """
    Button.-error { background: $error; color: $background; }
    Button.-primary { background: $primary; color: $background; }
    Button:focus { background: $foreground; color: $background; text-style: bold; }
    Input { background: $panel; }
    Input:focus { background: $cursor; color: $cursor-text; }
    Input > .input--placeholder, Input > .input--suggestion { color: $muted; }
    Toast { background: $panel; color: $foreground; }
    CommandPalette { background: $background 60%; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                str(number),
                f"view('{name.lower()}')",
                name,
                show=False,
                tooltip=f"Go to {name}",
                id=f"app.{name.lower()}",
            )
            for number, name in enumerate(VIEWS, 1)
        ),
        Binding(
            "r",
            "refresh",
            "Refresh",
            show=False,
            tooltip="Read everything again; offline: try to connect at once",
            id="app.refresh",
        ),
        Binding(
            "colon",
            "command_palette",
            "Commands",
            show=False,
            tooltip="All commands, with search",
            id="app.commands",
        ),
        Binding("ctrl+t", "theme", "Theme", show=False, tooltip="Choose a theme", id="app.theme"),
        Binding("q,ctrl+q", "quit", "Quit", show=False, tooltip="Leave the console", id="app.quit"),
    ]

    def __init__(
        self,
        connect: Connect,
        *,
        grid_name: str = "grid",
        read_only: bool = False,
        now: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
        themes: Sequence[ThemeFile] = (),
        problems: Sequence[SettingsError] = (),
    ) -> None:
        super().__init__()
        register_themes(self, list(themes))
        self.now = now
        self.zone = zone
        self.read_only = read_only
        self.state = ConsoleState(one_line(grid_name, 24))
        self.feed = Feed(connect, self.state, now)
        self._sessions: dict[int, LogSession] = {}
        self._painted: tuple[tuple[int, int], int] = ((-1, -1), -1)
        self._statuses: dict[int, JobStatus] = {}
        for problem in problems:
            self.state.add_notice(Notice.of_error(problem, now(), "settings"))

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return default_variables()

    def moment(self) -> Moment:
        """The present, for drawing."""
        return Moment(self.now(), self.zone)

    def on_mount(self) -> None:
        self.run_worker(self.feed.run(), group="feed", exit_on_error=False)
        self.set_interval(TICK, self.tick)

    def tick(self) -> None:
        """Tells the screen in front what has changed, if anything has."""
        revisions, second = self.state.revisions, int(self.now())
        changed = revisions != self._painted[0]
        if changed:
            self._tell_ends()
        screen = self.screen
        if isinstance(screen, LogKeys) and screen.ready:
            screen.sync_log()
        if not changed and second == self._painted[1]:
            return
        if isinstance(screen, ViewScreen) and screen.ready:
            self._painted = (revisions, second)
            screen.tick(changed=changed)

    def _tell_ends(self) -> None:
        """Says which jobs have ended since the last look; the first look says nothing."""
        if not self.state.loaded:
            return
        before = self._statuses
        self._statuses = {job.id: job.status for job in self.state.jobs.hot()}
        for job_id in before.keys() - self._statuses.keys():
            job = self.state.jobs.get(job_id)
            if job is not None and job.status.is_final:
                bad = job.status is not JobStatus.FINISHED
                self.tell(
                    settled_line(job, self.moment()),
                    f"job {job.id}",
                    severity="warning" if bad else "information",
                )

    # -- saying things --------------------------------------------------------------

    def tell(self, text: str, subject: str, *, severity: str = "information") -> None:
        """Says something now, and keeps it among the notices."""
        self.state.add_notice(Notice(self.now(), severity, text, "", subject))
        level: Any = severity
        self.notify(text, severity=level, markup=False)

    def report(self, error: BaseException, subject: str) -> Notice:
        """Says what went wrong, and keeps it with its hint among the notices."""
        notice = Notice.of_error(error, self.now(), subject)
        self.state.add_notice(notice)
        text = f"{notice.text} {notice.hint}".strip()
        self.notify(
            one_line(text, 300),
            title=f"{subject} failed",
            severity="error",
            timeout=8,
            markup=False,
        )
        return notice

    def copy(self, text: str, what: str) -> None:
        """Puts text into the clipboard of the terminal (OSC 52)."""
        self.copy_to_clipboard(text)
        self.notify(f"Copied {what}.", timeout=2, markup=False)

    # -- going places ------------------------------------------------------------------

    def action_view(self, name: str) -> None:
        self.switch_mode(name)

    async def action_back(self) -> None:
        if len(self.screen_stack) > 1:
            self.pop_screen()

    def action_theme(self) -> None:
        names = sorted(self.available_themes)
        current = self.theme

        def chosen(index: int | None) -> None:
            self.theme = current if index is None else names[index]

        self.push_screen(
            Choose("Theme", [(name, self._theme_words(name)) for name in names]), chosen
        )

    def _theme_words(self, name: str) -> str:
        kind = "dark" if self.available_themes[name].dark else "light"
        return f"{kind}, in use" if name == self.theme else kind

    def action_refresh(self) -> None:
        self.run_worker(self._refresh(), group="refresh", exclusive=True, exit_on_error=False)

    async def _refresh(self) -> None:
        try:
            await self.feed.refresh()
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, "refresh")

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The commands of the palette: every key that works now, and the themes."""
        seen: set[str] = set()
        for node, binding, enabled, _ in screen.active_bindings.values():
            known = binding.action in seen or binding.action == "command_palette"
            if known or not enabled or not binding.description or binding.system:
                continue
            seen.add(binding.action)
            words = f"{binding.tooltip or binding.description}  ({self.get_key_display(binding)})"
            yield SystemCommand(binding.description, words, self._runner(binding.action, node))

    def _runner(self, action: str, node: DOMNode) -> Callable[[], Awaitable[bool]]:
        return lambda: self.run_action(action, node)

    # -- logs ------------------------------------------------------------------------------

    def log_session(self, job_id: int) -> LogSession:
        """The log of a job, being read; the same one for all screens."""
        session = self._sessions.get(job_id)
        if session is None:
            session = self._sessions[job_id] = LogSession(job_id, self.feed.require_grid)
            self.run_worker(session.run(), group=f"log-{job_id}", exit_on_error=False)
        return session

    def tidy_sessions(self) -> None:
        """Forgets the oldest logs that no screen shows."""
        idle = [job_id for job_id, session in self._sessions.items() if not session.users]
        for job_id in idle[: max(0, len(self._sessions) - SESSIONS_KEPT)]:
            self.workers.cancel_group(self, f"log-{job_id}")
            del self._sessions[job_id]

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
                self.run_worker(self._cancel(job), exit_on_error=False)

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
        word = "is cancelled" if after.status.is_final else "was asked to stop"
        self.tell(f"Job {job.id} {job_name(job)} {word}.", f"job {job.id}")

    def ask_top_up(self, job: Job) -> None:
        """Asks for credits, showing what they buy, then adds them."""

        def answered(wei: int | None) -> None:
            if wei:
                self.run_worker(self._top_up(job, wei), exit_on_error=False)

        self.push_screen(TopUp(job, self.state, self.moment()), answered)

    async def _top_up(self, job: Job, wei: int) -> None:
        try:
            after = await self.feed.require_grid().top_up(job.id, wei)
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, f"top up job {job.id}")
            return
        self.feed.put(after)
        self.tell(f"{credits_text(wei)} credits added to job {job.id}.", f"job {job.id}")
