"""Providers side by side, for the workflow that is in the submit view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from dsq.console.dialogs.base import Dialog
from dsq.console.user.track_record import TrackRecord
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import credits_text, duration_text
from dsq.core.model import Address, Provider, WhyNot
from dsq.core.units import UINT64_MAX, format_minutes

MOST = 4
"""Providers that fit side by side in 80 columns."""

LABEL_WIDTH = 11
COLUMN_WIDTH = 15

Row = tuple[str, list[tuple[str, str]]]


def compare_lines(
    providers: Sequence[Provider],
    records: Mapping[Address, TrackRecord],
    estimates: Mapping[Address, WhyNot],
) -> list[Line]:
    """A line a property, a column a provider; the best of a line is marked with ``✓``."""

    def hardware(values: Sequence[int]) -> list[tuple[str, str]]:
        return _best(values, [f"{value:,}" for value in values], highest=True)

    def prices(values: Sequence[int]) -> list[tuple[str, str]]:
        return _best(values, [credits_text(value, 4) for value in values], highest=False)

    rows: list[Row] = [
        ("nodes", hardware([each.hardware.nodes for each in providers])),
        ("CPUs", hardware([sum(each.hardware.cpus_per_node) for each in providers])),
        ("GPUs", hardware([sum(each.hardware.gpus_per_node) for each in providers])),
        ("CPU/min", prices([each.prices.cpu_per_min for each in providers])),
        ("GPU/min", prices([each.prices.gpu_per_min for each in providers])),
    ]
    known = [records.get(each.address) for each in providers]
    rows += [
        ("success", _best(
            [one.success if one is not None else None for one in known],
            [success_text(one) for one in known], highest=True)),
        ("waits", _best(
            [one.wait_seconds if one is not None else None for one in known],
            [wait_text(one) for one in known], highest=False)),
    ]  # fmt: skip
    lines: list[Line] = [_line("", [(one_line(each.name, 30), "bold") for each in providers])]
    lines += [_line(label, cells) for label, cells in rows]
    if not estimates:
        words = "With a valid workflow in the submit view (2) it is reckoned for each of them."
        return [*lines, [], [(words, "muted")]]
    wanted = [estimates.get(each.address) for each in providers]
    fit = [row if row is not None and not row.reason else None for row in wanted]
    lines += [
        [],
        [("FOR THE WORKFLOW OF THE SUBMIT VIEW", "bold primary")],
        _line("a minute", _best(
            [row.wei_per_minute if row else None for row in fit],
            [credits_text(row.wei_per_minute) if row else "–" for row in fit], highest=False)),
        _line("buys", _best(
            [row.minutes if row else None for row in fit],
            [_minutes(row.minutes) if row else "–" for row in fit], highest=True)),
    ]  # fmt: skip
    for provider, row in zip(providers, wanted, strict=True):
        if row is not None and row.reason:
            name, reason = one_line(provider.name, 20), one_line(row.reason, 200)
            lines.append([(f"{name}: ", "muted"), (reason, "warning")])
    return lines


def success_text(record: TrackRecord | None) -> str:
    """``93% of 41``, of the started jobs that have ended."""
    if record is None or record.success is None:
        return "–"
    return f"{record.success:.0%} of {record.ran}"


def wait_text(record: TrackRecord | None) -> str:
    """The usual time from submit to start."""
    known = record is not None and record.wait_seconds is not None
    return duration_text(record.wait_seconds) if known else "–"  # type: ignore[union-attr, arg-type]


def _minutes(minutes: int) -> str:
    return "no limit" if minutes == UINT64_MAX else format_minutes(minutes)


def _best(
    values: Sequence[float | None], texts: Sequence[str], *, highest: bool
) -> list[tuple[str, str]]:
    known = [value for value in values if value is not None]
    best = (max(known) if highest else min(known)) if len(set(known)) > 1 else None
    return [
        (f"{text} ✓", "bold") if value is not None and value == best else (text, "")
        for value, text in zip(values, texts, strict=True)
    ]


def _line(label: str, cells: Sequence[tuple[str, str]]) -> Line:
    spans: list[tuple[str, str]] = [(f"{label:<{LABEL_WIDTH}}", "muted")]
    for text, weight in cells:
        shown = text if len(text) < COLUMN_WIDTH else text[: COLUMN_WIDTH - 2] + "…"
        style = f"{weight} foreground".strip()
        spans.append((f"{shown:<{COLUMN_WIDTH}}", style))
    return spans


class Compare(Dialog[None]):
    """The comparison; filled again when more is known."""

    TITLE_TEXT = "Providers side by side"

    DEFAULT_CSS = """
    Compare > .box { width: 78; }
    Compare VerticalScroll { height: auto; max-height: 100%; scrollbar-size: 1 1; }
    Compare Lines { height: auto; }
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        super().__init__()
        self._lines = lines

    def compose_box(self) -> ComposeResult:
        with VerticalScroll():
            yield Lines(self._lines, classes="sentence")
