"""The provider's jobs: what the chain, Slurm and the journal say, side by side."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from dsq.console.provider.screens.filtering import FilteredFrame
from dsq.console.provider.view import (
    job_columns,
    job_lines,
    log_columns,
    money_parts,
    tx_columns,
)
from dsq.console.widgets.bars import TopBar
from dsq.console.widgets.lines import Lines
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.table import LiveTable
from dsq.supervisor.snapshot import JobRow, LogLineRow, TxRow

TAIL = 200
EMPTY = ("No job yet.", "", "The grid places jobs here once the provider is approved.")
UNKNOWN = ("The chain and the cluster have not been read yet.",)


class JobsView(FilteredFrame):
    """All jobs of this provider."""

    VIEW = "Jobs"
    ABOUT = (
        "The jobs of this provider: what the chain, Slurm and the journal say of each.\n"
        "A row marked ! is one where they differ; the last event says what is being done.\n"
        "Dangerous keys work for two minutes after A."
    )

    DEFAULT_CSS = """
    JobsView #money { background: $background; }
    JobsView #jobs { height: 1fr; }
    JobsView #detail { height: auto; max-height: 6; padding: 0 1; border-top: solid $faint; }
    JobsView #tails { height: 6; border-top: solid $faint; }
    JobsView.-short #tails { display: none; }
    JobsView #txs { display: none; }
    JobsView.-wide #tails { height: 16; layout: horizontal; }
    JobsView.-wide #txs { display: block; width: 1fr; border-right: solid $faint; }
    JobsView.-wide #log { width: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "A",
            "app.arm",
            "Arm",
            tooltip="Make dangerous keys work for two minutes",
            id="provider.arm",
        ),
        Binding(
            "p",
            "app.pause",
            "Pause",
            tooltip="Claim nothing new, or claim again",
            id="provider.pause",
        ),
        Binding(
            "d",
            "app.drain",
            "Drain",
            tooltip="Armed: claim nothing new until no job is left",
            id="provider.drain",
        ),
        Binding(
            "c",
            "cancel",
            "Cancel",
            tooltip="Armed: take the job out of Slurm",
            id="provider.cancel",
        ),
        Binding("y", "copy", "Copy id", tooltip="Copy the job's number", id="provider.copy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.jobs: ListSource[JobRow] = ListSource()
        self.txs: ListSource[TxRow] = ListSource()
        self.log_lines: ListSource[LogLineRow] = ListSource()

    def compose_view(self) -> ComposeResult:
        yield TopBar(id="money")
        yield from self.compose_filter()
        yield LiveTable(
            self.jobs,
            job_columns(),
            key=lambda row: row.job_id,
            empty=UNKNOWN,
            opens=False,
            id="jobs",
        )
        yield Lines(id="detail")
        with Container(id="tails"):
            yield LiveTable(
                self.txs,
                tx_columns(lambda: self.moment),
                key=id,
                empty=("No transaction yet.",),
                opens=False,
                quiet=True,
                id="txs",
            )
            yield LiveTable(
                self.log_lines,
                log_columns(lambda: self.moment),
                key=id,
                empty=("The log is empty.",),
                opens=False,
                quiet=True,
                id="log",
            )

    @property
    def table(self) -> LiveTable[JobRow]:
        return self.query_one("#jobs", LiveTable)

    @property
    def filtered(self) -> LiveTable[JobRow]:
        return self.table

    def on_mount(self) -> None:
        self.table.focus()

    def update_view(self, *, changed: bool) -> None:
        snapshot = self.snapshot
        if snapshot is None or not changed:
            return
        self.query_one("#money", TopBar).show(
            money_parts(snapshot, self.provider_app.share_history)
        )
        self.jobs.rows = self.kept(snapshot.rows)
        self.table.empty = self.empty_words(EMPTY)
        self.txs.rows = sorted(snapshot.txs, key=lambda row: -row.at)[:TAIL]
        self.log_lines.rows = snapshot.log_lines[: -TAIL - 1 : -1]
        for table in self.query(LiveTable):
            table.rows_changed()
        self._show_detail()

    def _show_detail(self) -> None:
        row = self.table.selected
        detail = self.query_one("#detail", Lines)
        detail.display = row is not None
        if row is not None:
            detail.show(job_lines(row, self.moment))

    def on_live_table_moved(self) -> None:
        self._show_detail()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("cancel", "copy"):
            row = self.table.selected if self.ready else None
            return row is not None and (action == "copy" or row.phase != "final")
        return super().check_action(action, parameters)

    def action_cancel(self) -> None:
        row = self.table.selected
        if row is not None:
            self.provider_app.ask_cancel(row)

    def action_copy(self) -> None:
        row = self.table.selected
        if row is not None:
            self.provider_app.copy(str(row.job_id), f"job id {row.job_id}")
