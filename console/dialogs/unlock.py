"""Asks for the passphrase of a key, and opens it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.app import ComposeResult
from textual.widgets import Input

from dsq.console.dialogs.base import Dialog
from dsq.console.widgets.lines import Lines
from dsq.core.errors import DsqError

Opens = Callable[[str], Awaitable[object]]


class Unlock(Dialog[bool]):
    """One hidden line. Stays until the passphrase fits; returns True then.

    Args:
        name: The key.
        why: What it is needed for.
        opens: Opens the key; raises what is wrong.
    """

    def __init__(self, name: str, why: str, opens: Opens) -> None:
        super().__init__()
        self._name_of_key = name
        self._why = why
        self._opens = opens
        self._busy = False

    def title_text(self) -> str:
        return f"Passphrase of {self._name_of_key}"

    def compose_box(self) -> ComposeResult:
        yield Input(password=True, compact=True, id="passphrase")
        yield Lines([[(self._why, "muted")]], id="sentence", classes="sentence")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self._busy:
            return
        self._busy = True
        self._say("Opening the key…", "muted")
        self.run_worker(self._open(event.value), exit_on_error=False)

    async def _open(self, passphrase: str) -> None:
        try:
            await self._opens(passphrase)
        except DsqError as error:
            self._busy = False
            self.query_one(Input).value = ""
            self._say(error.message, "error")
            return
        self.query_one(Input).value = ""
        self.dismiss(True)

    def _say(self, text: str, style: str) -> None:
        self.query_one("#sentence", Lines).show([[(text, style)]])
