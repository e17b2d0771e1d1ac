"""The columns of the job table: pure functions from a job to a cell."""

from __future__ import annotations

from collections.abc import Callable

from dsq.console.user.accounting import Account, account
from dsq.console.user.details import job_name
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.table import Cell, Column
from dsq.console.widgets.words import (
    NONE,
    STATUS_WORDS,
    Moment,
    bar_spans,
    compact_credits,
    duration_text,
    status_text,
    time_text,
)
from dsq.core.model import Job

BAR_FROM = 19
"""Width of the cost column from which a bar fits beside the figures."""


def job_columns(
    state: ConsoleState, moment: Callable[[], Moment], digits: int = 4
) -> list[Column[Job]]:
    """The job table's columns, reading from ``state`` at the time of ``moment``.

    Args:
        digits: Room for the longest id.
    """

    last: list[tuple[Job, float, Account]] = []

    def reckoned(job: Job) -> Account:
        # Four cells of a row ask for the same, one after the other.
        now = moment().now
        if not last or last[0][0] is not job or last[0][1] != now:
            last[:] = [(job, now, account(job, state.provider_of(job), now))]
        return last[0][2]

    def status(job: Job, _width: int) -> Cell:
        return [(status_text(job), STATUS_WORDS[job.status].colour)]

    def provider(job: Job, _width: int) -> Cell:
        name = state.provider_name(job.provider)
        return [(one_line(name, 40), "foreground")] if name else [(NONE, "faint")]

    def started(job: Job, _width: int) -> Cell:
        if not reckoned(job).ran:
            return [(NONE, "faint")]
        now = moment()
        return [(time_text(job.time.start, now.now, now.zone), "foreground")]

    def elapsed(job: Job, _width: int) -> Cell:
        seconds = reckoned(job).elapsed
        return _seconds(seconds, "foreground")

    def left(job: Job, _width: int) -> Cell:
        seconds = reckoned(job).left
        return _seconds(seconds, "warning" if (seconds or 0) < 300 else "foreground")

    return [
        Column("id", "ID", digits, lambda job, _: [(str(job.id), "muted")], right=True),
        Column(
            "name", "NAME", 10, lambda job, _: [(job_name(job), "foreground")], grow=28, eager=1
        ),
        Column("status", "STATUS", 16, status),
        Column("provider", "PROVIDER", 8, provider, grow=8, rank=2, eager=1),
        Column("started", "STARTED", 7, started, rank=5),
        Column("elapsed", "ELAPSED", 8, elapsed, right=True, rank=3, gap=1),
        Column("left", "LEFT", 8, left, right=True, rank=4, gap=1),
        Column(
            "cost",
            "COST / LOCKED",
            13,
            lambda job, w: cost_cell(job, reckoned(job), w),
            grow=11,
            rank=1,
            eager=2,
            gap=1,
        ),
    ]


def _seconds(seconds: int | None, colour: str) -> Cell:
    return [(NONE, "faint")] if seconds is None else [(duration_text(seconds), colour)]


def cost_cell(job: Job, reckoned: Account, width: int) -> Cell:
    """Cost so far against what is locked, with a bar where there is room."""
    so_far = compact_credits(reckoned.so_far) if reckoned.so_far or reckoned.ran else NONE
    text = f"{so_far:>6}/{compact_credits(reckoned.locked):<6}"
    colour = "foreground" if reckoned.ran else "faint"
    if width < BAR_FROM:
        return [(text, colour)]
    room = width - len(text) - 1
    part = reckoned.so_far / reckoned.locked if reckoned.locked else 0.0
    bar = "primary" if job.status.is_hot else "faint"
    return [(text + " ", colour), *bar_spans(part, room, bar)]
