"""The views that are one table: the cluster's nodes, prices, the transactions, the log."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult

from dsq.console.provider.node_map import map_lines
from dsq.console.provider.prices import price_columns, price_lines, price_rows
from dsq.console.provider.screens.filtering import FilteredFrame
from dsq.console.provider.view import log_columns, node_columns, tx_columns
from dsq.console.widgets.columns import Column
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.table import LiveTable
from dsq.console.widgets.words import credits_text, plural
from dsq.supervisor.snapshot import AgentSnapshot


class TableView(FilteredFrame):
    """A view of one table, with a few lines above it."""

    EMPTY: ClassVar[str] = "Nothing here yet."

    DEFAULT_CSS = """
    TableView #about { height: auto; padding: 0 1; }
    TableView LiveTable { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: ListSource[Any] = ListSource()

    def compose_view(self) -> ComposeResult:
        yield from self.compose_filter()
        yield Lines(id="about")
        yield LiveTable(
            self.rows, self.columns(), key=self.key, empty=(self.EMPTY,), opens=False, id="table"
        )

    def on_mount(self) -> None:
        self.query_one(LiveTable).focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self.update_view, changed=True)

    def update_view(self, *, changed: bool) -> None:
        snapshot = self.snapshot
        if snapshot is None or not changed:
            return
        about = self.query_one("#about", Lines)
        lines = self.about(snapshot)
        about.display = bool(lines)
        about.show(lines)
        table = self.query_one(LiveTable)
        self.rows.rows = self.kept(self.read(snapshot))
        table.empty = self.empty_words((self.EMPTY,))
        table.rows_changed()

    def columns(self) -> list[Column[Any]]:
        """The table's columns."""
        raise NotImplementedError

    def read(self, snapshot: AgentSnapshot) -> Sequence[Any]:
        """The table's rows."""
        raise NotImplementedError

    def key(self, row: Any) -> Hashable:
        """What a row is known by."""
        return row  # type: ignore[no-any-return]

    def about(self, snapshot: AgentSnapshot) -> list[Line]:  # noqa: ARG002
        """The lines above the table."""
        return []


class ClusterView(TableView):
    """The nodes, and what this provider has registered."""

    VIEW = "Cluster"
    ABOUT = (
        "The cluster's nodes: what is free now, and how many of the grid's jobs run there.\n"
        "On a wide screen they are a map too, with a letter for each state."
    )
    EMPTY = "The cluster has not answered yet."

    def columns(self) -> list[Column[Any]]:
        return node_columns()

    def key(self, row: Any) -> Hashable:
        return row.name  # type: ignore[no-any-return]

    def read(self, snapshot: AgentSnapshot) -> Sequence[Any]:
        return snapshot.nodes

    def about(self, snapshot: AgentSnapshot) -> list[Line]:
        lines: list[Line] = [
            [
                ("cluster ", "muted"),
                (one_line(snapshot.cluster_kind, 20), "bold foreground"),
                (f" {one_line(snapshot.slurm_version.removeprefix('slurm '), 30)}", "foreground"),
                ("   partition ", "muted"),
                (one_line(snapshot.partition, 40) or "–", "foreground"),
                (f"   {plural(len(snapshot.nodes), 'node')}", "muted"),
            ]
        ]
        labels = "  ".join(one_line(label, 40) for label in snapshot.labels[:12])
        lines.append([("labels ", "muted"), (labels or "none", "foreground")])
        if snapshot.registration:
            state = one_line(snapshot.registration, 200)
            lines.append([("registration ", "muted"), (state, "foreground")])
        if snapshot.can_raise_limit is False:
            words = "Slurm lets this account raise no time limit: top-ups help waiting jobs only."
            lines.append([(words, "warning")])
        if self.has_class("-wide"):
            drawn = map_lines(snapshot.nodes, self.size.width - 2, self.size.height // 3)
            lines += [[], *drawn] if drawn else []
        return lines


class PricesView(TableView):
    """What a minute and an hour cost, and what they bring."""

    VIEW = "Prices"
    ABOUT = (
        "Prices of this provider: a minute as the contract has it, an hour as people reckon,\n"
        "for a unit and for whole nodes, and what of it remains for you."
    )
    EMPTY = "The supervisor has not started yet."

    def columns(self) -> list[Column[Any]]:
        return price_columns()

    def key(self, row: Any) -> Hashable:
        return row.what  # type: ignore[no-any-return]

    def read(self, snapshot: AgentSnapshot) -> Sequence[Any]:
        return price_rows(snapshot)

    def about(self, snapshot: AgentSnapshot) -> list[Line]:
        return price_lines(snapshot, self.provider_app.share_history)


class TransactionsView(TableView):
    """What was sent to the chain."""

    VIEW = "Transactions"
    ABOUT = "The supervisor's transactions, newest first."
    EMPTY = "No transaction yet."

    def columns(self) -> list[Column[Any]]:
        return tx_columns(lambda: self.moment)

    def key(self, row: Any) -> Hashable:
        return (row.at, row.label)

    def read(self, snapshot: AgentSnapshot) -> Sequence[Any]:
        return sorted(snapshot.txs, key=lambda row: -row.at)

    def about(self, snapshot: AgentSnapshot) -> list[Line]:
        if snapshot.native_balance is None:
            return []
        fees = credits_text(snapshot.native_balance, 4)
        return [[("fees are paid from ", "muted"), (f"{fees} coins", "foreground")]]


class LogView(TableView):
    """The supervisor's log."""

    VIEW = "Log"
    ABOUT = "What the supervisor does, newest first."
    EMPTY = "The log is empty."

    def columns(self) -> list[Column[Any]]:
        return log_columns(lambda: self.moment)

    def read(self, snapshot: AgentSnapshot) -> Sequence[Any]:
        return snapshot.log_lines[::-1]
