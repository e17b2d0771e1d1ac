"""The key reference of both consoles, made from their bindings.

``python -m dsq.console.keys`` prints ``docs/keys.md``; a test compares the page with it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from textual.binding import Binding
from textual.keys import format_key

from dsq.console.dialogs.ask_secrets import AskSecrets
from dsq.console.dialogs.base import Dialog
from dsq.console.dialogs.choose import Choose
from dsq.console.dialogs.columns import ChooseColumns
from dsq.console.dialogs.confirm import Confirm
from dsq.console.dialogs.confirm_submit import ConfirmSubmit
from dsq.console.dialogs.help import Help
from dsq.console.dialogs.paths import PathInput
from dsq.console.dialogs.settings import Settings
from dsq.console.dialogs.show_text import ShowText
from dsq.console.provider.app import ProviderApp
from dsq.console.provider.screens.filtering import FilteredFrame
from dsq.console.provider.screens.jobs import JobsView
from dsq.console.user.app import ConsoleApp
from dsq.console.user.look_app import LookApp
from dsq.console.user.screens.grid import GridScreen
from dsq.console.user.screens.job import JobScreen
from dsq.console.user.screens.jobs import JobsScreen
from dsq.console.user.screens.logs import LogKeys, LogScreen
from dsq.console.user.screens.providers import ProvidersScreen
from dsq.console.user.screens.submit import SubmitScreen
from dsq.console.user.screens.wallet import WalletScreen
from dsq.console.widgets.frame import DsqApp, Frame
from dsq.console.widgets.log_pane import LogPane
from dsq.console.widgets.notices_view import NoticesFrame
from dsq.console.widgets.table import LiveTable

SECTIONS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("Everywhere", (Frame, DsqApp)),
    ("Tables", (LiveTable,)),
    ("Logs", (LogPane, LogKeys)),
    (
        "Dialogs",
        (
            Dialog,
            Choose,
            Confirm,
            ConfirmSubmit,
            AskSecrets,
            PathInput,
            ShowText,
            ChooseColumns,
            Settings,
            Help,
        ),
    ),
    ("dsq-console: views", (ConsoleApp, LookApp)),
    ("dsq-console: jobs", (JobsScreen,)),
    ("dsq-console: one job", (JobScreen,)),
    ("dsq-console: log", (LogScreen,)),
    ("dsq-console: submit", (SubmitScreen,)),
    ("dsq-console: providers", (ProvidersScreen,)),
    ("dsq-console: wallet", (WalletScreen,)),
    ("dsq-console: grid", (GridScreen,)),
    ("Notices of both", (NoticesFrame,)),
    ("dsq-provider", (ProviderApp, JobsView, FilteredFrame)),
)
"""Headings of the page, and the classes whose own bindings stand below each."""

HEAD = """\
# Keys

Every key of `dsq-console` and `dsq-provider`. In the console `?` shows those that work where
you are, and the last line those that matter most; `:` or `ctrl+p` finds them by their words.
Arrows work wherever vim's letters do, and everything can be clicked.

`keys.toml` in the settings folder gives other keys by the names in the last column:

```toml
"jobs.submit" = "n"
"table.down" = "down,j,ctrl+n"
```

A name that does not exist is told among the notices, with the close match.

This page is made by `python -m dsq.console.keys`; a test compares it.
"""


def reference() -> str:
    """The text of ``docs/keys.md``."""
    parts = [HEAD]
    for title, owners in SECTIONS:
        rows = [row for owner in owners for row in _rows(owner)]
        parts += [f"\n## {title}\n\n| key | does | name |\n|---|---|---|\n", *rows]
    return "".join(parts)


def _rows(owner: type) -> Iterable[str]:
    for binding in owner.__dict__.get("BINDINGS", ()):
        if isinstance(binding, Binding) and binding.description:
            keys = " ".join(f"`{_shown(key)}`" for key in binding.key.split(","))
            name = f"`{binding.id}`" if binding.id else ""
            yield f"| {keys} | {binding.tooltip or binding.description} | {name} |\n"


def _shown(key: str) -> str:
    """A key as it is typed: ``ctrl+s``, ``?``, ``G``."""
    *modifiers, last = key.strip().split("+")
    shown = {"pageup": "page up", "pagedown": "page down"}.get(last)
    if shown is None:
        shown = format_key(last) if len(last) > 1 else last
    return "+".join([*modifiers, {"⏎": "enter", "pipe": "\\|"}.get(shown, shown)])


if __name__ == "__main__":
    sys.stdout.write(reference())
