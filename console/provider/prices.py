"""What a provider asks and earns: prices by unit and by node, the parts of its CPUs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dsq.console.widgets.columns import Cell, Column
from dsq.console.widgets.lines import Line
from dsq.console.widgets.words import (
    NONE,
    credits_text,
    exact_credits,
    plural,
    settled_credits,
    spark,
)
from dsq.core.model import ProviderPrices
from dsq.supervisor.snapshot import AgentSnapshot, Shares

HOURS = 24
"""Of the day that ``earned_today`` is about."""

SAMPLE_SECONDS = 300.0
SAMPLES = 8
"""The history of the CPUs has a bar for each five minutes."""


@dataclass(frozen=True)
class PriceRow:
    """What one unit, or one node, costs.

    Attributes:
        what: The unit.
        minute: Wei a minute by the settings.
        chain: The same by the approved record; None without one.
        share: What remains of an hour for the provider.
    """

    what: str
    minute: int
    chain: int | None
    share: int

    @property
    def hour(self) -> int:
        """Wei an hour."""
        return 60 * self.minute


def price_rows(snapshot: AgentSnapshot) -> list[PriceRow]:
    """The contract's units, then each kind of node and the whole cluster, fully used."""
    own = snapshot.prices
    if own is None:
        return []
    approved = approved_prices(snapshot)

    def row(what: str, cpus: int, gpus: int, mem_mb: int) -> PriceRow:
        minute = _minute(own, cpus, gpus, mem_mb)
        chain = _minute(approved, cpus, gpus, mem_mb) if approved is not None else None
        hour = 60 * minute
        return PriceRow(what, minute, chain, hour - hour * snapshot.fee_percent // 100)

    rows = [
        row("CPU", 1, 0, 0),
        row("GPU", 0, 1, 0),
        row("MB of memory", 0, 0, 1),
        row("GB of memory", 0, 0, 1000),
    ]
    kinds = Counter((node.cpus, node.gpus, node.mem_mb) for node in snapshot.nodes)
    for (cpus, gpus, mem_mb), count in sorted(kinds.items(), reverse=True):
        rows.append(row(_node_words(cpus, gpus, mem_mb, count), cpus, gpus, mem_mb))
    if len(snapshot.nodes) > 1:
        nodes = snapshot.nodes
        cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
        words = f"all {len(nodes):,} nodes"
        rows.append(row(words, cpus, gpus, sum(node.mem_mb for node in nodes)))
    return rows


def _minute(prices: ProviderPrices, cpus: int, gpus: int, mem_mb: int) -> int:
    return gpus * prices.gpu_per_min + cpus * prices.cpu_per_min + mem_mb * prices.mem_per_min


def _node_words(cpus: int, gpus: int, mem_mb: int, count: int) -> str:
    parts = [plural(cpus, "CPU"), plural(gpus, "GPU")] if gpus else [plural(cpus, "CPU")]
    parts.append(f"{mem_mb / 1000:,.0f} GB")
    return f"node: {', '.join(parts)}" + (f" ×{count:,}" if count > 1 else "")


def approved_prices(snapshot: AgentSnapshot) -> ProviderPrices | None:
    """The prices that jobs are billed by now; None before the first approval."""
    provider = snapshot.provider
    return provider.prices if provider is not None and provider.is_approved else None


def price_columns() -> list[Column[PriceRow]]:
    """A minute as the contract has it, an hour as people reckon."""

    def amount(text: str, colour: str = "foreground") -> Cell:
        return [(text, colour)]

    def chain(row: PriceRow, _width: int) -> Cell:
        if row.chain is None:
            return [(NONE, "faint")]
        if row.chain == row.minute:
            return [("the same", "muted")]
        return [(exact_credits(row.chain), "warning")]

    return [
        Column("what", "FULLY USED", 26, lambda row, _: amount(row.what), grow=20, eager=1),
        Column(
            "minute",
            "A MINUTE",
            9,
            lambda row, _: amount(exact_credits(row.minute)),
            right=True,
            grow=6,
        ),
        Column("chain", "ON CHAIN", 9, chain, right=True, grow=6, rank=1),
        Column(
            "hour",
            "AN HOUR",
            9,
            lambda row, _: amount(settled_credits(row.hour)),
            right=True,
            grow=6,
        ),
        Column(
            "share",
            "YOURS",
            9,
            lambda row, _: amount(settled_credits(row.share), "accent"),
            right=True,
            grow=6,
            rank=2,
        ),
    ]


def price_lines(snapshot: AgentSnapshot, history: ShareHistory) -> list[Line]:
    """Whether these prices hold, what they have brought, what the CPUs do."""
    state, colour = price_state(snapshot)
    fee = snapshot.fee_percent
    lines: list[Line] = [
        [("prices  ", "muted"), (state, colour)],
        [("shares  ", "muted"), (f"the grid keeps {fee} %, {100 - fee} % are yours", "foreground")],
    ]
    earned: Line = [
        ("earned  ", "muted"),
        (f"{credits_text(snapshot.earned_today)} in a day", "accent"),
        (f"   {credits_text(snapshot.earned_week)} in a week", "foreground"),
    ]
    rate = earned_a_node_hour(snapshot)
    if rate is not None:
        words = f"   {credits_text(rate)} per node-hour of the day"
        earned = [*earned, (words, "foreground")]
    lines.append(earned)
    if snapshot.shares is not None:
        lines.append([("CPUs    ", "muted"), *share_spans(snapshot.shares, history)])
    return lines


def price_state(snapshot: AgentSnapshot) -> tuple[str, str]:
    """Whether the settings' prices are those that hold."""
    approved = approved_prices(snapshot)
    if approved is None:
        return "○ they hold once the grid's operator has approved this provider", "muted"
    if approved == snapshot.prices:
        return "● approved: jobs are billed by them", "success"
    return "◷ changed: those on chain hold until the operator approves these", "warning"


def earned_a_node_hour(snapshot: AgentSnapshot) -> int | None:
    """Wei that a node has earned in an hour, of all nodes and the whole last day."""
    nodes = len(snapshot.nodes)
    return snapshot.earned_today // (HOURS * nodes) if nodes else None


def share_spans(shares: Shares, history: ShareHistory) -> list[tuple[str, str]]:
    """``grid 61 % ▂▃▅  others 22 %  idle 17 %``."""
    grid, others, idle = percents(shares)
    return [
        (f"grid {grid} % ", "primary"),
        (history.line, "primary"),
        (f"  others {others} %", "foreground"),
        (f"  idle {idle} %", "muted"),
    ]


def percents(shares: Shares) -> tuple[int, int, int]:
    """Whole percents of the grid, others and idle, that make 100."""
    total = max(1, shares.total)
    grid, idle = round(100 * shares.grid / total), round(100 * shares.idle / total)
    return grid, max(0, 100 - grid - idle), idle


class ShareHistory:
    """The grid's part of the CPUs in the last while: the mean of each five minutes."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._parts: list[list[float]] = []

    def take(self, at: float, shares: Shares | None) -> None:
        """Notes what the CPUs do at a time; None is not noted."""
        if shares is None or not shares.total:
            return
        if self._began is None or at - self._began >= SAMPLE_SECONDS or at < self._began:
            self._began = at
            self._parts = [*self._parts[-SAMPLES + 1 :], []]
        self._parts[-1].append(shares.grid / shares.total)

    @property
    def means(self) -> Sequence[float]:
        """From 0 to 1, the oldest first."""
        return [sum(parts) / len(parts) for parts in self._parts]

    @property
    def line(self) -> str:
        """A bar for each mean."""
        return spark(self.means)
