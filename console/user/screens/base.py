"""What every view of dsq-console shows around its middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsq.console.user.state import ConsoleState, Link
from dsq.console.widgets.bars import Part
from dsq.console.widgets.frame import Frame
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import STATUS_WORDS, Moment, age_text, credits_text
from dsq.core.model import JobStatus

if TYPE_CHECKING:
    from dsq.console.user.app import ConsoleApp

VIEWS = ("Jobs", "Submit", "Providers", "Wallet", "Grid", "Notices")
"""The views, in the order of their number keys."""

HEADER_COUNTS = (
    (JobStatus.RUNNING,),
    (JobStatus.PENDING, JobStatus.META_SCHEDULED, JobStatus.SCHEDULED),
    (JobStatus.FAILED, JobStatus.OUT_OF_CREDITS, JobStatus.PANICKED),
)


class ViewScreen(Frame):
    """A full screen of dsq-console. Subclasses say what is in the middle."""

    VIEWS = VIEWS
    VIEW = "Jobs"

    @property
    def console_app(self) -> ConsoleApp:
        """The app, by its own type."""
        app: ConsoleApp = self.app  # type: ignore[assignment]
        return app

    @property
    def state(self) -> ConsoleState:
        return self.console_app.state

    def tick(self, *, changed: bool) -> None:
        if self.ready:
            self.set_class(self.state.link.state == "offline", "-stale")
        super().tick(changed=changed)

    def top_parts(self) -> list[Part]:
        return top_parts(self.state, self.moment)

    def tab_badges(self) -> dict[str, str]:
        unread = self.state.notices.unread
        return {"Notices": f"({unread})"} if unread else {}

    def tab_note(self) -> str:
        app = self.console_app
        words = (
            ("● recording", app.recorded),
            ("read-only", app.read_only),
            ("locked", self.state.locked),
        )
        return "  ".join(word for word, shown in words if shown)

    def banner_text(self) -> str:
        return banner_text(self.state, self.moment)


def link_part(link: Link, now: float) -> tuple[str, str]:
    """The connection as a glyph, a word and a colour."""
    if link.state == "online":
        return "● live", "success"
    if link.state == "none":
        return "○ not connected", "muted"
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
    when = f"Next attempt in {wait} s, r tries at once" if wait else "Trying now"
    kept = "what is shown is from before" if state.loaded else "nothing is known yet"
    # The line with the countdown stays whole, however long the reason is.
    return f"Offline: {one_line(link.reason, 200)}\n{when}; {kept}."
