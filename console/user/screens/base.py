"""What every view has: top line, tabs, banner, keys; and the tick that repaints it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from dsq.console.dialogs.help import Help, help_lines
from dsq.console.user.details import Moment
from dsq.console.user.state import ConsoleState, Link
from dsq.console.widgets.bars import Banner, KeyBar, Part, Tabs, TopBar
from dsq.console.widgets.words import STATUS_WORDS, age_text, credits_text
from dsq.core.model import JobStatus

if TYPE_CHECKING:
    from dsq.console.user.app import ConsoleApp

VIEWS = ("Jobs", "Submit", "Providers", "Wallet", "Notices")
"""The views, in the order of their number keys."""

HEADER_COUNTS = (
    (JobStatus.RUNNING,),
    (JobStatus.PENDING, JobStatus.META_SCHEDULED, JobStatus.SCHEDULED),
    (JobStatus.FAILED, JobStatus.OUT_OF_CREDITS, JobStatus.PANICKED),
)


class ViewScreen(Screen[None]):
    """A full screen of the console. Subclasses say what is in the middle."""

    # Declared as the base class does, which has no ClassVar here.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (130, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-tall")]  # noqa: RUF012

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", tooltip="All keys that work here", id="view.help"),
    ]

    VIEW: ClassVar[str] = "Jobs"
    """The tab this screen belongs to."""
    ABOUT: ClassVar[str] = ""
    """What the view is for, shown above its keys."""

    def compose(self) -> ComposeResult:
        yield TopBar()
        yield Tabs(VIEWS, self.VIEW)
        yield Banner()
        yield from self.compose_view()
        yield KeyBar()

    def compose_view(self) -> ComposeResult:
        """The middle of the screen."""
        yield from ()

    @property
    def console_app(self) -> ConsoleApp:
        """The app, by its own type."""
        app: ConsoleApp = self.app  # type: ignore[assignment]
        return app

    @property
    def state(self) -> ConsoleState:
        return self.console_app.state

    @property
    def moment(self) -> Moment:
        return self.console_app.moment()

    _mounted = False

    @property
    def ready(self) -> bool:
        """It is in front and whole: there is something to bring up to date."""
        return self._mounted and self.app.is_running and self.is_current

    def on_mount(self) -> None:
        # Textual calls this after the subclass's own on_mount.
        self._mounted = True
        self.tick(changed=True)

    def on_screen_resume(self) -> None:
        self.tick(changed=True)

    def tick(self, *, changed: bool) -> None:
        """Called ten times a second at most; ``changed`` when the state has.

        Once a second it is called without a change, for what time alone moves.
        """
        if not self.ready:
            return
        moment = self.moment
        self.query_one(TopBar).show(top_parts(self.state, moment))
        unread = self.state.notices_unread
        badges = {"Notices": f"({unread})"} if unread else {}
        self.query_one(Tabs).show(badges, self.tab_note())
        self.query_one(Banner).show(banner_text(self.state, moment))
        self.set_class(self.state.link.state == "offline", "-stale")
        self.update_view(changed=changed)

    def tab_note(self) -> str:
        """Words at the right end of the line of tabs."""
        return "read-only" if self.console_app.read_only else ""

    def update_view(self, *, changed: bool) -> None:
        """Brings the middle of the screen up to date."""

    def action_help(self) -> None:
        self.app.push_screen(Help(help_lines(self.app, self, self.ABOUT)))


def link_part(link: Link, now: float) -> tuple[str, str]:
    """The connection as a glyph, a word and a colour."""
    if link.state == "online":
        return "● live", "success"
    if link.state == "connecting":
        return "◷ connecting", "warning"
    return f"× offline {age_text(now - link.since)}", "error"


def top_parts(state: ConsoleState, moment: Moment) -> list[Part]:
    """The top line: grid, chain, wallet, money, jobs by state."""
    link, colour = link_part(state.link, moment.now)
    parts = [
        Part((("dsq ", "bold $primary"), (state.grid_name, "bold $foreground"))),
        Part(((link, f"${colour}"),)),
    ]
    if state.head is not None:
        age = age_text(moment.now - state.head.timestamp)
        parts.append(Part(((f"#{state.head.number:,} ", "$foreground"), (age, "$muted")), rank=2))
    if state.address is not None:
        parts.append(Part(((state.address.short, "$muted"),), rank=5))
    if state.balance is not None:
        money = credits_text(state.balance.balance_wei)
        parts.append(Part(((money, "bold $accent"), (" cr", "$muted")), rank=1))
        locked = credits_text(state.jobs.locked())
        parts.append(Part(((f"{locked} locked", "$muted"),), rank=4))
    parts.append(Part(tuple(_counts(state)), rank=3, right=True))
    return parts


def _counts(state: ConsoleState) -> list[tuple[str, str]]:
    spans: list[tuple[str, str]] = []
    for statuses in HEADER_COUNTS:
        count = state.jobs.count(*statuses)
        shown = STATUS_WORDS[statuses[0]]
        if count or statuses[0] is JobStatus.RUNNING:
            gap = "  " if spans else ""
            spans.append((f"{gap}{shown.glyph} {count:,}", f"${shown.colour}"))
    return spans


def banner_text(state: ConsoleState, moment: Moment) -> str:
    """What the banner says: nothing while the link is up or being made."""
    link = state.link
    if link.state != "offline":
        return ""
    wait = max(0, round(link.retry_at - moment.now))
    when = f"next attempt in {wait} s" if wait else "trying now"
    kept = "what is shown is from before" if state.loaded else "nothing is known yet"
    return f"Offline: {link.reason} {when.capitalize()}, r tries at once; {kept}."
