"""What providers would make of a job, as the submit view shows it; credits for a duration."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len

from dsq.console.user.details import estimate_text
from dsq.console.widgets.columns import Cell, Column
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import credits_text
from dsq.core.errors import UsageError
from dsq.core.model import WhyNot
from dsq.core.units import CREDIT, UINT64_MAX, format_minutes

PLENTY = CREDIT * 10**30
"""Wei that are never too few: asks what providers say to everything but the price."""

_SHORTER = (
    (re.compile(r"needs (\d+ GPUs?|\d+ CPUs|\d+ MB), has (\d+) on all its nodes"), r"\1, has \2"),
    (re.compile(r"needs (\d+ \w+) on one node, has (\w+)"), r"\1 a node, has \2"),
    (re.compile(r"needs (\d+ \w+) on one node for a task, has (\d+)"), r"\1 a task, has \2"),
    (re.compile(r"needs (\d+ \w+), has (\w+)"), r"\1, has \2"),
    (re.compile(r"has no label (\S+), the job wants (.*)"), r"no label \1"),
    (re.compile(r"label (\S+) is (.*), the job wants (.*)"), r"\1 is \2"),
    (re.compile(r"busy: (\d+) of (\d+) (\w+) in use"), r"\1 of \2 \3 busy"),
    (re.compile(r".* buy less than a minute at .*"), "less than a minute"),
    (re.compile(r"its nodes cannot be shared out to .*"), "its nodes do not fit"),
)
"""What :mod:`dsq.core.metascheduler.matching` says, and the same in few words."""


def reason_text(reason: str, width: int) -> str:
    """Why a provider cannot take a job, in so many cells: the sentence, or its short form."""
    full = one_line(reason, 200)
    if cell_len(full) <= width:
        return full
    for pattern, short in _SHORTER:
        match = pattern.fullmatch(full)
        if match is not None:
            return match.expand(short)
    return full


def estimate_columns(
    rows: Sequence[WhyNot] = (), minutes: int | None = None
) -> list[Column[WhyNot]]:
    """Provider, what the credits buy there or what the time costs, or why not; price a minute.

    Args:
        rows: What is shown: names and reasons get the room they need, if they can.
        minutes: The time that was asked for; None when it was credits.
    """

    def name(row: WhyNot, _width: int) -> Cell:
        return [(one_line(row.name, 30), "muted" if row.reason else "foreground")]

    def buys(row: WhyNot, width: int) -> Cell:
        if row.reason:
            return [("× ", "error"), (reason_text(row.reason, width - 2), "muted")]
        if minutes is not None and row.minutes < minutes:
            return [("× ", "error"), (f"at most {format_minutes(row.minutes)}", "muted")]
        if minutes is not None:
            return [("✓ ", "success"), (credits_text(row.wei_per_minute * minutes), "foreground")]
        text = "no limit" if row.minutes == UINT64_MAX else estimate_text(row)
        return [("✓ ", "success"), (text, "foreground")]

    def rate(row: WhyNot, _width: int) -> Cell:
        known = row.wei_per_minute and not row.reason
        return [(credits_text(row.wei_per_minute) if known else "", "foreground")]

    title = "CREDITS BUY" if minutes is None else f"{format_minutes(minutes).upper()} COST"
    longest = max((cell_len(one_line(row.name, 30)) for row in rows), default=8)
    reasons = [cell_len(reason_text(row.reason, 0)) + 2 for row in rows if row.reason]
    return [
        Column("name", "WHERE", max(5, min(8, longest)), name, grow=min(8, longest), eager=-1),
        Column("buys", title, max(14, min(24, max(reasons, default=0))), buys, grow=60),
        Column("rate", "CR/MIN", 6, rate, right=True, rank=1),
    ]


def in_order(rows: Sequence[WhyNot]) -> list[WhyNot]:
    """Who can take the job first, the cheapest on top."""
    return sorted(rows, key=lambda row: (bool(row.reason), row.wei_per_minute, row.name))


def credits_for(rows: Sequence[WhyNot], minutes: int, minimum: int) -> int:
    """Wei that last so long at every provider that can take the job.

    Args:
        rows: What the providers say to a job with :data:`PLENTY` of credits.
        minutes: How long it is to run.
        minimum: The least that the grid locks.

    Raises:
        UsageError: No provider takes the job, or none runs it for so long.
    """
    able = [row for row in rows if not row.reason]
    if not able:
        raise UsageError("No provider can take the job, so nobody says what its time costs.")
    fitting = [row for row in able if row.minutes >= minutes]
    if not fitting:
        longest = format_minutes(max(row.minutes for row in able))
        raise UsageError(f"No provider runs it that long: {longest} at most.")
    return max(minimum, *(row.wei_per_minute * minutes for row in fitting))
