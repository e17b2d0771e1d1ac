"""The providers view: who is on the grid, with what, for how much."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll

from dsq.console.dialogs.compare import MOST, Compare, compare_lines, success_text, wait_text
from dsq.console.user.screens.base import ViewScreen
from dsq.console.user.state import ConsoleState
from dsq.console.user.track_record import LATEST, TrackRecord, track_record
from dsq.console.widgets.lines import Line, Lines, heading, labelled
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.table import Cell, Column, LiveTable
from dsq.console.widgets.words import Moment, credits_text, plural
from dsq.core.errors import DsqError
from dsq.core.model import Address, Provider, WhyNot
from dsq.core.units import format_credits

log = logging.getLogger("dsq.console.providers")

LABELS_SHOWN = 40
RECORD_EVERY = 60.0
"""Seconds after which a provider's past is read again."""
NODES_SHOWN = 40


def provider_state(provider: Provider) -> tuple[str, str]:
    """A glyph and a word for what a provider may do, and the colour."""
    if provider.is_banned:
        return "∅ BANNED", "status-failed"
    if provider.is_valid:
        return "● OPEN", "status-finished"
    if provider.is_waiting:
        return "◷ WAITING", "status-out-of-credits"
    return "○ OFF", "muted"


def price_text(wei: int) -> str:
    """A price, with as many places as it takes to see it."""
    if not wei:
        return "0"
    text = format_credits(wei)
    whole, _, places = text.partition(".")
    if whole != "0" or not places:
        return credits_text(wei)
    zeros = len(places) - len(places.lstrip("0"))
    return f"0.{places[: zeros + 3]}".rstrip("0") if zeros < 9 else f"{wei} wei"


def provider_columns(state: ConsoleState) -> list[Column[Provider]]:
    """Name, state, size, prices, labels, jobs."""

    def status(row: Provider, _width: int) -> Cell:
        return [provider_state(row)]

    def mine(row: Provider, _width: int) -> Cell:
        count = sum(1 for job in state.jobs.hot() if job.provider == row.address)
        return [(f"{count:,}" if count else "–", "foreground" if count else "faint")]

    def labels(row: Provider, _width: int) -> Cell:
        shown = " ".join(str(each) for each in row.labels if each.key != "name")
        return [(one_line(shown, 200), "muted")]

    def number(value: int) -> Cell:
        return [(f"{value:,}" if value else "–", "foreground" if value else "faint")]

    return [
        Column(
            "name", "NAME", 10, lambda row, _: [(one_line(row.name, 40), "foreground")], grow=14
        ),
        Column("state", "STATE", 9, status),
        Column("nodes", "NODES", 5, lambda row, _: number(row.hardware.nodes), right=True, rank=3),
        Column(
            "cpus", "CPUS", 6, lambda row, _: number(sum(row.hardware.cpus_per_node)), right=True
        ),
        Column(
            "gpus", "GPUS", 5, lambda row, _: number(sum(row.hardware.gpus_per_node)), right=True
        ),
        Column(
            "cpu-price",
            "CPU/MIN",
            8,
            lambda row, _: [(price_text(row.prices.cpu_per_min), "foreground")],
            right=True,
            rank=1,
        ),
        Column(
            "gpu-price",
            "GPU/MIN",
            8,
            lambda row, _: [(price_text(row.prices.gpu_per_min), "foreground")],
            right=True,
            rank=2,
        ),
        Column("jobs", "JOBS", 6, lambda row, _: number(row.job_count), right=True, rank=4),
        Column("mine", "MINE", 4, mine, right=True, rank=5),
        Column("labels", "LABELS", 10, labels, grow=80, rank=6),
    ]


def record_lines(record: TrackRecord | None, moment: Moment) -> list[Line]:
    """The past of a provider."""
    if record is None:
        return [heading("its last jobs"), [("not read yet", "muted")]]
    if not record.jobs:
        return [heading("its last jobs"), [("none was ever placed there", "muted")]]
    last = moment.at(record.last_end) if record.last_end else "never"
    lines: list[Line] = [
        heading(f"its last {plural(record.jobs, 'job')}"),
        labelled("success", (success_text(record), "foreground"), (" that ran", "muted")),
        labelled("waits", (wait_text(record), "foreground"), (" from submit to start", "muted")),
        labelled("cost in all", (f"{credits_text(record.cost_wei)} credits", "foreground")),
        labelled("open now", (f"{record.open_jobs:,}", "foreground")),
        labelled("last ended", (last, "foreground")),
    ]
    if record.panicked:
        words = "taken from it by the grid"
        lines.append(labelled("panicked", (f"{record.panicked:,} ", "warning"), (words, "muted")))
    return lines


def provider_lines(provider: Provider, record: TrackRecord | None, moment: Moment) -> list[Line]:
    """Everything the chain says about a provider."""
    hardware, prices = provider.hardware, provider.prices
    word, colour = provider_state(provider)
    cpus, mem = sum(hardware.cpus_per_node), sum(hardware.mem_per_node)
    lines: list[Line] = [
        [(one_line(provider.name, 40), "bold foreground"), ("  ", ""), (word, f"bold {colour}")],
        [(str(provider.address), "muted")],
        [],
        *record_lines(record, moment),
        [],
        [heading("prices a minute")[0]],
        labelled("CPU", (price_text(prices.cpu_per_min), "foreground")),
        labelled("GPU", (price_text(prices.gpu_per_min), "foreground")),
        labelled("GB memory", (price_text(prices.mem_per_min * 1000), "foreground")),
        [],
        heading("hardware"),
        labelled(
            "in all",
            (
                f"{plural(hardware.nodes, 'node')}, {plural(cpus, 'CPU')}, "
                f"{plural(sum(hardware.gpus_per_node), 'GPU')}, {mem / 1000:,.1f} GB",
                "foreground",
            ),
        ),
    ]
    nodes = list(
        zip(hardware.cpus_per_node, hardware.gpus_per_node, hardware.mem_per_node, strict=False)
    )
    for (node_cpus, gpus, node_mem), count in _grouped(nodes):
        text = f"{plural(node_cpus, 'CPU')}, {plural(gpus, 'GPU')}, {node_mem / 1000:,.1f} GB"
        lines.append(labelled(f"  {count:,} ×", (text, "muted")))
    lines += [[], heading("labels")]
    for label in provider.labels[:LABELS_SHOWN]:
        lines.append(
            [(f"{one_line(label.key, 24)} ", "muted"), (one_line(label.value, 60), "foreground")]
        )
    if len(provider.labels) > LABELS_SHOWN:
        lines.append([(f"and {len(provider.labels) - LABELS_SHOWN:,} more", "muted")])
    if not provider.labels:
        lines.append([("none", "muted")])
    return [*lines, [], labelled("jobs started", (f"{provider.job_count:,}", "foreground"))]


def _grouped(nodes: list[tuple[int, int, int]]) -> list[tuple[tuple[int, int, int], int]]:
    counts: dict[tuple[int, int, int], int] = {}
    for node in nodes:
        counts[node] = counts.get(node, 0) + 1
    return list(counts.items())[:NODES_SHOWN]


class ProvidersScreen(ViewScreen):
    """All providers of the grid."""

    VIEW = "Providers"
    ABOUT = (
        "Who offers what on this grid, at which price, and how it went so far.\n"
        "space marks; c puts the marked ones side by side, for the workflow in the submit view."
    )

    DEFAULT_CSS = """
    ProvidersScreen #body { height: 1fr; }
    ProvidersScreen LiveTable { height: 1fr; width: 1fr; }
    ProvidersScreen #detail {
        height: 9; padding: 0 1; border-top: solid $faint; scrollbar-size: 1 1;
    }
    ProvidersScreen.-short #detail { display: none; }
    ProvidersScreen.-wide #body { layout: horizontal; }
    ProvidersScreen.-wide #detail {
        display: block; width: 56; height: 100%; border-top: none; border-left: solid $faint;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "compare", "Compare", id="providers.compare",
                tooltip="The marked providers side by side, for the workflow of the submit view"),
        Binding("y", "copy", "Copy address", tooltip="Copy the address", id="providers.copy"),
        Binding(
            "tab",
            "detail",
            "Detail",
            tooltip="Between the table and the detail",
            id="providers.detail",
        ),
        Binding(
            "escape", "app.view('jobs')", "Jobs", tooltip="Back to the jobs", id="providers.back"
        ),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._rows: ListSource[Provider] = ListSource()
        self._read_at: dict[tuple[int, Address], float] = {}

    def compose_view(self) -> ComposeResult:
        with Container(id="body"):
            yield LiveTable(
                self._rows,
                provider_columns(self.state),
                key=lambda row: row.address,
                empty=(
                    "No provider is on this grid yet.",
                    "",
                    "An operator approves one with 'dsq providers approve'.",
                ),
                marks=True,
                id="providers",
            )
            with VerticalScroll(id="detail"):
                yield Lines(id="about")

    @property
    def table(self) -> LiveTable[Provider]:
        return self.query_one("#providers", LiveTable)

    def on_mount(self) -> None:
        self.table.focus()

    def update_view(self, *, changed: bool) -> None:
        if not changed:
            return
        providers = self.state.providers.values()
        self._rows.rows = sorted(providers, key=lambda row: (row.name.casefold(), row.address))
        self.table.stale = self.state.link.state == "offline"
        self.table.rows_changed()
        self._show_details()

    def _show_details(self) -> None:
        selected = self.table.selected
        if selected is None:
            self.query_one("#about", Lines).show([])
            return
        record = self.state.records.get(selected.address)
        self.query_one("#about", Lines).show(provider_lines(selected, record, self.moment))
        self._read_past([selected.address])

    def _read_past(self, addresses: Sequence[Address]) -> None:
        """Reads the last jobs of providers, each at most once a minute."""
        now, grid = self.moment.now, self.console_app.generation
        due = [
            each for each in addresses if now - self._read_at.get((grid, each), 0.0) >= RECORD_EVERY
        ]
        if due and self.state.link.online:
            self._read_at |= {(grid, each): now for each in due}
            self.run_worker(self._reading(due), exit_on_error=False)

    async def _reading(self, addresses: Sequence[Address]) -> None:
        grid = self.console_app.feed.require_grid()
        for address in addresses:
            try:
                jobs = await grid.jobs_at(address, limit=LATEST)
            except DsqError as error:
                log.info("no history of provider=%s: %s", address, error)
                continue
            self.state.records[address] = track_record(jobs)
        self.state.touch()

    def _marked(self) -> list[Provider]:
        return [row for row in self._rows.rows if row.address in self.table.marked][:MOST]

    def on_live_table_marked(self) -> None:
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        return not self.ready or action != "compare" or len(self._marked()) > 1

    def action_compare(self) -> None:
        self.run_worker(self._compare(self._marked()), group="compare", exclusive=True,
                        exit_on_error=False)  # fmt: skip

    async def _compare(self, providers: Sequence[Provider]) -> None:
        state, estimates = self.state, dict[Address, WhyNot]()
        if state.link.online:
            await self._reading([each.address for each in providers])
            if state.wanted is not None:
                try:
                    rows = await self.console_app.feed.require_grid().estimate(*state.wanted)
                    estimates = {row.provider: row for row in rows}
                except DsqError as error:
                    self.console_app.report(error, "estimate")
        self.app.push_screen(Compare(compare_lines(providers, state.records, estimates)))

    def on_live_table_moved(self) -> None:
        self._show_details()
        self.query_one("#detail", VerticalScroll).scroll_home(animate=False)

    def on_live_table_opened(self) -> None:
        self.action_detail()

    def action_detail(self) -> None:
        detail = self.query_one("#detail", VerticalScroll)
        (self.table if detail.has_focus else detail).focus()

    def action_copy(self) -> None:
        selected = self.table.selected
        if selected is not None:
            self.console_app.copy(str(selected.address), "the provider's address")
