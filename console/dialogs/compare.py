"""Providers side by side, for the workflow that is in the submit view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from dsq.console.comparison import Cell, provider_rows, workflow_rows
from dsq.console.dialogs.base import Dialog
from dsq.console.user.track_record import TrackRecord
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.safe import one_line
from dsq.core.model import Address, Provider, WhyNot

MOST = 4
"""Providers that fit side by side in 80 columns."""

LABEL_WIDTH = 11
COLUMN_WIDTH = 15


def compare_lines(
    providers: Sequence[Provider],
    records: Mapping[Address, TrackRecord],
    estimates: Mapping[Address, WhyNot],
) -> list[Line]:
    """A line a property, a column a provider; the best of a line is marked with ``✓``."""
    lines: list[Line] = [_line("", [(one_line(each.name, 30), True) for each in providers])]
    lines += [_line(label, cells) for label, cells in provider_rows(providers, records)]
    if not estimates:
        words = "With a valid workflow in the submit view (2) it is reckoned for each of them."
        return [*lines, [], [(words, "muted")]]
    wanted = [estimates.get(each.address) for each in providers]
    lines += [[], [("FOR THE WORKFLOW OF THE SUBMIT VIEW", "bold primary")]]
    lines += [_line(label, cells) for label, cells in workflow_rows(wanted)]
    for provider, row in zip(providers, wanted, strict=True):
        if row is not None and row.reason:
            name, reason = one_line(provider.name, 20), one_line(row.reason, 200)
            lines.append([(f"{name}: ", "muted"), (reason, "warning")])
    return lines


def _line(label: str, cells: Sequence[Cell]) -> Line:
    spans: list[tuple[str, str]] = [(f"{label:<{LABEL_WIDTH}}", "muted")]
    for text, is_best in cells:
        shown = text if len(text) < COLUMN_WIDTH else text[: COLUMN_WIDTH - 2] + "…"
        spans.append((f"{shown:<{COLUMN_WIDTH}}", "bold foreground" if is_best else "foreground"))
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
