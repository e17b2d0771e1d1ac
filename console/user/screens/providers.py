"""The providers view: who is on the grid, with what, for how much."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll

from dsq.console.user.screens.base import ViewScreen
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.lines import Line, Lines, heading, labelled
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.table import Cell, Column, LiveTable
from dsq.console.widgets.words import credits_text, plural
from dsq.core.model import Provider
from dsq.core.units import format_credits

LABELS_SHOWN = 40
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


def provider_lines(provider: Provider) -> list[Line]:
    """Everything the chain says about a provider."""
    hardware, prices = provider.hardware, provider.prices
    word, colour = provider_state(provider)
    cpus, mem = sum(hardware.cpus_per_node), sum(hardware.mem_per_node)
    lines: list[Line] = [
        [(one_line(provider.name, 40), "bold foreground"), ("  ", ""), (word, f"bold {colour}")],
        [(str(provider.address), "muted")],
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
    ABOUT = "Who offers what on this grid, and at which price."

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
    ]

    def __init__(self) -> None:
        super().__init__()
        self._rows: ListSource[Provider] = ListSource()

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
        self.query_one("#about", Lines).show(provider_lines(selected) if selected else [])

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
