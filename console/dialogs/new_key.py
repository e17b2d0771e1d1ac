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

    def _problem(self, field_id: str) -> str:
        """Why what is typed into a field will not do; "" if it will."""
        if field_id == "name":
            return name_problem(self._value("name").strip(), self._taken)
        if field_id == "key":
            return self._key_problem()
        second = self._value("second") if field_id == "second" else self._value("first")
        return passphrase_problem(self._value("first"), second)

    def _key_problem(self) -> str:
        try:
            Wallet.from_key(self._value("key"))
        except WalletError as error:
            return str(error)
        return ""

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Goes on to the next field; the first one that will not do gets the focus."""
        fields = ["name", *(["key"] if self._imports else []), "first", "second"]
        at = fields.index(event.input.id or "second")
        for field_id in fields[: at + 1]:
            if problem := self._problem(field_id):
                self.query_one("#sentence", Lines).show([[(problem, "error")]])
                self.query_one(f"#{field_id}", Input).focus()
                self.app.bell()
                return
        if event.input.id != "second":
            self.focus_next()
            return
        wallet = Wallet.from_key(self._value("key")) if self._imports else Wallet.generate()
        self.dismiss(NewKey(self._value("name").strip(), wallet, self._value("first")))
