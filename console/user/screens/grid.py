"""The grid view: the chain and its nodes, the meta-scheduler, totals."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from dsq.console.user.port import EndpointLike, OverviewLike
from dsq.console.user.screens.base import ViewScreen
from dsq.console.widgets.columns import Cell, Column
from dsq.console.widgets.lines import Line, Lines, heading, labelled
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.table import LiveTable
from dsq.console.widgets.words import (
    NONE,
    STATUS_WORDS,
    Moment,
    age_text,
    bar_spans,
    compact_credits,
    credits_text,
    plural,
)
from dsq.core.model import JobStatus

READ_EVERY = 3.0
"""Seconds between two looks while the view is in front."""

STATES = {
    "healthy": ("● healthy", "success"),
    "lagging": ("◑ lagging", "warning"),
    "wrong_chain": ("× wrong chain", "error"),
    "down": ("× down", "error"),
    "unknown": ("○ not asked yet", "muted"),
}


def overview_lines(seen: OverviewLike, moment: Moment, *, wide: bool = False) -> list[Line]:
    """Chain, meta-scheduler, jobs, providers and credits; states in words where it is wide."""
    nodes, cpus, gpus, mem = seen.hardware()
    pace = "" if seen.block_seconds is None else f"   one block every {seen.block_seconds:.1f} s"
    contracts = sorted(seen.contracts.items(), key=lambda item: item[1])
    held = seen.locked_wei / seen.supply_wei if seen.supply_wei else 0.0
    return [
        labelled(
            "chain",
            (f"{seen.chain_id}", "bold foreground"),
            (f"   block #{seen.head.number:,}, {age_text(moment.now - seen.head.timestamp)} ago",
             "foreground"),
            (pace, "muted"),
        ),
        labelled("new jobs", *_takes(seen)),
        labelled("scheduler", *_scheduler(seen)),
        labelled("jobs", (f"{seen.total_jobs:,} so far", "foreground")),
        labelled("", *_states(seen, words=wide)),
        labelled(
            "providers",
            (f"{len(seen.approved()):,} of {len(seen.providers):,} may be given jobs: ",
             "foreground"),
            (f"{plural(nodes, 'node')}, {cpus:,} CPUs, {gpus:,} GPUs, {mem // 1000:,} GB",
             "muted"),
        ),
        labelled(
            "credits",
            (f"{compact_credits(seen.supply_wei)} in all   ", "foreground"),
            *bar_spans(held, 16, "primary"),
            (f"  {credits_text(seen.locked_wei)} held by the grid", "muted"),
        ),
        labelled("contract", *[(str(address), "muted") for address, name in contracts
                               if name == "MetaScheduler"]),
    ]  # fmt: skip


def _takes(seen: OverviewLike) -> list[tuple[str, str]]:
    if seen.takes_jobs:
        return [("● are taken", "success")]
    return [("× are refused for now; what runs goes on", "error")]


def _scheduler(seen: OverviewLike) -> list[tuple[str, str]]:
    of_it = seen.scheduling
    if of_it.error:
        return [("× ", "error"), (one_line(of_it.error, 120), "error")]
    words = f"   {plural(of_it.waiting, 'job')} waiting, {of_it.placed:,} on providers"
    good = of_it.status == "ok"
    mark = f"{'●' if good else '◑'} {one_line(of_it.status, 40)}"
    behind = max(0, seen.head.number - of_it.block) if of_it.block is not None else 0
    late = f"   {plural(behind, 'block')} behind" if behind > 1 else ""
    return [(mark, "success" if good else "warning"), (words, "foreground"), (late, "muted")]


def _states(seen: OverviewLike, *, words: bool) -> list[tuple[str, str]]:
    def name(status: JobStatus) -> str:
        shown = STATUS_WORDS[status]
        return f"{shown.glyph} {shown.word.lower()}" if words else shown.glyph

    return [
        (f"{name(status)} {count:,}  ", STATUS_WORDS[status].colour)
        for status, count in seen.jobs.items()
        if count
    ]  # fmt: skip


def endpoint_columns() -> list[Column[EndpointLike]]:
    """The table of the chain's nodes."""

    def state(row: EndpointLike, _width: int) -> Cell:
        return [STATES.get(str(row.state), (str(row.state), "foreground"))]

    def answer(row: EndpointLike, _width: int) -> Cell:
        if row.latency_seconds is None:
            return [(NONE, "faint")]
        return [(f"{row.latency_seconds * 1000:.0f} ms", "foreground")]

    def block(row: EndpointLike, _width: int) -> Cell:
        return [(f"#{row.head:,}", "foreground")] if row.head is not None else [(NONE, "faint")]

    return [
        Column("used", "", 1, lambda row, _: [("▸" if row.is_current else " ", "primary")]),
        Column("url", "NODE", 22, lambda row, _: [(one_line(row.url, 80), "foreground")], grow=30),
        Column("state", "STATE", 15, state),
        Column("block", "BLOCK", 10, block, right=True),
        Column("lag", "LAG", 4, lambda row, _: [(str(row.lag), "muted")], right=True),
        Column("answer", "ANSWERS IN", 10, answer, right=True, rank=1),
        Column("error", "LAST ERROR", 12, lambda row, _: [(one_line(row.last_error, 120), "error")],
               grow=60, rank=2),
    ]  # fmt: skip


class GridScreen(ViewScreen):
    """How the whole grid is."""

    VIEW = "Grid"
    ABOUT = "The chain and its nodes, the meta-scheduler, what all providers have, all jobs."

    DEFAULT_CSS = """
    GridScreen #overview { height: auto; padding: 1 1 0 1; }
    GridScreen #head { height: 2; padding: 1 1 0 1; }
    GridScreen LiveTable { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.view('jobs')", "Jobs", tooltip="Back to the jobs", id="grid.back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._rows: ListSource[EndpointLike] = ListSource()
        self._read_at = 0.0

    def compose_view(self) -> ComposeResult:
        yield Lines(id="overview")
        yield Lines([heading("nodes of the chain")], id="head")
        yield LiveTable(
            self._rows,
            endpoint_columns(),
            key=lambda row: row.url,
            empty=("Not asked yet.",),
            opens=False,
            quiet=True,
            id="nodes",
        )

    @property
    def table(self) -> LiveTable[EndpointLike]:
        return self.query_one("#nodes", LiveTable)

    def on_mount(self) -> None:
        self.table.focus()

    def on_screen_resume(self) -> None:
        self._read_at = 0.0

    def update_view(self, *, changed: bool) -> None:  # noqa: ARG002
        now = self.moment.now
        if abs(now - self._read_at) >= READ_EVERY:
            self._read_at = now
            self.console_app.read_overview()
        seen = self.state.overview
        overview = self.query_one("#overview", Lines)
        if seen is None:
            waits = "The grid does not answer." if self.state.link.state == "offline" else "Asking…"
            overview.show([[(waits, "muted")]])
            return
        overview.show(overview_lines(seen, self.moment, wide=self.has_class("-wide")))
        self._rows.rows = list(seen.endpoints)
        self.table.stale = self.state.link.state == "offline"
        self.table.rows_changed()
