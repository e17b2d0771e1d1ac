"""Makes or imports a key: its name, the key itself if it is imported, a passphrase twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from textual.app import ComposeResult
from textual.widgets import Input

from dsq.console.dialogs.base import Dialog
from dsq.console.user.setup import name_problem, passphrase_problem
from dsq.console.widgets.lines import Lines
from dsq.core.errors import WalletError
from dsq.core.wallet import Wallet

NOTE = "Keep the passphrase: nobody can restore it. Enter goes on, escape leaves."


@dataclass(frozen=True)
class NewKey:
    """A key that is not written yet."""

    name: str
    wallet: Wallet
    passphrase: str = field(repr=False)


class MakeKey(Dialog[NewKey]):
    """The fields of a new key; returns it, nothing is written.

    Args:
        name: A name to suggest.
        taken: Names that keys have already.
        imports: Ask for a private key instead of making one.
    """

    def __init__(self, name: str, taken: set[str], *, imports: bool) -> None:
        super().__init__()
        self._suggested = name
        self._taken = taken
        self._imports = imports

    def title_text(self) -> str:
        return "Import a private key" if self._imports else "Make a new key"

    def compose_box(self) -> ComposeResult:
        yield Lines([[("Name:", "muted")]])
        yield Input(self._suggested, compact=True, id="name", select_on_focus=False)
        if self._imports:
            yield Lines([[("Private key (64 hexadecimal digits):", "muted")]])
            yield Input(password=True, compact=True, id="key")
        yield Lines([[("Passphrase:", "muted")]])
        yield Input(password=True, compact=True, id="first")
        yield Lines([[("The same again:", "muted")]])
        yield Input(password=True, compact=True, id="second")
        yield Lines([[(NOTE, "muted")]], id="sentence", classes="sentence")

    def on_mount(self) -> None:
        self.query_one("#key" if self._imports else "#first", Input).focus()

    def _value(self, field_id: str) -> str:
        return self.query_one(f"#{field_id}", Input).value

    def on_input_changed(self) -> None:
        self.query_one("#sentence", Lines).show([[(NOTE, "muted")]])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id != "second":
            self.focus_next()
            return
        name = self._value("name").strip()
        first = self._value("first")
        problem = name_problem(name, self._taken) or passphrase_problem(
            first, self._value("second")
        )
        try:
            wallet = Wallet.from_key(self._value("key")) if self._imports else Wallet.generate()
        except WalletError as error:
            problem = problem or str(error)
        if problem:
            self.query_one("#sentence", Lines).show([[(problem, "error")]])
            self.app.bell()
        else:
            self.dismiss(NewKey(name, wallet, first))
