"""The providers view: who is on the grid, with what, for how much."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll

from dsq.console.dialogs.compare import MOST, Compare, compare_lines
from dsq.console.user.provider_tables import provider_columns, provider_lines
from dsq.console.user.screens.base import ViewScreen
from dsq.console.user.track_record import LATEST, track_record
from dsq.console.widgets.lines import Lines
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.table import LiveTable
from dsq.core.errors import DsqError
from dsq.core.model import Address, Provider, WhyNot

log = logging.getLogger("dsq.console.providers")

LIST_EVERY = 30.0
"""Seconds after which the list of providers is read again."""
RECORD_EVERY = 60.0
"""Seconds after which the past of the selected provider is read again."""
RECORDS_EVERY = 300.0
"""The same for the others."""
RECORDS = 30
"""Providers whose past is read for the table."""


class ProvidersScreen(ViewScreen):
    """All providers of the grid."""

    VIEW = "Providers"
    ABOUT = (
        "Who offers what on this grid, at which price, and how it went so far.\n"
        "space marks; c puts the marked ones side by side, for the workflow in the submit view.\n"
        "With an operator's key: a approves, b bans, u ends a ban, x removes."
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
        Binding("a", "admit('approve')", "Approve", id="providers.approve",
                tooltip="Let what it proposed take effect (operators)"),
        Binding("b", "admit('ban')", "Ban", id="providers.ban",
                tooltip="Keep it from jobs (operators)"),
        Binding("u", "admit('unban')", "Unban", id="providers.unban",
                tooltip="End its ban (operators)"),
        Binding("x", "admit('remove')", "Remove", show=False, id="providers.remove",
                tooltip="Take it off the grid, or drop what it proposed (operators)"),
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
        self._shown: tuple[str, ...] = ()
        self._listed_at = 0.0

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

    def on_screen_resume(self) -> None:
        self._listed_at = 0.0

    def _read_list(self) -> None:
        """Reads the providers again now and then: what they do makes no event of its own."""
        now = self.moment.now
        if self.state.link.online and abs(now - self._listed_at) >= LIST_EVERY:
            self._listed_at = now
            self.run_worker(self._reading_list(), group="list", exit_on_error=False)

    async def _reading_list(self) -> None:
        try:
            await self.console_app.feed.refresh_providers()
        except DsqError as error:
            log.info("the providers cannot be read: %s", error)

    def update_view(self, *, changed: bool) -> None:
        self._read_list()
        if not changed:
            return
        providers = self.state.providers.values()
        self._rows.rows = sorted(providers, key=lambda row: (row.name.casefold(), row.address))
        self.table.stale = self.state.link.state == "offline"
        self.table.rows_changed()
        self._show_details()
        self._read_past([row.address for row in self._rows.rows[:RECORDS]], RECORDS_EVERY)
        if self._admits() != self._shown:
            self._shown = self._admits()
            self.refresh_bindings()

    def _show_details(self) -> None:
        selected = self.table.selected
        if selected is None:
            self.query_one("#about", Lines).show([])
            return
        record = self.state.records.get(selected.address)
        self.query_one("#about", Lines).show(provider_lines(selected, record, self.moment))
        self._read_past([selected.address], RECORD_EVERY)

    def _read_past(self, addresses: Sequence[Address], every: float) -> None:
        """Reads the last jobs of providers, each at most once in ``every`` seconds."""
        now, grid = self.moment.now, self.console_app.generation
        due = [each for each in addresses if now - self._read_at.get((grid, each), 0.0) >= every]
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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.ready:
            return True
        if action == "admit":
            return str(parameters[0]) in self._admits()
        return action != "compare" or len(self._marked()) > 1

    def _admits(self) -> tuple[str, ...]:
        """What this account may do now about the selected provider."""
        row = self.table.selected
        return () if row is None else self.console_app.admits(row)

    def action_admit(self, what: str) -> None:
        row = self.table.selected
        if row is not None and what in self._admits():
            self.console_app.ask_admit(what, row)

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
        self.refresh_bindings()
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
