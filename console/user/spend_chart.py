"""What jobs have cost as a picture: a column a day, a bar a provider. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

from dsq.console.widgets.lines import Line, heading, width_of
from dsq.console.widgets.words import EIGHTHS, bar_spans, compact_credits, credits_text
from dsq.core.readmodel.spending import Spent

MOST_DAYS = 60
NAME, AMOUNT = 14, 10
"""Cells of a provider's name, and of what was spent there."""


def last_days(spent: Sequence[Spent], now: float, count: int) -> list[tuple[date, int]]:
    """What each of the last days cost, in UTC as the sums are; the oldest first."""
    today = datetime.fromtimestamp(now, UTC).date()
    known = {each.key: each.wei for each in spent}
    days = [today - timedelta(days=ago) for ago in range(count - 1, -1, -1)]
    return [(day, known.get(day.isoformat(), 0)) for day in days]


def day_chart(spent: Sequence[Spent], now: float, width: int, height: int) -> list[Line]:
    """A heading, ``height`` lines of columns and a line of dates, ``width`` cells wide."""
    room = max(1, min(MOST_DAYS, width // 2))
    days = last_days(spent, now, room)
    largest = max(wei for _, wei in days)
    head: Line = heading(f"spent in {room} days")
    if not largest:
        return [head, [("Nothing in these days.", "muted")]]
    best = max(days, key=lambda day: day[1])
    total = credits_text(sum(wei for _, wei in days))
    sums: Line = [*head, (f"  {total}", "muted")]
    most: Line = [*sums, (f", most {credits_text(best[1])} on {best[0]:%d %b}", "muted")]
    lines = [next((line for line in (most, sums) if width_of(line) <= width), head)]
    # A day that cost anything shows at least the lowest step.
    steps = [max(1, round(wei / largest * height * 8)) if wei else 0 for _, wei in days]
    for row in range(height - 1, -1, -1):
        cells = [EIGHTHS[max(0, min(8, step - row * 8))] for step in steps]
        if row == 0:
            cells = [cell if step else "·" for cell, step in zip(cells, steps, strict=True)]
        lines.append([(" ".join(cells), "primary")])
    first, last = f"{days[0][0]:%d %b}", "today"
    between = max(1, 2 * room - 1 - len(first) - len(last))
    lines.append([(f"{first}{' ' * between}{last}", "muted")])
    return lines


def provider_chart(
    spent: Sequence[Spent], name: Callable[[str], str], width: int, height: int
) -> list[Line]:
    """A heading and a bar for each of the dearest providers; the others in one line.

    Args:
        name: Tells a provider's name by its address.
        height: Lines below the heading.
    """
    lines: list[Line] = [heading("by provider")]
    if not spent:
        return [*lines, [("No job has cost anything yet.", "muted")]]
    shown = list(spent) if len(spent) <= height else list(spent[: height - 1])
    rows = [(name(each.key), each.wei) for each in shown]
    rest = spent[len(shown) :]
    if rest:
        rows.append((f"{len(rest)} others", sum(each.wei for each in rest)))
    largest = max(wei for _, wei in rows)
    bar = max(4, width - NAME - AMOUNT - 1)
    for called, wei in rows:
        part = wei / largest if largest else 0.0
        amount = f"{compact_credits(wei):>{AMOUNT - 2}} "
        lines.append(
            [
                (f"{called[: NAME - 1]:<{NAME}}", "foreground"),
                *bar_spans(part, bar, "primary"),
                (f" {amount}", "foreground"),
            ]
        )
    return lines
