"""How values read on a screen: states, credits, times, bars.

Every function is pure and returns printable text; a state is a glyph and a word besides
its colour, so that nothing is said by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from dsq.core.model import Job, JobStatus
from dsq.core.units import CREDIT, format_credits

NONE = "–"
"""Shown where there is no value."""


@dataclass(frozen=True)
class StatusWord:
    """How one state of a job is shown.

    Attributes:
        glyph: One cell, different for every state.
        word: Upper case, at most 14 cells.
        colour: Name of the theme's variable, without ``$``.
        sentence: What the state means.
    """

    glyph: str
    word: str
    colour: str
    sentence: str


STATUS_WORDS: dict[JobStatus, StatusWord] = {
    JobStatus.PENDING: StatusWord("◷", "PENDING", "status-pending", "waits for a provider"),
    JobStatus.META_SCHEDULED: StatusWord(
        "○", "PLACED", "status-placed", "given to a provider, not yet claimed"
    ),
    JobStatus.SCHEDULED: StatusWord(
        "◑", "SCHEDULED", "status-placed", "claimed, waits in the provider's Slurm"
    ),
    JobStatus.RUNNING: StatusWord("▶", "RUNNING", "status-running", "runs"),
    JobStatus.CANCELLED: StatusWord("∅", "CANCELLED", "status-cancelled", "was cancelled"),
    JobStatus.FINISHED: StatusWord("✓", "FINISHED", "status-finished", "ended well"),
    JobStatus.FAILED: StatusWord("×", "FAILED", "status-failed", "ended with an error"),
    JobStatus.OUT_OF_CREDITS: StatusWord(
        "¢", "OUT OF CREDITS", "status-out-of-credits", "reached the time its credits bought"
    ),
    JobStatus.PANICKED: StatusWord(
        "!", "PANICKED", "status-panicked", "was stopped by the grid; it costs nothing"
    ),
}
"""Every state has its own glyph and word."""


def status_text(job: Job) -> str:
    """Glyph and word, with the exit code of a job that ended with one: ``✗ FAILED 3``."""
    shown = STATUS_WORDS[job.status]
    code = f" {job.exit_code}" if job.exit_code and job.status is JobStatus.FAILED else ""
    asked = " (cancelling)" if job.has_cancel_request and job.status.is_hot else ""
    return f"{shown.glyph} {shown.word}{code}{asked}"


def credits_text(wei: int, places: int = 2) -> str:
    """Credits for people, cut to ``places``: ``1,284.40``. A positive dust never reads as 0."""
    if 0 < wei < CREDIT // 10**places:
        return f"<{format_credits(CREDIT // 10**places)}"
    text = format_credits(wei, places)
    whole, dot, rest = text.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}{dot}{rest}"


def exact_credits(wei: int, least: int = 0) -> str:
    """All places of an amount, at least so many, with thousands set apart."""
    whole, _, rest = format_credits(wei).partition(".")
    places = rest.ljust(least, "0")
    return f"{int(whole):,}{'.' if places else ''}{places}"


def settled_credits(wei: int) -> str:
    """An amount with two to six places, so that the parts of a settlement add up to the eye."""
    text = exact_credits(wei, 2)
    places = len(text.partition(".")[2])
    return text if places <= 6 else credits_text(wei, 6)


def compact_credits(wei: int) -> str:
    """At most six cells: ``174.2``, ``1,284``, ``12.3k``, ``4.1M``, ``2e12``."""
    if wei >= 10**15 * CREDIT:
        return f"{wei / CREDIT:.0e}".replace("e+", "e")
    for size, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**4, "k")):
        if wei >= size * CREDIT:
            unit = {"T": 10**12, "G": 10**9, "M": 10**6, "k": 10**3}[letter]
            return f"{wei // (unit * CREDIT // 10) / 10:.1f}{letter}"
    return credits_text(wei, 1 if wei < 1000 * CREDIT else 0)


def duration_text(seconds: float) -> str:
    """Hours, minutes and seconds: ``0:04``, ``36:02``, ``3:04:11``, ``2d 04:10``."""
    total = max(0, int(seconds))
    days, rest = divmod(total, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    if days > 999:
        return ">999 d"
    if days:
        return f"{days}d {hours:02d}:{minutes:02d}"
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


def age_text(seconds: float) -> str:
    """A short age: ``1s``, ``4m``, ``3h``, ``12d``."""
    total = max(0, int(seconds))
    for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if total >= size:
            return f"{total // size}{letter}"
    return f"{total}s"


def time_text(seconds: float, now: float, zone: tzinfo | None = None) -> str:
    """A local time: ``09:12`` today, ``03 Nov`` this year, else ``2026-11-03``."""
    if not seconds:
        return NONE
    then, today = _local(seconds, zone), _local(now, zone)
    if then.date() == today.date():
        return f"{then:%H:%M}"
    return f"{then:%d %b}" if then.year == today.year else f"{then:%Y-%m-%d}"


def exact_time(seconds: float, zone: tzinfo | None = None) -> str:
    """A local time to the second: ``2026-11-03 09:12:01``."""
    return f"{_local(seconds, zone):%Y-%m-%d %H:%M:%S}" if seconds else NONE


def clock_time(seconds: float, zone: tzinfo | None = None) -> str:
    """A local time of day to the second: ``09:12:01``."""
    return f"{_local(seconds, zone):%H:%M:%S}" if seconds else NONE


def _local(seconds: float, zone: tzinfo | None) -> datetime:
    # A stranger's time may be out of range; the ends of the calendar will do.
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        moment = datetime(9998, 12, 31, tzinfo=UTC)
    return moment.astimezone(zone)


def bar_spans(part: float, width: int, colour: str) -> list[tuple[str, str]]:
    """A bar of ``width`` cells, ``part`` (0 to 1) of it heavy, in half cells.

    The rest is a thin line, so that the bar reads without colours too.
    """
    halves = round(max(0.0, min(1.0, part)) * width * 2)
    full, half = divmod(halves, 2)
    heavy = "━" * full + ("╸" if half else "")
    return [(heavy, colour), ("─" * (width - len(heavy)), "faint")]


EIGHTHS = " ▁▂▃▄▅▆▇█"


def spark(parts: Sequence[float]) -> str:
    """A bar for each part (0 to 1); what is above 0 shows at least the lowest one."""
    return "".join(EIGHTHS[max(1, min(8, round(part * 8)))] for part in parts)


def plural(count: int, word: str, many: str = "") -> str:
    """A count with its noun: ``1 job``, ``3 jobs``."""
    return f"{count:,} {word if count == 1 else many or word + 's'}"


@dataclass(frozen=True)
class Moment:
    """The time by which a screen is drawn."""

    now: float
    zone: tzinfo | None = None

    def at(self, seconds: float) -> str:
        """The time of day to the second, with the date if it is another day."""
        today = time_text(seconds, self.now, self.zone)
        clock = clock_time(seconds, self.zone)
        return clock if ":" in today or today == NONE else f"{today} {clock[:5]}"
