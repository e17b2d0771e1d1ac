"""The wallet view: what there is, what is locked where, what the grid may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from dsq.console.user.accounting import account
from dsq.console.user.details import job_name
from dsq.console.user.screens.base import ViewScreen
from dsq.console.user.screens.job import JobScreen
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.lines import Line, Lines, heading, labelled
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.table import Cell, Column, LiveTable
from dsq.console.widgets.words import (
    STATUS_WORDS,
    Moment,
    bar_spans,
    credits_text,
    exact_credits,
    status_text,
)
from dsq.core.model import Job


def wallet_lines(state: ConsoleState) -> list[Line]:
    """Address and amounts, exact."""
    balance = state.balance
    address = str(state.address) if state.address is not None else "no wallet yet"
    lines: list[Line] = [labelled("address", (address, "bold foreground"))]
    if balance is None:
        return [*lines, labelled("balance", ("not known yet", "muted"))]
    locked = state.jobs.locked()
    held = balance.balance_wei + locked
    part = locked / held if held else 0.0
    lines += [
        labelled(
            "balance",
            (f"{exact_credits(balance.balance_wei)}", "bold accent"),
            (" credits", "muted"),
        ),
        labelled(
            "locked",
            (f"{exact_credits(locked)} ", "foreground"),
            ("in open jobs  ", "muted"),
            *bar_spans(part, 16, "primary"),
            (f" {part:.0%}", "muted"),
        ),
        labelled(
            "allowance",
            (exact_credits(balance.allowance_wei), "foreground"),
            (" the grid may take; a submit asks for exactly what it needs", "muted"),
        ),
        labelled(
            "fees",
            (f"{credits_text(balance.native_wei, 4)}", "foreground"),
            (" coins to pay transactions with", "muted"),
        ),
    ]
    if not balance.native_wei:
        lines.append(
            [("Without coins no transaction can be sent: ask the grid's operator.", "error")]
        )
    return lines


class WalletScreen(ViewScreen):
    """The wallet in use."""

    VIEW = "Wallet"
    ABOUT = "Your credits: what is free, what open jobs hold, what the grid may take."

    DEFAULT_CSS = """
    WalletScreen #money { height: auto; padding: 1 1 0 1; }
    WalletScreen #head { height: 2; padding: 1 1 0 1; }
    WalletScreen LiveTable { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy address", tooltip="Copy the wallet's address", id="wallet.copy"),
        Binding("escape", "app.view('jobs')", "Jobs", tooltip="Back to the jobs", id="wallet.back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._rows: ListSource[Job] = ListSource()

    def compose_view(self) -> ComposeResult:
        yield Lines(id="money")
        yield Lines([heading("locked in open jobs")], id="head")
        yield LiveTable(
            self._rows,
            _columns(self.state, lambda: self.moment),
            key=lambda job: job.id,
            empty=("No open job holds credits.",),
            id="locked",
        )

    @property
    def table(self) -> LiveTable[Job]:
        return self.query_one("#locked", LiveTable)

    def on_mount(self) -> None:
        self.table.focus()

    def update_view(self, *, changed: bool) -> None:
        if changed:
            self._rows.rows = self.state.jobs.hot()
            self.query_one("#money", Lines).show(wallet_lines(self.state))
            self.table.rows_changed()
        else:
            self.table.repaint()

    def on_live_table_opened(self) -> None:
        if self.table.selected is not None:
            self.app.push_screen(JobScreen(self.table.selected.id))

    def action_copy(self) -> None:
        if self.state.address is not None:
            self.console_app.copy(str(self.state.address), "the wallet's address")


def _columns(state: ConsoleState, moment: Callable[[], Moment]) -> list[Column[Job]]:
    def money(job: Job) -> tuple[int, int, int]:
        reckoned = account(job, state.provider_of(job), moment().now)
        return reckoned.locked, reckoned.so_far, reckoned.comes_back

    def amount(index: int) -> Callable[[Job, int], Cell]:
        def cell(job: Job, _width: int) -> Cell:
            return [(credits_text(money(job)[index]), "foreground")]

        return cell

    def status(job: Job, _width: int) -> Cell:
        return [(status_text(job), STATUS_WORDS[job.status].colour)]

    return [
        Column("id", "ID", 4, lambda job, _: [(str(job.id), "muted")], right=True, grow=3),
        Column("name", "NAME", 12, lambda job, _: [(job_name(job), "foreground")], grow=20),
        Column("status", "STATUS", 16, status),
        Column("locked", "LOCKED", 12, amount(0), right=True),
        Column("used", "USED SO FAR", 12, amount(1), right=True),
        Column("back", "IF IT ENDS NOW", 14, amount(2), right=True, rank=1),
    ]
