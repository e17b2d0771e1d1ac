"""The wallet view: what there is, what is locked where, where credits came from and went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from dsq.console.user.screens.base import ViewScreen
from dsq.console.user.screens.job import JobScreen
from dsq.console.user.wallet_tables import SECTIONS, Section, section_line, wallet_lines
from dsq.console.widgets.lines import Lines
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.table import LiveTable


class WalletScreen(ViewScreen):
    """The wallet in use."""

    VIEW = "Wallet"
    ABOUT = (
        "Your credits: what is free, what open jobs hold, what the grid may take.\n"
        "tab goes on to the next table: locked in open jobs, what came and went, spent by day,\n"
        "by job, by provider."
    )

    DEFAULT_CSS = """
    WalletScreen #money { height: auto; padding: 1 1 0 1; }
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

    def compose_view(self) -> ComposeResult:
        yield Lines(id="money")
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
