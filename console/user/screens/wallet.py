"""The wallet view: what there is, what is locked where, where credits came from and went."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from dsq.console.user.job_search import sums_of
from dsq.console.user.job_store import AT_ONCE
from dsq.console.user.screens.base import ViewScreen
from dsq.console.user.screens.job import JobScreen
from dsq.console.user.spend_chart import day_chart, provider_chart
from dsq.console.user.wallet_tables import (
    SECTIONS,
    SUMS,
    Section,
    section_line,
    spent_rows,
    wallet_lines,
)
from dsq.console.widgets.lines import Lines
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.table import LiveTable
from dsq.core.model import Address

CHART = 6
"""Lines of the columns of the spent credits."""


class WalletScreen(ViewScreen):
    """The wallet in use."""

    VIEW = "Wallet"
    ABOUT = (
        "Your credits: what is free, what open jobs hold, what the grid may take.\n"
        "tab goes on to the next table: locked in open jobs, what came and went, spent by day,\n"
        "by job, by provider."
    )

    DEFAULT_CSS = """
    WalletScreen #amounts { height: auto; layout: horizontal; padding: 1 1 0 1; }
    WalletScreen #money { height: auto; width: 1fr; }
    WalletScreen .chart { display: none; height: auto; padding-left: 3; }
    WalletScreen.-wide #money { width: 74; height: 8; }
    WalletScreen.-wide .chart { display: block; height: 8; }
    WalletScreen #days { width: 3fr; }
    WalletScreen #providers { width: 2fr; }
    WalletScreen #head { height: 2; padding: 1 1 0 1; }
    WalletScreen LiveTable { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "section(1)", "Next table", tooltip="The next table", id="wallet.next"),
        Binding(
            "shift+tab", "section(-1)", "Table before", show=False, tooltip="The table before",
            id="wallet.previous",
        ),
        Binding("t", "transfer", "Send", tooltip="Send credits to somebody", id="wallet.transfer"),
        Binding("f", "faucet", "Faucet", tooltip="Collect what the grid's faucet has promised",
                id="wallet.faucet"),
        Binding("p", "collect", "Collect", tooltip="Collect payments that wait",
                id="wallet.collect"),
        Binding("w", "app.switch", "Switch", tooltip="Another grid or wallet",
                id="wallet.switch"),
        Binding("y", "copy", "Copy address", tooltip="Copy the wallet's address", id="wallet.copy"),
        Binding("escape", "app.view('jobs')", "Jobs", tooltip="Back to the jobs", id="wallet.back"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._rows: ListSource[Any] = ListSource()
        self._section = 0
        self._shown: object = None
        self._waits = (0, 0)
        self._summing = False

    def compose_view(self) -> ComposeResult:
        with Container(id="amounts"):
            yield Lines(id="money")
            yield Lines(id="days", classes="chart")
            yield Lines(id="providers", classes="chart")
        yield Lines(id="head")
        section = self.section
        yield LiveTable(
            self._rows,
            section.columns(self.state, lambda: self.moment),
            key=lambda row: self.section.key(row),
            empty=section.empty,
            id="wallet",
        )

    @property
    def section(self) -> Section:
        """The table that is shown."""
        return SECTIONS[self._section]

    @property
    def table(self) -> LiveTable[Any]:
        return self.query_one("#wallet", LiveTable)

    def on_mount(self) -> None:
        self.table.focus()

    def on_screen_resume(self) -> None:
        self.console_app.read_history()

    def update_view(self, *, changed: bool) -> None:
        if changed:
            jobs = self.state.jobs
            stale = self.state.spent_at.get("day") != jobs.ended
            if jobs.total > AT_ONCE and stale and not self._summing:
                self._summing = True
                self.run_worker(self._sum_up(), group="sums", exit_on_error=False)
            self._show()
        else:
            self.table.repaint()

    def _show(self) -> None:
        table, section = self.table, self.section
        self._rows.rows = self._read(section)
        if self._shown is not section:
            self._shown = section
            table.set_columns(section.columns(self.state, lambda: self.moment))
            table.action_cursor_to(0)
        table.empty = section.empty
        self.query_one("#money", Lines).show(wallet_lines(self.state))
        self.query_one("#head", Lines).show([section_line(self._section)])
        balance = self.state.balance
        waits = (balance.faucet_wei, balance.claimable_wei) if balance is not None else (0, 0)
        if waits != self._waits:
            self._waits = waits
            self.refresh_bindings()
        table.rows_changed()
        self._show_charts()

    def _show_charts(self) -> None:
        """Paints what was spent, where there is room for it."""
        if not self.has_class("-wide"):
            return
        by_day, by_provider = (spent_rows(self.state, way) for way in ("day", "provider"))
        days, providers = self.query_one("#days", Lines), self.query_one("#providers", Lines)
        width = max(20, days.content_size.width)
        days.show(day_chart(by_day, self.moment.now, width, CHART))
        width = max(20, providers.content_size.width)
        providers.show(provider_chart(by_provider, self._provider, width, CHART + 1))

    def _provider(self, address: str) -> str:
        return one_line(self.state.provider_name(Address.parse(address)), 40)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_charts)

    async def _sum_up(self) -> None:
        """Adds up the costs of very many jobs beside the screen."""
        state = self.state
        ended = state.jobs.ended
        try:
            state.jobs.flush()
            state.spent = await asyncio.to_thread(sums_of, state.jobs.model, SUMS)
            state.spent_at = dict.fromkeys(state.spent, ended)
        finally:
            self._summing = False
        state.touch()

    def _read(self, section: Section) -> Sequence[Any]:
        return section.rows(self.state)

    def action_section(self, step: int) -> None:
        self._section = (self._section + step) % len(SECTIONS)
        self._show()

    def on_live_table_opened(self) -> None:
        job_id = self.section.job_id(self.table.selected)
        if job_id and self.state.jobs.get(job_id) is not None:
            self.app.push_screen(JobScreen(job_id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action in ("transfer", "faucet", "collect") and self.ready:
            balance = self.state.balance
            waits = {
                "faucet": balance is not None and balance.faucet_wei > 0,
                "collect": balance is not None and balance.claimable_wei > 0,
            }
            return not self.console_app.read_only and waits.get(action, True)
        return True

    def action_transfer(self) -> None:
        self.console_app.ask_transfer()

    def action_faucet(self) -> None:
        self.console_app.claim_faucet()

    def action_collect(self) -> None:
        self.console_app.collect_payments()

    def action_copy(self) -> None:
        if self.state.address is not None:
            self.console_app.copy(str(self.state.address), "the wallet's address")
