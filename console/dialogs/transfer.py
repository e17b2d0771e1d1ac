"""Sends credits to somebody, and shows first what that does."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.suggester import SuggestFromList
from textual.widgets import Input

from dsq.console.dialogs.amounts import amount_problem
from dsq.console.dialogs.base import Dialog
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.words import credits_text
from dsq.core.contacts import contact_name, find_account
from dsq.core.errors import UsageError
from dsq.core.model import Address
from dsq.core.units import parse_credits

Sending = tuple[Address, int]
"""Who gets how many wei."""


def recipient_problem(text: str, state: ConsoleState, contacts: Mapping[str, Address]) -> str:
    """Why nobody can be sent credits by this text; "" if somebody can."""
    if not text.strip():
        return ""
    try:
        account = find_account(text, contacts)
    except UsageError as error:
        return str(error)
    if account == state.address:
        return "That is this wallet's own address."
    if account in state.contracts:
        return f"That is the grid's {state.contracts[account]} contract: credits there are lost."
    if account.is_zero:
        return "That is the zero address: credits sent there are lost."
    return ""


class Transfer(Dialog[Sending]):
    """Asks for a recipient and an amount. Returns both; nothing is sent yet."""

    TITLE_TEXT = "Send credits"

    def __init__(self, state: ConsoleState, contacts: Mapping[str, Address]) -> None:
        super().__init__()
        self._state = state
        self._contacts = contacts

    def compose_box(self) -> ComposeResult:
        yield Lines([[("To (an address, or a name of your contacts):", "muted")]])
        yield Input(
            placeholder="0x…",
            compact=True,
            id="to",
            suggester=SuggestFromList(sorted(self._contacts), case_sensitive=False),
        )
        yield Lines([[("Credits:", "muted")]])
        yield Input(placeholder="100", compact=True, id="amount")
        yield Lines(id="sentence", classes="sentence")
        yield Lines(id="effect", classes="sentence")

    def on_mount(self) -> None:
        self._show()

    def on_input_changed(self) -> None:
        self._show()

    def _values(self) -> tuple[str, str]:
        return self.query_one("#to", Input).value, self.query_one("#amount", Input).value

    def _problem(self) -> str:
        to, amount = self._values()
        return recipient_problem(to, self._state, self._contacts) or amount_problem(
            amount, self._state
        )

    def _sending(self) -> Sending | None:
        to, amount = self._values()
        if self._problem() or not to.strip() or not amount.strip():
            return None
        return find_account(to, self._contacts), parse_credits(amount)

    def _show(self) -> None:
        problem, sending = self._problem(), self._sending()
        self.query_one("#sentence", Lines).show([[(problem, "error")]] if problem else [])
        lines: list[Line] = [[("Enter goes on, escape leaves. Nothing is sent yet.", "muted")]]
        if sending is not None:
            lines = transfer_lines(*sending, self._state, self._contacts)
        self.query_one("#effect", Lines).show(lines)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        sending = self._sending()
        if sending is not None:
            self.dismiss(sending)
        elif event.input.id == "to" and not self._problem():
            self.query_one("#amount", Input).focus()
        else:
            self.app.bell()


def transfer_lines(
    to: Address, wei: int, state: ConsoleState, contacts: Mapping[str, Address]
) -> list[Line]:
    """Who gets what, and the wallet before and after."""
    name = contact_name(to, contacts)
    lines: list[Line] = [[("to          ", "muted"), (str(to), "bold foreground")]]
    if name:
        lines.append([("            ", "muted"), (name, "foreground")])
    lines.append([("amount      ", "muted"), (f"{credits_text(wei)} credits", "foreground")])
    if state.balance is not None:
        before = state.balance.balance_wei
        text = f"{credits_text(before)} → {credits_text(max(0, before - wei))}"
        lines.append([("wallet      ", "muted"), (text, "foreground")])
    return lines
