"""The columns of the job table: pure functions from a job to a cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dsq.console.dialogs.columns import Choice
from dsq.console.user.accounting import Account, account
from dsq.console.user.details import job_name
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.columns import Cell, Column
from dsq.console.widgets.safe import one_line
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
from dsq.core.groups import Membership, membership
from dsq.core.model import Job, JobStatus
from dsq.core.units import CREDIT

BAR_FROM = 19
"""Width of the cost column from which a bar fits beside the figures."""

USUAL = ("id", "name", "status", "provider", "started", "elapsed", "left", "cost")
"""Columns of a first start."""

GROUP_STATES = (
    JobStatus.RUNNING,
    JobStatus.SCHEDULED,
    JobStatus.META_SCHEDULED,
    JobStatus.PENDING,
    JobStatus.FINISHED,
    JobStatus.FAILED,
    JobStatus.CANCELLED,
    JobStatus.OUT_OF_CREDITS,
    JobStatus.PANICKED,
)


class Money(NamedTuple):
    """What a row of the table costs, in wei.

    Attributes:
        ran: It has run, or runs.
        so_far: The cost if it ended now.
        locked: What is locked for it; for one that has ended, what was.
        is_open: It has not ended.
    """

    ran: bool
    so_far: int
    locked: int
    is_open: bool


class JobCells:
    """The cells of a job, reading from a state at a time.

    Args:
        state: What is known.
        moment: The present.
    """

    def __init__(self, state: ConsoleState, moment: Callable[[], Moment]) -> None:
        self._state = state
        self._moment = moment
        self._last: tuple[Job, float, Account] | None = None

    def account(self, job: Job) -> Account:
        """Time and money of a job as of now."""
        # Several cells of a row ask for the same, one after the other.
        now, last = self._moment().now, self._last
        if last is None or last[0] is not job or last[1] != now:
            last = (job, now, account(job, self._state.provider_of(job), now))
            self._last = last
        return last[2]

    def folded(self, job: Job) -> Membership | None:
        """The group whose one row a job stands for."""
        return membership(job.name) if self._state.jobs.folded else None

    def money(self, job: Job) -> Money:
        """What a job costs; of a folded group, what its jobs cost together."""
        group = self.folded(job)
        if group is None:
            own = self.account(job)
            return Money(own.ran, own.so_far, own.locked, job.status.is_hot)
        totals, still_open = self._state.jobs.group(group.group), False
        ran, so_far, locked = totals.paid > 0, totals.paid, totals.locked
        for each in self._state.jobs.open_of(group.group):
            own = account(each, self._state.provider_of(each), self._moment().now)
            ran, still_open = ran or own.ran, True
            so_far, locked = so_far + own.so_far, locked + own.locked
        return Money(ran, so_far, locked, still_open)

    def name(self, job: Job, _width: int) -> Cell:
        """Its name; of a folded group, the group's."""
        group = self.folded(job)
        if group is None:
            return [(job_name(job), "foreground")]
        count = sum(self._state.jobs.group(group.group).counts.values())
        return [(one_line(group.title, 64), "foreground"), (f" ×{count}", "muted")]

    def status(self, job: Job, _width: int) -> Cell:
        """Glyph and word; of a folded group, how many are in which state."""
        group = self.folded(job)
        if group is None:
            return [(status_text(job), STATUS_WORDS[job.status].colour)]
        counts, spans = self._state.jobs.group(group.group).counts, list[tuple[str, str]]()
        for status in GROUP_STATES:
            if counts[status]:
                words = STATUS_WORDS[status]
                spans.append((f"{words.glyph}{counts[status]} ", words.colour))
        return spans

    def provider(self, job: Job, _width: int) -> Cell:
        """The provider's name."""
        name = self._state.provider_name(job.provider)
        return [(one_line(name, 40), "foreground")] if name else [(NONE, "faint")]

    def time(self, seconds: int) -> Cell:
        """A time of day, with the day when it was another one."""
        if not seconds:
            return [(NONE, "faint")]
        now = self._moment()
        return [(time_text(seconds, now.now, now.zone), "foreground")]

    def started(self, job: Job, _width: int) -> Cell:
        """When it began to run."""
        return self.time(job.time.start if self.account(job).ran else 0)

    def ended(self, job: Job, _width: int) -> Cell:
        """When it ended."""
        return self.time(job.time.end if job.status.is_final else 0)

    def elapsed(self, job: Job, _width: int) -> Cell:
        """How long it has run; a folded group has no such time."""
        if self.folded(job) is not None:
            return [(NONE, "faint")]
        return seconds_cell(self.account(job).elapsed, "foreground")

    def waited(self, job: Job, _width: int) -> Cell:
        """How long it waited, or waits."""
        until = job.time.start or job.time.end or int(self._moment().now)
        return seconds_cell(max(0, until - job.time.submit), "foreground")

    def left(self, job: Job, _width: int) -> Cell:
        """How long its credits last; a folded group has no such time."""
        if self.folded(job) is not None:
            return [(NONE, "faint")]
        seconds = self.account(job).left
        return seconds_cell(seconds, "warning" if (seconds or 0) < 300 else "foreground")

    def cost(self, job: Job, width: int) -> Cell:
        """Cost so far against what is locked; of a folded group, of all its jobs."""
        return cost_cell(self.money(job), width)

    def rate(self, job: Job, _width: int) -> Cell:
        """Credits a minute at its provider."""
        rate = self.account(job).rate
        return [(f"{rate / CREDIT:.2f}", "foreground")] if rate else [(NONE, "faint")]

    def exit(self, job: Job, _width: int) -> Cell:
        """The exit code of one that ended."""
        if not job.status.is_final:
            return [(NONE, "faint")]
        return [(str(job.exit_code), "error" if job.exit_code else "foreground")]

    def error(self, job: Job, _width: int) -> Cell:
        """What went wrong."""
        return [(one_line(job.last_error, 200), "error")] if job.last_error else [(NONE, "faint")]


def all_columns(
    state: ConsoleState, moment: Callable[[], Moment], digits: int = 4
) -> dict[str, Column[Job]]:
    """Every column there is, by its key.

    Args:
        digits: Room for the longest id.
    """
    cells = JobCells(state, moment)

    def number(value: Callable[[Job], int]) -> Callable[[Job, int], Cell]:
        return lambda job, _: [(f"{value(job):,}", "foreground")]

    columns: tuple[Column[Job], ...] = (
        Column("id", "ID", digits, lambda job, _: [(str(job.id), "muted")], right=True),
        Column("name", "NAME", 10, cells.name, grow=28, eager=1),
        Column("status", "STATUS", 16, cells.status),
        Column("provider", "PROVIDER", 8, cells.provider, grow=8, rank=2, eager=1),
        Column("submitted", "SUBMITTED", 9, lambda job, _: cells.time(job.time.submit), rank=6),
        Column("waited", "WAITED", 8, cells.waited, right=True, rank=7, gap=1),
        Column("started", "STARTED", 7, cells.started, rank=5),
        Column("ended", "ENDED", 7, cells.ended, rank=6),
        Column("elapsed", "ELAPSED", 8, cells.elapsed, right=True, rank=3, gap=1),
        Column("left", "LEFT", 8, cells.left, right=True, rank=4, gap=1),
        Column("cost", "COST / LOCKED", 13, cells.cost, grow=11, rank=1, eager=2, gap=1),
        Column("rate", "CR/MIN", 7, cells.rate, right=True, rank=6, gap=1),
        Column("cpus", "CPUS", 5, number(lambda job: job.definition.cpus), right=True, rank=8),
        Column("gpus", "GPUS", 4, number(lambda job: job.definition.gpus), right=True, rank=8),
        Column("mem", "MEM MB", 7, number(lambda job: job.definition.mem), right=True, rank=9),
        Column("exit", "EXIT", 4, cells.exit, right=True, rank=7),
        Column("error", "ERROR", 12, cells.error, grow=40, rank=9, eager=1),
    )
    return {column.key: column for column in columns}


def job_columns(
    state: ConsoleState,
    moment: Callable[[], Moment],
    digits: int = 4,
    wanted: Sequence[str] = (),
) -> list[Column[Job]]:
    """The job table's columns.

    Args:
        digits: Room for the longest id.
        wanted: Keys from left to right, perhaps with ``:width``; none means the usual ones.
            Unknown keys are left out.
    """
    known = all_columns(state, moment, digits)
    chosen = []
    for setting in wanted or USUAL:
        key, _, width = setting.partition(":")
        if key not in known:
            continue
        column = known[key]
        if width:
            column = dataclasses.replace(column, width=int(width), grow=0)
        chosen.append(column)
    return chosen or [known[key] for key in USUAL]


def column_choices(columns: dict[str, Column[Job]], wanted: Sequence[str]) -> list[Choice]:
    """What a user may choose from: the shown columns in their order, then the others."""
    settings = [setting.partition(":") for setting in wanted or USUAL]
    shown = {key: int(width) if width else None for key, _, width in settings if key in columns}
    keys = [*shown, *(key for key in columns if key not in shown)]
    return [
        Choice(key, columns[key].title, key in shown, shown.get(key), columns[key].width)
        for key in keys
    ]


def seconds_cell(seconds: int | None, colour: str) -> Cell:
    """A duration, or the sign for none."""
    return [(NONE, "faint")] if seconds is None else [(duration_text(seconds), colour)]


def cost_cell(money: Money, width: int) -> Cell:
    """Cost so far against what is locked, with a bar where there is room."""
    so_far = compact_credits(money.so_far) if money.so_far or money.ran else NONE
    text = f"{so_far:>6}/{compact_credits(money.locked):<6}"
    colour = "foreground" if money.ran else "muted"
    if width < BAR_FROM:
        return [(text, colour)]
    room = width - len(text) - 1
    part = money.so_far / money.locked if money.locked else 0.0
    return [(text + " ", colour), *bar_spans(part, room, "primary" if money.is_open else "faint")]
